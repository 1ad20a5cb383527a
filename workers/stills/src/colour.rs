//! From the samples of a stream to the samples of a JPEG. JFIF knows one colour space: full range,
//! BT.601. Video is mostly limited range, and high definition is BT.709, so both are converted here,
//! without a detour through RGB. Pure.

use protocol::stream::{Colour, PixelFormat};

/// ISO/IEC 23091-2 code points (as FFmpeg's AVCOL_*).
const RANGE_LIMITED: u8 = 1;
const RANGE_FULL: u8 = 2;
const MATRIX_BT709: u8 = 1;
const MATRIX_UNSPECIFIED: u8 = 2;
/// Pictures taller than this are BT.709 when nothing is said: PAL, the tallest standard definition,
/// has 576 lines. The same guess as other players make.
const SD_MAX_HEIGHT: u32 = 576;

/// Q16 factors of the BT.709 to BT.601 change of basis on full-range samples; the luma row of both
/// matrices (0.2126, 0.7152, 0.0722 and 0.299, 0.587, 0.114) gives them.
mod q16 {
    pub(super) const Y_FROM_CB: i32 = 6_657;
    pub(super) const Y_FROM_CR: i32 = 12_850;
    pub(super) const CB_FROM_CB: i32 = 64_871;
    pub(super) const CB_FROM_CR: i32 = -7_252;
    pub(super) const CR_FROM_CB: i32 = -4_748;
    pub(super) const CR_FROM_CR: i32 = 64_448;
}

/// How one stream's samples become a JPEG's.
#[derive(Clone, Debug)]
pub struct ToJpeg {
    luma: [u8; 256],
    chroma: [u8; 256],
    bt709: bool,
}

impl ToJpeg {
    /// A gray picture is full range unless it says otherwise, as everywhere.
    pub fn new(format: PixelFormat, colour: Colour, height: u32) -> Self {
        let full = match format {
            PixelFormat::Gray8 => colour.range != RANGE_LIMITED,
            _ => colour.range == RANGE_FULL,
        };
        let scale = |value: usize, low: i32, span: i32, middle: i32| {
            let value = i32::try_from(value).unwrap_or(255);
            let scaled = (value - low) * 255 * 2 + span;
            clamp(scaled.div_euclid(span * 2) + middle)
        };
        let table = |low, span, middle| {
            std::array::from_fn(|v| {
                if full { u8::try_from(v).unwrap_or(u8::MAX) } else { scale(v, low, span, middle) }
            })
        };
        Self {
            luma: table(16, 219, 0),
            chroma: table(128, 224, 128),
            bt709: is_bt709(colour.matrix, height),
        }
    }

    pub fn luma(&self, sample: u8) -> u8 {
        self.luma[usize::from(sample)]
    }

    /// One pixel's Y, Cb, Cr.
    pub fn pixel(&self, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let (y, cb, cr) =
            (self.luma(y), self.chroma[usize::from(cb)], self.chroma[usize::from(cr)]);
        if !self.bt709 {
            return [y, cb, cr];
        }
        let (b, r) = (i32::from(cb) - 128, i32::from(cr) - 128);
        let mix = |from_cb: i32, from_cr: i32| (b * from_cb + r * from_cr + (1 << 15)) >> 16;
        [
            clamp(i32::from(y) + mix(q16::Y_FROM_CB, q16::Y_FROM_CR)),
            clamp(128 + mix(q16::CB_FROM_CB, q16::CB_FROM_CR)),
            clamp(128 + mix(q16::CR_FROM_CB, q16::CR_FROM_CR)),
        ]
    }
}

fn is_bt709(matrix: u8, height: u32) -> bool {
    match matrix {
        MATRIX_BT709 => true,
        MATRIX_UNSPECIFIED => height > SD_MAX_HEIGHT,
        _ => false,
    }
}

fn clamp(value: i32) -> u8 {
    u8::try_from(value.clamp(0, 255)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YUV: PixelFormat = PixelFormat::Yuv420p;

    fn limited(matrix: u8) -> Colour {
        Colour { range: RANGE_LIMITED, matrix, ..Colour::default() }
    }

    #[test]
    fn limited_range_black_and_white_become_full_range() {
        let to = ToJpeg::new(YUV, limited(6), 480);
        assert_eq!(to.pixel(16, 128, 128), [0, 128, 128]);
        assert_eq!(to.pixel(235, 128, 128), [255, 128, 128]);
        assert_eq!(to.pixel(0, 16, 240), [0, 1, 255]);
    }

    #[test]
    fn full_range_passes_through() {
        let colour = Colour { range: RANGE_FULL, matrix: 6, ..Colour::default() };
        let to = ToJpeg::new(YUV, colour, 480);
        for v in 0..=255 {
            assert_eq!(to.pixel(v, v, v), [v, v, v]);
        }
    }

    #[test]
    fn gray_without_a_word_of_its_range_is_full() {
        let luma = |range| {
            let colour = Colour { range, ..Colour::default() };
            ToJpeg::new(PixelFormat::Gray8, colour, 480).luma(16)
        };
        assert_eq!([0, RANGE_LIMITED, RANGE_FULL].map(luma), [16, 0, 16]);
    }

    #[test]
    fn bt709_red_becomes_bt601_red() {
        // Pure red: (63, 102, 240) in limited BT.709, (76, 85, 255) in JFIF.
        let [y, cb, cr] = ToJpeg::new(YUV, limited(MATRIX_BT709), 480).pixel(63, 102, 240);
        assert!(y.abs_diff(76) <= 1 && cb.abs_diff(85) <= 1 && cr >= 254, "{y} {cb} {cr}");
    }

    #[test]
    fn high_definition_without_a_word_is_bt709() {
        let grey =
            |height| ToJpeg::new(YUV, limited(MATRIX_UNSPECIFIED), height).pixel(100, 90, 200);
        assert_ne!(grey(480), grey(1080));
        let colour = limited(MATRIX_BT709);
        assert_eq!(grey(1080), ToJpeg::new(YUV, colour, 480).pixel(100, 90, 200));
    }
}
