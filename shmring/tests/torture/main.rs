//! Real processes killed at random instants: no torn picture, no bad packet, every packet read or told
//! as missed, nothing left behind. `cargo test` runs a short form, `scripts/torture` a long one:
//!
//! ```text
//! torture [--minutes N | --seconds N] [--seed S]
//! ```
//!
//! The last line of stdout is the report, a JSON object. The children are this program again, see
//! [`parts`].
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the report is this program's purpose")]

mod director;
mod frames;
mod hostile;
mod ledger;
mod packets;
mod parts;
mod random;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use shmring::clock;

/// How long `cargo test` tortures.
const SHORT: Duration = Duration::from_secs(6);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, part, project, ledger, seed] = arguments.as_slice()
        && child == parts::CHILD
    {
        parts::run(part, project, ledger, seed);
        return ExitCode::SUCCESS;
    }
    let Some(plan) = plan(&arguments) else {
        return ExitCode::SUCCESS;
    };
    let report = director::torture(&plan);
    println!("{}", report.json());
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
struct Plan {
    time: Duration,
    seed: u64,
}

/// `None` when `cargo test` was asked for other tests. Flags of its test harness are ignored.
fn plan(arguments: &[String]) -> Option<Plan> {
    let mut plan = Plan { time: SHORT, seed: clock::mono().0 };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = || rest.next().and_then(|text| text.parse::<u64>().ok());
        match argument.as_str() {
            "--minutes" => plan.time = Duration::from_secs(60 * number()?),
            "--seconds" => plan.time = Duration::from_secs(number()?),
            "--seed" => plan.seed = number()?,
            "--list" => return None,
            flag if flag.starts_with('-') => {}
            filter if "torture".contains(filter) => {}
            _ => return None,
        }
    }
    Some(plan)
}
