//! `scripts/soak supervision`: the promises of supervision at full length. Takes a quarter of an hour for a
//! thousand kills of each, and prints what `scripts/verify` prints: a table and one line of JSON.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "a command speaks to people")]

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tests::checks::{cycles, hangs, kills};
use tests::report::Report;

/// Kills workers and supervisor at length and accounts for every packet.
#[derive(Debug, Parser)]
#[command(name = "scripts/soak")]
struct Options {
    name: Name,
    /// Deaths of the analyzer, and as many of the decoder.
    #[arg(long, default_value_t = 1000)]
    kills: u32,
    /// Deaths after which the supervisor must hold no more than before.
    #[arg(long, default_value_t = 2000)]
    cycles: u32,
    /// Seed of the kill times; printed, so that a run can be repeated.
    #[arg(long, default_value_t = 20_261_120)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// Processes: deaths, hangs, and what becomes of capture meanwhile.
    Supervision,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let report = match options.name {
        Name::Supervision => supervision(&options),
    };
    if let Err(error) = report.print() {
        eprintln!("soak: {error}");
        return ExitCode::FAILURE;
    }
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn supervision(options: &Options) -> Report {
    let mut report = Report::default();
    report.promise("analyzer_and_decoder_killed", || {
        let victims = [("motion", options.kills), ("cam1-decoder", options.kills)];
        kills::recording_survives(&victims, options.seed)
    });
    report.promise("cycles", || cycles::nothing_is_left_of(options.cycles));
    let killed =
        report.promise("supervisor_killed", || kills::the_supervisor_takes_all_with_it(10));
    report.target_below("all_ended_ms", &killed["all_ended_ms"], 1000.0);
    report.promise("supervisor_stopped", || hangs::the_supervisor_stands_still(30));
    report
}
