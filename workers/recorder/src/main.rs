//! `framevisor-recorder`: started by the supervisor; `dump`, `recordings` and `witness` by the framevisor
//! command.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::verb::run_or::<recorder::Recorder>(&[
        ("dump", recorder::dump_verb),
        ("recordings", recorder::recordings_verb),
        ("witness", recorder::witness_verb),
    ])
}
