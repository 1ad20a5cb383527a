//! Packet rings: a byte log of encoded packets, copied out and then validated.
//!
//! Positions are free-running u64 byte counts; `position % log_bytes` is the place in the log.
//! `floor <= position < head position` for every record that may be read, and
//! `head position - floor <= log_bytes` always.

mod apart;
mod cursor;
mod floor;
mod log;
mod reader;
mod record;
mod writer;

pub use reader::{PacketOptions, PacketReader, Start};
pub use writer::PacketWriter;

use protocol::name::RingName;
use protocol::stream::FrameId;
use protocol::time::{ClockSource, MonoNs, Stamp};

use crate::SourceId;

/// What is known of a packet beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketMeta {
    /// Index into the ring's tracks.
    pub track: u32,
    /// Decoding can start here.
    pub key: bool,
    /// Times or content do not continue what came before.
    pub discontinuity: bool,
    pub corrupt: bool,
    pub pts_ns: i64,
    pub dts_ns: i64,
    pub duration_ns: i64,
    /// When the picture was taken, on the clock `clock` names.
    pub capture: Stamp,
    pub clock: ClockSource,
    /// When ingest had the whole packet.
    pub ingest: MonoNs,
    /// Group of pictures, counted across epochs.
    pub gop_index: u64,
    /// The packet this one was made from, or was before it was recorded and replayed; `None` when this
    /// ring is the source.
    pub source: Option<SourceId>,
}

/// A packet, copied out of the ring and proven whole.
#[derive(Clone, Debug)]
pub struct Packet {
    pub epoch: u64,
    /// Counted from 1 in each epoch, over all tracks.
    pub sequence: u64,
    pub meta: PacketMeta,
    pub published: MonoNs,
    pub payload: Vec<u8>,
}

impl Packet {
    /// Its identity: the packet it was made from, or was before it was recorded and replayed, else its place in
    /// `ring`, which it was read from. A replay writes only the ring that was recorded
    /// (`framevisor replay`), so both are of that ring.
    pub fn frame_id(&self, ring: &RingName) -> FrameId {
        let own = SourceId { epoch: self.epoch, sequence: self.sequence };
        let SourceId { epoch, sequence } = self.meta.source.unwrap_or(own);
        FrameId { ring: ring.clone(), epoch, sequence }
    }
}
