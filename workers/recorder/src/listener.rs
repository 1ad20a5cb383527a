//! The record rings that rules listen to: one thread reads them all, from the oldest record on, and tells
//! every camera's gate.
//!
//! What was heard before is heard again after a restart: gates say of a moment what they said of it then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::name::{ProjectName, RingName};
use protocol::record::Record;
use shmring::{Next, PacketOptions, Start, clock};
use worker::{Fault, PacketInput};

use crate::gate::Gates;

/// How often rings are looked at: an event is heard this late, which pre-roll makes up for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Of one ring in one turn; the others have theirs in between.
const RECORDS_A_TURN: usize = 1000;

/// The thread, and how far it is.
#[derive(Debug)]
pub struct Listener {
    places: Vec<Arc<Place>>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Place {
    epoch: AtomicU64,
    sequence: AtomicU64,
}

/// One ring that is listened to.
struct Ear {
    input: PacketInput,
    place: Arc<Place>,
    /// The last record that is none was told of.
    told: bool,
}

impl Listener {
    pub fn start(
        project: &ProjectName,
        reader: &str,
        rings: &[RingName],
        gates: Gates,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, Fault> {
        let mut ears: Vec<Ear> = rings.iter().map(|ring| Ear::at(project, reader, ring)).collect();
        let places = ears.iter().map(|ear| Arc::clone(&ear.place)).collect();
        let listen = move || {
            while !stop.load(Ordering::Acquire) {
                let mut at_ends = true;
                for ear in &mut ears {
                    at_ends &= ear.listen(&gates);
                }
                if at_ends {
                    gates.caught_up();
                }
                thread::sleep(LOOK_EVERY);
            }
        };
        let thread = thread::Builder::new().name("events".to_owned()).spawn(listen);
        let thread =
            thread.map_err(|error| Fault::unavailable(format!("no thread for events: {error}")))?;
        Ok(Self { places, thread })
    }

    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Epoch and sequence of the last record read of each ring.
    pub fn read(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.places.iter().map(|place| {
            (place.epoch.load(Ordering::Relaxed), place.sequence.load(Ordering::Relaxed))
        })
    }
}

impl Ear {
    fn at(project: &ProjectName, reader: &str, ring: &RingName) -> Self {
        // Behind nothing: the epoch before the present one too, while it is there.
        let start = Start::After { epoch: 0, sequence: 0 };
        let options = PacketOptions { reader: reader.to_owned(), start };
        let input = PacketInput::detached(project, ring, options);
        Self { input, place: Arc::default(), told: false }
    }

    /// Takes what there is; whether that was all.
    fn listen(&mut self, gates: &Gates) -> bool {
        for _ in 0..RECORDS_A_TURN {
            match self.input.poll(Duration::ZERO) {
                Ok(Some(Next::Item(packet))) => {
                    self.place.epoch.store(packet.epoch, Ordering::Relaxed);
                    self.place.sequence.store(packet.sequence, Ordering::Relaxed);
                    match serde_json::from_slice::<Record>(&packet.payload) {
                        Ok(record) => gates.hear(self.input.ring(), &record, clock::now().utc),
                        Err(error) => self.tell(&format!("holds what is no record: {error}")),
                    }
                }
                // Nothing is known of the epochs before the first one, so none is missed there.
                Ok(Some(Next::Overrun { missed: 0 } | Next::NewEpoch { .. })) => {}
                Ok(Some(Next::Overrun { missed })) => {
                    tracing::error!(ring = %self.input.ring(), missed, "events lost: overwritten before they were read");
                }
                Ok(Some(Next::Evicted { .. })) => {}
                Ok(Some(Next::Ended | Next::Quiet) | None) => return true,
                Err(fault) => {
                    self.tell(&fault.to_string());
                    return true;
                }
            }
        }
        false
    }

    /// Once, until it goes well again.
    fn tell(&mut self, trouble: &str) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::error!(ring = %self.input.ring(), "events are not heard: {trouble}");
        }
    }
}
