//! `scripts/soak supervision|recording|decoder|sync|analysis`: their promises at full length. Takes a quarter of an hour for a
//! thousand kills of each, and prints what `scripts/verify` prints: a table and one line of JSON.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "a command speaks to people")]

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tests::checks::{analyzers, cycles, hangs, kills, mutated, recording, storage, sync};
use tests::report::Report;

/// Kills workers and supervisor, fills and fails disks, at length, and accounts for every packet.
#[derive(Debug, Parser)]
#[command(name = "scripts/soak")]
struct Options {
    name: Name,
    /// Deaths of the analyzer, and as many of the decoder (1000), or of the recorder (300).
    #[arg(long)]
    kills: Option<u32>,
    /// Power cuts of a disk that is recorded to.
    #[arg(long, default_value_t = 50)]
    power_cuts: u32,
    /// How often a disk fills up, and how often one fails.
    #[arg(long, default_value_t = 12)]
    rounds: u32,
    /// Deaths after which the supervisor must hold no more than before.
    #[arg(long, default_value_t = 2000)]
    cycles: u32,
    /// How long sound and pictures, or analyzers that do harm, are watched.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Broken streams of each of six codecs.
    #[arg(long, default_value_t = 40)]
    streams: u64,
    /// Seed of the kill times and of what is broken; printed, so that a run can be repeated.
    #[arg(long, default_value_t = 20_261_120)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// Analyzers that crash, leak, hang, scribble and leave children behind, beside a camera that is recorded.
    Analysis,
    /// Broken streams: bits, torn ends, packets lost, doubled and reordered, headers, garbage.
    Decoder,
    /// What is recorded: deaths, disks that fill up and fail, power cuts.
    Recording,
    /// Sound and pictures: whether they stay together, in recordings and over RTSP.
    Sync,
    /// Processes: deaths, hangs, and what becomes of capture meanwhile.
    Supervision,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let report = match options.name {
        Name::Analysis => analysis(&options),
        Name::Decoder => decoder(&options),
        Name::Recording => recording(&options),
        Name::Supervision => supervision(&options),
        Name::Sync => together(&options),
    };
    if let Err(error) = report.print() {
        eprintln!("soak: {error}");
        return ExitCode::FAILURE;
    }
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn analysis(options: &Options) -> Report {
    let mut report = Report::default();
    let span = std::time::Duration::from_secs(options.minutes.max(1) * 60);
    report.promise("analyzers_that_do_harm", || analyzers::that_do_harm(span));
    report
}

fn decoder(options: &Options) -> Report {
    let mut report = Report::default();
    report.promise("broken_streams", || mutated::streams(options.streams, options.seed));
    report
}

fn supervision(options: &Options) -> Report {
    let mut report = Report::default();
    report.promise("analyzer_and_decoder_killed", || {
        let kills = options.kills.unwrap_or(1000);
        let victims = [("motion", kills), ("cam1-decoder", kills)];
        kills::recording_survives(&victims, options.seed)
    });
    report.promise("cycles", || cycles::nothing_is_left_of(options.cycles));
    let killed =
        report.promise("supervisor_killed", || kills::the_supervisor_takes_all_with_it(10));
    report.target_below("all_ended_ms", &killed["all_ended_ms"], 1000.0);
    report.promise("supervisor_stopped", || hangs::the_supervisor_stands_still(30));
    report
}

fn together(options: &Options) -> Report {
    let mut report = Report::default();
    let seconds = options.minutes.max(1) * 60;
    let seen =
        report.promise("sound_and_pictures", || sync::sound_stays_with_its_pictures(seconds));
    report.target_below("worst_ms", &seen["worst_ms"], sync::TOGETHER_MS + 0.1);
    report
}

fn recording(options: &Options) -> Report {
    let (kills, seed) = (options.kills.unwrap_or(300), options.seed);
    let mut report = Report::default();
    report.promise("recorder_killed", || {
        recording::the_recorder_is_killed_again_and_again(kills, seed)
    });
    report.promise("disk_full", || storage::a_disk_fills_up_and_is_freed(options.rounds, seed));
    report.promise("disk_failing", || storage::a_disk_fails_now_and_then(options.rounds, seed));
    report.promise("disk_slow", || storage::a_disk_hangs(20));
    let cuts = report.promise("power_cuts", || recording::power_cuts(options.power_cuts));
    if let Some(allowed) = cuts["allowed_packets"].as_f64() {
        report.target_below("power_cut_lost_packets", &cuts["worst_lost_packets"], allowed + 1.0);
    }
    report
}
