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
    codes_told(arguments, width, height, || {})
}

/// As [`codes`]; `told` is called at each picture as it comes.
pub fn codes_told(
    arguments: &[&str],
    width: usize,
    height: usize,
    mut told: impl FnMut(),
) -> Outcome<Vec<(Option<u32>, Option<u32>)>> {
    let mut codes = Vec::new();
    gray_pictures(arguments, width * height, |gray| {
        codes.push(framecode::read(gray, width));
        told();
    })?;
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

/// Whether ffmpeg has an encoder of this name.
pub fn has_encoder(name: &str) -> bool {
    let output = ffmpeg().args(["-hide_banner", "-encoders"]).output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == name)
    })
}

/// Whether ffmpeg has a protocol of this name.
pub fn has_protocol(name: &str) -> bool {
    let output = ffmpeg().args(["-hide_banner", "-protocols"]).output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == name)
    })
}

/// Checksums of the decoded pictures, in the order they are shown.
pub fn picture_sums(file: &Path) -> Outcome<Vec<String>> {
    sums(&["-i", &file.display().to_string()])
}

/// The first picture that is shown at or behind a time, in seconds; where it is, the file's index tells.
pub fn picture_sum_at(file: &Path, seconds: f64) -> Outcome<Option<String>> {
    let (name, at) = (file.display().to_string(), format!("{seconds:.3}"));
    Ok(sums(&["-ss", &at, "-i", &name, "-frames:v", "1"])?.into_iter().next())
}

/// When the first picture of a file is shown, in seconds.
pub fn first_picture_s(file: &Path) -> Outcome<f64> {
    let output = Command::new("timeout")
        .args(["60", "ffprobe", "-v", "error", "-select_streams", "v:0"])
        .args(["-show_entries", "stream=start_time", "-of", "csv=p=0"])
        .arg(file)
        .output()
        .map_err(Failure::new)?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(Failure::new)
}

fn sums(input: &[&str]) -> Outcome<Vec<String>> {
    let output = ffmpeg()
        .args(["-nostdin", "-v", "error"])
        .args(input)
        .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .map_err(Failure::new)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("ffmpeg {input:?}: {}: {said}", output.status))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    Ok(rows.filter_map(|row| row.rsplit(',').next()).map(|sum| sum.trim().to_owned()).collect())
}

/// Packets of all streams of a file from the first picture (of stream 0) on: sound before it is nobody's.
pub fn packets(file: &Path) -> Outcome<usize> {
    let output = Command::new("timeout")
        .args(["60", "ffprobe", "-v", "error", "-show_entries", "packet=stream_index"])
        .args(["-of", "csv=p=0"])
        .arg(file)
        .output()
        .map_err(Failure::new)?;
    ensure(output.status.success(), || format!("ffprobe {}: {}", file.display(), output.status))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let streams =
        text.lines().map(|line| line.trim_end_matches(',')).filter(|line| !line.is_empty());
    Ok(streams.skip_while(|stream| *stream != "0").count())
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
