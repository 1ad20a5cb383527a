//! A program that draws and measures, as `scripts/examples/streamview.py` does: whether every picture and every number
//! gets through, and how many there are a second.

use std::time::Duration;

use protocol::record::Record;
use serde_json::{Value, json};
use shmring::{Next, Packet, PacketOptions, PacketReader, Start, clock};

use super::python::{python, python_path};
use crate::project::{Project, source_root};
use crate::{Failure, Outcome, ensure, wait_for};

const WAIT: Duration = Duration::from_millis(10);

/// Nothing of so many seconds is lost between the program and who looks.
pub fn nothing_is_lost(seconds: u64) -> Outcome<Value> {
    let script = source_root().join("scripts/examples/streamview.py").display().to_string();
    let (python, path) = (python(), python_path()?);
    let project = Project::new(&format!(
        "version: 1
workers:
  draw: {{run: [{python}, '{script}'], out: sim.frames, env: {{PYTHONPATH: '{path}'}}, ready: attach}}
  sim: {{use: encoder, in: sim.frames, keyframe_every: 1s, on_writer_lost: slate}}
"
    ))?;
    project.up()?;
    let (mut pictures, mut numbers) =
        (Heard::of(&project, "sim.packets")?, Heard::of(&project, "ext.streamview.events")?);
    let end = clock::mono() + Duration::from_secs(seconds);
    while clock::mono() < end {
        pictures.listen()?;
        numbers.listen()?;
    }
    let restarts = project.worker("draw")?.restarts;
    ensure(restarts == 0, || format!("the program was started {restarts} times again"))?;
    project.down()?;
    let drawn = sources(&pictures.packets)?;
    let told = subjects(&numbers.packets)?;
    let (lost, untold) = (holes(&drawn), holes(&told));
    ensure(lost == 0 && untold == 0 && drawn.len() > 1, || {
        format!("{lost} pictures and {untold} metrics of {} are missing", drawn.len())
    })?;
    Ok(json!({
        "pictures": drawn.len(),
        "metrics": told.len() * 3,
        "pictures_missing": lost,
        "metrics_missing": untold,
        "fps": rate(&pictures.packets),
    }))
}

/// All that a ring carried while it was listened to.
pub(super) struct Heard {
    reader: PacketReader,
    pub(super) packets: Vec<Packet>,
}

impl Heard {
    pub(super) fn of(project: &Project, ring: &str) -> Outcome<Self> {
        let name = Project::ring(ring)?;
        let options = PacketOptions { reader: "viewer".to_owned(), start: Start::Oldest };
        let attach = || PacketReader::attach(project.name(), &name, &options).ok();
        let (reader, _) = wait_for(60, ring, attach)?;
        Ok(Self { reader, packets: Vec::new() })
    }

    pub(super) fn listen(&mut self) -> Outcome<()> {
        loop {
            match self.reader.next(WAIT).map_err(Failure::new)? {
                Next::Item(packet) => self.packets.push(packet),
                Next::Overrun { missed } => {
                    return Err(Failure(format!("who looked was too slow for {missed} of them")));
                }
                _ => return Ok(()),
            }
        }
    }
}

/// The numbers of the pictures that packets were made of.
pub(super) fn sources(packets: &[Packet]) -> Outcome<Vec<u64>> {
    let source = |packet: &Packet| packet.meta.source.map(|id| id.sequence);
    let all: Option<Vec<u64>> = packets.iter().map(source).collect();
    all.ok_or_else(|| Failure::new("a slate was shown while pictures came"))
}

/// The numbers of the pictures that metrics are about.
pub(super) fn subjects(packets: &[Packet]) -> Outcome<Vec<u64>> {
    let subject = |packet: &Packet| {
        let record: Record = serde_json::from_slice(&packet.payload).map_err(Failure::new)?;
        let about = record.frame.filter(|_| record.data["energy"].is_number());
        about.map(|id| id.sequence).ok_or_else(|| Failure::new("a metric about no picture"))
    };
    packets.iter().map(subject).collect()
}

pub(super) fn holes(numbers: &[u64]) -> u64 {
    numbers.windows(2).map(|pair| pair[1].saturating_sub(pair[0] + 1)).sum()
}

/// Pictures a second, by when they were drawn.
pub(super) fn rate(packets: &[Packet]) -> f64 {
    let drawn = |packet: Option<&Packet>| packet.map_or(0, |packet| packet.meta.capture.mono.0);
    let span_ns = drawn(packets.last()).saturating_sub(drawn(packets.first())).max(1);
    let count = u32::try_from(packets.len().saturating_sub(1)).unwrap_or(u32::MAX);
    f64::from(count) / Duration::from_nanos(span_ns).as_secs_f64()
}
