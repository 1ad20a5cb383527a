//! `framevisor-detect`: started by the supervisor; and `examine` of the framevisor command, because the engines are
//! here.

use std::process::ExitCode;

use worker::verb::Verb;

fn main() -> ExitCode {
    let verbs: [Verb; 1] = [("examine", detect::examine::verb)];
    worker::verb::run_or::<detect::detect::Detect>(&verbs)
}
