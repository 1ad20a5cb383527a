//! Pictures of any size and format as parts of another picture: swscale, kept from picture to picture.

use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling;
use ffmpeg_next::{Error, frame};
use protocol::stream::{Colour, PixelFormat};

use crate::error::MediaError;
use crate::raw;

const NAME: &str = "the picture";
const RANGE_LIMITED: u8 = 1;
const RANGE_FULL: u8 = 2;
const MATRIX_BT709: u8 = 1;
const MATRIX_UNSPECIFIED: u8 = 2;
const MATRIX_BT601: u8 = 5;
/// PAL, the tallest standard definition: taller pictures are BT.709 when nothing is said.
const SD_MAX_HEIGHT: u32 = 576;
/// Contrast and saturation of swscale: 1 in 16.16 fixed point.
const UNCHANGED: i32 = 1 << 16;

/// What a picture is, wherever its samples lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    pub format: PixelFormat,
    pub width: u32,
    pub height: u32,
    pub colour: Colour,
}

/// A rectangle of a picture, in pixels; where chroma is halved its corner is even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// What tiles are made for: limited range in this matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canvas {
    pub colour: Colour,
}

impl Canvas {
    /// The colours that a picture of this height is taken for when nothing is said.
    pub fn of_height(height: u32) -> Self {
        let matrix = if height > SD_MAX_HEIGHT { MATRIX_BT709 } else { MATRIX_BT601 };
        let colour = Colour { range: RANGE_LIMITED, matrix, primaries: 2, transfer: 2 };
        Self { colour }
    }
}

/// A part of a picture, its planes one behind the other: 4:2:0, or with alpha 4:4:4 and the alpha as a
/// fourth plane. Alpha is straight: colours are not multiplied with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    pub width: u32,
    pub height: u32,
    pub has_alpha: bool,
    pub samples: Vec<u8>,
}

impl Tile {
    /// Y, U, V and alpha; alpha is empty without any.
    pub fn planes(&self) -> [&[u8]; 4] {
        let luma = self.width as usize * self.height as usize;
        let chroma = if self.has_alpha { luma } else { luma / 4 };
        let alpha = if self.has_alpha { luma } else { 0 };
        let mut rest = &self.samples[..];
        [luma, chroma, chroma, alpha].map(|bytes| {
            let (plane, behind) = rest.split_at(bytes.min(rest.len()));
            rest = behind;
            plane
        })
    }

    /// As [`Self::planes`], to be changed.
    pub fn planes_mut(&mut self) -> [&mut [u8]; 4] {
        let luma = self.width as usize * self.height as usize;
        let chroma = if self.has_alpha { luma } else { luma / 4 };
        let alpha = if self.has_alpha { luma } else { 0 };
        let mut rest = &mut self.samples[..];
        [luma, chroma, chroma, alpha].map(|bytes| {
            let taken = std::mem::take(&mut rest);
            let (plane, behind) = taken.split_at_mut(bytes.min(taken.len()));
            rest = behind;
            plane
        })
    }
}

/// Makes tiles of one input's pictures; keeps what pictures in a row have in common.
#[derive(Default)]
pub struct Scaler {
    kept: Option<Kept>,
}

struct Kept {
    way: Way,
    context: scaling::Context,
    from: frame::Video,
    to: frame::Video,
}

/// All that makes another conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    format: PixelFormat,
    from: (u32, u32),
    full: bool,
    matrix: u8,
    to: (u32, u32),
    to_matrix: u8,
    alpha: bool,
}

impl Scaler {
    /// A tile of `size` (both even) of a part of a picture. `read_row(plane, y, row)` copies the visible
    /// bytes of one row of the picture's plane into `row`, as far as it reaches.
    ///
    /// `alpha`: with an alpha plane, the picture's own or all of it.
    pub fn tile(
        &mut self,
        sight: &Sight,
        part: Part,
        size: (u32, u32),
        canvas: Canvas,
        alpha: bool,
        mut read_row: impl FnMut(usize, usize, &mut [u8]),
    ) -> Result<Tile, MediaError> {
        crate::init();
        let inside = part.width > 0
            && part.height > 0
            && part.x.checked_add(part.width).is_some_and(|right| right <= sight.width)
            && part.y.checked_add(part.height).is_some_and(|bottom| bottom <= sight.height);
        if !inside || size.0 < 2 || size.1 < 2 {
            return Err(failed("taking a part of it", Error::InvalidData));
        }
        let way = Way::of(sight, part, size, canvas, alpha);
        if self.kept.as_ref().is_none_or(|kept| kept.way != way) {
            self.kept = None;
            let kept = Kept::open(way).map_err(|source| failed("scaling", source))?;
            self.kept = Some(kept);
        }
        let Some(kept) = &mut self.kept else {
            return Err(failed("scaling", Error::InvalidData));
        };
        fill(&mut kept.from, sight, part, &mut read_row);
        let run = kept.context.run(&kept.from, &mut kept.to);
        run.map_err(|source| failed("scaling", source))?;
        Ok(tight(&kept.to, size, alpha))
    }
}

impl std::fmt::Debug for Scaler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scaler").field("way", &self.kept.as_ref().map(|kept| kept.way)).finish()
    }
}

impl Way {
    fn of(sight: &Sight, part: Part, to: (u32, u32), canvas: Canvas, alpha: bool) -> Self {
        let Sight { format, height, colour, .. } = *sight;
        let rgb = is_rgb(format);
        let full = match format {
            PixelFormat::Gray8 => colour.range != RANGE_LIMITED,
            _ => colour.range == RANGE_FULL,
        };
        let matrix = match colour.matrix {
            // RGB has none, and gray takes any.
            _ if rgb || format == PixelFormat::Gray8 => canvas.colour.matrix,
            MATRIX_UNSPECIFIED | 0 => Canvas::of_height(height).colour.matrix,
            said => said,
        };
        let from = (part.width, part.height);
        let to_matrix = canvas.colour.matrix;
        Self { format, from, full: full && !rgb, matrix, to, to_matrix, alpha }
    }

    /// Formats whose range swscale is not told when it looks which shortcuts there are become one that says
    /// its range by its name.
    fn pixel(&self) -> Pixel {
        match (self.format, self.full) {
            (PixelFormat::Yuv420p | PixelFormat::Nv12 | PixelFormat::Gray8, false) => {
                Pixel::YUV420P
            }
            (PixelFormat::Yuv420p | PixelFormat::Nv12 | PixelFormat::Gray8, true) => {
                Pixel::YUVJ420P
            }
            (PixelFormat::Yuv422p, false) => Pixel::YUV422P,
            (PixelFormat::Yuv422p, true) => Pixel::YUVJ422P,
            (PixelFormat::Yuv444p, false) => Pixel::YUV444P,
            (PixelFormat::Yuv444p, true) => Pixel::YUVJ444P,
            (PixelFormat::Rgb24, _) => Pixel::RGB24,
            (PixelFormat::Bgr24, _) => Pixel::BGR24,
            (PixelFormat::Rgba, _) => Pixel::RGBA,
        }
    }
}

impl Kept {
    fn open(way: Way) -> Result<Self, Error> {
        let to_pixel = if way.alpha { Pixel::YUVA444P } else { Pixel::YUV420P };
        let from = allocated(way.pixel(), way.from)?;
        let to = allocated(to_pixel, way.to)?;
        // As ffmpeg's own scaling does, so that pictures can be compared.
        let mut context = scaling::Context::get(
            way.pixel(),
            way.from.0,
            way.from.1,
            to_pixel,
            way.to.0,
            way.to.1,
            scaling::Flags::BICUBIC,
        )?;
        set_colour(&mut context, &way);
        Ok(Self { way, context, from, to })
    }
}

fn allocated(pixel: Pixel, size: (u32, u32)) -> Result<frame::Video, Error> {
    let frame = frame::Video::new(pixel, size.0, size.1);
    if raw::frame(&frame).data[0].is_null() {
        return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
    }
    Ok(frame)
}

fn set_colour(context: &mut scaling::Context, way: &Way) {
    // SAFETY: a table of constants for any number, of static life.
    let table = unsafe { ffi::sws_getCoefficients(i32::from(way.matrix)) };
    // SAFETY: the same.
    let to_table = unsafe { ffi::sws_getCoefficients(i32::from(way.to_matrix)) };
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { context.as_mut_ptr() };
    let range = i32::from(way.full || is_rgb(way.format));
    // SAFETY: the context is live and ours, the tables have the four values it reads. It answers -1 for
    // formats without a matrix, which then need none.
    unsafe {
        ffi::sws_setColorspaceDetails(pointer, table, range, to_table, 0, 0, UNCHANGED, UNCHANGED)
    };
}

/// The part's samples into FFmpeg's memory.
fn fill(
    frame: &mut frame::Video,
    sight: &Sight,
    part: Part,
    read_row: &mut impl FnMut(usize, usize, &mut [u8]),
) {
    let half = |side: u32| side.div_ceil(2);
    match sight.format {
        PixelFormat::Yuv420p => {
            let chroma = Part {
                x: part.x / 2,
                y: part.y / 2,
                width: half(part.width),
                height: half(part.height),
            };
            for (plane, part) in [part, chroma, chroma].into_iter().enumerate() {
                rows(frame, plane, plane, part, 1, read_row);
            }
        }
        PixelFormat::Yuv422p => {
            let chroma = Part { x: part.x / 2, width: half(part.width), ..part };
            for (plane, part) in [part, chroma, chroma].into_iter().enumerate() {
                rows(frame, plane, plane, part, 1, read_row);
            }
        }
        PixelFormat::Yuv444p => {
            (0..3).for_each(|plane| rows(frame, plane, plane, part, 1, read_row));
        }
        PixelFormat::Nv12 => {
            rows(frame, 0, 0, part, 1, read_row);
            pairs(frame, part, read_row);
        }
        PixelFormat::Gray8 => {
            rows(frame, 0, 0, part, 1, read_row);
            (1..3).for_each(|plane| frame.data_mut(plane).fill(128));
        }
        PixelFormat::Rgb24 | PixelFormat::Bgr24 => rows(frame, 0, 0, part, 3, read_row),
        PixelFormat::Rgba => rows(frame, 0, 0, part, 4, read_row),
    }
}

/// Rows of a plane whose samples are so many bytes.
fn rows(
    frame: &mut frame::Video,
    to: usize,
    plane: usize,
    part: Part,
    bytes: usize,
    read_row: &mut impl FnMut(usize, usize, &mut [u8]),
) {
    let linesize = frame.stride(to);
    let skipped = part.x as usize * bytes;
    let wanted = part.width as usize * bytes;
    let into = frame.data_mut(to).chunks_mut(linesize).take(part.height as usize);
    let mut whole = vec![0; if skipped == 0 { 0 } else { skipped + wanted }];
    for (y, row) in (part.y as usize..).zip(into) {
        if skipped == 0 {
            read_row(plane, y, &mut row[..wanted]);
        } else {
            read_row(plane, y, &mut whole);
            row[..wanted].copy_from_slice(&whole[skipped..]);
        }
    }
}

/// Chroma that lies in pairs, into planes of their own.
fn pairs(frame: &mut frame::Video, part: Part, read_row: &mut impl FnMut(usize, usize, &mut [u8])) {
    let (width, height) = (part.width.div_ceil(2) as usize, part.height.div_ceil(2) as usize);
    let skipped = part.x as usize / 2;
    let mut row = vec![0; 2 * (skipped + width)];
    for y in 0..height {
        read_row(1, part.y as usize / 2 + y, &mut row);
        let (samples, _) = row[2 * skipped..].as_chunks::<2>();
        for plane in 1..3 {
            let start = y * frame.stride(plane);
            let into = &mut frame.data_mut(plane)[start..start + width];
            for (into, pair) in into.iter_mut().zip(samples) {
                *into = pair[plane - 1];
            }
        }
    }
}

fn tight(frame: &frame::Video, (width, height): (u32, u32), has_alpha: bool) -> Tile {
    let luma = (width as usize, height as usize);
    let chroma = if has_alpha { luma } else { (luma.0 / 2, luma.1 / 2) };
    let planes = if has_alpha { 4 } else { 3 };
    let sizes = [luma, chroma, chroma, luma];
    let bytes: usize = sizes[..planes].iter().map(|(w, h)| w * h).sum();
    let mut samples = Vec::with_capacity(bytes);
    for (plane, (row_bytes, rows)) in sizes.into_iter().enumerate().take(planes) {
        let lines = frame.data(plane).chunks(frame.stride(plane)).take(rows);
        lines.for_each(|row| samples.extend_from_slice(&row[..row_bytes]));
    }
    Tile { width, height, has_alpha, samples }
}

fn is_rgb(format: PixelFormat) -> bool {
    matches!(format, PixelFormat::Rgb24 | PixelFormat::Bgr24 | PixelFormat::Rgba)
}

fn failed(doing: &'static str, source: Error) -> MediaError {
    MediaError::of(NAME, doing, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SD: Canvas = Canvas { colour: Colour { range: 1, matrix: 5, primaries: 2, transfer: 2 } };

    /// One plane of a picture, rows of so many bytes.
    type Planes = Vec<(usize, Vec<u8>)>;

    fn tile(sight: Sight, planes: &Planes, part: Part, size: (u32, u32), alpha: bool) -> Tile {
        let read = |plane: usize, y: usize, row: &mut [u8]| {
            let (bytes, samples) = &planes[plane];
            let from = &samples[y * bytes..(y + 1) * bytes];
            let length = row.len().min(from.len());
            row[..length].copy_from_slice(&from[..length]);
        };
        Scaler::default().tile(&sight, part, size, SD, alpha, read).unwrap()
    }

    fn whole(sight: Sight) -> Part {
        Part { x: 0, y: 0, width: sight.width, height: sight.height }
    }

    fn flat(format: PixelFormat, range: u8, matrix: u8, samples: &[&[u8]]) -> Tile {
        let (width, height) = (32, 16);
        let sight =
            Sight { format, width, height, colour: Colour { range, matrix, ..Colour::default() } };
        let planes = samples.iter().enumerate().map(|(plane, sample)| {
            let extent = format.plane_extent(plane, width, height);
            let bytes = extent.row_bytes as usize;
            (bytes, sample.repeat(bytes * extent.rows as usize / sample.len()))
        });
        // Neither scaled nor not: both ways through swscale.
        let planes = planes.collect();
        let same = tile(sight, &planes, whole(sight), (32, 16), false);
        let scaled = tile(sight, &planes, whole(sight), (16, 24), false);
        let middle = |tile: &Tile| {
            let at = |plane: &[u8]| i32::from(plane[plane.len() / 2]);
            let [y, u, v, _] = tile.planes();
            [at(y), at(u), at(v)]
        };
        let apart = middle(&same).into_iter().zip(middle(&scaled)).any(|(a, b)| (a - b).abs() > 2);
        assert!(!apart, "{:?} and scaled {:?}", middle(&same), middle(&scaled));
        same
    }

    fn near(tile: &Tile, expected: [u8; 3]) {
        let [y, u, v, _] = tile.planes();
        for (plane, expected) in [y, u, v].into_iter().zip(expected) {
            let seen = plane[plane.len() / 2];
            assert!(seen.abs_diff(expected) <= 2, "saw {seen}, expected {expected}");
        }
    }

    #[test]
    fn red_is_red_from_every_format_matrix_and_range() {
        // ITU-R BT.601 and BT.709: what (255, 0, 0) is in YCbCr; expected is limited BT.601.
        let red = [81, 90, 240];
        near(&flat(PixelFormat::Rgb24, 0, 2, &[&[255, 0, 0]]), red);
        near(&flat(PixelFormat::Bgr24, 0, 2, &[&[0, 0, 255]]), red);
        near(&flat(PixelFormat::Rgba, 0, 2, &[&[255, 0, 0, 255]]), red);
        near(&flat(PixelFormat::Yuv420p, 1, 5, &[&[81], &[90], &[240]]), red);
        near(&flat(PixelFormat::Yuv444p, 2, 5, &[&[76], &[85], &[255]]), red);
        near(&flat(PixelFormat::Yuv420p, 2, 5, &[&[76], &[85], &[255]]), red);
        near(&flat(PixelFormat::Yuv422p, 1, 1, &[&[63], &[102], &[240]]), red);
        near(&flat(PixelFormat::Nv12, 1, 5, &[&[81], &[90, 240]]), red);
        near(&flat(PixelFormat::Nv12, 2, 5, &[&[76], &[85, 255]]), red);
    }

    #[test]
    fn gray_is_full_unless_it_says_otherwise() {
        near(&flat(PixelFormat::Gray8, 0, 2, &[&[255]]), [235, 128, 128]);
        near(&flat(PixelFormat::Gray8, 2, 1, &[&[0]]), [16, 128, 128]);
        near(&flat(PixelFormat::Gray8, 1, 2, &[&[16]]), [16, 128, 128]);
    }

    #[test]
    fn alpha_is_the_pictures_own_or_all_of_it() {
        let colour = Colour::default();
        let rgba = Sight { format: PixelFormat::Rgba, width: 8, height: 8, colour };
        let planes = vec![(32, [255, 0, 0, 77].repeat(64))];
        let seen = tile(rgba, &planes, whole(rgba), (8, 8), true);
        assert!(seen.planes()[3].iter().all(|alpha| *alpha == 77));
        assert_eq!(seen.planes().map(<[u8]>::len), [64; 4]);
        let gray = Sight { format: PixelFormat::Gray8, ..rgba };
        let opaque = tile(gray, &vec![(8, vec![128; 64])], whole(gray), (16, 16), true);
        assert!(opaque.planes()[3].iter().all(|alpha| *alpha == 255));
    }

    #[test]
    fn a_part_is_cut_out_before_it_is_scaled() {
        let colour = Colour { range: 1, matrix: 5, ..Colour::default() };
        let sight = Sight { format: PixelFormat::Yuv420p, width: 32, height: 32, colour };
        let quadrant = |w: usize, samples: [u8; 4]| -> (usize, Vec<u8>) {
            let row = |y: usize| {
                (0..w).map(move |x| samples[usize::from(x >= w / 2) + 2 * usize::from(y >= w / 2)])
            };
            (w, (0..w).flat_map(row).collect())
        };
        let planes = vec![
            quadrant(32, [20, 60, 100, 140]),
            quadrant(16, [30, 70, 110, 150]),
            quadrant(16, [40, 80, 120, 160]),
        ];
        let corner = Part { x: 16, y: 16, width: 16, height: 16 };
        near(&tile(sight, &planes, corner, (8, 8), false), [140, 150, 160]);
    }

    #[test]
    fn what_is_no_part_of_the_picture_is_refused() {
        let colour = Colour::default();
        let sight = Sight { format: PixelFormat::Gray8, width: 8, height: 8, colour };
        for (part, size) in [
            (Part { x: 4, y: 0, width: 5, height: 8 }, (8, 8)),
            (Part { x: 0, y: 0, width: 0, height: 8 }, (8, 8)),
            (Part { x: u32::MAX, y: 0, width: 8, height: 8 }, (8, 8)),
            (Part { x: 0, y: 0, width: 8, height: 8 }, (0, 8)),
        ] {
            let tile = Scaler::default().tile(&sight, part, size, SD, false, |_, _, _| {});
            assert!(tile.is_err(), "{part:?} {size:?}");
        }
    }
}
