//! The programs that people watch RTSP with, each as a command that writes what it saw to a file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::SIZE;
use super::rtsp_clips::TONE_HZ;
use crate::framecode::Run;
use crate::project::{binary, source_root};
use crate::{Failure, Outcome, ensure, ffmpeg, tones};

/// What a player is asked for: four seconds.
pub const PICTURES: u32 = 100;
/// A player that has not ended by then never will.
const PATIENCE_S: &str = "120";
/// A tone that came through is far louder; what is left of it elsewhere is not.
const HEARD_DB: f64 = -40.0;

/// What the packets come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Tcp,
    Udp,
    Multicast,
    Tunnel,
}

/// What a player is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// `rtsps` where it is encrypted.
    pub scheme: &'static str,
    pub host: String,
    pub port: u16,
    pub path: &'static str,
    pub by: By,
    pub user: Option<(&'static str, &'static str)>,
    /// The sound instead of the picture.
    pub sound: bool,
    pub pictures: u32,
}

impl Ask {
    fn address(&self) -> String {
        format!("{}://{}:{}/{}", self.scheme, self.host, self.port, self.path)
    }

    /// With the user, as players of the FFmpeg family take it.
    fn address_with_user(&self) -> String {
        let user = self.user.map(|(name, password)| format!("{name}:{password}@"));
        format!(
            "{}://{}{}:{}/{}",
            self.scheme,
            user.unwrap_or_default(),
            self.host,
            self.port,
            self.path
        )
    }
}

/// What a player's file holds.
#[derive(Clone, Copy, Debug)]
enum Wrote {
    /// Rows of gray bytes.
    Gray,
    /// Something that ffmpeg knows by its ending.
    Media(&'static str),
}

/// A player.
#[derive(Clone, Copy, Debug)]
pub struct Player {
    pub name: &'static str,
    /// Why it cannot be run here.
    missing: fn() -> Option<String>,
    command: fn(&Ask, &Path) -> Command,
    wrote: Wrote,
}

/// All of them, in the order of the table.
pub const PLAYERS: [Player; 6] = [
    Player {
        name: "ffmpeg",
        missing: || missing("ffmpeg"),
        command: of_ffmpeg,
        wrote: Wrote::Gray,
    },
    Player { name: "pyav", missing: || missing_module("av"), command: of_av, wrote: Wrote::Gray },
    Player {
        name: "opencv",
        missing: || missing_module("cv2"),
        command: of_cv2,
        wrote: Wrote::Gray,
    },
    Player {
        name: "gstreamer",
        missing: || missing("gst-launch-1.0"),
        command: of_gstreamer,
        wrote: Wrote::Media("h264"),
    },
    Player { name: "mpv", missing: || missing("mpv"), command: of_mpv, wrote: Wrote::Media("mkv") },
    Player {
        name: "retina",
        missing: missing_retina,
        command: of_retina,
        wrote: Wrote::Media("h264"),
    },
];

impl Player {
    pub fn missing(&self) -> Option<String> {
        (self.missing)()
    }

    /// Plays until it has what it was asked for, and looks at that: every picture, one after the other.
    pub fn plays(&self, ask: &Ask, folder: &Path, modulo: u32) -> Outcome<u64> {
        let out = self.file(ask, folder);
        let _ = std::fs::remove_file(&out);
        let output = self
            .command(ask, &out)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| Failure(format!("{}: {error}", self.name)))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let last: String = last.chars().take(160).collect();
        ensure(output.status.success(), || format!("{}: {last}", output.status))?;
        let seen = if ask.sound { heard(&out) } else { self.exact(ask, &out, modulo) };
        let seen = seen.map_err(|failure| Failure(format!("{failure} {last}")))?;
        let _ = std::fs::remove_file(&out);
        Ok(seen)
    }

    /// The player at work: whoever starts it ends it.
    pub fn begin(&self, ask: &Ask, folder: &Path) -> Outcome<(std::process::Child, PathBuf)> {
        let out = self.file(ask, folder);
        let _ = std::fs::remove_file(&out);
        let child = self.command(ask, &out).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok((child.map_err(|error| Failure(format!("{}: {error}", self.name)))?, out))
    }

    fn command(&self, ask: &Ask, out: &Path) -> Command {
        let own = (self.command)(ask, out);
        let mut command = Command::new("timeout");
        command.args(["-k", "5", PATIENCE_S]).arg(own.get_program()).args(own.get_args());
        command.stdin(Stdio::null());
        command
    }

    fn file(&self, ask: &Ask, folder: &Path) -> PathBuf {
        let ending = match (ask.sound, self.wrote) {
            (true, Wrote::Gray) => "wav",
            (true, Wrote::Media("h264")) => "aac",
            (_, Wrote::Media(ending)) => ending,
            (false, Wrote::Gray) => "gray",
        };
        folder.join(format!("{}.{ending}", self.name))
    }

    fn exact(&self, ask: &Ask, out: &Path, modulo: u32) -> Outcome<u64> {
        let name = out.display().to_string();
        let size = format!("{}x{}", SIZE.0, SIZE.1);
        let input: &[&str] = match self.wrote {
            Wrote::Gray => &["-f", "rawvideo", "-pix_fmt", "gray", "-s", &size, "-i", &name],
            Wrote::Media(_) => &["-i", &name],
        };
        let mut codes = ffmpeg::codes(input, SIZE.0, SIZE.1)?;
        // Whoever is asked for so many pictures may stop amid the last ones.
        codes.truncate(ask.pictures.saturating_sub(2) as usize);
        let run = Run::of(&codes, Some(modulo));
        let enough = run.pictures * 10 >= u64::from(ask.pictures) * 9;
        ensure(run.is_exact() && enough, || {
            format!("{} pictures of {}, not exact: {run:?}", run.pictures, ask.pictures)
        })?;
        Ok(run.pictures)
    }
}

/// Whether the tone is in there; how many samples there are.
fn heard(file: &Path) -> Outcome<u64> {
    let output = Command::new("timeout")
        .args(["60", "ffmpeg", "-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args(["-vn", "-ac", "1", "-ar", "48000", "-f", "s16le", "-"])
        .output()
        .map_err(Failure::new)?;
    let samples = tones::samples(&output.stdout);
    ensure(samples.len() > 24_000, || format!("only {} samples of sound", samples.len()))?;
    // The first ones are the codec's own beginning.
    let part = &samples[12_000..];
    let level = tones::level_db(part, f64::from(TONE_HZ), 48_000.0);
    ensure(level > HEARD_DB, || format!("the tone is at {level:.0} dB"))?;
    Ok(samples.len() as u64)
}

/// Why a program cannot be run here.
pub(super) fn missing(program: &str) -> Option<String> {
    (!ffmpeg::has(program)).then(|| format!("no {program} here"))
}

/// The Python that has PyAV and OpenCV: `PLAYERS_PYTHON`, which `scripts/verify` sets, or the system's.
pub fn python() -> String {
    std::env::var("PLAYERS_PYTHON").unwrap_or_else(|_| super::python::python())
}

/// Why a module of Python cannot be used here.
pub(super) fn missing_module(module: &str) -> Option<String> {
    let output = Command::new(python()).arg(client()).args([module, "version"]).output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

pub(super) fn client() -> PathBuf {
    source_root().join("tests/python/rtsp_client.py")
}

/// Built by `scripts/verify`, beside the others.
fn retina() -> PathBuf {
    binary("framevisor-rtsp-retina")
}

fn missing_retina() -> Option<String> {
    (!retina().exists()).then(|| format!("{} is not built", retina().display()))
}

/// As FFmpeg's `rtsp_transport` names it.
fn transport(by: By) -> &'static str {
    match by {
        By::Tcp => "tcp",
        By::Udp => "udp",
        By::Multicast => "udp_multicast",
        By::Tunnel => "http",
    }
}

fn of_ffmpeg(ask: &Ask, out: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-rtsp_transport", transport(ask.by)]);
    command.args(["-i", &ask.address_with_user()]);
    if ask.sound {
        command.args(["-map", "0:a", "-t", "3"]);
    } else {
        command.args(["-map", "0:v", "-frames:v", &ask.pictures.to_string()]);
        command.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray"]);
    }
    command.arg(out);
    command
}

fn of_av(ask: &Ask, out: &Path) -> Command {
    by_python("av", ask, out)
}

fn of_cv2(ask: &Ask, out: &Path) -> Command {
    by_python("cv2", ask, out)
}

fn by_python(module: &str, ask: &Ask, out: &Path) -> Command {
    let mut command = Command::new(python());
    command.arg(client()).args([module, transport(ask.by), &ask.address_with_user()]);
    command.arg(ask.pictures.to_string()).arg(out);
    if ask.sound {
        command.arg("sound");
    }
    command
}

fn of_gstreamer(ask: &Ask, out: &Path) -> Command {
    let (address, protocols) = match (ask.by, ask.scheme) {
        // The tunnel is a scheme of its own.
        (By::Tunnel, _) => (ask.address().replacen("rtsp://", "rtsph://", 1), "tcp"),
        (By::Tcp, _) => (ask.address(), "tcp"),
        (By::Udp, _) => (ask.address(), "udp"),
        (By::Multicast, _) => (ask.address(), "udp-mcast"),
    };
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "rtspsrc", &format!("location={address}"), "latency=200"]);
    if ask.by != By::Tunnel {
        command.arg(format!("protocols={protocols}"));
    }
    if ask.scheme == "rtsps" {
        command.arg("tls-validation-flags=0");
    }
    if let Some((name, password)) = ask.user {
        command.args([format!("user-id={name}"), format!("user-pw={password}")]);
    }
    let count = format!("eos-after={}", ask.pictures + 1);
    let chain: &[&str] = if ask.sound {
        &[
            "application/x-rtp,media=audio",
            "!",
            "rtpmp4gdepay",
            "!",
            "aacparse",
            "!",
            "audio/mpeg,stream-format=adts",
        ]
    } else {
        &[
            "application/x-rtp,media=video",
            "!",
            "rtph264depay",
            "!",
            "h264parse",
            "!",
            "video/x-h264,stream-format=byte-stream,alignment=au",
        ]
    };
    command.arg("!").args(chain).args(["!", "identity", &count, "!", "filesink"]);
    command.arg(format!("location={}", out.display()));
    command
}

fn of_mpv(ask: &Ask, out: &Path) -> Command {
    let transport = match ask.by {
        By::Multicast => "udp_multicast",
        by => transport(by),
    };
    let mut command = Command::new("mpv");
    command.args([
        "--no-config",
        "--really-quiet",
        "--msg-level=all=error",
        "--vo=null",
        "--ao=null",
    ]);
    command.args(["--audio-buffer=0", &format!("--rtsp-transport={transport}")]);
    command.arg(format!("--stream-record={}", out.display()));
    command.args([&format!("--frames={}", ask.pictures + 10), &ask.address_with_user()]);
    command
}

fn of_retina(ask: &Ask, out: &Path) -> Command {
    let mut command = Command::new(retina());
    let what = if ask.sound { "sound" } else { "picture" };
    command.args([transport(ask.by), &ask.address(), what, &ask.pictures.to_string()]).arg(out);
    if let Some((name, password)) = ask.user {
        command.args([name, password]);
    }
    command
}
