//! Where a picture's planes lie in one block of memory, and how many blocks a decoder holds. Pure.

use protocol::stream::{Codec, PixelFormat};

/// Planes start at multiples of this: the widest vector of any CPU FFmpeg knows (AVX-512), in bytes.
pub(super) const PLANE_ALIGN_BYTES: usize = 64;
/// Decoders read and write a little past a plane's end, as FFmpeg's own allocator allows for.
const OVERRUN_BYTES: usize = 16 + PLANE_ALIGN_BYTES - 1;

/// A picture's planes inside one block; only the first `format.planes()` entries count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockLayout {
    pub(super) bytes: usize,
    pub(super) offsets: [usize; 4],
    pub(super) linesizes: [usize; 4],
}

/// The layout for decoding a picture of `width` x `height`, both already as the decoder wants them.
/// Linesizes are those that FFmpeg's own allocator would choose, because some decoders refuse a
/// stream whose linesize changes, and a picture on the heap may follow one in lent memory.
pub(super) fn block_layout(
    format: PixelFormat,
    width: u32,
    height: u32,
    linesize_align: [u32; 4],
) -> BlockLayout {
    let mut width = width;
    while !is_aligned(format, width, linesize_align) {
        width += width & width.wrapping_neg(); // up to the next multiple of twice its lowest bit
    }
    let mut layout = BlockLayout { bytes: 0, offsets: [0; 4], linesizes: [0; 4] };
    for plane in 0..format.planes() {
        let extent = format.plane_extent(plane, width, height);
        let linesize = extent.row_bytes as usize;
        layout.offsets[plane] = layout.bytes;
        layout.linesizes[plane] = linesize;
        let plane_bytes = linesize * extent.rows as usize + OVERRUN_BYTES;
        layout.bytes += plane_bytes.next_multiple_of(PLANE_ALIGN_BYTES);
    }
    layout
}

fn is_aligned(format: PixelFormat, width: u32, linesize_align: [u32; 4]) -> bool {
    (0..format.planes()).all(|plane| {
        let linesize = format.plane_extent(plane, width, 1).row_bytes;
        linesize.is_multiple_of(linesize_align[plane].max(1))
    })
}

/// Blocks that a decoder may hold at once: its reference and reordered pictures, the one in the
/// caller's hand, and one for each thread beyond the first. Measured with FFmpeg 5.1: a camera's
/// H.264 with one reference 2, High profile with 4 references 5, 16 references 17; H.264 with
/// pictures that nothing refers to one more, because the last picture is kept for concealment.
pub(super) fn decoder_slots(codec: Codec, references: u32, reordered: u32, threads: u32) -> u32 {
    let kept = references.max(reordered);
    let kept = match codec {
        Codec::H264 => kept + 1,
        // FFmpeg does not tell how many pictures an H.265 stream keeps; 6 is the standard's limit
        // for a level used at its full size (A.4.2).
        Codec::H265 => kept.max(6),
        Codec::Mpeg4 => kept.max(2),
        Codec::Vp8 => kept.max(4),
        Codec::Vp9 | Codec::Av1 => kept.max(8),
        // Sound keeps nothing; it is decoded elsewhere.
        _ => kept,
    };
    kept + 1 + threads.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_full_hd_picture_takes_the_bytes_that_were_measured() {
        // FFmpeg 5.1 asks for 1920 x 1090 when it decodes 1080p H.264.
        let layout = block_layout(PixelFormat::Yuv420p, 1920, 1090, [64, 32, 32, 64]);
        assert_eq!(layout.linesizes[..3], [1920, 960, 960]);
        assert_eq!(layout.bytes.next_multiple_of(4096), 3_141_632);
    }

    #[test]
    fn a_width_of_no_round_number_widens_its_lines() {
        let layout = block_layout(PixelFormat::Yuv420p, 1296, 722, [64, 64, 64, 64]);
        assert_eq!(layout.linesizes[..3], [1408, 704, 704]);
    }

    #[test]
    fn the_slots_cover_those_that_were_measured() {
        for (references, threads, measured) in
            [(1, 1, 2), (4, 1, 5), (4, 2, 6), (4, 4, 8), (16, 1, 17), (16, 4, 20)]
        {
            let announced = decoder_slots(Codec::H264, references, 2.min(references), threads);
            assert!((measured..=measured + 1).contains(&announced));
        }
        for (codec, measured) in
            [(Codec::H265, 6), (Codec::Mpeg4, 3), (Codec::Vp9, 4), (Codec::Mjpeg, 1)]
        {
            assert!(decoder_slots(codec, 0, 0, 1) >= measured);
        }
    }

    proptest! {
        #[test]
        fn planes_never_overlap_and_hold_every_row(
            format in (1u32..=8).prop_map(|code| PixelFormat::from_code(code).unwrap()),
            width in 1u32..9000, height in 1u32..9000, shift in 0u32..7,
        ) {
            let layout = block_layout(format, width, height, [1 << shift; 4]);
            let mut end = 0;
            for plane in 0..format.planes() {
                let extent = format.plane_extent(plane, width, height);
                prop_assert!(layout.offsets[plane] >= end);
                prop_assert!(layout.linesizes[plane] >= extent.row_bytes as usize);
                prop_assert_eq!(layout.offsets[plane] % PLANE_ALIGN_BYTES, 0);
                end = layout.offsets[plane] + layout.linesizes[plane] * extent.rows as usize;
            }
            prop_assert!(end <= layout.bytes);
        }
    }
}
