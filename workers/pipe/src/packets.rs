//! An elementary stream into a ring of packets.

use protocol::config::Coded;
use protocol::control::RingContract;
use protocol::name::ProjectName;
use protocol::stream::Track;
use protocol::time::{ClockSource, TimeBase};
use protocol::units::Size;
use shmring::{PacketMeta, PacketWriter, clock};
use worker::Fault;

use crate::pace::times;
use crate::units::{Splitter, Unit};

#[derive(Debug)]
pub(crate) struct Packets {
    project: ProjectName,
    contract: RingContract,
    coded: Coded,
    splitter: Splitter,
    /// Made when the stream can be described: at the first key picture.
    ring: Option<PacketWriter>,
    count: u64,
    gop: u64,
}

impl Packets {
    pub(crate) fn open(
        project: &ProjectName,
        coded: Coded,
        contract: &RingContract,
    ) -> Result<Self, Fault> {
        let unknown =
            || Fault::contract(format!("packets of {:?} cannot be told apart", coded.name));
        let splitter = Splitter::of(coded.name).ok_or_else(unknown)?;
        // No group's number comes twice, also after a start without a memory of earlier ones.
        let gop = if contract.gop_floor == 0 {
            clock::now().utc.0 / 1_000_000
        } else {
            contract.gop_floor
        };
        let (project, contract) = (project.clone(), contract.clone());
        Ok(Self { project, contract, coded, splitter, ring: None, count: 0, gop })
    }

    pub(crate) fn codec(&self) -> String {
        format!("{:?}", self.coded.name).to_lowercase()
    }

    /// Whether a key picture has come: before one, nobody could decode anything.
    pub(crate) fn has_begun(&self) -> bool {
        self.ring.is_some()
    }

    /// The units that these bytes complete.
    pub(crate) fn split(&mut self, bytes: &[u8], command: &str) -> Result<Vec<Unit>, Fault> {
        let codec = self.codec();
        self.splitter.push(bytes).map_err(|no| {
            Fault::failed(format!("{command}: its stdout is no {codec} stream: {}", no.0))
        })
    }

    /// The units that the end completes.
    pub(crate) fn rest(&mut self) -> Vec<Unit> {
        self.splitter.rest()
    }

    /// Its sequence; `None` for what comes before the first key picture.
    pub(crate) fn publish(&mut self, unit: &Unit) -> Result<Option<u64>, Fault> {
        if self.ring.is_none() && !unit.key {
            return Ok(None);
        }
        let first = self.ring.is_none();
        let track = self.track();
        let ring = match &mut self.ring {
            Some(ring) => ring,
            none => none.insert(PacketWriter::create(&self.project, &self.contract, &[track])?),
        };
        self.gop += u64::from(unit.key);
        let (pts_ns, duration_ns) = times(self.count, self.coded.fps);
        self.count += 1;
        let now = clock::now();
        let meta = PacketMeta {
            key: unit.key,
            discontinuity: first,
            pts_ns,
            dts_ns: pts_ns,
            duration_ns,
            capture: now,
            clock: ClockSource::Arrival,
            ingest: now.mono,
            gop_index: self.gop,
            ..PacketMeta::default()
        };
        Ok(Some(ring.publish(&meta, &unit.bytes)?))
    }

    fn track(&self) -> Track {
        let Coded { name: codec, size: Size { width, height }, fps } = self.coded;
        Track {
            codec,
            time_base: TimeBase { num: 1, den: 90_000 },
            width,
            height,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (fps, 1),
            extradata: self.splitter.extradata().to_vec(),
        }
    }

    /// Tells readers that the ring has ended.
    pub(crate) fn finish(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.finish();
        }
    }
}
