//! Sound stays with its pictures, in recordings and over RTSP, for as long as one likes.
//!
//! The synthetic camera beeps with each picture whose number is a whole second. Where the picture is, its
//! frame code tells, and where the beep is, ffmpeg; both by the times of the file alone.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::project::{Project, free_port};
use crate::{Failure, Outcome, ensure, ffmpeg, recordings, wait_for};

const SIZE: (usize, usize) = (320, 192);
const FPS: u32 = 25;
/// What people see as together, in ms.
pub const TOGETHER_MS: f64 = 40.0;
/// A beep lasts 0.1 s of each second.
const PAUSE_S: &str = "0.5";

/// Records and receives a camera with AAC and one with G.711 for so long. Answers how far beeps are from
/// their pictures, in ms; positive: behind them.
pub fn sound_stays_with_its_pictures(seconds: u64) -> Outcome<Value> {
    let port = free_port()?;
    let camera = |sound| format!("test:?size=320x192&fps={FPS}&beep=1000&sound={sound}");
    let project = Project::new(&format!(
        "version: 1
workers:
  aac: {{use: ingest, source: '{}'}}
  g711: {{use: ingest, source: '{}'}}
  g711-aac: {{use: encoder, in: g711.packets, audio: aac}}
  recorder: {{use: recorder, in: [aac.packets, g711-aac.packets], dir: '{{dir}}/recordings', segment: 1d}}
  rtsp: {{use: rtsp, in: [aac.packets, g711.packets], listen: '127.0.0.1:{port}'}}
",
        camera("aac"),
        camera("pcma"),
    ))?;
    project.up()?;
    let received = ["aac", "g711"].map(|name| project.dir().join(format!("{name}.mkv")));
    let mut receivers = Vec::new();
    for (name, path) in ["aac", "g711"].into_iter().zip(&received) {
        receivers.push(receive(&format!("rtsp://127.0.0.1:{port}/{name}"), seconds, path)?);
    }
    for receiver in &mut receivers {
        let ended = || receiver.0.try_wait().ok().flatten();
        let (status, _) = wait_for(seconds + 120, "the RTSP stream of that length", ended)?;
        ensure(status.success(), || format!("ffmpeg over RTSP: {status}"))?;
    }
    project.down()?;
    let recorded = |camera: &str| {
        let files = recordings::files(&project.recordings(), camera)?;
        let largest = files.into_iter().max_by_key(|it| it.metadata().map_or(0, |it| it.len()));
        largest.ok_or_else(|| Failure(format!("no recording of {camera}")))
    };
    let rows = [
        ("recorded_aac", recorded("aac")?),
        ("recorded_g711_as_aac", recorded("g711-aac")?),
        ("rtsp_aac", received[0].clone()),
        ("rtsp_g711", received[1].clone()),
    ];
    let mut figures = json!({"seconds": seconds});
    let mut worst_ms = 0.0f64;
    for (name, path) in rows {
        let offsets = offsets_ms(&path)?;
        let told = told(&offsets);
        // The first and the last second may be cut.
        let enough = offsets.len() as u64 + 3 >= seconds;
        ensure(enough, || format!("{name}: {} beeps in {seconds} s", offsets.len()))?;
        let own_ms = told["worst_ms"].as_f64().unwrap_or(f64::INFINITY);
        ensure(own_ms <= TOGETHER_MS, || {
            format!("{name}: beeps are up to {own_ms} ms from their pictures: {told}")
        })?;
        worst_ms = worst_ms.max(own_ms);
        figures[name] = told;
    }
    figures["worst_ms"] = json!(worst_ms);
    Ok(figures)
}

/// Some offsets in a few figures: those at both ends tell whether anything adds up.
fn told(offsets_ms: &[f64]) -> Value {
    let part = (offsets_ms.len() / 10).max(1);
    let (begin, end) = (median(&offsets_ms[..part.min(offsets_ms.len())]), {
        let from = offsets_ms.len().saturating_sub(part);
        median(&offsets_ms[from..])
    });
    let worst = offsets_ms.iter().fold(0.0, |worst: f64, it| worst.max(it.abs()));
    json!({
        "beeps": offsets_ms.len(), "median_ms": median(offsets_ms), "worst_ms": tenth(worst),
        "first_tenth_ms": begin, "last_tenth_ms": end,
    })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().map_or(f64::NAN, tenth)
}

fn tenth(ms: f64) -> f64 {
    (ms * 10.0).round() / 10.0
}

/// An ffmpeg that does not outlive a check that failed.
struct Receiver(Child);

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Into a file as it comes. The stream may not be there yet.
fn receive(url: &str, seconds: u64, path: &Path) -> Outcome<Receiver> {
    let is_there = || {
        let probe = ["-v", "error", "-rtsp_transport", "tcp", url];
        let status = Command::new("ffprobe").args(probe).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success()).then_some(())
    };
    wait_for(60, url, is_there)?;
    let length = seconds.to_string();
    Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-rtsp_transport", "tcp", "-i", url])
        .args(["-t", &length, "-c", "copy"])
        .arg(path)
        .stdin(Stdio::null())
        .spawn()
        .map(Receiver)
        .map_err(|error| Failure(format!("ffmpeg: {error}")))
}

/// For each picture that beeps, how much later than it its beep begins.
fn offsets_ms(path: &Path) -> Outcome<Vec<f64>> {
    let pictures = beeping_pictures(path)?;
    let beeps = beeps(path)?;
    let nearest = |picture: f64| {
        let off = beeps.iter().map(|beep| (beep - picture) * 1_000.0);
        off.min_by(|a, b| a.abs().total_cmp(&b.abs())).filter(|off| off.abs() < 500.0)
    };
    Ok(pictures.into_iter().filter_map(nearest).collect())
}

/// When pictures of whole seconds are shown.
fn beeping_pictures(path: &Path) -> Outcome<Vec<f64>> {
    let name = path.display().to_string();
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time"])
        .args(["-of", "csv=p=0", &name])
        .output()
        .map_err(|error| Failure(format!("ffprobe: {error}")))?;
    let text = String::from_utf8_lossy(&probe.stdout);
    let mut times: Vec<f64> =
        text.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
    times.sort_by(f64::total_cmp);
    let codes = ffmpeg::codes(&["-i", &name], SIZE.0, SIZE.1)?;
    ensure(codes.len() == times.len(), || {
        format!("{name}: {} pictures of {} packets", codes.len(), times.len())
    })?;
    let is_second = |code: &(Option<u32>, Option<u32>)| code.0.is_some_and(|n| n % FPS == 0);
    Ok(codes.iter().zip(times).filter(|(code, _)| is_second(code)).map(|(_, time)| time).collect())
}

/// When silence ends, by the times of the file.
fn beeps(path: &Path) -> Outcome<Vec<f64>> {
    let filter = format!("silencedetect=noise=-32dB:d={PAUSE_S}");
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-copyts", "-i"])
        .arg(path)
        .args(["-map", "0:a:0", "-af", &filter, "-f", "null", "-"])
        .output()
        .map_err(|error| Failure(format!("ffmpeg: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let ends = said.split("silence_end: ").skip(1);
    Ok(ends.filter_map(|rest| rest.split_whitespace().next()?.parse().ok()).collect())
}
