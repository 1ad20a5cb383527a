//! The ring that is written: there once its tracks are known, a new epoch for each of the source.

use protocol::control::RingContract;
use protocol::name::RingName;
use protocol::stream::Track;
use protocol::time::UtcNs;
use shmring::{PacketMeta, PacketWriter};
use worker::{Context, Fault};

#[derive(Debug)]
pub(crate) struct Out {
    contract: RingContract,
    ring: Option<PacketWriter>,
    /// Group of pictures, counted across epochs.
    gop: u64,
}

impl Out {
    pub(crate) fn new(contract: RingContract, now: UtcNs) -> Self {
        // Above every group that this ring had, and without any knowledge of one above what any camera
        // reaches.
        let gop = if contract.gop_floor == 0 { now.0 / 1_000_000 } else { contract.gop_floor };
        Self { contract, ring: None, gop }
    }

    pub(crate) fn name(&self) -> &RingName {
        &self.contract.name
    }

    pub(crate) fn is_there(&self) -> bool {
        self.ring.is_some()
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
        if has_video && meta.key && meta.track == 0 {
            self.gop += 1;
        }
        let meta = PacketMeta { gop_index: self.gop, ..*meta };
        cx.made(ring.publish(&meta, payload)?);
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
