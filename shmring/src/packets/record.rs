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
        payload_bytes: usize,
        published: MonoNs,
        meta: PacketMeta,
    },
    /// Nothing up to the log's end.
    Pad,
}

/// Bytes a record with this payload takes in the log.
pub(crate) fn footprint(payload_bytes: usize) -> usize {
    (record::HEADER + payload_bytes + record::TAIL).next_multiple_of(record::ALIGN)
}

pub(crate) fn encode(
    sequence: u64,
    payload_bytes: u32,
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
    for (at, half) in [
        (record::AT_TYPE, record::RECORD),
        (record::AT_PAYLOAD_BYTES, payload_bytes),
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
        payload_bytes: half(record::AT_PAYLOAD_BYTES) as usize,
        published: MonoNs(word(record::AT_PUBLISHED_NS)),
        meta,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_header_reads_back_as_written(sequence: u64, pts_ns: i64, key: bool, payload_bytes: u32, epoch in 1u64..) {
            let source = Some(SourceId { epoch, sequence: 9 });
            let meta = PacketMeta { pts_ns, key, source, ..PacketMeta::default() };
            let decoded = decode(&encode(sequence, payload_bytes, MonoNs(7), &meta));
            let expected = Header::Record { sequence, payload_bytes: payload_bytes as usize, published: MonoNs(7), meta };
            prop_assert_eq!(decoded, Some(expected));
        }

        #[test]
        fn random_bytes_are_a_header_or_none(bytes: [u8; 128]) {
            let _ = decode(&bytes);
        }
    }
}
