//! A picture in the form an encoder takes: 4:2:0, even, in memory of FFmpeg's.

use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Error, color, encoder, frame};
use protocol::stream::{Colour, PixelFormat};

use super::failed;
use crate::decode::TightLayout;
use crate::error::MediaError;
use crate::raw;
use crate::still::Still;

const RANGE_LIMITED: u8 = 1;
const RANGE_FULL: u8 = 2;

/// `size` is the picture's without what is odd.
pub(super) fn prepared(
    picture: &Still,
    pixel: Pixel,
    size: (u32, u32),
) -> Result<frame::Video, MediaError> {
    let wanted = if pixel == Pixel::NV12 { PixelFormat::Nv12 } else { PixelFormat::Yuv420p };
    let stretch = (pixel == Pixel::YUVJ420P && !is_full(picture)).then(stretch);
    let converted;
    let picture = if picture.format == wanted {
        picture
    } else {
        converted = picture.converted(wanted, picture.width, picture.height)?;
        &converted
    };
    let mut frame = frame::Video::new(pixel, size.0, size.1);
    if raw::frame(&frame).data[0].is_null() {
        let none = Error::Other { errno: ffmpeg_next::error::ENOMEM };
        return Err(failed("allocating a picture", none));
    }
    let layout = TightLayout::of(wanted, picture.width, picture.height);
    for plane in 0..wanted.planes() {
        let from = wanted.plane_extent(plane, picture.width, picture.height);
        let to = wanted.plane_extent(plane, size.0, size.1);
        let linesize = frame.stride(plane);
        let samples = picture.samples.get(layout.planes[plane].offset_bytes..).unwrap_or_default();
        let rows = samples.chunks_exact(from.row_bytes as usize);
        let into = frame.data_mut(plane).chunks_mut(linesize).take(to.rows as usize);
        for (row, into) in rows.zip(into) {
            let bytes = to.row_bytes as usize;
            into[..bytes].copy_from_slice(&row[..bytes]);
            if let Some((luma, chroma)) = &stretch {
                let table = if plane == 0 { luma } else { chroma };
                into[..bytes].iter_mut().for_each(|sample| *sample = table[usize::from(*sample)]);
            }
        }
    }
    Ok(frame)
}

/// JPEG knows full range only: luma from 16..235 and chroma from 16..240 to all of 0..255.
fn stretch() -> ([u8; 256], [u8; 256]) {
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
        let (luma, chroma) = stretch();
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
            prepared(&gray, Pixel::YUVJ420P, (32, 32)).unwrap().data(0)[0]
        };
        assert_eq!([0, 1, 2].map(luma), [16, 0, 16]);
    }
}
