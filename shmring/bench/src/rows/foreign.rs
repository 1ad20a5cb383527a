//! Peers that are programs of their own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Plan;
use crate::Outcome;
use crate::report::Report;

const GST: &str = "gst-launch-1.0";
/// Two lengths: their difference is free of what starting and ending takes.
const SHORT: u32 = 60;
const LONG: u32 = 300;
const PATIENCE: Duration = Duration::from_secs(30);

/// GStreamer's shmsink and shmsrc with pictures of 1080p, as fast as they go.
pub(super) fn gstreamer(report: &mut Report, _: &Plan) -> Outcome<()> {
    // Its pipelines have been seen to hang: that is no fault of what is measured here.
    if let Err(why) = shared_by_gstreamer(report) {
        report.skipped("gstreamer", "1080p", &why.to_string());
    }
    Ok(())
}

fn shared_by_gstreamer(report: &mut Report) -> Outcome<()> {
    let there = Command::new("gst-inspect-1.0").arg("shmsink").stdout(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        let why = "no shmsink: install gstreamer1.0-tools and gstreamer1.0-plugins-bad";
        report.skipped("gstreamer", "1080p", why);
        return Ok(());
    }
    let making = (generate(LONG, None)? - generate(SHORT, None)?) / f64::from(LONG - SHORT);
    report.figure("gstreamer", "making a picture", making, "ms");
    for readers in [1, 4] {
        let both = generate(LONG, Some(readers))? - generate(SHORT, Some(readers))?;
        let each = both / f64::from(LONG - SHORT);
        let what = format!("making and passing one, {readers} readers");
        report.figure("gstreamer", &what, each, "ms");
    }
    Ok(())
}

/// Milliseconds until so many pictures have been made, or taken by each of so many readers.
fn generate(pictures: u32, readers: Option<usize>) -> Outcome<f64> {
    let begin = Instant::now();
    let until = begin + PATIENCE;
    let form = "video/x-raw,format=I420,width=1920,height=1080";
    let Some(readers) = readers else {
        let source = format!("videotestsrc pattern=black num-buffers={pictures}");
        launch(&format!("{source} ! {form} ! fakesink sync=false"))?.await_end(until)?;
        return Ok(begin.elapsed().as_secs_f64() * 1e3);
    };
    let socket = std::env::temp_dir().join(format!("ringbench-{}.sock", std::process::id()));
    let _cleared = Cleared(socket.clone());
    let shared = format!("socket-path={}", socket.display());
    let sink = format!("shmsink {shared} wait-for-connection=true shm-size=64000000 sync=false");
    // Without an end of its own: one that ends before its readers fails in many ways.
    let _writer = launch(&format!("videotestsrc pattern=black ! {form} ! {sink}"))?;
    while !socket.exists() {
        if Instant::now() > until {
            return Err("shmsink opened no socket".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let reader = format!("shmsrc {shared} num-buffers={pictures} ! fakesink sync=false");
    let readers = (0..readers).map(|_| launch(&reader)).collect::<Outcome<Vec<_>>>()?;
    readers.into_iter().try_for_each(|mut reader| reader.await_end(until))?;
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

/// A program that does not outlive us.
struct Running(Child);

impl Running {
    fn await_end(&mut self, until: Instant) -> Outcome<()> {
        while self.0.try_wait()?.is_none() {
            if Instant::now() > until {
                return Err("GStreamer does not come to an end".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        clear_pipes_of(self.0.id());
    }
}

/// What a killed shmsink leaves in /dev/shm: "shmpipe.", its pid and a number, both padded with blanks.
fn clear_pipes_of(pid: u32) {
    for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix("shmpipe.")?.split('.').next());
        if owner.is_some_and(|owner| owner.trim() == pid.to_string()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn launch(line: &str) -> Outcome<Running> {
    let words = line.split(' ');
    let command = Command::new(GST)
        .arg("-q")
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Running(command))
}

/// A file that goes with the value.
struct Cleared(PathBuf);

impl Drop for Cleared {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Python's SharedMemory with names passed through a Queue.
pub(super) fn python(report: &mut Report, plan: &Plan) -> Outcome<()> {
    let Some(program) = &plan.python else {
        report.skipped("python", "SharedMemory and Queue", "its program was not named");
        return Ok(());
    };
    let seen = match run_python(program, plan.trips) {
        Ok(seen) => seen,
        Err(why) => {
            report.skipped("python", "SharedMemory and Queue", &why.to_string());
            return Ok(());
        }
    };
    for (key, what, unit) in [
        ("small_us", "64 B, one way", "us"),
        ("picture_us", "1080p, one way", "us"),
        ("passing_ms", "1080p, copied in and looked at", "ms a picture"),
    ] {
        let value = seen[key].as_f64().ok_or(format!("no {key}"))?;
        report.figure("python", what, value, unit);
    }
    Ok(())
}

fn run_python(program: &Path, trips: usize) -> Outcome<Value> {
    let output = Command::new("python3").arg(program).arg(trips.to_string()).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
