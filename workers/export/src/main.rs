//! The export program: it lives as long as one `framevisor export`.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::verb::run_verb(&[("export", export::export_verb), ("verify", export::verify_verb)])
}
