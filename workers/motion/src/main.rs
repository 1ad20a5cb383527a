//! `framevisor-motion`: started by the supervisor.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<motion::motion::Motion>()
}
