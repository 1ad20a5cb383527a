//! The programs that people play HLS with (H1), each put to the live list of a camera: every picture, one after the
//! other, by the number that is painted into it.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::rtsp_players::{client, missing, missing_module, python};
use super::web_site::{SIZE, Site};
use crate::framecode::Run;
use crate::glass::{self, Engine, Glass, Way};
use crate::{Failure, Outcome, ensure, ffmpeg};

/// What a player is asked for: ten seconds.
const PICTURES: u32 = 250;
/// A browser's player that begins looks for its place in the list.
const SETTLES_MS: f64 = 3_000.0;
/// A player that has not ended by then never will.
const PATIENCE_S: &str = "120";

/// Ten seconds, and what it takes to begin.
const GSTREAMER_S: &str = "14";

/// A player.
#[derive(Clone, Copy, Debug)]
pub struct Player {
    pub row: &'static str,
    /// Why it cannot be run here.
    missing: fn() -> Option<String>,
    command: fn(&str, &Path) -> Command,
    /// What its file ends in; `gray` are rows of bytes.
    ending: &'static str,
    /// It stops where it likes, which may be in the middle of a picture.
    breaks_off: bool,
}

pub const PLAYERS: [Player; 6] = [
    Player {
        row: "h1_ffmpeg",
        missing: || missing("ffmpeg"),
        command: of_ffmpeg,
        ending: "gray",
        breaks_off: false,
    },
    Player {
        row: "h1_gstreamer",
        missing: || missing("gst-launch-1.0"),
        command: of_gstreamer,
        ending: "h264",
        breaks_off: true,
    },
    Player {
        row: "h1_mpv",
        missing: || missing("mpv"),
        command: of_mpv,
        ending: "mkv",
        breaks_off: true,
    },
    Player {
        row: "h1_opencv",
        missing: || missing_module("cv2"),
        command: |url, out| of_python("cv2", url, out),
        ending: "gray",
        breaks_off: false,
    },
    Player {
        row: "h1_pyav",
        missing: || missing_module("av"),
        command: |url, out| of_python("av", url, out),
        ending: "gray",
        breaks_off: false,
    },
    Player {
        row: "h1_vlc",
        missing: || missing("cvlc"),
        command: of_vlc,
        ending: "ts",
        breaks_off: true,
    },
];

impl Player {
    /// Plays ten seconds and looks at them.
    pub fn plays(&self, site: &Site) -> Outcome<Value> {
        if let Some(why) = (self.missing)() {
            return Ok(json!({ "skipped": why }));
        }
        let out = site.project.dir().join(format!("{}.{}", self.row, self.ending));
        let own = (self.command)(&site.playlist(), &out);
        let output = Command::new("timeout")
            .args(["-k", "5", PATIENCE_S])
            .arg(own.get_program())
            .args(own.get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| Failure(format!("{}: {error}", self.row)))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let last: String = last.chars().take(200).collect();
        ensure(output.status.success(), || format!("{}: {last}", output.status))?;
        let run = self.run(&out).map_err(|failure| Failure(format!("{failure} {last}")))?;
        // A project's folder stays where somebody wants to look at it; these would fill it.
        let _ = std::fs::remove_file(&out);
        let enough = run.pictures * 10 >= u64::from(PICTURES) * 9;
        ensure(run.is_exact() && enough, || format!("not exact: {run:?} {last}"))?;
        Ok(
            json!({ "pictures": run.pictures, "first": run.first, "lost": run.lost, "torn": run.torn }),
        )
    }

    fn run(&self, out: &Path) -> Outcome<Run> {
        let name = out.display().to_string();
        let size = format!("{}x{}", SIZE.0, SIZE.1);
        let input: &[&str] = match self.ending {
            "gray" => &["-f", "rawvideo", "-pix_fmt", "gray", "-s", &size, "-i", &name],
            _ => &["-i", &name],
        };
        let mut codes = ffmpeg::codes(input, SIZE.0, SIZE.1)?;
        if self.breaks_off {
            codes.truncate(codes.len().saturating_sub(2));
        }
        Ok(Run::of(&codes, None))
    }
}

fn of_ffmpeg(url: &str, out: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-i", url]);
    command.args(["-map", "0:v", "-frames:v", &PICTURES.to_string()]);
    command.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray"]);
    command.arg(out);
    command
}

fn of_python(module: &str, url: &str, out: &Path) -> Command {
    let mut command = Command::new(python());
    // Of the transports of RTSP none counts here.
    command.arg(client()).args([module, "tcp", url, &PICTURES.to_string()]).arg(out);
    command
}

/// Its HLS elements have no end but the list's, so that it is told to stop when it should have enough.
fn of_gstreamer(url: &str, out: &Path) -> Command {
    let mut command = Command::new("sh");
    let stopped = "timeout -s INT \"$0\" \"$@\"; test $? = 124";
    command.args(["-c", stopped, GSTREAMER_S, "gst-launch-1.0", "-q"]);
    command.args(["souphttpsrc", &format!("location={url}"), "!", "hlsdemux", "!", "qtdemux"]);
    command.args(["!", "h264parse", "!"]);
    command.args(["video/x-h264,stream-format=byte-stream,alignment=au", "!", "filesink"]);
    command.arg(format!("location={}", out.display()));
    command
}

fn of_mpv(url: &str, out: &Path) -> Command {
    let mut command = Command::new("mpv");
    command.args([
        "--no-config",
        "--really-quiet",
        "--msg-level=all=error",
        "--vo=null",
        "--ao=null",
    ]);
    command.arg(format!("--stream-record={}", out.display()));
    command.args([&format!("--frames={}", PICTURES + 10), url]);
    command
}

/// It refuses to run as root, and records what comes by the clock.
fn of_vlc(url: &str, out: &Path) -> Command {
    let to = format!("#std{{access=file,mux=ts,dst={}}}", out.display());
    let mut command = Command::new("runuser");
    command.args(["-u", "nobody", "--", "cvlc", "--intf", "dummy", "--sout", &to]);
    command.args(["--run-time=12", "--play-and-exit", url, "vlc://quit"]);
    command
}

/// Half a minute of HLS in a browser; hls.js must not have found anything wrong.
pub fn in_a_browser(site: &Site, engine: Engine, way: Way, seconds: u64) -> Outcome<Value> {
    let mut glass = match Glass::open_in(engine, &site.base(), way, "cam1")? {
        Ok(glass) => glass,
        Err(why) => return Ok(json!({ "skipped": why })),
    };
    glass.wait_for(75 + seconds * 25)?;
    let run = glass::exact_enough(&glass::settled(glass.shown()?, SETTLES_MS))?;
    let errors = glass.errors()?;
    ensure(errors.is_empty(), || errors.join("; "))?;
    Ok(json!({ "pictures": run.pictures, "left_out_by_the_browser": run.lost, "torn": run.torn }))
}
