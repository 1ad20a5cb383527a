//! `scripts/bench recording`, `decode`, `export` and `rtsp`: what they cost, beside ffmpeg, `cp` and
//! gst-rtsp-server in the same run.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "a command speaks to people")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tests::checks::{cost, decode_cost, export_cost, rtsp_crowd, rtsp_restream, rtsp_units};
use tests::report::Report;
use tests::viewer::Over;

#[derive(Debug, Parser)]
#[command(name = "scripts/bench")]
struct Options {
    #[command(subcommand)]
    what: What,
    /// Exit 1 also when only a speed target is missed.
    #[arg(long, global = true)]
    strict: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Decodes 1080p H.264 into rings, and by `ffmpeg -f null -`, in turn; and nothing, without readers.
    Decode {
        /// Of each comparison.
        #[arg(long, default_value_t = 11)]
        rounds: usize,
        /// Length of the clip that is decoded.
        #[arg(long, default_value_t = 6)]
        seconds: u32,
    },
    /// Records many cameras of 2 Mbit/s, by one framevisor and by one ffmpeg each, at the same time.
    Recording {
        #[arg(long, default_value_t = 32)]
        cameras: usize,
        /// Of the whole measurement, which is parted into eleven windows.
        #[arg(long, default_value_t = 66)]
        seconds: u64,
    },
    /// Exports recordings of many cameras of 2 Mbit/s, and copies the same files with cp, in turn.
    Export {
        #[arg(long, default_value_t = 16)]
        cameras: usize,
        /// Of each camera: made at once, as the recorder writes it.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
    /// Serves one camera of 2 Mbit/s to a crowd, and to one viewer beside gst-rtsp-server; records and serves it
    /// beside ffmpeg. `PEER_CMD` names a further server.
    Rtsp {
        #[arg(long, default_value_t = 200)]
        viewers: usize,
        /// Of windows without and with two slow viewers.
        #[arg(long, default_value_t = 11)]
        pairs: usize,
        /// Length of a window.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut report = Report::default();
    match options.what {
        What::Decode { rounds, seconds } => decode_cost::promises(&mut report, rounds, seconds),
        What::Recording { cameras, seconds } => {
            let seen = report.promise("recording", || cost::beside_ffmpeg(cameras, seconds));
            report.target_below("cpu_recorder_of_ffmpeg", &seen["ratio_recorder"], 0.5);
            report.target_below("cpu_pipeline_of_ffmpeg", &seen["ratio_pipeline"], 0.5);
        }
        What::Export { cameras, seconds } => {
            let seen = report.promise("export", || export_cost::beside_cp(cameras, seconds));
            report.target_at_least("speed_of_cp", &seen["speed_of_cp"], 0.5);
            report.target_at_least("speed_of_cp_and_sync", &seen["speed_of_cp_and_sync"], 0.5);
        }
        What::Rtsp { viewers, pairs, seconds } => {
            rtsp(&mut report, rtsp_crowd::Extent { viewers, pairs, window_s: seconds });
        }
    }
    if let Err(error) = report.print() {
        eprintln!("bench: {error}");
        return ExitCode::FAILURE;
    }
    let passed = report.is_ok() && (report.targets_met() || !options.strict);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rtsp(report: &mut Report, extent: rtsp_crowd::Extent) {
    let crowd = report.promise("crowd", || rtsp_crowd::of_one_camera(extent));
    report.target_met("slow_viewers_change_nothing", &crowd["as_without"]);
    report.target_below("cpu_a_viewer_of_gst", &crowd["cpu_of_gst"], 0.5);
    for (row, target, over) in [
        ("latency_tcp", "more_than_gst_ms_tcp", Over::Tcp),
        ("latency_udp", "more_than_gst_ms_udp", Over::Udp),
    ] {
        let windows = || rtsp_units::latency_beside_gst(over, extent.pairs, extent.window_s);
        let seen = report.promise(row, windows);
        report.target_below(target, &seen["own_more_than_gst_ms_p50"], 2.0);
    }
    let seconds = extent.window_s * extent.pairs as u64;
    let restream = report.promise("restream", || rtsp_restream::beside_others(seconds));
    report.target_below("cpu_of_the_best", &restream["ratio_best"], 0.5);
}
