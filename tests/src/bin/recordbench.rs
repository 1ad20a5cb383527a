//! `scripts/bench analysis`, `decode`, `export`, `motion`, `recording`, `rtsp` and `streamview`: what they cost, beside
//! others that do the same in the same run.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "a command speaks to people")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;
use tests::checks::{
    analysis_languages, analysis_peers, cost, decode_cost, export_cost, motion_cost, rtsp_crowd,
    rtsp_restream, rtsp_units, streamview_cost,
};
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
    /// Has a camera's 1080p pictures looked at by analyzers in each language, and by a Python program that gets them from
    /// our ring, through SharedMemory and a Queue, by OpenCV and by GStreamer.
    Analysis {
        /// In each of which every way has its turn.
        #[arg(long, default_value_t = 11)]
        rounds: usize,
        /// Of a turn; an analyzer of each language has three times that at either rate.
        #[arg(long, default_value_t = 4)]
        seconds: u64,
    },
    /// Decodes 1080p H.264 into rings, and by `ffmpeg -f null -`, in turn; and nothing, without readers.
    Decode {
        /// Of each comparison.
        #[arg(long, default_value_t = 11)]
        rounds: usize,
        /// Length of the clip that is decoded.
        #[arg(long, default_value_t = 6)]
        seconds: u32,
    },
    /// Has sixteen cameras of 640x360 at 5 pictures a second watched for motion.
    Motion {
        /// Of the whole measurement, which is parted into eleven windows.
        #[arg(long, default_value_t = 66)]
        seconds: u64,
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
        /// Nothing else is measured.
        #[arg(long)]
        only: Option<Serving>,
    },
    /// Shows pictures and numbers of a Python program live, beside PyAV that writes the same pictures as HLS.
    Streamview {
        /// Of the whole measurement, which is parted into eleven windows.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut report = Report::default();
    match options.what {
        What::Analysis { rounds, seconds } => analysis(&mut report, rounds, seconds),
        What::Decode { rounds, seconds } => decode_cost::promises(&mut report, rounds, seconds),
        What::Motion { seconds } => {
            let seen = report.promise("motion", || motion_cost::of_sixteen_cameras(seconds));
            report.target_below("cores_of_motion", &seen["cores_motion"], 0.5);
        }
        What::Streamview { seconds } => {
            let seen = report.promise("streamview", || streamview_cost::beside_pyav(seconds));
            report.target_at_least("page_fps", &seen["page_fps"], 29.5);
            let most = &seen["pyav_against_itself"][1];
            report.target_within("cpu_of_pyav", &seen["cpu_of_pyav"], 1.2, most);
        }
        What::Recording { cameras, seconds } => {
            let seen = report.promise("recording", || cost::beside_ffmpeg(cameras, seconds));
            report.target_below("cpu_recorder_of_ffmpeg", &seen["ratio_recorder"], 0.5);
            let most = &seen["pipeline_against_itself"][1];
            report.target_within("cpu_pipeline_of_ffmpeg", &seen["ratio_pipeline"], 0.5, most);
        }
        What::Export { cameras, seconds } => {
            let seen = report.promise("export", || export_cost::beside_cp(cameras, seconds));
            report.target_at_least("speed_of_cp", &seen["speed_of_cp"], 0.5);
            report.target_at_least("speed_of_cp_and_sync", &seen["speed_of_cp_and_sync"], 0.5);
        }
        What::Rtsp { viewers, pairs, seconds, only } => {
            let extent = rtsp_crowd::Extent { viewers, pairs, window_s: seconds };
            rtsp(&mut report, extent, |row| only.is_none_or(|only| only == row));
        }
    }
    if let Err(error) = report.print() {
        eprintln!("bench: {error}");
        return ExitCode::FAILURE;
    }
    let passed = report.is_ok() && (report.targets_met() || !options.strict);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is measured of serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Serving {
    Crowd,
    Latency,
    Restream,
}

fn analysis(report: &mut Report, rounds: usize, seconds: u64) {
    let languages = report.promise("languages", || analysis_languages::of_each(seconds * 3));
    // Python is always there; without the figure nothing below can be compared.
    let writer_us = languages["python_cpu_us_of_its_writer"].as_f64().unwrap_or(f64::INFINITY);
    let peers =
        report.promise("peers", || analysis_peers::beside_others(rounds, seconds, writer_us));
    let ways = [
        ("way_ring", "ring"),
        ("way_shared", "shared"),
        ("way_opencv", "opencv"),
        ("way_gstreamer", "gstreamer"),
    ];
    for (row, way) in ways.into_iter().filter(|_| peers.is_object()) {
        let seen = peers[way].clone();
        let skipped = json!({"skipped": peers["skipped"][way]});
        report.promise(row, || Ok(if seen.is_object() { seen } else { skipped }));
    }
    // A picture that is looked at costs all of them the same: what a way itself takes is without that.
    report.target_below("cpu_of_the_best", &peers["carrying_of_best"], 0.5);
}

fn rtsp(report: &mut Report, extent: rtsp_crowd::Extent, is_wanted: impl Fn(Serving) -> bool) {
    if is_wanted(Serving::Crowd) {
        let crowd = report.promise("crowd", || rtsp_crowd::of_one_camera(extent));
        report.target_met("slow_viewers_change_nothing", &crowd["as_without"]);
        let most = &crowd["cpu_against_itself"][1];
        report.target_within("cpu_a_viewer_of_gst", &crowd["cpu_of_gst"], 0.5, most);
    }
    if is_wanted(Serving::Latency) {
        for (row, target, over) in [
            ("latency_tcp", "more_than_gst_ms_tcp", Over::Tcp),
            ("latency_udp", "more_than_gst_ms_udp", Over::Udp),
        ] {
            let windows = || rtsp_units::latency_beside_gst(over, extent.pairs, extent.window_s);
            let seen = report.promise(row, windows);
            report.target_below(target, &seen["own_more_than_gst_ms_p50"], 2.0);
        }
    }
    if is_wanted(Serving::Restream) {
        let seconds = extent.window_s * extent.pairs as u64;
        let restream = report.promise("restream", || rtsp_restream::beside_others(seconds));
        report.target_below("cpu_of_the_best", &restream["ratio_best"], 0.5);
    }
}
