//! `framevisor-web`: started by the supervisor.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<web::web::Web>()
}
