//! The three readers of the Rust crate under one interface, so that [`crate::ring::Ring`] waits for
//! each in the same way.

use std::time::Duration;

use protocol::name::{ProjectName, RingKind, RingName};
use protocol::record::Record;
use pyo3::prelude::*;
use shmring::{
    Error, FrameOptions, FrameReader, FrameStart, Next, Packet, PacketOptions, PacketReader,
    Policy, Pollable, Semaphore, Start,
};

use crate::error::BadRecord;
use crate::frame::Frame;
use crate::packet;

/// A reader of some ring.
pub(crate) trait Source: Send {
    fn next(&mut self, wait: Duration) -> Result<Next<Item>, Error>;
    fn epoch(&self) -> u64;
    /// Items published and not yet taken.
    fn lag(&self) -> u64;
    fn writer_lives(&self) -> bool;
    /// The ring this one is made from.
    fn source_ring(&self) -> Option<&RingName>;
    fn semaphore(&self) -> Semaphore;
    fn pollable(&self) -> Result<Pollable, Error>;
}

/// What a reader gave.
pub(crate) enum Item {
    Frame(shmring::Frame),
    Packet(Packet),
    Record(Packet),
}

impl Item {
    pub(crate) fn into_python(
        self,
        py: Python<'_>,
        project: &ProjectName,
        ring: &RingName,
        missed: u64,
    ) -> PyResult<Py<PyAny>> {
        Ok(match self {
            Self::Frame(frame) => {
                Py::new(py, Frame::new(frame, project.clone(), missed))?.into_any()
            }
            Self::Packet(packet) => {
                Py::new(py, packet::Packet::new(py, ring.clone(), packet, missed))?.into_any()
            }
            Self::Record(packet) => {
                let record: Record = serde_json::from_slice(&packet.payload)
                    .map_err(|error| BadRecord::new_err(error.to_string()))?;
                Py::new(py, packet::Record::new(packet.sequence, packet.epoch, missed, record))?
                    .into_any()
            }
        })
    }
}

/// How a program wants to read.
pub(crate) struct Wish {
    pub(crate) reader: String,
    pub(crate) policy: Policy,
    pub(crate) max_fps: Option<u32>,
    pub(crate) every: u32,
    /// Only frames that need no other one.
    pub(crate) key_only: bool,
    /// Frames held at once.
    pub(crate) hold: Option<u32>,
    /// Epoch and sequence of the item to go on after.
    pub(crate) since: Option<(u64, u64)>,
}

impl Wish {
    /// Every item, at any rate.
    pub(crate) fn new(reader: String, policy: Policy) -> Self {
        Self { reader, policy, max_fps: None, every: 1, key_only: false, hold: None, since: None }
    }

    pub(crate) fn frame_options(&self) -> FrameOptions {
        let Self { policy, max_fps, every, key_only, .. } = *self;
        let after = |(epoch, sequence)| FrameStart::After { epoch, sequence };
        let start = self.since.map_or(FrameStart::Newest, after);
        let named = FrameOptions::named(&self.reader);
        let quota = self.hold.unwrap_or(named.quota);
        // Where a frame lies is asked when its bytes are.
        let on_device = true;
        FrameOptions { policy, quota, max_fps, every, key_only, start, on_device, ..named }
    }
}

/// Attaches as the ring's kind asks for. With the policy "latest" a packet ring begins at its newest
/// key packet and a record ring with what comes next, with "sequential" both at the oldest there is.
pub(crate) fn attach(
    project: &ProjectName,
    ring: &RingName,
    wish: &Wish,
) -> Result<Box<dyn Source>, Error> {
    let from = |newest| match (wish.since, wish.policy) {
        (Some((epoch, sequence)), _) => Start::After { epoch, sequence },
        (None, Policy::Latest) => newest,
        (None, Policy::Sequential) => Start::Oldest,
    };
    let log = |start| {
        let options = PacketOptions { reader: wish.reader.clone(), start };
        PacketReader::attach(project, ring, &options)
    };
    Ok(match ring.kind() {
        RingKind::Frames => Box::new(FrameReader::attach(project, ring, &wish.frame_options())?),
        RingKind::Packets => {
            Box::new(Log { reader: log(from(Start::NewestKey))?, item: Item::Packet })
        }
        RingKind::Events => Box::new(Log { reader: log(from(Start::Newest))?, item: Item::Record }),
    })
}

impl Source for FrameReader {
    fn next(&mut self, wait: Duration) -> Result<Next<Item>, Error> {
        Ok(map(Self::next(self, wait)?, Item::Frame))
    }

    fn epoch(&self) -> u64 {
        Self::epoch(self)
    }

    fn lag(&self) -> u64 {
        Self::lag(self)
    }

    fn writer_lives(&self) -> bool {
        Self::writer_lives(self)
    }

    fn source_ring(&self) -> Option<&RingName> {
        Self::source_ring(self)
    }

    fn semaphore(&self) -> Semaphore {
        Self::semaphore(self)
    }

    fn pollable(&self) -> Result<Pollable, Error> {
        Self::pollable(self)
    }
}

/// A packet ring, or a record ring, which is one whose payloads are records.
struct Log {
    reader: PacketReader,
    item: fn(Packet) -> Item,
}

impl Source for Log {
    fn next(&mut self, wait: Duration) -> Result<Next<Item>, Error> {
        Ok(map(self.reader.next(wait)?, self.item))
    }

    fn epoch(&self) -> u64 {
        self.reader.epoch()
    }

    fn lag(&self) -> u64 {
        self.reader.lag()
    }

    fn writer_lives(&self) -> bool {
        self.reader.writer_lives()
    }

    fn source_ring(&self) -> Option<&RingName> {
        None
    }

    fn semaphore(&self) -> Semaphore {
        self.reader.semaphore()
    }

    fn pollable(&self) -> Result<Pollable, Error> {
        self.reader.pollable()
    }
}

fn map<T>(next: Next<T>, item: impl FnOnce(T) -> Item) -> Next<Item> {
    match next {
        Next::Item(taken) => Next::Item(item(taken)),
        Next::Overrun { missed } => Next::Overrun { missed },
        Next::NewEpoch { epoch } => Next::NewEpoch { epoch },
        Next::Evicted { reason } => Next::Evicted { reason },
        Next::Quiet => Next::Quiet,
        Next::Ended => Next::Ended,
    }
}
