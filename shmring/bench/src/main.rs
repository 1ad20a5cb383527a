//! `scripts/bench rings`: what the rings cost, beside what the machine and other transports cost.
//!
//! Every comparison is measured in turn with its floor, and the floor with itself; what a row means and
//! what was seen stands in docs/bench.md.

mod lines;
mod machine;
mod report;
mod rows;
mod stage;
mod stats;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use report::Report;
use rows::{Plan, ROWS};

/// What can go wrong is told and not told apart.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Measures the rings and their peers. The last line of stdout is one JSON object.
#[derive(Debug, Parser)]
struct Arguments {
    /// Length of the row of 3840x2160 pictures.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only rows whose name begins so; may be given more than once.
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// About a minute and a half for all of it.
    #[arg(long)]
    quick: bool,
    /// Run before everything else on this machine (SCHED_FIFO): for one that others use too.
    #[arg(long)]
    realtime: bool,
    /// Exit with 1 when a speed target is missed, too.
    #[arg(long)]
    strict: bool,
    /// docs/bench.md, where losses are explained.
    #[arg(long, value_name = "FILE")]
    docs: Option<PathBuf>,
    /// The decoder's example program.
    #[arg(long, value_name = "FILE", requires = "clip")]
    decode_cost: Option<PathBuf>,
    /// What it decodes.
    #[arg(long, value_name = "FILE")]
    clip: Option<PathBuf>,
    /// The program for Python's own shared memory.
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

impl Arguments {
    fn plan(&self) -> Plan {
        let (trips, pictures, window_ms) = if self.quick { (60, 10, 400) } else { (300, 40, 2000) };
        let uhd = if self.quick { self.seconds.min(10) } else { self.seconds };
        Plan {
            // As docs/bench.md says.
            rounds: 11,
            trips,
            pictures,
            window: Duration::from_millis(window_ms),
            uhd: Duration::from_secs(uhd),
            decode: self.decode_cost.clone().zip(self.clip.clone()),
            python: self.python.clone(),
        }
    }

    fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| row.starts_with(only.as_str()))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(report) if !report.is_ok() => ExitCode::FAILURE,
        Ok(report) if arguments.strict && !report.targets_met() => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("ringbench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<Report> {
    // The director's, before any child can ask.
    machine::run();
    machine::processors();
    // Sleeps between trips are short and must be.
    nix::sys::prctl::set_timerslack(1)?;
    if arguments.realtime {
        stage::be_realtime()?;
    }
    let explained = arguments.docs.as_ref().map(std::fs::read_to_string).transpose()?;
    let mut report = Report::new(explained.unwrap_or_default());
    let plan = arguments.plan();
    let mut machine = machine::describe();
    machine["realtime"] = arguments.realtime.into();
    machine["quick"] = arguments.quick.into();
    for (name, row) in ROWS.iter().filter(|(name, _)| arguments.wants(name)) {
        if let Err(error) = row(&mut report, &plan) {
            report.failed(name, "measuring", &error.to_string());
        }
        lines::sweep();
    }
    machine["load_1min_at_end"] = machine::load().into();
    report.print(machine)?;
    Ok(report)
}

/// What people are told meanwhile; stdout is the report's.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
