//! The `uuid` box before each `moof`: which packets of which ring the fragment holds.
//!
//! The byte table is in `docs/recording.md`. All numbers are big-endian, as everywhere in MP4.

use protocol::name::RingName;
use protocol::time::UtcNs;

/// Type of the box; drawn once for framevisor.
pub const FRAGMENT_UUID: [u8; 16] = [
    0xe2, 0x07, 0xab, 0x95, 0x52, 0x46, 0x4b, 0xfa, 0x8f, 0x2c, 0x7a, 0xae, 0x6f, 0x57, 0x75, 0xec,
];
const VERSION: u8 = 1;
/// Size, `uuid` and the type.
pub(crate) const HEADER_BYTES: usize = 24;
/// Bytes of the body before the ring's name.
const FIXED_BYTES: usize = 32;
/// The checksum, last in the body.
pub(crate) const CRC_BYTES: usize = 4;
/// In place of a track: the packet was read and is not in the file.
const LEFT_OUT: u8 = 0xff;

/// What a fragment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub ring: RingName,
    pub epoch: u64,
    /// Sequence of the first packet; the others follow without a hole.
    pub first: u64,
    /// Capture time of the first packet.
    pub capture: UtcNs,
    pub flags: OriginFlags,
    /// Track of each packet in the ring's order; `None` for one that was left out of the file.
    pub packets: Vec<Option<u8>>,
}

/// Length of the box of a fragment that covers so many packets of a ring.
pub fn origin_bytes(ring: &RingName, packets: u64) -> u64 {
    let fixed = HEADER_BYTES + FIXED_BYTES + ring.as_str().len() + CRC_BYTES;
    packets.saturating_add(fixed as u64)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OriginFlags {
    /// The first packet does not continue what stands before it.
    pub discontinuity: bool,
    /// `capture` is the camera's own clock, not the time of arrival.
    pub camera_clock: bool,
    /// What lies between it and what stands before it was not to be recorded.
    pub paused: bool,
}

impl Origin {
    /// Sequence of the last packet.
    pub fn last(&self) -> u64 {
        self.first.saturating_add(self.packets.len() as u64).saturating_sub(1)
    }

    /// Sequences of the packets that are in the file.
    pub fn recorded(&self) -> impl Iterator<Item = u64> + '_ {
        let numbered = (self.first..).zip(&self.packets);
        numbered.filter_map(|(sequence, track)| track.map(|_| sequence))
    }

    /// The whole box but its checksum, which covers the body up to itself and what follows the box.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let name = self.ring.as_str().as_bytes();
        let bytes = HEADER_BYTES + FIXED_BYTES + name.len() + self.packets.len() + CRC_BYTES;
        let OriginFlags { discontinuity, camera_clock, paused } = self.flags;
        let flags = u8::from(discontinuity) | u8::from(camera_clock) << 1 | u8::from(paused) << 2;
        let mut body = Vec::with_capacity(bytes);
        body.extend(u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes());
        body.extend(b"uuid");
        body.extend(FRAGMENT_UUID);
        body.extend([VERSION, flags]);
        body.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
        body.extend(u32::try_from(self.packets.len()).unwrap_or(u32::MAX).to_be_bytes());
        body.extend(self.epoch.to_be_bytes());
        body.extend(self.first.to_be_bytes());
        body.extend(self.capture.0.to_be_bytes());
        body.extend(name);
        body.extend(self.packets.iter().map(|track| track.unwrap_or(LEFT_OUT)));
        body
    }

    /// Reads the body of a `uuid` box, type included. `None` when it is not ours or makes no sense.
    pub(crate) fn decode(body: &[u8]) -> Option<(Self, u32)> {
        let ours = body.strip_prefix(&FRAGMENT_UUID)?;
        let (fixed, rest) = ours.split_first_chunk::<FIXED_BYTES>()?;
        if fixed[0] != VERSION {
            return None;
        }
        let name_bytes = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        let count = u32::from_be_bytes(fixed[4..8].try_into().ok()?) as usize;
        let (name, rest) = rest.split_at_checked(name_bytes)?;
        let (tracks, crc) = rest.split_at_checked(count)?;
        let word = |at: usize| Some(u64::from_be_bytes(fixed[at..at + 8].try_into().ok()?));
        let origin = Self {
            ring: std::str::from_utf8(name).ok()?.parse().ok()?,
            epoch: word(8)?,
            first: word(16)?,
            capture: UtcNs(word(24)?),
            flags: OriginFlags {
                discontinuity: fixed[1] & 1 != 0,
                camera_clock: fixed[1] & 2 != 0,
                paused: fixed[1] & 4 != 0,
            },
            packets: tracks.iter().map(|&track| (track != LEFT_OUT).then_some(track)).collect(),
        };
        let makes_sense = count > 0 && origin.first.checked_add(count as u64).is_some();
        makes_sense.then_some((origin, u32::from_be_bytes(crc.try_into().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn origin() -> Origin {
        Origin {
            ring: "cam1.packets".parse().unwrap(),
            epoch: 0x0102_0304,
            first: 7,
            capture: UtcNs(9),
            flags: OriginFlags { discontinuity: true, camera_clock: false, paused: true },
            packets: vec![Some(0), Some(1), None, Some(0)],
        }
    }

    #[test]
    fn the_bytes_of_the_box_never_change() {
        let bytes = origin().encode();
        assert_eq!(bytes.len() + CRC_BYTES, 76);
        assert_eq!(origin_bytes(&origin().ring, 4), 76);
        assert_eq!(&bytes[..8], b"\0\0\0\x4cuuid");
        assert_eq!(bytes[24..32], [1, 5, 0, 12, 0, 0, 0, 4]);
        assert_eq!(
            bytes[32..56],
            [0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9]
        );
        assert_eq!(&bytes[56..], b"cam1.packets\x00\x01\xff\x00");
    }

    #[test]
    fn the_box_reads_back_as_written() {
        let mut bytes = origin().encode();
        bytes.extend(5u32.to_be_bytes());
        assert_eq!(Origin::decode(&bytes[8..]), Some((origin(), 5)));
        assert_eq!(origin().recorded().collect::<Vec<_>>(), [7, 8, 10]);
        assert_eq!(origin().last(), 10);
    }

    proptest! {
        #[test]
        fn random_bodies_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = Origin::decode(&[&FRAGMENT_UUID[..], &tail].concat());
        }
    }
}
