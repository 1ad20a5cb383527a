//! `scripts/verify NAME`: runs a milestone's promises for real and prints what they showed.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "a command speaks to people")]

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tests::checks::{clean, errors, exits, kills, pages, python, rings};
use tests::report::Report;

/// Proves a milestone's promises on this machine, in at most ten minutes.
#[derive(Debug, Parser)]
#[command(name = "scripts/verify")]
struct Options {
    name: Name,
    /// Exit 1 also when only a speed target is missed.
    #[arg(long)]
    strict: bool,
    /// Seed of the kill times; printed, so that a run can be repeated.
    #[arg(long, default_value_t = 20_261_120)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// The whole pipeline on real input.
    FirstLight,
    /// The rings: kills, wake-ups, trust, C and Python.
    Rings,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let report = match options.name {
        Name::FirstLight => first_light(options.seed),
        Name::Rings => all_about_rings(options.seed),
    };
    if let Err(error) = report.print() {
        eprintln!("verify: {error}");
        return ExitCode::FAILURE;
    }
    let passed = report.is_ok() && (report.targets_met() || !options.strict);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn first_light(seed: u64) -> Report {
    let mut report = Report::default();
    report.promise("clean_run", || clean::nothing_is_lost(20));
    report.promise("file_source", || clean::a_file_is_a_camera(20));
    report.promise("rtsp", || clean::rtsp_is_exact(5));
    report.promise("page", pages::the_picture_on_the_page_advances);
    let kills = report.promise("kills_motion_decoder_rtsp_web", || {
        let victims = [("motion", 30), ("cam1-decoder", 30), ("rtsp", 30), ("web", 30)];
        kills::recording_survives(&victims, seed)
    });
    report.target_below("kill_to_ready_ms_p50", &kills["kill_to_ready_ms_p50"], 200.0);
    report.promise("kills_recorder", || kills::recording_survives(&[("recorder", 10)], seed));
    let killed =
        report.promise("supervisor_killed", || kills::the_supervisor_takes_all_with_it(10));
    report.target_below("all_ended_ms", &killed["all_ended_ms"], 1000.0);
    report.promise("default_policy_holds", exits::who_ends_again_and_again_is_held);
    report.promise("python", || python::arrays_equal_what_ffmpeg_decodes(100));
    report.promise("errors", errors::every_row_says_what_where_and_what_to_do);
    report
}

fn all_about_rings(seed: u64) -> Report {
    let mut report = Report::default();
    let torture = report.promise("torture", || rings::torture(75, seed));
    report.target_at_least("torture_readers_killed", &torture["readers_killed"], 1000.0);
    report.target_at_least("torture_writers_killed", &torture["writers_killed"], 200.0);
    report.promise("sabotage", || rings::sabotage_is_noticed(seed));
    let bench = report.promise("bench", rings::bench);
    report.target_met("bench_targets", &bench["targets_met"]);
    report.promise("zero_copies", || python::arrays_equal_what_ffmpeg_decodes(50));
    report.promise("hoarder", rings::a_hoarder_stops_nobody);
    report.promise("essential", || rings::named_tests("shmring", "ring", &["essential::"]));
    let trust = ["group::", "brokered::", "hostile::", "shortage::"];
    report.promise("trust", || rings::named_tests("shmring", "ring", &trust));
    report.promise("python", || rings::named_tests("shmring-python", "python", &[]));
    report.promise("c", || rings::named_tests("shmring-c", "c", &[]));
    report
}
