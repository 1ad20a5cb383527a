//! What a Python program spends to have a camera's pictures: from our ring, through SharedMemory and a Queue, by OpenCV
//! and by GStreamer, one after the other, round after round, from the same camera of 1080p.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::analysis_languages::{percentiles, rounded};
use super::analysis_truth::{Times, Truth};
use super::median_and_worst;
use super::python::python_path;
use super::rtsp_players::python;
use crate::project::{Project, free_port, source_root};
use crate::{Failure, Outcome, ensure, processes};

/// What the script exits with where a way is not installed.
const NOT_INSTALLED: i32 = 3;
const OURS: &str = "ring";
const PEERS: [&str; 3] = ["shared", "opencv", "gstreamer"];
const RING: &str = "cam.frames";
/// Pictures a second of the camera.
const FPS: f64 = 25.0;

/// `rounds` times each way, ours at both ends of a round, for so many seconds each time. `writer_us`: processor time that
/// a ring's writer spends on one picture beside making it.
pub fn beside_others(rounds: usize, seconds: u64, writer_us: f64) -> Outcome<Value> {
    let camera = Camera::start()?;
    let truth = Truth::of(&camera.project)?;
    let own = camera.taken_in()?;
    let mut ways =
        Ways { camera: &camera, own: &own, seconds, path: python_path()?, skipped: Map::new() };
    let mut all: BTreeMap<&str, Vec<Run>> = BTreeMap::new();
    for _ in 0..rounds {
        for way in [OURS].iter().chain(&PEERS).chain(&[OURS]) {
            if let Some(run) = ways.run(way)? {
                all.entry(way).or_default().push(run);
            }
        }
    }
    let skipped = std::mem::take(&mut ways.skipped);
    own.down()?;
    let mut told = figures(&all, &truth.finish()?, rounds, writer_us)?;
    camera.project.down()?;
    told.insert("rounds".to_owned(), json!(rounds));
    told.insert("skipped".to_owned(), Value::Object(skipped));
    Ok(Value::Object(told))
}

/// A camera of 1080p, served over RTSP.
struct Camera {
    project: Project,
    address: String,
}

impl Camera {
    fn start() -> Outcome<Self> {
        let port = free_port()?;
        let project = Project::new(&format!(
            "version: 1
workers:
  cam: {{use: ingest, source: 'test:?size=1920x1080&fps=25&gop=25&bitrate=4M&mode=loop'}}
  truth: {{use: decoder, in: cam.packets}}
  rtsp: {{use: rtsp, in: cam.packets, listen: '127.0.0.1:{port}'}}
"
        ))?;
        project.succeed(&["up", "-d", "--wait", "--timeout", "300s"])?;
        Ok(Self { project, address: format!("rtsp://127.0.0.1:{port}/cam") })
    }

    /// Taken in and decoded as by anybody else.
    fn taken_in(&self) -> Outcome<Project> {
        let address = &self.address;
        let project = Project::new(&format!(
            "version: 1
workers:
  cam: {{use: ingest, source: '{address}'}}
  decode: {{use: decoder, in: cam.packets}}
"
        ))?;
        project.up()?;
        Ok(project)
    }
}

struct Ways<'a> {
    camera: &'a Camera,
    own: &'a Project,
    seconds: u64,
    path: String,
    /// Why a way is not tried.
    skipped: Map<String, Value>,
}

/// What a program prints.
#[derive(Debug, Deserialize)]
struct Said {
    /// Frame code, and when the picture was in hand.
    seen: Vec<(Option<u32>, u64)>,
    span_ns: u64,
    cpu_ns: u64,
    /// Of that, of looking at the pictures.
    look_ns: u64,
    /// Processor time of a second process of its own.
    others_ns: u64,
    /// Of that, of handing the pictures over.
    handing_ns: u64,
}

/// One way for some seconds.
#[derive(Debug)]
struct Run {
    said: Said,
    /// Processor time of workers that it needs: ingest and decoder.
    workers_ns: u64,
}

impl Ways<'_> {
    fn run(&mut self, way: &str) -> Outcome<Option<Run>> {
        if self.skipped.contains_key(way) {
            return Ok(None);
        }
        let of_ring = matches!(way, "ring" | "shared");
        let mut workers = Vec::new();
        let mut arguments = vec![way.to_owned(), self.seconds.to_string()];
        if of_ring {
            workers = vec![self.own.pid("cam")?, self.own.pid("decode")?];
            arguments.extend([RING.to_owned(), self.own.name().to_string()]);
        } else {
            arguments.push(self.camera.address.clone());
        }
        let mut program = Program::start(&arguments, &self.path)?;
        let spent = || workers.iter().map(|pid| processes::cpu_ns(*pid)).sum::<u64>();
        if program.line()?.trim() != "begin" {
            let why = program.why()?;
            self.skipped.insert(way.to_owned(), json!(why));
            return Ok(None);
        }
        let before = spent();
        let line = program.line()?;
        let workers_ns = spent().saturating_sub(before);
        let said = serde_json::from_str(&line).map_err(|error| {
            let why = program.why().unwrap_or_else(|Failure(why)| why);
            Failure(format!("{way} said {line:?}: {error}; {why}"))
        })?;
        Ok(Some(Run { said, workers_ns }))
    }
}

/// It ends with this value.
struct Program {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Program {
    fn start(arguments: &[String], path: &str) -> Outcome<Self> {
        let mut child = Command::new(python())
            .arg(source_root().join("tests/python/analysis_reader.py"))
            .args(arguments)
            .env("PYTHONPATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Failure(format!("{}: {error}", python())))?;
        let stdout = child.stdout.take().ok_or_else(|| Failure::new("a program has no output"))?;
        Ok(Self { child, lines: BufReader::new(stdout) })
    }

    /// Empty when it has ended.
    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).map_err(Failure::new)?;
        Ok(line)
    }

    /// The last that it complained of; an error where it was not that something is missing.
    fn why(&mut self) -> Outcome<String> {
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut said);
        }
        let status = self.child.wait().map_err(Failure::new)?;
        ensure(status.code() == Some(NOT_INSTALLED), || format!("{status}: {said}"))?;
        Ok(said.lines().last().unwrap_or_default().to_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        processes::signal(self.child.id(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Of the runs of one way, us of a processor for each picture.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    /// The program's own process: what one more program costs.
    program: f64,
    /// That, without looking at the pictures: what it takes to have them.
    reading: f64,
    /// That, and what the process spends that has the pictures: what it takes to bring them from one to the other.
    carrying: f64,
    /// The program and all else which has to run so that one program has pictures.
    all: f64,
}

impl Cost {
    fn of(run: &Run, writer_us: f64) -> Self {
        let each = |ns: u64| ns as f64 / 1000.0 / run.said.seen.len().max(1) as f64;
        let Said { cpu_ns, look_ns, others_ns, handing_ns, .. } = run.said;
        let reading_ns = cpu_ns.saturating_sub(look_ns);
        Self {
            program: each(cpu_ns),
            reading: each(reading_ns),
            carrying: each(reading_ns + handing_ns) + writer_us,
            all: each(cpu_ns + others_ns + run.workers_ns),
        }
    }
}

/// Names one of the figures of a [`Cost`].
type Figure = (&'static str, fn(&Cost) -> f64);
const FIGURES: [Figure; 4] = [
    ("program", |cost| cost.program),
    ("reading", |cost| cost.reading),
    ("carrying", |cost| cost.carrying),
    ("all", |cost| cost.all),
];

fn figures(
    all: &BTreeMap<&str, Vec<Run>>,
    truth: &Times,
    rounds: usize,
    writer_us: f64,
) -> Outcome<Map<String, Value>> {
    let mut told = Map::new();
    let mut costs: BTreeMap<&str, Vec<Cost>> = BTreeMap::new();
    for (way, runs) in all {
        let writer_us = if *way == OURS { writer_us } else { 0.0 };
        costs.insert(way, runs.iter().map(|run| Cost::of(run, writer_us)).collect());
        told.insert((*way).to_owned(), of_way(way, runs, &costs[way], truth)?);
    }
    let ours = costs.remove(OURS).unwrap_or_default();
    for (name, of) in FIGURES {
        let ratios: Vec<f64> =
            (0..rounds).filter_map(|round| ratio(&ours, &costs, round, of)).collect();
        told.insert(format!("{name}_of_best"), json!(median(ratios)));
        let itself = ours.chunks_exact(2).map(|pair| of(&pair[1]) / of(&pair[0]));
        let (least, most) = itself.fold((f64::INFINITY, 0.0_f64), |(least, most), ratio| {
            (least.min(ratio), most.max(ratio))
        });
        told.insert(format!("{name}_against_itself"), json!([rounded(least), rounded(most)]));
    }
    Ok(told)
}

/// Ours of the cheapest other way in the same round.
fn ratio(
    ours: &[Cost],
    peers: &BTreeMap<&str, Vec<Cost>>,
    round: usize,
    of: fn(&Cost) -> f64,
) -> Option<f64> {
    let mean = (of(ours.get(round * 2)?) + of(ours.get(round * 2 + 1)?)) / 2.0;
    let best =
        peers.values().filter_map(|costs| costs.get(round)).map(of).fold(f64::INFINITY, f64::min);
    best.is_finite().then(|| mean / best.max(f64::MIN_POSITIVE))
}

fn of_way(way: &str, runs: &[Run], costs: &[Cost], truth: &Times) -> Outcome<Value> {
    let (count, span_ns) = runs
        .iter()
        .fold((0, 0), |(count, span), run| (count + run.said.seen.len(), span + run.said.span_ns));
    let fps = count as f64 / (span_ns.max(1) as f64 / 1e9);
    ensure(fps > FPS * 0.8, || {
        format!("{way} has {fps} pictures a second of {FPS}: not the same work")
    })?;
    let mut late: Vec<f64> = runs
        .iter()
        .flat_map(|run| &run.said.seen)
        .filter_map(|seen| truth.late_ms(*seen))
        .collect();
    ensure(late.len() * 10 > count * 9, || {
        format!("{way}: of {count} pictures {} are the camera's", late.len())
    })?;
    let (p50, p99) = percentiles(&mut late);
    let mut told = json!({
        "pictures": count, "fps": rounded(fps), "latency_ms_p50": p50, "latency_ms_p99": p99,
    });
    for (name, of) in FIGURES {
        told[format!("cpu_us_{name}")] = json!(median(costs.iter().map(of).collect()));
    }
    Ok(told)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    (!values.is_empty()).then(|| rounded(median_and_worst(&mut values).0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(program: f64) -> Cost {
        Cost { program, reading: program / 2.0, carrying: program, all: program * 3.0 }
    }

    #[test]
    fn a_ratio_is_to_the_cheapest_way_of_the_same_round() {
        let ours = [1.0, 3.0, 4.0, 4.0].map(cost);
        let peers =
            BTreeMap::from([("a", vec![cost(4.0), cost(20.0)]), ("b", vec![cost(8.0), cost(8.0)])]);
        assert_eq!(ratio(&ours, &peers, 0, |cost| cost.program), Some(0.5));
        assert_eq!(ratio(&ours, &peers, 1, |cost| cost.reading), Some(0.5));
        assert_eq!(ratio(&ours, &peers, 2, |cost| cost.all), None);
        assert_eq!(ratio(&ours, &BTreeMap::new(), 0, |cost| cost.all), None);
    }

    #[test]
    fn what_a_second_process_and_workers_take_counts_for_all_and_looking_not_for_reading() {
        let said = Said {
            seen: vec![(Some(1), 0), (Some(2), 0)],
            span_ns: 1,
            cpu_ns: 4000,
            look_ns: 1000,
            others_ns: 2000,
            handing_ns: 1000,
        };
        let cost = Cost::of(&Run { said, workers_ns: 6000 }, 0.25);
        assert_eq!(cost, Cost { program: 2.0, reading: 1.5, carrying: 2.25, all: 6.0 });
    }
}
