//! `framevisor-recorder`: started by the supervisor; `dump` and `recordings` by the framevisor command.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::verb::run_or::<recorder::Recorder>(&[
        ("dump", recorder::dump_verb),
        ("recordings", recorder::recordings_verb),
    ])
}
