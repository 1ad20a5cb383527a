//! A fragment before it is bytes: consecutive packets of one ring and epoch.

use protocol::name::RingName;
use protocol::time::UtcNs;

use crate::origin::{Origin, OriginFlags};

/// One packet of a carried track, as it lay in the ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Index into the ring's tracks.
    pub track: u32,
    pub key: bool,
    pub pts_ns: i64,
    pub dts_ns: i64,
    /// 0 when unknown. Used for the last sample of a track only: elsewhere the next one tells.
    pub duration_ns: i64,
    /// H.264, H.265: Annex B. AV1: low-overhead units. All else raw.
    pub payload: Vec<u8>,
}

/// The packet behind a fragment, which ends the last sample of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextDecode {
    pub track: u32,
    pub dts_ns: i64,
}

/// Collects packets without a hole in their sequence.
#[derive(Clone, Debug)]
pub struct Fragment {
    origin: Origin,
    samples: Vec<Sample>,
    payload_bytes: usize,
}

impl Fragment {
    /// An empty fragment whose first packet will be `first`.
    pub fn new(
        ring: &RingName,
        epoch: u64,
        first: u64,
        capture: UtcNs,
        flags: OriginFlags,
    ) -> Self {
        let ring = ring.clone();
        let origin = Origin { ring, epoch, first, capture, flags, packets: Vec::new() };
        Self { origin, samples: Vec::new(), payload_bytes: 0 }
    }

    /// Takes the next packet. Its track must be one the movie carries.
    pub fn push(&mut self, sample: Sample) {
        self.origin.packets.push(Some(u8::try_from(sample.track).unwrap_or(u8::MAX)));
        self.payload_bytes += sample.payload.len();
        self.samples.push(sample);
    }

    /// Counts the next packet without taking it.
    pub fn leave_out(&mut self) {
        self.origin.packets.push(None);
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }
}
