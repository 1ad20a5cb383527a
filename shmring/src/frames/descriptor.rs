//! The 256 bytes that describe a published picture. Pure.

use protocol::stream::{Colour, PixelFormat};
use protocol::time::{ClockSource, MonoNs, Stamp, UtcNs};

use super::{FrameMeta, PlaneLayout};
use crate::SourceId;
use crate::layout::{descriptor as at, flag};

/// A decoded descriptor; nothing of it is believed before [`Described::fits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) sequence: u64,
    pub(crate) token: u64,
    pub(crate) slot_bytes: u64,
    pub(crate) published: MonoNs,
    pub(crate) meta: FrameMeta,
}

impl Described {
    /// Whether every visible row of every plane lies in the slot.
    pub(crate) fn fits(&self) -> bool {
        (0..self.meta.format.planes()).all(|plane| plane_fits(&self.meta, plane, self.slot_bytes))
    }
}

/// Beyond any picture, and low enough that no row of any format overflows a u32.
const SIDE_MAX: u32 = 1 << 16;

pub(crate) fn plane_fits(meta: &FrameMeta, plane: usize, slot_bytes: u64) -> bool {
    if meta.width > SIDE_MAX || meta.height > SIDE_MAX {
        return false;
    }
    let extent = meta.format.plane_extent(plane, meta.width, meta.height);
    let layout = meta.planes[plane];
    let sane = extent.rows > 0 && extent.row_bytes > 0 && layout.linesize >= extent.row_bytes;
    let last_row = u64::from(layout.linesize) * u64::from(extent.rows.saturating_sub(1));
    sane && u64::from(layout.offset) + last_row + u64::from(extent.row_bytes) <= slot_bytes
}

/// The descriptor's bytes, its sequence word left 0: the writer stores that one last.
pub(crate) fn encode(
    token: u64,
    slot_bytes: u64,
    published: MonoNs,
    meta: &FrameMeta,
) -> [u8; at::BYTES] {
    let mut bytes = [0; at::BYTES];
    for (place, half) in halves(meta) {
        bytes[place..place + 4].copy_from_slice(&half.to_le_bytes());
    }
    for (plane, layout) in meta.planes.iter().enumerate() {
        let offset = at::AT_PLANE_OFFSETS + plane * 4;
        let linesize = at::AT_LINESIZES + plane * 4;
        bytes[offset..offset + 4].copy_from_slice(&layout.offset.to_le_bytes());
        bytes[linesize..linesize + 4].copy_from_slice(&layout.linesize.to_le_bytes());
    }
    let colour = meta.colour;
    bytes[at::AT_COLOUR..at::AT_COLOUR + 4].copy_from_slice(&[
        colour.range,
        colour.matrix,
        colour.primaries,
        colour.transfer,
    ]);
    let source = meta.source.unwrap_or(SourceId { epoch: 0, sequence: 0 });
    for (place, word) in [
        (at::AT_TOKEN, token),
        (at::AT_PTS_NS, meta.pts_ns.cast_unsigned()),
        (at::AT_DURATION_NS, meta.duration_ns.cast_unsigned()),
        (at::AT_CAPTURE_MONO_NS, meta.capture.mono.0),
        (at::AT_CAPTURE_UTC_NS, meta.capture.utc.0),
        (at::AT_INGEST_NS, meta.ingest.0),
        (at::AT_DECODED_NS, meta.decoded.0),
        (at::AT_PUBLISHED_NS, published.0),
        (at::AT_SOURCE_EPOCH, source.epoch),
        (at::AT_SOURCE_SEQUENCE, source.sequence),
        (at::AT_SLOT_BYTES, slot_bytes),
        (at::AT_GOP, meta.gop_index),
    ] {
        bytes[place..place + 8].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn halves(meta: &FrameMeta) -> [(usize, u32); 6] {
    let flags = [
        (meta.key, flag::KEY),
        (meta.discontinuity, flag::DISCONTINUITY),
        (meta.corrupt, flag::CORRUPT),
        (meta.copied, flag::COPIED),
    ];
    let flags = flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit);
    [
        (at::AT_FLAGS, flags),
        (at::AT_PLANES, u32::try_from(meta.format.planes()).unwrap_or(0)),
        (at::AT_FORMAT, meta.format as u32),
        (at::AT_WIDTH, meta.width),
        (at::AT_HEIGHT, meta.height),
        (at::AT_CLOCK, meta.clock as u32),
    ]
}

/// `None` for bytes with an unknown pixel format.
pub(crate) fn decode(bytes: &[u8; at::BYTES]) -> Option<Described> {
    let half =
        |place: usize| u32::from_le_bytes(bytes[place..place + 4].try_into().unwrap_or_default());
    let word =
        |place: usize| u64::from_le_bytes(bytes[place..place + 8].try_into().unwrap_or_default());
    let flags = half(at::AT_FLAGS);
    let colour = &bytes[at::AT_COLOUR..at::AT_COLOUR + 4];
    let source =
        SourceId { epoch: word(at::AT_SOURCE_EPOCH), sequence: word(at::AT_SOURCE_SEQUENCE) };
    let plane = |number: usize| PlaneLayout {
        offset: half(at::AT_PLANE_OFFSETS + number * 4),
        linesize: half(at::AT_LINESIZES + number * 4),
    };
    let meta = FrameMeta {
        width: half(at::AT_WIDTH),
        height: half(at::AT_HEIGHT),
        format: PixelFormat::from_code(half(at::AT_FORMAT))?,
        colour: Colour {
            range: colour[0],
            matrix: colour[1],
            primaries: colour[2],
            transfer: colour[3],
        },
        planes: [plane(0), plane(1), plane(2), plane(3)],
        pts_ns: word(at::AT_PTS_NS).cast_signed(),
        duration_ns: word(at::AT_DURATION_NS).cast_signed(),
        capture: Stamp {
            mono: MonoNs(word(at::AT_CAPTURE_MONO_NS)),
            utc: UtcNs(word(at::AT_CAPTURE_UTC_NS)),
        },
        clock: if half(at::AT_CLOCK) == 1 { ClockSource::Camera } else { ClockSource::Arrival },
        ingest: MonoNs(word(at::AT_INGEST_NS)),
        decoded: MonoNs(word(at::AT_DECODED_NS)),
        source: (source.epoch != 0).then_some(source),
        key: flags & flag::KEY != 0,
        corrupt: flags & flag::CORRUPT != 0,
        discontinuity: flags & flag::DISCONTINUITY != 0,
        copied: flags & flag::COPIED != 0,
        gop_index: word(at::AT_GOP),
    };
    Some(Described {
        sequence: word(at::AT_SEQUENCE),
        token: word(at::AT_TOKEN),
        slot_bytes: word(at::AT_SLOT_BYTES),
        published: MonoNs(word(at::AT_PUBLISHED_NS)),
        meta,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gray(width: u32, height: u32, linesize: u32) -> FrameMeta {
        FrameMeta {
            width,
            height,
            format: PixelFormat::Gray8,
            colour: Colour::default(),
            planes: [
                PlaneLayout { offset: 64, linesize },
                PlaneLayout::default(),
                PlaneLayout::default(),
                PlaneLayout::default(),
            ],
            pts_ns: -5,
            duration_ns: 40,
            capture: Stamp::default(),
            clock: ClockSource::Camera,
            ingest: MonoNs(1),
            decoded: MonoNs(2),
            source: Some(SourceId { epoch: 3, sequence: 4 }),
            key: true,
            corrupt: false,
            discontinuity: true,
            copied: true,
            gop_index: 12,
        }
    }

    #[test]
    fn a_descriptor_reads_back_as_written() {
        let meta = gray(640, 480, 704);
        let described = decode(&encode(77, 1 << 20, MonoNs(9), &meta)).unwrap();
        assert_eq!((described.meta, described.token, described.published), (meta, 77, MonoNs(9)));
        assert!(described.fits());
    }

    #[test]
    fn a_picture_that_leaves_its_slot_does_not_fit() {
        let described =
            |meta: FrameMeta, bytes| decode(&encode(1, bytes, MonoNs(0), &meta)).unwrap();
        assert!(described(gray(8, 2, 8), 64 + 16).fits());
        assert!(!described(gray(8, 2, 8), 64 + 15).fits());
        assert!(!described(gray(8, 2, 7), 1000).fits(), "rows overlap");
        assert!(!described(gray(0, 2, 8), 1000).fits(), "empty");
        assert!(!described(gray(u32::MAX, u32::MAX, u32::MAX), u64::from(u32::MAX)).fits());
    }

    /// Random bytes of which the format is one that exists: others are refused at once.
    fn scribbled() -> impl Strategy<Value = [u8; at::BYTES]> {
        let bytes = proptest::collection::vec(any::<u8>(), at::BYTES);
        let small = proptest::collection::vec(0u32..2000, 10);
        (bytes, small, 0u32..12, any::<[bool; 10]>()).prop_map(|(bytes, small, format, tame)| {
            let mut all = <[u8; at::BYTES]>::try_from(bytes).unwrap();
            let offsets = (0..4).map(|plane| at::AT_PLANE_OFFSETS + plane * 4);
            let linesizes = (0..4).map(|plane| at::AT_LINESIZES + plane * 4);
            let places = [at::AT_WIDTH, at::AT_HEIGHT].into_iter().chain(offsets).chain(linesizes);
            // Wild numbers alone would never come near to fitting.
            for ((place, value), _) in places.zip(small).zip(tame).filter(|(_, tame)| *tame) {
                all[place..place + 4].copy_from_slice(&value.to_le_bytes());
            }
            all[at::AT_FORMAT..at::AT_FORMAT + 4].copy_from_slice(&format.to_le_bytes());
            all
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn a_scribbled_descriptor_never_passes_the_slot(bytes in scribbled(), slot in 0u64..1 << 24) {
            let Some(mut described) = decode(&bytes) else { return Ok(()) };
            described.slot_bytes = slot;
            if described.fits() {
                let meta = described.meta;
                for plane in 0..meta.format.planes() {
                    let extent = meta.format.plane_extent(plane, meta.width, meta.height);
                    let layout = meta.planes[plane];
                    let end = u64::from(layout.offset)
                        + u64::from(layout.linesize) * u64::from(extent.rows - 1)
                        + u64::from(extent.row_bytes);
                    prop_assert!(end <= slot && extent.row_bytes <= layout.linesize);
                }
            }
        }
    }
}
