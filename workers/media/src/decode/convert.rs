//! Formats the ring has no code for (10 bits, 4:1:1, ...) into yuv420p.

use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling::{self, context::Definition};
use ffmpeg_next::{Error, ffi, frame};
use protocol::stream::{Colour, PixelFormat};

use crate::still::{MATRIX_BT601, RANGE_FULL, RANGE_LIMITED, UNCHANGED};

/// Keeps the conversion that the last picture needed.
#[derive(Default)]
pub(super) struct Converter {
    context: Option<scaling::Context>,
}

impl Converter {
    pub(super) const FORMAT: PixelFormat = PixelFormat::Yuv420p;

    /// The picture, and what its colours say now that before said `colour`.
    pub(super) fn convert(
        &mut self,
        picture: &frame::Video,
        colour: Colour,
    ) -> Result<(frame::Video, Colour), Error> {
        let from = Definition {
            format: picture.format(),
            width: picture.width(),
            height: picture.height(),
        };
        let context = match self.context.take().filter(|kept| *kept.input() == from) {
            Some(kept) => self.context.insert(kept),
            None => self.context.insert(context_for(&from)?),
        };
        let mut converted = frame::Video::empty();
        context.run(picture, &mut converted)?;
        Ok((converted, colour_after(picture.format(), colour)))
    }
}

/// YUV stays what it was; gray is of full range unless it says otherwise, and says so from here on.
fn colour_after(format: Pixel, colour: Colour) -> Colour {
    if is_rgb(format) {
        // swscale's own choice where it is told nothing.
        return Colour { range: RANGE_LIMITED, matrix: MATRIX_BT601, ..colour };
    }
    let is_gray = format.descriptor().is_some_and(|descriptor| descriptor.nb_components() < 3);
    match colour.range {
        RANGE_FULL | RANGE_LIMITED => colour,
        _ if is_gray => Colour { range: RANGE_FULL, ..colour },
        _ => colour,
    }
}

fn is_rgb(format: Pixel) -> bool {
    format.descriptor().is_some_and(|descriptor| {
        // SAFETY: descriptors are constants of FFmpeg's.
        let flags = unsafe { (*descriptor.as_ptr()).flags };
        flags & u64::from((ffi::AV_PIX_FMT_FLAG_RGB | ffi::AV_PIX_FMT_FLAG_PAL).cast_unsigned())
            != 0
    })
}

fn context_for(from: &Definition) -> Result<scaling::Context, Error> {
    let mut context = scaling::Context::get(
        from.format,
        from.width,
        from.height,
        Pixel::YUV420P,
        from.width,
        from.height,
        scaling::Flags::BILINEAR,
    )?;
    keep_colour(&mut context, from.format);
    Ok(context)
}

/// Else swscale takes some formats (4:4:0, 4:1:1, gray) for full range by their names, and squeezes them.
fn keep_colour(context: &mut scaling::Context, from: Pixel) {
    // SAFETY: a table of constants for any number, of static life.
    let table = unsafe { ffi::sws_getCoefficients(i32::from(MATRIX_BT601)) };
    // The same on both sides changes nothing; RGB has its own, and becomes limited.
    let range = i32::from(!is_rgb(from));
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { context.as_mut_ptr() };
    // SAFETY: the context is live and ours, the table has the four values it reads. It answers -1 for
    // formats without a matrix, which then need none.
    unsafe {
        ffi::sws_setColorspaceDetails(pointer, table, range, table, range, 0, UNCHANGED, UNCHANGED)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of one value in each sample of 8 bits, or of two bytes, converted: luma, and what it says.
    fn converted(format: Pixel, sample: &[u8], said: Colour) -> (u8, Colour) {
        crate::init();
        let mut picture = frame::Video::new(format, 32, 32);
        for plane in 0..picture.planes() {
            picture
                .data_mut(plane)
                .chunks_exact_mut(sample.len())
                .for_each(|at| at.copy_from_slice(sample));
        }
        let (made, colour) = Converter::default().convert(&picture, said).unwrap();
        assert_eq!(made.format(), Pixel::YUV420P);
        (made.data(0)[0], colour)
    }

    #[test]
    fn yuv_keeps_its_samples_and_what_it_says() {
        let full = Colour { range: RANGE_FULL, matrix: 5, ..Colour::default() };
        for format in [Pixel::YUVJ440P, Pixel::YUVJ411P] {
            for luma in [0, 100, 255] {
                assert_eq!(converted(format, &[luma], full), (luma, full), "{format:?}");
            }
        }
        for range in [0, RANGE_LIMITED, RANGE_FULL] {
            let said = Colour { range, matrix: 1, ..Colour::default() };
            // 10 bits: 64 of 1023.
            assert_eq!(converted(Pixel::YUV420P10LE, &[64, 0], said), (16, said));
            assert_eq!(converted(Pixel::YUV440P, &[16], said), (16, said));
        }
    }

    #[test]
    fn gray_keeps_its_samples_and_says_its_range() {
        for (said, range) in [(0, RANGE_FULL), (1, RANGE_LIMITED), (2, RANGE_FULL)] {
            let colour = |range| Colour { range, ..Colour::default() };
            let made = converted(Pixel::GRAY10LE, &[64, 0], colour(said));
            assert_eq!(made, (16, colour(range)), "said {said}");
        }
    }

    #[test]
    fn rgb_becomes_limited_bt601_and_says_so() {
        let said = Colour { range: RANGE_FULL, matrix: 0, ..Colour::default() };
        let (white, colour) = converted(Pixel::GBRP, &[255], said);
        assert_eq!(colour, Colour { range: RANGE_LIMITED, matrix: MATRIX_BT601, ..said });
        assert!(white.abs_diff(235) <= 1, "{white}");
        assert!(converted(Pixel::GBRP, &[0], said).0.abs_diff(16) <= 1);
    }
}
