//! Picture and sound of one camera: how they are described, and that they are in step.

use serde_json::{Value, json};

use super::rtsp_clips::{CLIP_S, add_tone, make_clip};
use crate::project::{Project, free_port};
use crate::{Failure, Outcome, ensure, viewer};

/// From the beginning of the picture to that of the sound: a frame of sound lasts 21 ms, and one may be begun.
const APART_MS: f64 = 50.0;

/// What a client is told of a camera with picture and sound, and that both begin at the same moment on the clock of
/// their reports: ffprobe lists the times.
pub fn picture_and_sound_are_described() -> Outcome<Value> {
    let port = free_port()?;
    let project = Project::new(&format!(
        "version: 1
workers:
  heard: {{use: ingest, source: '{{dir}}/heard.mp4'}}
  rtsp: {{use: rtsp, in: heard.packets, listen: '127.0.0.1:{port}'}}
"
    ))?;
    let clip = project.dir().join("clip.mp4");
    make_clip(&clip, CLIP_S, 25)?;
    add_tone(&clip, &project.dir().join("heard.mp4"))?;
    project.up()?;
    let url = format!("rtsp://127.0.0.1:{port}/heard");
    let mut client = viewer::Client::connect(port)?;
    let sdp = client.ask("DESCRIBE", &url, "Accept: application/sdp\r\n")?.text();
    for wanted in
        ["sprop-parameter-sets=", "packetization-mode=1", "config=", "trackID=0", "trackID=1"]
    {
        ensure(sdp.contains(wanted), || format!("no {wanted} in\n{sdp}"))?;
    }
    let begins = beginnings(&url)?;
    project.down()?;
    let [picture, sound] = begins;
    let apart_ms = ((picture - sound).abs() * 1000.0).round();
    ensure(apart_ms < APART_MS, || format!("picture and sound begin {apart_ms} ms apart"))?;
    Ok(json!({ "apart_ms": apart_ms }))
}

/// When the first packet of the picture and that of the sound are due, in seconds on the clock of the reports.
fn beginnings(url: &str) -> Outcome<[f64; 2]> {
    let output = std::process::Command::new("timeout")
        .args(["120", "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-read_intervals", "%+3"])
        .args(["-show_entries", "packet=codec_type,pts_time", "-of", "csv=p=0", url])
        .output()
        .map_err(Failure::new)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = |kind: &str| {
        // The first packet of a stream may have no time yet.
        let times = text.lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(','));
        let found = times.filter_map(|time| time.trim_end_matches(',').parse::<f64>().ok()).next();
        found.ok_or_else(|| Failure(format!("ffprobe lists no {kind} with a time:\n{text}")))
    };
    Ok([first("video")?, first("audio")?])
}
