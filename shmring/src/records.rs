//! Record rings: packet rings whose payload is one JSON object in the envelope of
//! [`protocol::record::Record`].

use std::sync::Arc;
use std::time::Duration;

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::record::Record;
use protocol::time::{Stamp, UtcNs};

use crate::Next;
use crate::clock;
use crate::error::Error;
use crate::packets::{PacketMeta, PacketOptions, PacketReader, PacketWriter};
use crate::project;
use crate::signal::{Pollable, Semaphore, Shared, sealed};

/// Readers that a program's own ring has places for: nobody told it who will read.
const PLACES: u32 = 8;

/// The one writer of a record ring.
#[derive(Debug)]
pub struct RecordWriter(PacketWriter);

impl RecordWriter {
    pub fn create(project: &ProjectName, contract: &RingContract) -> Result<Self, Error> {
        PacketWriter::create(project, contract, &[]).map(Self)
    }

    /// The event ring that the supervisor gave this program, else `ext.PROGRAM.events` beside the topology.
    pub fn own(project: &ProjectName, program: &str) -> Result<Self, Error> {
        let ring = project::own_events(program)?;
        let contract = RingContract::new(ring, RingConfig::default(), PLACES);
        Self::create(project, &project::as_told(contract))
    }

    /// Appends a record; its sequence is the answer.
    pub fn emit(&mut self, record: &Record) -> Result<u64, Error> {
        let now = clock::now();
        let capture = Stamp { mono: now.mono, utc: UtcNs(record.time_utc_ns) };
        // Each record stands for itself, so a late reader may begin with any.
        let meta = PacketMeta { key: true, capture, ingest: now.mono, ..PacketMeta::default() };
        self.0.publish(&meta, &serde_json::to_vec(record)?)
    }

    pub fn finish(&mut self) {
        self.0.finish();
    }
}

/// A reader of records. What is no record of our envelope is an error of its writer, told as such.
#[derive(Debug)]
pub struct RecordReader(PacketReader);

impl RecordReader {
    pub fn attach(
        project: &ProjectName,
        ring: &RingName,
        options: &PacketOptions,
    ) -> Result<Self, Error> {
        PacketReader::attach(project, ring, options).map(Self)
    }

    /// As [`PacketReader::semaphore`].
    pub fn semaphore(&self) -> Semaphore {
        self.0.semaphore()
    }

    /// As [`PacketReader::pollable`].
    pub fn pollable(&self) -> Result<Pollable, Error> {
        self.0.pollable()
    }

    pub fn next(&mut self, wait: Duration) -> Result<Next<Record>, Error> {
        Ok(match self.0.next(wait)? {
            Next::Item(packet) => Next::Item(serde_json::from_slice(&packet.payload)?),
            Next::Overrun { missed } => Next::Overrun { missed },
            Next::Evicted { reason } => Next::Evicted { reason },
            Next::NewEpoch { epoch } => Next::NewEpoch { epoch },
            Next::Quiet => Next::Quiet,
            Next::Ended => Next::Ended,
        })
    }
}

impl sealed::Signalling for RecordReader {
    fn shared(&self) -> &Arc<Shared> {
        self.0.shared()
    }
}
