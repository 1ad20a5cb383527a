//! A picture in the form an encoder takes: 4:2:0, even, in memory of FFmpeg's.

use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Error, color, encoder, frame};
use protocol::stream::{Colour, PixelFormat};

use super::failed;
use crate::codec::pixel_of;
use crate::decode::TightLayout;
use crate::error::MediaError;
use crate::raw;
use crate::still::{MATRIX_BT601, RANGE_FULL, RANGE_LIMITED, Shade, Still, StillConverter};

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
        let shade = (pixel == Pixel::YUVJ420P).then_some(Shade::JFIF);
        let means = picture.shade();
        let mut frame = if picture.format == wanted && shade.is_none_or(|shade| shade == means) {
            copied(picture, size)?
        } else {
            let mut frame = self.0.convert(picture, wanted, shade)?;
            // Rows and columns at the end are left out, not scaled.
            frame.set_width(size.0);
            frame.set_height(size.1);
            frame
        };
        frame.set_format(pixel);
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
            Colour { matrix: MATRIX_BT601, ..Colour::default() }
        }
        _ if pixel == Pixel::YUVJ420P => Colour { matrix: MATRIX_BT601, ..Colour::default() },
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

    /// A picture of one colour, 64x32.
    fn of_one_colour(format: PixelFormat, (matrix, range): (u8, u8), yuv: [u8; 3]) -> Still {
        let [luma, blue, red] = yuv;
        let mut samples = Vec::new();
        for plane in 0..format.planes() {
            let extent = format.plane_extent(plane, 64, 32);
            let values: &[u8] = match (plane, format) {
                (0, _) => &[luma],
                (_, PixelFormat::Nv12) => &[blue, red],
                (1, _) => &[blue],
                _ => &[red],
            };
            let bytes = (extent.row_bytes * extent.rows) as usize;
            samples.extend(values.iter().cycle().take(bytes));
        }
        let colour = Colour { range, matrix, ..Colour::default() };
        Still { format, width: 64, height: 32, colour, samples }
    }

    /// Red and green, by ITU-R BT.601 and BT.709.
    const COLOURS: [(u8, u8, [u8; 3], [u8; 3]); 5] = [
        (5, RANGE_FULL, [76, 85, 255], [150, 44, 21]),
        (5, RANGE_LIMITED, [81, 90, 240], [145, 54, 34]),
        (6, RANGE_LIMITED, [81, 90, 240], [145, 54, 34]),
        (1, RANGE_FULL, [54, 99, 255], [182, 30, 12]),
        (1, RANGE_LIMITED, [63, 102, 240], [173, 42, 26]),
    ];

    #[test]
    fn jpeg_has_the_right_colours_whatever_the_pictures_matrix_and_range() {
        crate::init();
        let formats =
            [PixelFormat::Yuv420p, PixelFormat::Yuv422p, PixelFormat::Yuv444p, PixelFormat::Nv12];
        let (_, _, red, green) = COLOURS[0];
        for (matrix, range, its_red, its_green) in COLOURS {
            for (format, yuv, right) in
                formats.iter().flat_map(|it| [(*it, its_red, red), (*it, its_green, green)])
            {
                let still = of_one_colour(format, (matrix, range), yuv);
                let made = Preparer::default().prepare(&still, Pixel::YUVJ420P, (64, 32)).unwrap();
                let seen = [0, 1, 2].map(|plane| made.data(plane)[5]);
                let is_near = seen.iter().zip(right).all(|(seen, right)| seen.abs_diff(right) <= 3);
                assert!(is_near, "{format:?}, {matrix}, {range}: {seen:?}, expected {right:?}");
            }
        }
    }

    #[test]
    fn white_and_black_are_the_ends_of_the_full_range() {
        crate::init();
        for (luma, right) in [(16, 0), (126, 128), (235, 255)] {
            let still = of_one_colour(PixelFormat::Yuv420p, (1, RANGE_LIMITED), [luma, 128, 128]);
            let made = Preparer::default().prepare(&still, Pixel::YUVJ420P, (64, 32)).unwrap();
            assert!(made.data(0)[5].abs_diff(right) <= 1, "{luma}: {}", made.data(0)[5]);
        }
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
