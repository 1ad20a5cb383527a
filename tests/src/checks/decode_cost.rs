//! What decoding into rings costs, beside ffmpeg throwing the same pictures away: in turn, eleven times,
//! and ffmpeg once more against itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::median_and_worst;
use crate::project::{Project, binary};
use crate::report::Report;
use crate::{Failure, Outcome, ensure, ffmpeg, processes, wait_for};

/// The worker's own decoding as a program: laps of a clip, with so many readers on each of these outputs.
const PROGRAM: &str = "examples/decode_cost";
/// Laps it makes of the clip, and so ffmpeg must.
const LAPS: u32 = 3;
const FPS: u32 = 25;
/// Pictures of other sizes and formats that the three outputs are.
const SMALL: &str = "640x360:yuv420p";
const LITTLE: &str = "320x180:rgb24";
/// The camera's own.
const OWN: &str = "own";

/// What is promised of it, in `rounds` rounds over a clip of so many seconds.
pub fn promises(report: &mut Report, rounds: usize, seconds: u32) {
    let seen = report.promise("decode", || beside_ffmpeg(rounds, seconds));
    // What lies inside of what ffmpeg differs from itself is no difference.
    let noise = seen["ffmpeg_against_itself"][1].as_f64().unwrap_or(1.0);
    let limit = |wanted: f64| wanted.max(noise) + f64::EPSILON;
    report.target_below("cpu_1_reader_of_ffmpeg", &seen["ratio_1_reader"], limit(1.03));
    report.target_below("cpu_4_readers_of_ffmpeg", &seen["ratio_4_readers"], limit(1.05));
    let three = &seen["three_outputs_of_three_decodes"];
    report.target_below("three_outputs_of_three_decodes", three, 0.6);
    let windows = u32::try_from(rounds).unwrap_or(u32::MAX);
    let parked = report.promise("parked", || without_readers(windows, 2));
    report.target_below("cpu_percent_without_readers", &parked["cpu_percent"], 1.0);
}

/// `rounds` rounds over a clip of so many seconds.
pub fn beside_ffmpeg(rounds: usize, clip_s: u32) -> Outcome<Value> {
    let folder = std::env::temp_dir().join(format!("framevisor-decode-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(Failure::new)?;
    let outcome = clip(&folder, clip_s).and_then(|clip| compared(&clip, rounds, clip_s));
    let _ = std::fs::remove_dir_all(&folder);
    outcome
}

/// What a camera sends: 1080p, one reference picture, no B pictures.
fn clip(folder: &Path, seconds: u32) -> Outcome<PathBuf> {
    let path = folder.join("clip.mp4");
    let picture = format!("testsrc2=size=1920x1080:rate={FPS}:duration={seconds}");
    let name = path.display().to_string();
    ffmpeg::make(&[
        "-f",
        "lavfi",
        "-i",
        &picture,
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-x264-params",
        "bframes=0:ref=1:keyint=50",
        "-b:v",
        "4M",
        "-pix_fmt",
        "yuv420p",
        &name,
    ])?;
    Ok(path)
}

#[derive(Debug, Default)]
struct Ratios {
    itself: Vec<f64>,
    one: Vec<f64>,
    four: Vec<f64>,
    three: Vec<f64>,
}

fn compared(clip: &Path, rounds: usize, clip_s: u32) -> Outcome<Value> {
    let pictures = u64::from(LAPS * FPS * clip_s);
    let mut ratios = Ratios::default();
    let (mut peers, mut owns) = (Vec::new(), Vec::new());
    let into = |readers: u32, outputs: &[&str]| decoded(clip, readers, outputs, pictures);
    for _ in 0..rounds {
        let before = thrown_away(clip)?;
        let one = into(1, &[OWN])?;
        let after = thrown_away(clip)?;
        let four = into(4, &[OWN])?;
        let three = into(1, &[OWN, SMALL, LITTLE])?;
        let apart = one + into(1, &[SMALL])? + into(1, &[LITTLE])?;
        ratios.itself.push(after / before);
        ratios.one.push(one / before);
        ratios.four.push(four / after);
        ratios.three.push(three / apart);
        peers.push(before);
        owns.push(one);
    }
    let spread = |values: &[f64]| {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        [round(least), round(values.iter().copied().fold(0.0, f64::max))]
    };
    let median = |mut values: Vec<f64>| round(median_and_worst(&mut values).0);
    Ok(json!({
        "rounds": rounds,
        "pictures_a_run": pictures,
        "ffmpeg_cpu_ms": median(peers),
        "own_cpu_ms": median(owns),
        "ffmpeg_against_itself": spread(&ratios.itself),
        "ratio_1_reader": median(ratios.one),
        "ratio_4_readers": median(ratios.four),
        "three_outputs_of_three_decodes": median(ratios.three),
    }))
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Processor time of `ffmpeg -f null -`, in ms.
fn thrown_away(clip: &Path) -> Outcome<f64> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-benchmark", "-threads", "1"])
        .args(["-stream_loop", &(LAPS - 1).to_string(), "-i"])
        .arg(clip)
        .args(["-an", "-f", "null", "-"])
        .stdout(Stdio::null())
        .output()
        .map_err(|error| Failure(format!("ffmpeg: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let of = |name: &str| -> Option<f64> {
        let text = said.rsplit(name).next().filter(|rest| rest.len() < said.len())?;
        text.split('s').next()?.parse().ok()
    };
    let seconds = of("utime=").zip(of("stime=")).map(|(user, system)| user + system);
    seconds
        .map(|seconds| seconds * 1000.0)
        .ok_or_else(|| Failure(format!("ffmpeg told no time it took: {said}")))
}

/// Of the worker's own decoding, in ms: all of its process, as ffmpeg's is.
fn decoded(clip: &Path, readers: u32, outputs: &[&str], pictures: u64) -> Outcome<f64> {
    let output = Command::new(binary(PROGRAM))
        .arg("rings")
        .arg(clip)
        .arg(readers.to_string())
        .args(outputs)
        .output()
        .map_err(|error| Failure(format!("{PROGRAM}: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let seen: Value = serde_json::from_str(&text).map_err(|error| {
        Failure(format!(
            "{PROGRAM} said {text}{}: {error}",
            String::from_utf8_lossy(&output.stderr)
        ))
    })?;
    ensure(seen["pictures"].as_u64() == Some(pictures), || {
        format!("{PROGRAM} {outputs:?}: {} pictures, {pictures} expected", seen["pictures"])
    })?;
    seen["process_cpu_ms"].as_f64().ok_or_else(|| Failure(format!("{PROGRAM}: no time in {seen}")))
}

/// Processor time of a decoder without readers, percent of a core, in windows of so many seconds.
pub fn without_readers(windows: u32, window_s: u64) -> Outcome<Value> {
    let project = Project::new(
        "version: 1
workers:
  cam: {use: ingest, source: 'test:?size=1920x1080&fps=25&gop=25&bitrate=4M&mode=loop'}
  decode: {use: decoder, in: cam.packets, outputs: {small: {size: 640x360}}}
",
    )?;
    project.succeed(&["up", "-d", "--wait", "--timeout", "300s"])?;
    let parked = || project.worker("decode").ok()?.why.contains("nobody reads").then_some(());
    wait_for(60, "the decoder to park", parked)?;
    let pid = project.pid("decode")?;
    let mut percent = Vec::new();
    for _ in 0..windows {
        let before = processes::cpu_ns(pid);
        thread::sleep(Duration::from_secs(window_s));
        let took = processes::cpu_ns(pid).saturating_sub(before) as f64;
        percent.push(took / (window_s as f64 * 1e9) * 100.0);
    }
    project.down()?;
    let (median, worst) = median_and_worst(&mut percent);
    Ok(json!({"windows": windows, "window_s": window_s,
              "cpu_percent": round(median), "cpu_percent_worst": round(worst)}))
}
