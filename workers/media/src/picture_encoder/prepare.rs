//! A picture in the form an encoder takes: 4:2:0, even, in memory of FFmpeg's.

use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Error, color, encoder, frame};
use protocol::stream::{Colour, PixelFormat};

use super::failed;
use crate::codec::pixel_of;
use crate::decode::TightLayout;
use crate::error::MediaError;
use crate::raw;
use crate::still::{Still, StillConverter};

const RANGE_LIMITED: u8 = 1;
const RANGE_FULL: u8 = 2;

/// Makes pictures ready one after the other, and keeps what that takes.
#[derive(Default)]
pub(super) struct Preparer(StillConverter);

impl Preparer {
    /// `size` is the picture's without what is odd.
    pub(super) fn prepare(
        &mut self,
        picture: &Still,
        pixel: Pixel,
        size: (u32, u32),
    ) -> Result<frame::Video, MediaError> {
        let wanted = if pixel == Pixel::NV12 { PixelFormat::Nv12 } else { PixelFormat::Yuv420p };
        let mut frame = if picture.format == wanted {
            copied(picture, size)?
        } else {
            let mut frame = self.0.convert(picture, wanted)?;
            // Rows and columns at the end are left out, not scaled.
            frame.set_width(size.0);
            frame.set_height(size.1);
            frame
        };
        if pixel == Pixel::YUVJ420P {
            frame.set_format(pixel);
            if !is_full(picture) {
                stretch(&mut frame, wanted);
            }
        }
        Ok(frame)
    }
}

/// The upper left of a picture that has the format already.
fn copied(picture: &Still, size: (u32, u32)) -> Result<frame::Video, MediaError> {
    let format = picture.format;
    let mut frame = frame::Video::new(pixel_of(format), size.0, size.1);
    if raw::frame(&frame).data[0].is_null() {
        let none = Error::Other { errno: ffmpeg_next::error::ENOMEM };
        return Err(failed("allocating a picture", none));
    }
    let layout = TightLayout::of(format, picture.width, picture.height);
    for plane in 0..format.planes() {
        let from = format.plane_extent(plane, picture.width, picture.height);
        let samples = picture.samples.get(layout.planes[plane].offset_bytes..).unwrap_or_default();
        let rows = samples.chunks_exact(from.row_bytes as usize);
        for (row, into) in rows.zip(rows_of(&mut frame, format, plane)) {
            into.copy_from_slice(&row[..into.len()]);
        }
    }
    Ok(frame)
}

/// The visible samples of each row.
fn rows_of(
    frame: &mut frame::Video,
    format: PixelFormat,
    plane: usize,
) -> impl Iterator<Item = &mut [u8]> {
    let extent = format.plane_extent(plane, frame.width(), frame.height());
    let linesize = frame.stride(plane);
    let rows = frame.data_mut(plane).chunks_mut(linesize).take(extent.rows as usize);
    rows.map(move |row| &mut row[..extent.row_bytes as usize])
}

/// JPEG knows full range only.
fn stretch(frame: &mut frame::Video, format: PixelFormat) {
    let (luma, chroma) = stretched();
    for plane in 0..format.planes() {
        let table = if plane == 0 { &luma } else { &chroma };
        let samples = rows_of(frame, format, plane).flatten();
        samples.for_each(|sample| *sample = table[usize::from(*sample)]);
    }
}

/// Luma from 16..235 and chroma from 16..240 to all of 0..255.
fn stretched() -> ([u8; 256], [u8; 256]) {
    let table = |middle: i32, span: i32, at: i32| {
        std::array::from_fn(|sample| {
            let sample = i32::try_from(sample).unwrap_or(0) - middle;
            let stretched = (sample * 255 + span / 2 * sample.signum()) / span + at;
            u8::try_from(stretched.clamp(0, 255)).unwrap_or(0)
        })
    };
    (table(16, 219, 0), table(128, 224, 128))
}

/// Whether its YUV samples, converted or not, use all of 0..255. Gray does unless it says otherwise, and RGB
/// becomes limited YUV: as `Still` has it.
fn is_full(picture: &Still) -> bool {
    match picture.format {
        PixelFormat::Rgb24 | PixelFormat::Bgr24 | PixelFormat::Rgba => false,
        PixelFormat::Gray8 => picture.colour.range != RANGE_LIMITED,
        _ => picture.colour.range == RANGE_FULL,
    }
}

/// What the picture says of its colours goes into the stream.
pub(super) fn tell_colour(video: &mut encoder::video::Video, like: &Still, pixel: Pixel) {
    let Colour { matrix, .. } = match like.format {
        PixelFormat::Rgb24 | PixelFormat::Bgr24 | PixelFormat::Rgba => {
            // As `Still` converts them.
            Colour { matrix: 5, ..Colour::default() }
        }
        _ => like.colour,
    };
    let full = pixel == Pixel::YUVJ420P || is_full(like);
    video.set_color_range(if full { color::Range::JPEG } else { color::Range::MPEG });
    video.set_colorspace(match matrix {
        1 => color::Space::BT709,
        5 => color::Space::BT470BG,
        6 => color::Space::SMPTE170M,
        9 => color::Space::BT2020NCL,
        _ => color::Space::Unspecified,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_narrow_range_are_those_of_the_full_one() {
        let (luma, chroma) = stretched();
        assert_eq!([luma[0], luma[16], luma[126], luma[235], luma[255]], [0, 0, 128, 255, 255]);
        assert_eq!([chroma[16], chroma[128], chroma[240]], [0, 128, 255]);
    }

    #[test]
    fn gray_is_of_full_range_unless_it_says_otherwise() {
        crate::init();
        let luma = |range| {
            let colour = Colour { range, ..Colour::default() };
            let (format, samples) = (PixelFormat::Gray8, vec![16; 32 * 32]);
            let gray = Still { format, width: 32, height: 32, colour, samples };
            Preparer::default().prepare(&gray, Pixel::YUVJ420P, (32, 32)).unwrap().data(0)[0]
        };
        assert_eq!([0, 1, 2].map(luma), [16, 0, 16]);
    }
}
