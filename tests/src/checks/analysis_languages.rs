//! What an analyzer costs in each language: the programs that `framevisor new analyzer` writes, as they stand, beside a
//! ring of 1080p pictures. At 25 pictures a second, for how late a record is, and with more pictures than it can
//! look at, for how many those are.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::record::Record;
use protocol::stream::PixelFormat;
use protocol::time::MonoNs;
use serde_json::{Map, Value, json};
use shmring::{FrameMeta, FrameWriter, Next, PacketOptions, PacketReader, Picture, Start, clock};

use super::{ms, ring_now};
use crate::languages::{self, Found};
use crate::project::Project;
use crate::{Failure, Outcome, ensure, processes, wait_for};

const LANGUAGES: [&str; 3] = ["python", "c", "rust"];
const RING: &str = "ext.bench.frames";
const EVENTS: &str = "mine.events";
const SIZE: (u32, u32) = (1920, 1080);
/// A camera's.
const PERIOD: Duration = Duration::from_millis(40);
/// Between two pictures of too many; the system makes some fifty of it. Who spins takes a processor from the analyzer.
const FLOOD_PERIOD: Duration = Duration::from_micros(1);
/// More than the ring has slots, so that none is without a picture.
const FILLED: u8 = 64;

/// Each for so many seconds at either rate.
pub fn of_each(seconds: u64) -> Outcome<Value> {
    let mut figures = Map::new();
    for language in LANGUAGES {
        match measured(language, seconds)
            .map_err(|Failure(why)| Failure(format!("{language}: {why}")))?
        {
            Ok(seen) => {
                let named = |(figure, value)| (format!("{language}_{figure}"), value);
                figures.extend(seen.into_iter().map(named));
            }
            Err(why) => {
                figures.insert(format!("{language}_skipped"), json!(why));
            }
        }
    }
    Ok(Value::Object(figures))
}

/// What it needs, and how a topology runs it.
fn tools(language: &str, project: &Project) -> (Found, String) {
    // What it rests on is built once.
    let target = std::env::temp_dir().join("framevisor-test-cache/analyzers");
    match language {
        "python" => (languages::of_python(project.dir()), "python3, mine.py".to_owned()),
        "c" => (languages::with_make("cc"), "./mine".to_owned()),
        _ => {
            let program = target.join("release/analyzer-mine").display().to_string();
            (languages::of_rust(&target), format!("'{program}'"))
        }
    }
}

fn measured(language: &str, seconds: u64) -> Outcome<Result<Map<String, Value>, String>> {
    let project = Project::new("")?;
    let (found, command) = tools(language, &project);
    let mut tools = match found? {
        Ok(tools) => tools,
        Err(why) => return Ok(Err(why)),
    };
    languages::made(&project, language)?;
    tools.make(project.dir())?;
    project.write_topology(&format!(
        "version: 1
workers:
  mine: {{run: [{command}], in: {RING}, out: {EVENTS}, policy: latest}}
"
    ))?;
    let mut up = project.command(&["up", "-d"]);
    let output = up.envs(tools.environment).output().map_err(Failure::new)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("up: {}\n{said}", output.status))?;
    let mut bench = Bench::start(&project)?;
    let mut figures = bench.paced(seconds)?;
    figures.extend(bench.flooded(seconds)?);
    ensure(project.worker("mine")?.restarts == 0, || "it was started again".to_owned())?;
    project.down()?;
    Ok(Ok(figures))
}

/// The pictures of one analyzer, and what it tells of them.
struct Bench {
    project: ProjectName,
    events: RingName,
    pid: u32,
    pictures: Pictures,
}

impl Bench {
    /// The analyzer at work.
    fn start(project: &Project) -> Outcome<Self> {
        let (name, events) = (project.name().clone(), Project::ring(EVENTS)?);
        let mut pictures = Pictures::start(project)?;
        let tells = || {
            let published = pictures.publish();
            thread::sleep(PERIOD);
            match published {
                Ok(_) => (ring_now(&name, &events).head > 0).then_some(Ok(())),
                Err(failure) => Some(Err(failure)),
            }
        };
        wait_for(60, "its first record", tells)?.0?;
        let pid = project.pid("mine")?;
        Ok(Self { project: name, events, pid, pictures })
    }

    /// How late its records are, and what a picture costs, when it has all the time it needs.
    fn paced(&mut self, seconds: u64) -> Outcome<Map<String, Value>> {
        let options = PacketOptions { reader: "bench".to_owned(), start: Start::Newest };
        let mut records =
            PacketReader::attach(&self.project, &self.events, &options).map_err(Failure::new)?;
        let (mut taken, mut late, mut handed_us) = (BTreeMap::new(), Vec::new(), Vec::new());
        let before = processes::cpu_ns(self.pid);
        let mut due = clock::mono();
        let end = due + Duration::from_secs(seconds);
        while due < end {
            let handing = processes::own_cpu_ns()?;
            let (sequence, capture) = self.pictures.publish()?;
            handed_us.push((processes::own_cpu_ns()? - handing) as f64 / 1000.0);
            taken.insert(sequence, capture);
            due = due + PERIOD;
            thread::sleep(due.saturating_since(clock::mono()));
            lateness(&mut records, &taken, &mut late)?;
        }
        let spent = processes::cpu_ns(self.pid) - before;
        ensure(!late.is_empty(), || "no record of a picture".to_owned())?;
        let (p50, p99) = percentiles(&mut late);
        Ok(Map::from_iter([
            ("pictures_of_25_fps".to_owned(), json!([late.len(), taken.len()])),
            ("cpu_us_at_25_fps".to_owned(), json!(us_each(spent, late.len() as u64))),
            // Not the mean: the first ones fill their slots.
            ("cpu_us_of_its_writer".to_owned(), json!(percentiles(&mut handed_us).0)),
            ("latency_ms_p50".to_owned(), json!(p50)),
            ("latency_ms_p99".to_owned(), json!(p99)),
        ]))
    }

    /// How many it looks at where there is always another one.
    fn flooded(&mut self, seconds: u64) -> Outcome<Map<String, Value>> {
        let head = |bench: &Self| ring_now(&bench.project, &bench.events).head;
        let (begun, told, spent) = (clock::mono(), head(self), processes::cpu_ns(self.pid));
        let end = begun + Duration::from_secs(seconds);
        let mut published = 0_u64;
        while clock::mono() < end {
            self.pictures.publish()?;
            published += 1;
            thread::sleep(FLOOD_PERIOD);
        }
        let (told, spent) = (head(self) - told, processes::cpu_ns(self.pid) - spent);
        let span_s = clock::mono().saturating_since(begun).as_secs_f64();
        Ok(Map::from_iter([
            ("published_a_second".to_owned(), json!((published as f64 / span_s).round())),
            ("looked_at_a_second".to_owned(), json!((told as f64 / span_s).round())),
            ("cpu_us".to_owned(), json!(us_each(spent, told))),
        ]))
    }
}

/// A ring of 1080p pictures, written here.
struct Pictures {
    writer: FrameWriter,
    meta: FrameMeta,
    picture: Picture,
    filled: u8,
}

impl Pictures {
    fn start(project: &Project) -> Outcome<Self> {
        let picture = Picture::packed(SIZE.0, SIZE.1, PixelFormat::Yuv420p, 64)
            .ok_or_else(|| Failure::new("no picture is that large"))?;
        let contract = RingContract::new(Project::ring(RING)?, RingConfig::default(), 4);
        let writer = FrameWriter::create(project.name(), &contract, None).map_err(Failure::new)?;
        Ok(Self {
            writer,
            meta: FrameMeta { key: true, ..FrameMeta::of(picture) },
            picture,
            filled: 0,
        })
    }

    /// One more, which is taken now. Its bytes are those that its slot had.
    fn publish(&mut self) -> Outcome<(u64, MonoNs)> {
        let mut loan = self.writer.loan(self.picture.slot_bytes(), 1).map_err(Failure::new)?;
        if self.filled < FILLED {
            loan.bytes_mut().fill(self.filled);
            self.filled += 1;
        }
        self.meta.capture = clock::now();
        self.meta.ingest = self.meta.capture.mono;
        self.meta.decoded = self.meta.capture.mono;
        let sequence = self.writer.publish(loan.slot(), &self.meta).map_err(Failure::new)?;
        Ok((sequence, self.meta.capture.mono))
    }
}

/// Of the records that are there now: from a picture's capture to the record about it, in ms.
fn lateness(
    records: &mut PacketReader,
    taken: &BTreeMap<u64, MonoNs>,
    late: &mut Vec<f64>,
) -> Outcome<()> {
    while let Next::Item(packet) = records.next(Duration::ZERO).map_err(Failure::new)? {
        let record: Record = serde_json::from_slice(&packet.payload).map_err(Failure::new)?;
        // One about a picture from before is of no use.
        let capture = record.frame.and_then(|id| taken.get(&id.sequence));
        late.extend(capture.map(|at| ms(packet.published.0.saturating_sub(at.0))));
    }
    Ok(())
}

/// The median and the 99th of a hundred, to the us.
pub(super) fn percentiles(values: &mut [f64]) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let place = (values.len() * percent / 100).min(values.len().saturating_sub(1));
        values.get(place).copied().unwrap_or(f64::INFINITY)
    };
    (rounded(at(50)), rounded(at(99)))
}

pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn us_each(spent_ns: u64, count: u64) -> f64 {
    (spent_ns as f64 / count.max(1) as f64 / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_hundred_are_the_fiftieth_and_the_last_but_none() {
        let mut values: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert_eq!(percentiles(&mut values), (50.0, 99.0));
        assert_eq!(percentiles(&mut [2.0]), (2.0, 2.0));
    }
}
