//! `framevisor-recorder`: started by the supervisor.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<recorder::Recorder>()
}
