//! `scripts/bench recording`: what recording costs, beside ffmpeg in the same run.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "a command speaks to people")]

use std::process::ExitCode;

use clap::Parser;
use tests::checks::cost;
use tests::report::Report;

/// Records many cameras of 2 Mbit/s, by one framevisor and by one ffmpeg each, at the same time.
#[derive(Debug, Parser)]
#[command(name = "scripts/bench recording")]
struct Options {
    #[arg(long, default_value_t = 32)]
    cameras: usize,
    /// Of the whole measurement, which is parted into eleven windows.
    #[arg(long, default_value_t = 66)]
    seconds: u64,
    /// Exit 1 also when only a speed target is missed.
    #[arg(long)]
    strict: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut report = Report::default();
    let seen =
        report.promise("recording", || cost::beside_ffmpeg(options.cameras, options.seconds));
    report.target_below("cpu_recorder_of_ffmpeg", &seen["ratio_recorder"], 0.5);
    report.target_below("cpu_pipeline_of_ffmpeg", &seen["ratio_pipeline"], 0.5);
    if let Err(error) = report.print() {
        eprintln!("bench: {error}");
        return ExitCode::FAILURE;
    }
    let passed = report.is_ok() && (report.targets_met() || !options.strict);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
