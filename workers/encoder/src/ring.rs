//! The ring that is written: there once its tracks are known, a new epoch for each of the source.

use protocol::control::RingContract;
use protocol::name::RingName;
use protocol::stream::Track;
use protocol::time::UtcNs;
use shmring::{Error, PacketMeta, PacketWriter};
use worker::{Context, Fault};

use crate::gate::Gate;

#[derive(Debug)]
pub(crate) struct Out {
    contract: RingContract,
    ring: Option<PacketWriter>,
    line: Line,
}

impl Out {
    pub(crate) fn new(contract: RingContract, now: UtcNs) -> Self {
        // Above every group that this ring had, and without any knowledge of one above what any camera
        // reaches.
        let gop = if contract.gop_floor == 0 { now.0 / 1_000_000 } else { contract.gop_floor };
        Self { contract, ring: None, line: Line { gop, ..Line::default() } }
    }

    pub(crate) fn name(&self) -> &RingName {
        &self.contract.name
    }

    pub(crate) fn is_there(&self) -> bool {
        self.ring.is_some()
    }

    /// Why nothing can be published now: the ring could not hold a packet, and no key picture has come since.
    pub(crate) fn lost(&self) -> Option<&str> {
        self.line.lost.as_deref()
    }

    /// What flows from here on; `origin` is the ring that sources of packets are places in.
    pub(crate) fn describe(
        &mut self,
        tracks: &[Track],
        origin: &RingName,
        cx: &Context,
    ) -> Result<(), Fault> {
        if let Some(ring) = &mut self.ring {
            return Ok(ring.set_tracks(tracks)?);
        }
        let mut ring =
            PacketWriter::create_from(cx.project(), &self.contract, tracks, Some(origin))?;
        ring.while_waiting(cx.while_waiting());
        tracing::debug!(epoch = ring.epoch(), "ring {} is there", ring.ring());
        self.ring = Some(ring);
        Ok(())
    }

    /// `has_video`: groups begin with key pictures of track 0.
    pub(crate) fn publish(
        &mut self,
        meta: &PacketMeta,
        payload: &[u8],
        has_video: bool,
        cx: &Context,
    ) -> Result<(), Fault> {
        let Some(ring) = &mut self.ring else { return Ok(()) };
        match self.line.publish(ring, meta, payload, has_video)? {
            Some(sequence) => cx.made(sequence),
            None => cx.missed(1),
        }
        Ok(())
    }

    /// Without a word to readers: another epoch follows.
    pub(crate) fn let_go(&mut self) {
        self.ring = None;
    }

    /// Nothing follows, until the source goes on.
    pub(crate) fn finish(&mut self) {
        if let Some(mut ring) = self.ring.take() {
            ring.finish();
        }
    }
}

/// What goes into the ring, one after the other, also across epochs.
#[derive(Debug, Default)]
struct Line {
    /// Group of pictures.
    gop: u64,
    /// Closed behind a packet that the ring could not hold: what follows refers to it.
    gate: Gate,
    /// Why that one was lost; `None` once a packet has passed again.
    lost: Option<String>,
}

impl Line {
    /// The packet's sequence; `None` of one that is lost, or of no use without one that is.
    fn publish(
        &mut self,
        ring: &mut PacketWriter,
        meta: &PacketMeta,
        payload: &[u8],
        has_video: bool,
    ) -> Result<Option<u64>, Error> {
        let begins_group = has_video && meta.key && meta.track == 0;
        let Some(joint) = self.gate.pass(begins_group || !has_video) else { return Ok(None) };
        self.gop += u64::from(begins_group);
        let discontinuity = meta.discontinuity || joint;
        let meta = PacketMeta { gop_index: self.gop, discontinuity, ..*meta };
        match ring.publish(&meta, payload) {
            Ok(sequence) => {
                self.lost = None;
                Ok(Some(sequence))
            }
            Err(error @ (Error::PacketTooLarge { .. } | Error::NoSpace { .. })) => {
                self.gate.close();
                // Once: the sizes that follow differ.
                self.lost.get_or_insert_with(|| {
                    tracing::error!("packets are lost: {error}");
                    error.to_string()
                });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::config::RingConfig;
    use protocol::name::ProjectName;
    use protocol::stream::Codec;
    use protocol::time::TimeBase;
    use shmring::{census, size};

    use super::*;

    const TRACK: Track = Track {
        codec: Codec::Mjpeg,
        time_base: TimeBase::VIDEO_90K,
        width: 64,
        height: 64,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: Vec::new(),
    };

    #[test]
    fn a_packet_that_the_ring_cannot_hold_is_lost_with_what_refers_to_it_and_the_worker_lives() {
        let project: ProjectName = format!("line{}", std::process::id()).parse().unwrap();
        let contract = RingContract::new("film.packets".parse().unwrap(), RingConfig::default(), 1);
        let mut ring = PacketWriter::create(&project, &contract, &[TRACK]).unwrap();
        let too_large = vec![0; usize::try_from(size::log_bytes(&contract)).unwrap() + 1];
        let mut line = Line::default();
        let mut published = |key: bool, payload: &[u8]| {
            let meta = PacketMeta { key, ..PacketMeta::default() };
            let sequence = line.publish(&mut ring, &meta, payload, true).unwrap();
            (sequence, line.lost.is_some(), line.gop)
        };
        let seen = [
            published(true, b"key"),
            published(false, &too_large),
            published(false, b"refers to it"),
            published(true, &too_large),
            published(true, b"key"),
            published(false, b"goes on"),
        ];
        drop(ring);
        census::sweep_unowned(&project);
        let (lost, flows) = (true, false);
        let expected = [
            (Some(1), flows, 1),
            (None, lost, 1),
            (None, lost, 1),
            (None, lost, 2),
            (Some(2), flows, 3),
            (Some(3), flows, 3),
        ];
        assert_eq!(seen, expected);
    }
}
