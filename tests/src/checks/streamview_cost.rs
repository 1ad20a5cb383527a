//! Pictures and numbers of a Python program that no topology runs, shown live: what is lost between it and the encoder,
//! how many pictures a second a page shows, and what all of it takes, beside the same pictures written as HLS by PyAV, at
//! the same time.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};
use shmring::clock;

use super::analysis_languages::rounded;
use super::median_and_worst;
use super::python::{python, python_path};
use super::rtsp_players;
use super::streamview::{Heard, holes, rate, sources, subjects};
use crate::browser::Browser;
use crate::project::{Project, free_port, source_root};
use crate::{Failure, Outcome, ensure, processes, wait_for};

const FPS: f64 = 30.0;
const BITRATE_KBIT: u64 = 2000;
/// Pairs of processor times that are compared.
const WINDOWS: u32 = 11;
/// What the peer exits with where PyAV is not installed.
const NOT_INSTALLED: i32 = 3;

/// For so many seconds in all.
pub fn beside_pyav(seconds: u64) -> Outcome<Value> {
    let (project, port) = project()?;
    project.succeed(&["up", "-d"])?;
    let program = program(&project)?;
    let mut told = Map::new();
    let mut page = Page::open(port)?;
    let peer = Peer::start(&project)?;
    let sides = Sides::of(&project, &program, peer.as_ref().ok().map(|peer| peer.0.child.id()))?;
    // What these rings still hold, from before, has to be whole too.
    let mut pictures = Heard::of(&project, "sim.packets")?;
    let mut numbers = Heard::of(&project, "ext.streamview.events")?;
    pictures.listen()?;
    numbers.listen()?;
    let before = page.as_mut().map(Page::shown).transpose()?;
    let (packets, events) = (pictures.packets.len(), numbers.packets.len());
    let spent = sides.watched(Duration::from_secs(seconds), || {
        pictures.listen()?;
        numbers.listen()
    })?;
    if let (Some(page), Some(before)) = (&mut page, before) {
        told.extend(page.figures(&before)?);
    } else {
        told.insert("page_skipped".to_owned(), json!("no Chromium here"));
    }
    match peer {
        Ok(peer) => told.extend(peer.finish(seconds)?),
        Err(why) => drop(told.insert("pyav_skipped".to_owned(), json!(why))),
    }
    drop((page, program));
    ensure(project.ps()?.iter().all(|worker| worker.restarts == 0), || {
        "a worker was started again".into()
    })?;
    project.down()?;
    told.insert("fps".to_owned(), json!(rounded(rate(&pictures.packets[packets..]))));
    told.extend(losses(&pictures, &numbers, events)?);
    told.extend(sides.figures(&spent));
    Ok(Value::Object(told))
}

/// Its encoder reads the ring of a program outside.
fn project() -> Outcome<(Project, u16)> {
    let port = free_port()?;
    let project = Project::new(&format!(
        "version: 1
workers:
  sim: {{use: encoder, in: ext.sim.frames, bitrate: {BITRATE_KBIT}k, keyframe_every: 1s, on_writer_lost: slate}}
  web: {{use: web, in: [sim.packets, ext.streamview.events], listen: '127.0.0.1:{port}'}}
"
    ))?;
    Ok((project, port))
}

/// A process that ends with this value.
struct Running {
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        processes::signal(self.child.id(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// `scripts/examples/streamview.py` as its own page says: by hand, into a ring that a topology reads.
fn program(project: &Project) -> Outcome<Running> {
    let child = Command::new(python())
        .arg(source_root().join("scripts/examples/streamview.py"))
        .arg("ext.sim.frames")
        .env("PYTHONPATH", python_path()?)
        .env("FRAMEVISOR_PROJECT", project.name().as_str())
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| Failure(format!("{}: {error}", python())))?;
    Ok(Running { child })
}

/// Nothing of what was heard is missing.
fn losses(pictures: &Heard, numbers: &Heard, events: usize) -> Outcome<Map<String, Value>> {
    let drawn = sources(&pictures.packets)?;
    let metrics = subjects(&numbers.packets)?;
    let (lost, untold) = (holes(&drawn), holes(&metrics));
    ensure(lost == 0 && untold == 0 && drawn.len() > 1, || {
        format!("{lost} pictures and {untold} metrics of {} are missing", drawn.len())
    })?;
    Ok(Map::from_iter([
        ("pictures".to_owned(), json!(drawn.len())),
        ("pictures_missing".to_owned(), json!(lost)),
        ("metrics".to_owned(), json!((metrics.len() - events) * 3)),
        ("metrics_missing".to_owned(), json!(untold)),
    ]))
}

/// The camera's own page in a browser.
struct Page(Browser);

/// What it has shown: pictures, points of its graphs, and when that was, in ms.
#[derive(Debug)]
struct Shown {
    pictures: f64,
    points: f64,
    at_ms: f64,
}

const COUNT: &str = "(() => {
    const video = document.querySelector('#player video');
    if (!video || video.readyState < 2) return false;
    const look = (_, facts) => { window.shown = facts.presentedFrames; video.requestVideoFrameCallback(look); };
    if (window.shown === undefined) { window.shown = 0; video.requestVideoFrameCallback(look); }
    return window.shown > 0 && window.framevisor.points()['ext.streamview.events'] > 0;
})()";
/// Of the graphs the newest moment: a graph keeps so many points and no more.
const SHOWN: &str = "({ pictures: window.shown, at: performance.now(), \
    points: window.framevisor.points()['ext.streamview.events'] })";

impl Page {
    /// `None` where there is no browser.
    fn open(port: u16) -> Outcome<Option<Self>> {
        let Some(program) = Browser::find() else { return Ok(None) };
        let mut browser =
            Browser::open(program, &format!("http://127.0.0.1:{port}/camera?name=sim"))?;
        let plays = || (browser.evaluate(COUNT).ok()? == Value::Bool(true)).then_some(());
        wait_for(60, "the page to play and to draw its graphs", plays)?;
        Ok(Some(Self(browser)))
    }

    fn shown(&mut self) -> Outcome<Shown> {
        let said = self.0.evaluate(SHOWN)?;
        let number = |name: &str| {
            said[name].as_f64().ok_or_else(|| Failure(format!("the page says {said}")))
        };
        Ok(Shown { pictures: number("pictures")?, points: number("points")?, at_ms: number("at")? })
    }

    fn figures(&mut self, before: &Shown) -> Outcome<Map<String, Value>> {
        let now = self.shown()?;
        let span_s = (now.at_ms - before.at_ms).max(1.0) / 1000.0;
        Ok(Map::from_iter([
            ("page_fps".to_owned(), json!(rounded((now.pictures - before.pictures) / span_s))),
            ("graph_points".to_owned(), json!([before.points, now.points])),
        ]))
    }
}

/// `tests/python/hls_writer.py`.
struct Peer(Running, ChildStdin, BufReader<ChildStdout>);

impl Peer {
    /// `Ok(Err(why))` where PyAV is not installed.
    fn start(project: &Project) -> Outcome<Result<Self, String>> {
        let folder = project.dir().join("hls");
        std::fs::create_dir_all(&folder).map_err(Failure::new)?;
        let examples = source_root().join("scripts/examples").display().to_string();
        let mut child = Command::new(rtsp_players::python())
            .arg(source_root().join("tests/python/hls_writer.py"))
            .arg(&folder)
            .args([FPS.to_string(), (BITRATE_KBIT * 1000).to_string()])
            .env("PYTHONPATH", format!("{}:{examples}", python_path()?))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure(format!("{}: {error}", rtsp_players::python())))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(Failure::new("the peer has no pipes"));
        };
        let mut peer = Self(Running { child }, stdin, BufReader::new(stdout));
        if peer.line()?.trim() == "begin" {
            return Ok(Ok(peer));
        }
        let status = peer.0.child.wait().map_err(Failure::new)?;
        ensure(status.code() == Some(NOT_INSTALLED), || format!("hls_writer.py: {status}"))?;
        Ok(Err("PyAV is not installed".to_owned()))
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.2.read_line(&mut line).map_err(Failure::new)?;
        Ok(line)
    }

    /// It has to have written as many pictures, else it did not do the same.
    fn finish(self, seconds: u64) -> Outcome<Map<String, Value>> {
        let Self(running, stdin, mut lines) = self;
        drop(stdin);
        let mut line = String::new();
        lines.read_line(&mut line).map_err(Failure::new)?;
        let said: Value = serde_json::from_str(&line).map_err(Failure::new)?;
        drop(running);
        let written = said["pictures"].as_f64().unwrap_or(0.0);
        ensure(written > FPS * 0.9 * seconds as f64, || {
            format!("PyAV wrote {written} pictures in {seconds} s: not the same work")
        })?;
        Ok(Map::from_iter([("pyav_pictures".to_owned(), json!(written))]))
    }
}

/// Who takes part, by name and processes.
struct Sides(Vec<(&'static str, Vec<u32>)>);

impl Sides {
    fn of(project: &Project, program: &Running, peer: Option<u32>) -> Outcome<Self> {
        let mut sides = vec![
            ("program", vec![program.child.id()]),
            ("encoder", vec![project.pid("sim")?]),
            ("web", vec![project.pid("web")?]),
            ("supervisor", vec![project.supervisor_pid()?, project.guard_pid()?]),
        ];
        sides.extend(peer.map(|pid| ("pyav", vec![pid])));
        Ok(Self(sides))
    }

    /// Processor time of each side in each window, in ns.
    fn watched(
        &self,
        span: Duration,
        mut meanwhile: impl FnMut() -> Outcome<()>,
    ) -> Outcome<Vec<Vec<f64>>> {
        let now = || -> Vec<u64> {
            let sum =
                |(_, pids): &(_, Vec<u32>)| pids.iter().map(|pid| processes::cpu_ns(*pid)).sum();
            self.0.iter().map(sum).collect()
        };
        let (window, mut before, mut spent) = (span / WINDOWS, now(), Vec::new());
        let mut end = clock::mono();
        for _ in 0..WINDOWS {
            end = end + window;
            while clock::mono() < end {
                meanwhile()?;
            }
            let after = now();
            spent.push(
                after
                    .iter()
                    .zip(&before)
                    .map(|(after, before)| after.saturating_sub(*before) as f64)
                    .collect(),
            );
            before = after;
        }
        Ok(spent)
    }

    fn figures(&self, spent: &[Vec<f64>]) -> Map<String, Value> {
        let pictures = |window: &[f64]| window.iter().sum::<f64>();
        let mut told = Map::new();
        let total: f64 = spent.iter().map(|window| pictures(window)).sum();
        for (at, (name, _)) in self.0.iter().enumerate() {
            let its: f64 = spent.iter().map(|window| window[at]).sum();
            told.insert(format!("cpu_share_{name}"), json!(rounded(its / total.max(1.0))));
        }
        let Some(peer) = self.0.iter().position(|(name, _)| *name == "pyav") else { return told };
        // All of ours, and without who serves, which PyAV's list does not have.
        for (name, left_out) in [("cpu_of_pyav", ""), ("cpu_of_pyav_without_web", "web")] {
            told.insert(name.to_owned(), json!(median(self.ratios(spent, peer, left_out))));
        }
        let of_peer: Vec<f64> = spent.iter().map(|window| window[peer]).collect();
        let itself = of_peer.windows(2).map(|pair| pair[1] / pair[0].max(1.0));
        let (least, most) = itself.fold((f64::INFINITY, 0.0_f64), |(least, most), ratio| {
            (least.min(ratio), most.max(ratio))
        });
        told.insert("pyav_against_itself".to_owned(), json!([rounded(least), rounded(most)]));
        told
    }

    fn ratios(&self, spent: &[Vec<f64>], peer: usize, left_out: &str) -> Vec<f64> {
        let counts = |at: usize| at != peer && self.0[at].0 != left_out;
        let ours = |window: &Vec<f64>| -> f64 {
            window.iter().enumerate().filter(|(at, _)| counts(*at)).map(|(_, ns)| ns).sum()
        };
        spent.iter().map(|window| ours(window) / window[peer].max(1.0)).collect()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    rounded(median_and_worst(&mut values).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serves_counts_for_ours_unless_it_is_left_out() {
        let sides =
            Sides(["program", "encoder", "web", "pyav"].map(|name| (name, Vec::new())).to_vec());
        let spent = vec![vec![1.0, 2.0, 3.0, 4.0], vec![1.0, 1.0, 2.0, 2.0]];
        assert_eq!(sides.ratios(&spent, 3, ""), [1.5, 2.0]);
        assert_eq!(sides.ratios(&spent, 3, "web"), [0.75, 1.0]);
        assert_eq!(sides.figures(&spent)["cpu_of_pyav"], json!(2.0));
    }
}
