//! `framevisor-recorder`: started by the supervisor; `dump` by the framevisor command.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::verb::run_or::<recorder::Recorder>(&[("dump", recorder::dump_verb)])
}
