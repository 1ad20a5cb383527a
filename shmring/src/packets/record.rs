//! The record header of the packet log, and where records lie. Pure.

use protocol::time::{ClockSource, MonoNs, Stamp, UtcNs};

use super::PacketMeta;
use crate::SourceId;
use crate::layout::{flag, record};

/// A decoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Record {
        sequence: u64,
        payload: Payload,
        published: MonoNs,
        meta: PacketMeta,
    },
    /// Nothing up to the log's end.
    Pad,
}

/// Where a record's payload lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Behind its header.
    Inside { bytes: u32 },
    /// In a segment of its own.
    Apart { segment: u32, bytes: u64 },
}

impl Payload {
    /// Bytes its record takes in the log.
    pub(crate) fn footprint(self) -> usize {
        let inside = match self {
            Self::Inside { bytes } => bytes as usize,
            Self::Apart { .. } => 0,
        };
        (record::HEADER + inside + record::TAIL).next_multiple_of(record::ALIGN)
    }
}

pub(crate) fn encode(
    sequence: u64,
    payload: Payload,
    published: MonoNs,
    meta: &PacketMeta,
) -> [u8; record::HEADER] {
    let mut bytes = [0; record::HEADER];
    let flags = [
        (meta.key, flag::KEY),
        (meta.discontinuity, flag::DISCONTINUITY),
        (meta.corrupt, flag::CORRUPT),
    ];
    let flags = flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit);
    let source = meta.source.unwrap_or(SourceId { epoch: 0, sequence: 0 });
    let (inside, segment, apart) = match payload {
        Payload::Inside { bytes } => (bytes, 0, 0),
        Payload::Apart { segment, bytes } => (0, segment, bytes),
    };
    for (at, half) in [
        (record::AT_TYPE, record::RECORD),
        (record::AT_PAYLOAD_BYTES, inside),
        (record::AT_SEGMENT, segment),
        (record::AT_TRACK, meta.track),
        (record::AT_FLAGS, flags),
        (record::AT_CLOCK, meta.clock as u32),
    ] {
        bytes[at..at + 4].copy_from_slice(&half.to_le_bytes());
    }
    for (at, word) in [
        (record::AT_SEQUENCE, sequence),
        (record::AT_PTS_NS, meta.pts_ns.cast_unsigned()),
        (record::AT_DTS_NS, meta.dts_ns.cast_unsigned()),
        (record::AT_DURATION_NS, meta.duration_ns.cast_unsigned()),
        (record::AT_CAPTURE_MONO_NS, meta.capture.mono.0),
        (record::AT_CAPTURE_UTC_NS, meta.capture.utc.0),
        (record::AT_INGEST_NS, meta.ingest.0),
        (record::AT_PUBLISHED_NS, published.0),
        (record::AT_GOP, meta.gop_index),
        (record::AT_SOURCE_EPOCH, source.epoch),
        (record::AT_SOURCE_SEQUENCE, source.sequence),
        (record::AT_SEGMENT_BYTES, apart),
    ] {
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// A pad's header.
pub(crate) fn pad() -> [u8; record::HEADER] {
    let mut bytes = [0; record::HEADER];
    bytes[record::AT_TYPE..record::AT_TYPE + 4].copy_from_slice(&record::PAD.to_le_bytes());
    bytes
}

/// `None` for bytes that are no header: a torn copy, or a writer that broke its word.
pub(crate) fn decode(bytes: &[u8; record::HEADER]) -> Option<Header> {
    let half = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    match half(record::AT_TYPE) {
        record::PAD => return Some(Header::Pad),
        record::RECORD => {}
        _ => return None,
    }
    let flags = half(record::AT_FLAGS);
    let source = SourceId {
        epoch: word(record::AT_SOURCE_EPOCH),
        sequence: word(record::AT_SOURCE_SEQUENCE),
    };
    let meta = PacketMeta {
        track: half(record::AT_TRACK),
        key: flags & flag::KEY != 0,
        discontinuity: flags & flag::DISCONTINUITY != 0,
        corrupt: flags & flag::CORRUPT != 0,
        pts_ns: word(record::AT_PTS_NS).cast_signed(),
        dts_ns: word(record::AT_DTS_NS).cast_signed(),
        duration_ns: word(record::AT_DURATION_NS).cast_signed(),
        capture: Stamp {
            mono: MonoNs(word(record::AT_CAPTURE_MONO_NS)),
            utc: UtcNs(word(record::AT_CAPTURE_UTC_NS)),
        },
        clock: if half(record::AT_CLOCK) == 1 { ClockSource::Camera } else { ClockSource::Arrival },
        ingest: MonoNs(word(record::AT_INGEST_NS)),
        gop_index: word(record::AT_GOP),
        source: (source.epoch != 0).then_some(source),
    };
    Some(Header::Record {
        sequence: word(record::AT_SEQUENCE),
        payload: match (half(record::AT_SEGMENT), half(record::AT_PAYLOAD_BYTES)) {
            (0, bytes) => Payload::Inside { bytes },
            (segment, 0) => Payload::Apart { segment, bytes: word(record::AT_SEGMENT_BYTES) },
            _ => return None,
        },
        published: MonoNs(word(record::AT_PUBLISHED_NS)),
        meta,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payloads() -> impl Strategy<Value = Payload> {
        prop_oneof![
            any::<u32>().prop_map(|bytes| Payload::Inside { bytes }),
            (1u32.., any::<u64>()).prop_map(|(segment, bytes)| Payload::Apart { segment, bytes }),
        ]
    }

    proptest! {
        #[test]
        fn a_header_reads_back_as_written(sequence: u64, pts_ns: i64, key: bool, payload in payloads(), epoch in 1u64..) {
            let source = Some(SourceId { epoch, sequence: 9 });
            let meta = PacketMeta { pts_ns, key, source, ..PacketMeta::default() };
            let decoded = decode(&encode(sequence, payload, MonoNs(7), &meta));
            let expected = Header::Record { sequence, payload, published: MonoNs(7), meta };
            prop_assert_eq!(decoded, Some(expected));
        }

        #[test]
        fn random_bytes_are_a_header_or_none(bytes: [u8; 128]) {
            let _ = decode(&bytes);
        }
    }
}
