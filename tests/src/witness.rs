//! An independent reader of packet rings: what it saw published is what must be in the files.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::name::{ProjectName, RingName};
use shmring::{Next, PacketOptions, Start};
use worker::PacketInput;

use crate::{Failure, Outcome};

/// How often a ring is looked into. Nobody is to spend anything on waking a witness.
const LOOK: Duration = Duration::from_millis(20);

/// (epoch, sequence) of packets, in order.
type Packets = Vec<(u64, u64)>;

/// What a witness saw published, by ring.
#[derive(Debug)]
pub struct Published(BTreeMap<RingName, Outcome<Packets>>);

impl Published {
    /// The packets of every ring. Fails when the witness missed some: nothing is proven then.
    pub fn packets(&self) -> Outcome<BTreeMap<&RingName, &Packets>> {
        let whole = |(ring, seen)| -> Outcome<_> {
            Ok((ring, Outcome::as_ref(seen).map_err(Failure::clone)?))
        };
        self.0.iter().map(whole).collect()
    }
}

/// Reads rings in threads of its own until they end or it is asked to stop.
#[derive(Debug)]
pub struct Witness {
    stop: Arc<AtomicBool>,
    seen: Arc<AtomicU64>,
    /// What each took its writer, of all rings, in us: from the call that publishes to being there.
    costs_us: Arc<Mutex<Vec<f64>>>,
    readers: Vec<(RingName, JoinHandle<Outcome<Packets>>)>,
}

impl Witness {
    pub fn start(project: &ProjectName, rings: &[RingName]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(AtomicU64::new(0));
        let costs_us = Arc::<Mutex<Vec<f64>>>::default();
        let watch = |ring: &RingName| {
            let options = PacketOptions { reader: "witness".into(), start: Start::Oldest };
            let input = PacketInput::detached(project, ring, options);
            let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
            let costs_us = Arc::clone(&costs_us);
            (ring.clone(), thread::spawn(move || read(input, &stop, &seen, &costs_us)))
        };
        let readers = rings.iter().map(watch).collect();
        Self { stop, seen, costs_us, readers }
    }

    /// Packets seen so far, all rings together.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// What publishing took since the last call, in us a packet.
    pub fn take_costs_us(&self) -> Vec<f64> {
        std::mem::take(&mut *self.costs_us.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Drains the rings to their end and tells what was published.
    pub fn finish(self) -> Published {
        self.stop.store(true, Ordering::Release);
        let join = |(ring, reader): (RingName, JoinHandle<_>)| {
            let seen = reader.join().unwrap_or_else(|_| Err(Failure::new("the witness panicked")));
            let seen = seen.map_err(|failure| Failure(format!("witness of {ring}: {failure}")));
            (ring, seen)
        };
        Published(self.readers.into_iter().map(join).collect())
    }
}

fn read(
    mut input: PacketInput,
    stop: &AtomicBool,
    seen: &AtomicU64,
    costs_us: &Mutex<Vec<f64>>,
) -> Outcome<Packets> {
    let mut packets = Vec::new();
    loop {
        let asked_to_stop = stop.load(Ordering::Acquire);
        match input.poll(Duration::ZERO) {
            Ok(Some(Next::Item(packet))) => {
                packets.push((packet.epoch, packet.sequence));
                seen.fetch_add(1, Ordering::Relaxed);
                let took = packet.published.saturating_since(packet.meta.ingest);
                let mut costs_us = costs_us.lock().unwrap_or_else(PoisonError::into_inner);
                costs_us.push(took.as_secs_f64() * 1e6);
            }
            Ok(Some(Next::Ended)) if asked_to_stop => return Ok(packets),
            Ok(Some(Next::Quiet) | None) if asked_to_stop => return Ok(packets),
            Ok(Some(Next::Ended | Next::Quiet) | None) => thread::sleep(LOOK),
            Ok(Some(Next::Overrun { missed })) => {
                return Err(Failure(format!("it was too slow and missed {missed} packets")));
            }
            Ok(_) => {}
            Err(fault) => return Err(Failure::new(fault)),
        }
    }
}
