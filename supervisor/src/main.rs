//! The framevisor command.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::cli::main()
}
