//! What `explain` prints is a script that runs.

use std::fs;
use std::io::{BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::PoisonError;

use nix::sys::signal::Signal;
use tests::project::Project;
use tests::{Failure, Outcome, ensure, ffmpeg, processes};

use crate::first_light::ONE_AT_A_TIME;

const TOPOLOGY: &str = "version: 1
workers:
  film: {use: ingest, source: 'file:film clip.mp4', loop: false}
  synthetic: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}
  decoder: {use: decoder, in: film.packets, outputs: {small: {size: 160x90, format: gray8}, rgb: {format: rgb24}}}
  both: {use: decoder, in: synthetic.packets}
  mix: {use: compositor, in: [film.frames, synthetic.frames], places: {synthetic.frames: {at: right, key: {color: green}}}}
  recorder: {use: recorder, in: film.packets, dir: recordings}
  rtsp: {use: rtsp, in: film.packets, listen: '127.0.0.1:0'}
";

#[test]
fn the_explained_commands_run_and_do_what_they_say() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}

fn check() -> Outcome<()> {
    let project = Project::new(TOPOLOGY)?;
    let film = project.dir().join("film clip.mp4").display().to_string();
    let source = ["-f", "lavfi", "-i", "testsrc2=size=320x192:rate=25:duration=2"];
    ffmpeg::make(&[&source[..], &["-c:v", "libx264", "-pix_fmt", "yuv420p", &film]].concat())?;
    for worker in ["film", "decoder", "recorder"] {
        let script = project.succeed(&["explain", worker])?;
        let run = Command::new("sh").args(["-ec", &script]).output().map_err(Failure::new)?;
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        ensure(run.status.success() && said.contains("frame="), || format!("{script}\n{said}"))?;
    }
    let recorded = fs::read_dir(project.recordings().join("film")).map_err(Failure::new)?;
    let files: Vec<_> = recorded.flatten().map(|entry| entry.path()).collect();
    ensure(!files.is_empty(), || "nothing was recorded".to_owned())?;
    for file in files {
        let complaints = ffmpeg::complaints(&["-i", &file.display().to_string()])?;
        ensure(complaints.is_empty(), || format!("{}: {complaints:?}", file.display()))?;
    }
    goes_on(&project.succeed(&["explain", "synthetic"])?, "libx264")?;
    goes_on(&project.succeed(&["explain", "mix"])?, "wrapped_avframe")?;
    let none = project.succeed(&["explain", "rtsp"])?;
    ensure(none.lines().all(|line| line.starts_with('#')), || none.clone())?;
    let unknown = project.run(&["explain", "flim"])?;
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    ensure(unknown.status.code() == Some(1) && said.contains("film, synthetic"), || said)
}

/// A synthetic camera has no end: ffmpeg makes what `codec` names until it is interrupted.
fn goes_on(script: &str, codec: &str) -> Outcome<()> {
    let line = script.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec {line}")])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(Failure::new)?;
    let mut said = String::new();
    let mut bytes = child.stderr.take().map(BufReader::new).into_iter().flat_map(Read::bytes);
    // Its figures stand on one line that it writes over.
    while !(said.contains("frame=") && said.contains("speed=")) {
        let Some(Ok(byte)) = bytes.next() else { break };
        said.push(char::from(byte));
    }
    processes::signal(child.id(), Signal::SIGINT);
    let _ = child.wait();
    ensure(said.contains(codec) && said.contains("speed="), || format!("{line}\n{said}"))
}
