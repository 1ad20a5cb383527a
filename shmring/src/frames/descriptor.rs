//! The 256 bytes that describe a published picture or tensor. Pure.

use protocol::stream::{Colour, DType, PixelFormat};
use protocol::time::{ClockSource, MonoNs, Stamp, UtcNs};

use super::{Content, FrameMeta, Picture, PlaneLayout, Tensor};
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
    /// Whether every visible row of every plane, or every element, lies in the slot.
    pub(crate) fn fits(&self) -> bool {
        self.meta.content.misfit(self.slot_bytes).is_none()
    }
}

/// The descriptor's bytes, its sequence word left 0: the writer stores that one last.
pub(crate) fn encode(
    token: u64,
    slot_bytes: u64,
    published: MonoNs,
    meta: &FrameMeta,
) -> [u8; at::BYTES] {
    let mut bytes = [0; at::BYTES];
    match &meta.content {
        Content::Picture(picture) => put_picture(&mut bytes, picture),
        Content::Tensor(tensor) => put_tensor(&mut bytes, tensor),
    }
    put(&mut bytes, at::AT_FLAGS, &[flags(meta)]);
    put(&mut bytes, at::AT_CLOCK, &[meta.clock as u32]);
    bytes[at::AT_USER..].copy_from_slice(&meta.user);
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

fn flags(meta: &FrameMeta) -> u32 {
    let flags = [
        (meta.key, flag::KEY),
        (meta.discontinuity, flag::DISCONTINUITY),
        (meta.corrupt, flag::CORRUPT),
        (meta.copied, flag::COPIED),
        (meta.format_change, flag::FORMAT_CHANGE),
    ];
    flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit)
}

fn put_picture(bytes: &mut [u8; at::BYTES], picture: &Picture) {
    let Picture { width, height, format, colour, planes } = picture;
    put(bytes, at::AT_FORMAT, &[*format as u32]);
    put(bytes, at::AT_PLANES, &[u32::try_from(format.planes()).unwrap_or(0)]);
    put(bytes, at::AT_WIDTH, &[*width]);
    put(bytes, at::AT_HEIGHT, &[*height]);
    put(bytes, at::AT_PLANE_OFFSETS, &planes.map(|plane| plane.offset));
    put(bytes, at::AT_LINESIZES, &planes.map(|plane| plane.linesize));
    let Colour { range, matrix, primaries, transfer } = *colour;
    bytes[at::AT_COLOUR..at::AT_COLOUR + 4].copy_from_slice(&[range, matrix, primaries, transfer]);
}

fn put_tensor(bytes: &mut [u8; at::BYTES], tensor: &Tensor) {
    put(bytes, at::AT_FORMAT, &[at::TENSOR]);
    put(bytes, at::AT_DTYPE, &[tensor.dtype as u32]);
    put(bytes, at::AT_AXES, &[u32::try_from(tensor.shape().len()).unwrap_or(0)]);
    put(bytes, at::AT_SHAPE, tensor.shape());
    put(bytes, at::AT_STRIDES, tensor.strides());
    put(bytes, at::AT_OFFSET, &[tensor.offset]);
}

fn put(bytes: &mut [u8; at::BYTES], place: usize, halves: &[u32]) {
    for (bytes, half) in bytes[place..].chunks_exact_mut(4).zip(halves) {
        bytes.copy_from_slice(&half.to_le_bytes());
    }
}

/// `None` for bytes with an unknown pixel format or element type, or more axes than there are.
pub(crate) fn decode(bytes: &[u8; at::BYTES]) -> Option<Described> {
    let half = |place| get(bytes, place);
    let word =
        |place: usize| u64::from_le_bytes(bytes[place..place + 8].try_into().unwrap_or_default());
    let flags = half(at::AT_FLAGS);
    let source =
        SourceId { epoch: word(at::AT_SOURCE_EPOCH), sequence: word(at::AT_SOURCE_SEQUENCE) };
    let meta = FrameMeta {
        content: match half(at::AT_FORMAT) {
            at::TENSOR => Content::Tensor(decode_tensor(bytes)?),
            _ => Content::Picture(decode_picture(bytes)?),
        },
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
        format_change: flags & flag::FORMAT_CHANGE != 0,
        gop_index: word(at::AT_GOP),
        user: bytes[at::AT_USER..].try_into().ok()?,
    };
    Some(Described {
        sequence: word(at::AT_SEQUENCE),
        token: word(at::AT_TOKEN),
        slot_bytes: word(at::AT_SLOT_BYTES),
        published: MonoNs(word(at::AT_PUBLISHED_NS)),
        meta,
    })
}

fn decode_picture(bytes: &[u8; at::BYTES]) -> Option<Picture> {
    let &[range, matrix, primaries, transfer] =
        bytes[at::AT_COLOUR..].first_chunk().unwrap_or(&[0; 4]);
    Some(Picture {
        width: get(bytes, at::AT_WIDTH),
        height: get(bytes, at::AT_HEIGHT),
        format: PixelFormat::from_code(get(bytes, at::AT_FORMAT))?,
        colour: Colour { range, matrix, primaries, transfer },
        planes: std::array::from_fn(|plane| PlaneLayout {
            offset: get(bytes, at::AT_PLANE_OFFSETS + plane * 4),
            linesize: get(bytes, at::AT_LINESIZES + plane * 4),
        }),
    })
}

fn decode_tensor(bytes: &[u8; at::BYTES]) -> Option<Tensor> {
    let list =
        |place| -> [u32; at::AXES_MAX] { std::array::from_fn(|axis| get(bytes, place + axis * 4)) };
    let axes = get(bytes, at::AT_AXES) as usize;
    Tensor::strided(
        DType::from_code(get(bytes, at::AT_DTYPE))?,
        list(at::AT_SHAPE).get(..axes)?,
        list(at::AT_STRIDES).get(..axes)?,
        get(bytes, at::AT_OFFSET),
    )
}

fn get(bytes: &[u8; at::BYTES], place: usize) -> u32 {
    u32::from_le_bytes(bytes[place..place + 4].try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gray(width: u32, height: u32, linesize: u32) -> FrameMeta {
        let packed = Picture::packed(8, 8, PixelFormat::Gray8, 1).unwrap();
        let mut planes = packed.planes;
        planes[0] = PlaneLayout { offset: 64, linesize };
        meta(Picture { width, height, planes, ..packed })
    }

    fn meta(content: impl Into<Content>) -> FrameMeta {
        FrameMeta {
            pts_ns: -5,
            duration_ns: 40,
            clock: ClockSource::Camera,
            ingest: MonoNs(1),
            decoded: MonoNs(2),
            source: Some(SourceId { epoch: 3, sequence: 4 }),
            key: true,
            discontinuity: true,
            copied: true,
            format_change: true,
            gop_index: 12,
            user: std::array::from_fn(|place| u8::try_from(place).unwrap()),
            ..FrameMeta::of(content)
        }
    }

    #[test]
    fn a_descriptor_reads_back_as_written() {
        let tensor = Tensor::strided(DType::Bf16, &[2, 3, 5], &[96, 32, 4], 62).unwrap();
        for meta in [gray(640, 480, 704), meta(tensor)] {
            let described = decode(&encode(77, 1 << 20, MonoNs(9), &meta)).unwrap();
            assert_eq!(described.meta, meta);
            assert_eq!((described.token, described.published), (77, MonoNs(9)));
            assert!(described.fits());
        }
    }

    #[test]
    fn a_content_that_leaves_its_slot_does_not_fit() {
        let described =
            |meta: FrameMeta, bytes| decode(&encode(1, bytes, MonoNs(0), &meta)).unwrap();
        assert!(described(gray(8, 2, 8), 64 + 16).fits());
        assert!(!described(gray(8, 2, 8), 64 + 15).fits());
        assert!(!described(gray(8, 2, 7), 1000).fits(), "rows overlap");
        assert!(!described(gray(0, 2, 8), 1000).fits(), "empty");
        assert!(!described(gray(u32::MAX, u32::MAX, u32::MAX), u64::from(u32::MAX)).fits());
        let tensor = meta(Tensor::dense(DType::F32, &[4, 4]).unwrap());
        assert!(described(tensor, 64).fits() && !described(tensor, 63).fits());
    }

    #[test]
    fn an_unknown_format_or_element_type_is_no_descriptor() {
        let mut bytes = encode(1, 64, MonoNs(0), &meta(Tensor::dense(DType::U8, &[64]).unwrap()));
        put(&mut bytes, at::AT_AXES, &[7]);
        assert_eq!(decode(&bytes), None);
        put(&mut bytes, at::AT_AXES, &[1]);
        put(&mut bytes, at::AT_DTYPE, &[0x0540]);
        assert_eq!(decode(&bytes), None);
        put(&mut bytes, at::AT_FORMAT, &[at::TENSOR + 1]);
        assert_eq!(decode(&bytes), None);
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
        fn a_scribbled_picture_never_passes_the_slot(bytes in scribbled(), slot in 0u64..1 << 24) {
            let Some(mut described) = decode(&bytes) else { return Ok(()) };
            described.slot_bytes = slot;
            if described.fits() {
                let Content::Picture(picture) = described.meta.content else { return Ok(()) };
                for plane in 0..picture.format.planes() {
                    let extent = picture.format.plane_extent(plane, picture.width, picture.height);
                    let layout = picture.planes[plane];
                    let end = u64::from(layout.offset)
                        + u64::from(layout.linesize) * u64::from(extent.rows - 1)
                        + u64::from(extent.row_bytes);
                    prop_assert!(end <= slot && extent.row_bytes <= layout.linesize);
                }
            }
        }
    }
}
