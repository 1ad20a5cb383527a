//! The ffmpeg command as an independent decoder.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::framecode::{self, Run};
use crate::{Failure, Outcome, ensure};

/// Whether a program can be run here.
pub fn has(program: &str) -> bool {
    let probe =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok()
}

/// Frame codes of everything `arguments` (an input with its options) yields.
pub fn codes(
    arguments: &[&str],
    width: usize,
    height: usize,
) -> Outcome<Vec<(Option<u32>, Option<u32>)>> {
    let mut codes = Vec::new();
    gray_pictures(arguments, width * height, |gray| codes.push(framecode::read(gray, width)))?;
    Ok(codes)
}

/// The run of frame numbers in a list of files, played one after the other.
pub fn run_of_files(
    files: &[impl AsRef<Path>],
    size: (usize, usize),
    modulo: Option<u32>,
) -> Outcome<Run> {
    let mut all = Vec::new();
    for file in files {
        let file = file.as_ref().display().to_string();
        all.extend(codes(&["-i", &file], size.0, size.1)?);
    }
    Ok(Run::of(&all, modulo))
}

/// Runs ffmpeg over an input and throws the pictures away; what it says on stderr is the answer.
pub fn complaints(arguments: &[&str]) -> Outcome<String> {
    let output = ffmpeg()
        .args(["-nostdin", "-hide_banner", "-v", "error", "-xerror"])
        .args(arguments)
        .args(["-f", "null", "-"])
        .output()
        .map_err(|error| Failure(format!("ffmpeg: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Ok(format!("{said}[{}]", output.status)) }
}

/// Runs ffmpeg to make a file.
pub fn make(arguments: &[&str]) -> Outcome<()> {
    let status = ffmpeg().args(["-nostdin", "-v", "error", "-y"]).args(arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(Failure(format!("ffmpeg {}: {other:?}", arguments.join(" ")))),
    }
}

fn gray_pictures(
    arguments: &[&str],
    picture_bytes: usize,
    mut each: impl FnMut(&[u8]),
) -> Outcome<()> {
    let mut child = ffmpeg()
        .args(["-nostdin", "-hide_banner", "-v", "error"])
        .args(arguments)
        .args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Failure(format!("ffmpeg: {error}")))?;
    let mut output = child.stdout.take().ok_or_else(|| Failure::new("ffmpeg has no output"))?;
    let mut picture = vec![0; picture_bytes];
    while output.read_exact(&mut picture).is_ok() {
        each(&picture);
    }
    let status = child.wait().map_err(Failure::new)?;
    ensure(status.success(), || format!("ffmpeg {}: {status}", arguments.join(" ")))
}

/// The command, ended by `timeout` (coreutils, exit 124) when what it reads never ends.
fn ffmpeg() -> Command {
    let mut command = Command::new("timeout");
    command.args(["300", "ffmpeg"]);
    command
}
