//! An elementary stream into a ring of packets.

use protocol::config::Coded;
use protocol::control::RingContract;
use protocol::name::ProjectName;
use protocol::stream::Track;
use protocol::time::{ClockSource, TimeBase};
use protocol::units::Size;
use shmring::{Error, PacketMeta, PacketWriter, clock};
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
    /// Why a unit was lost; what follows refers to it, up to the next key picture that passes.
    lost: Option<String>,
}

/// What became of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// Its sequence.
    As(u64),
    /// Nobody could decode it: no key picture came before.
    LeftOut,
    /// The ring could not hold it, or one that it refers to.
    Lost { why: String },
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
        let (ring, count, lost) = (None, 0, None);
        Ok(Self { project, contract, coded, splitter, ring, count, gop, lost })
    }

    pub(crate) fn codec(&self) -> String {
        format!("{:?}", self.coded.name).to_lowercase()
    }

    /// Whether a key picture has come: before one, nobody could decode anything.
    pub(crate) fn has_begun(&self) -> bool {
        self.ring.is_some()
    }

    pub(crate) fn reorders(&self) -> bool {
        self.splitter.reorders()
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

    pub(crate) fn publish(&mut self, unit: &Unit) -> Result<Published, Fault> {
        if self.ring.is_none() && !unit.key {
            return Ok(Published::LeftOut);
        }
        if let Some(why) = self.lost.as_ref().filter(|_| !unit.key) {
            // Its time passes all the same.
            self.count += 1;
            return Ok(Published::Lost { why: why.clone() });
        }
        let joins = self.ring.is_none() || self.lost.is_some();
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
            discontinuity: joins,
            pts_ns,
            dts_ns: pts_ns,
            duration_ns,
            capture: now,
            clock: ClockSource::Arrival,
            ingest: now.mono,
            gop_index: self.gop,
            ..PacketMeta::default()
        };
        match ring.publish(&meta, &unit.bytes) {
            Ok(sequence) => {
                self.lost = None;
                Ok(Published::As(sequence))
            }
            Err(error @ (Error::PacketTooLarge { .. } | Error::NoSpace { .. })) => {
                // Once: the sizes that follow differ.
                let why = self.lost.get_or_insert_with(|| {
                    tracing::error!("packets are lost: {error}");
                    error.to_string()
                });
                Ok(Published::Lost { why: why.clone() })
            }
            Err(error) => Err(error.into()),
        }
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

#[cfg(test)]
mod tests {
    use protocol::config::RingConfig;
    use protocol::stream::Codec;
    use shmring::{census, size};

    use super::*;

    #[test]
    fn a_picture_that_the_ring_cannot_hold_is_told_and_the_next_key_picture_goes_on() {
        let project: ProjectName = format!("pipe{}", std::process::id()).parse().unwrap();
        let contract = RingContract::new("film.packets".parse().unwrap(), RingConfig::default(), 1);
        let too_large = usize::try_from(size::log_bytes(&contract)).unwrap() + 1;
        let size = Size { width: 64, height: 64 };
        let coded = Coded { name: Codec::Mjpeg, size, fps: 25 };
        let mut packets = Packets::open(&project, coded, &contract).unwrap();
        let seen = [(false, 9), (true, 9), (false, too_large), (false, 9), (true, 9), (false, 9)]
            .map(|(key, bytes)| packets.publish(&Unit { bytes: vec![0; bytes], key }).unwrap());
        drop(packets);
        census::sweep_unowned(&project);
        let [before, first, lost, behind, next, last] = seen;
        assert!(matches!(&lost, Published::Lost { why } if why.contains("at most")));
        assert_eq!(lost, behind, "with the reason of the first");
        assert_eq!([before, first], [Published::LeftOut, Published::As(1)]);
        assert_eq!([next, last], [Published::As(2), Published::As(3)]);
    }
}
