//! What two looks tell beside each other: rates, and what was lost between them. Pure.

use std::collections::BTreeMap;

use protocol::admin::{ReaderStatus, RingStatus, WorkerStatus};
use protocol::name::{RingName, WorkerName};
use protocol::time::MonoNs;
use serde::Serialize;

use super::super::rings::rate_between;
use super::super::table::real;
use super::feed::Look;

/// A line of the tree that has figures.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Worker(WorkerName),
    Ring(RingName),
}

/// Of a worker or a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Figures {
    /// Items a second: what it writes; of one that only reads, what it takes. `null` while unknown.
    pub(super) rate_hz: Option<f64>,
    /// Items that the slowest reader is behind; of a worker, that it is behind itself.
    pub(super) lag: u64,
    /// Items lost for it so far: missed by it, or by its ring's readers, or refused by its ring.
    pub(super) drops: u64,
    /// Of one processor, in percent.
    pub(super) cpu_percent: Option<f64>,
    pub(super) private_bytes: Option<u64>,
}

pub(super) fn figures(before: Option<&Look>, now: &Look) -> BTreeMap<Key, Figures> {
    let mut all = BTreeMap::new();
    for ring in &now.rings {
        all.insert(Key::Ring(ring.name.clone()), of_ring(before, now, ring));
    }
    for worker in &now.workers {
        all.insert(Key::Worker(worker.name.clone()), of_worker(before, now, worker));
    }
    all
}

fn of_ring(before: Option<&Look>, now: &Look, ring: &RingStatus) -> Figures {
    let missed: u64 = ring.readers.iter().map(|reader| reader.missed).sum();
    Figures {
        rate_hz: before.and_then(|old| ring_rate(old, now.at, ring)),
        lag: ring.readers.iter().map(|reader| reader.lag).max().unwrap_or(0),
        drops: missed.saturating_add(refused(ring)),
        ..Figures::default()
    }
}

fn ring_rate(before: &Look, at: MonoNs, ring: &RingStatus) -> Option<f64> {
    let old = before.rings.iter().find(|old| old.name == ring.name)?;
    rate_between((old, before.at), (ring, at))
}

/// Items its writer could not publish. What was copied is not lost; who was let go of has missed.
fn refused(ring: &RingStatus) -> u64 {
    ring.drops.no_slot.saturating_add(ring.drops.too_large)
}

fn of_worker(before: Option<&Look>, now: &Look, worker: &WorkerStatus) -> Figures {
    let output = now.graph.rings.iter().find(|ring| ring.writer == worker.name);
    let output = output.and_then(|edge| now.rings.iter().find(|ring| ring.name == edge.name));
    let readings: Vec<(&RingStatus, &ReaderStatus)> = readings(now, &worker.name).collect();
    let taken = || before.and_then(|old| taken_hz(old, now, &worker.name));
    let written = output.and_then(|ring| before.and_then(|old| ring_rate(old, now.at, ring)));
    let missed: u64 = readings.iter().map(|(_, reader)| reader.missed).sum();
    let usage = worker.pid.and_then(|pid| now.usage.get(&pid));
    Figures {
        rate_hz: if output.is_some() { written } else { taken() },
        lag: readings.iter().map(|(_, reader)| reader.lag).max().unwrap_or(0),
        drops: missed.saturating_add(output.map_or(0, refused)),
        cpu_percent: before.and_then(|old| cpu_percent(old, now, worker)),
        private_bytes: usage.map(|usage| usage.private_bytes),
    }
}

/// Where it is attached: built-in workers do so under their own names.
fn readings<'a>(
    look: &'a Look,
    worker: &'a WorkerName,
) -> impl Iterator<Item = (&'a RingStatus, &'a ReaderStatus)> {
    look.rings.iter().flat_map(move |ring| {
        let own = ring.readers.iter().filter(move |reader| reader.name == worker.as_str());
        own.map(move |reader| (ring, reader))
    })
}

fn taken_hz(before: &Look, now: &Look, worker: &WorkerName) -> Option<f64> {
    let seconds = now.at.saturating_since(before.at).as_secs_f64();
    let position = |(ring, reader): (&RingStatus, &ReaderStatus)| {
        ((ring.name.clone(), ring.epoch), ring.head.saturating_sub(reader.lag))
    };
    let old: BTreeMap<_, u64> = readings(before, worker).map(position).collect();
    let mut taken = None;
    for (ring, at) in readings(now, worker).map(position) {
        // A ring that has begun anew is counted from the next look on.
        if let Some(was) = old.get(&ring) {
            *taken.get_or_insert(0) += at.saturating_sub(*was);
        }
    }
    (seconds > 0.0).then_some(real(taken?) / seconds)
}

fn cpu_percent(before: &Look, now: &Look, worker: &WorkerStatus) -> Option<f64> {
    let pid = worker.pid?;
    let ms = now.usage.get(&pid)?.cpu_ms.checked_sub(before.usage.get(&pid)?.cpu_ms)?;
    let seconds = now.at.saturating_since(before.at).as_secs_f64();
    (seconds > 0.0).then_some(real(ms) / 10.0 / seconds)
}

/// What has been of late, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    pub(super) rate: Vec<u64>,
    pub(super) lag: Vec<u64>,
    /// Since the look before.
    pub(super) drops: Vec<u64>,
    dropped: Option<u64>,
}

/// Wider than any terminal.
const KEPT: usize = 300;

impl Series {
    pub(super) fn add(&mut self, figures: &Figures) {
        // Tenths, so that slow rings show a line too.
        let tenths = figures.rate_hz.unwrap_or(0.0) * 10.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is no negative number, and `as` keeps to the ends"
        )]
        push(&mut self.rate, tenths as u64);
        push(&mut self.lag, figures.lag);
        let before = self.dropped.replace(figures.drops).unwrap_or(figures.drops);
        push(&mut self.drops, figures.drops.saturating_sub(before));
    }
}

fn push(values: &mut Vec<u64>, value: u64) {
    if values.len() == KEPT {
        values.remove(0);
    }
    values.push(value);
}
