//! One picture in ordinary memory: to another format or size with its colours right, and to PNG.

use std::ffi::c_int;
use std::ptr;
use std::sync::Arc;

use ffmpeg_next::codec::{self, Id};
use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling;
use ffmpeg_next::{Error, Packet, Rational, encoder, frame};
use protocol::stream::{Colour, PixelFormat};

use crate::codec::pixel_of;
use crate::decode::{Picture, PictureAllocator, PictureMemory, PictureNeed, TightLayout};
use crate::error::MediaError;
use crate::raw;

const NAME: &str = "the picture";

/// ISO/IEC 23091-2 code points, as in [`Colour`].
pub(crate) const RANGE_LIMITED: u8 = 1;
pub(crate) const RANGE_FULL: u8 = 2;
const MATRIX_BT709: u8 = 1;
const MATRIX_UNSPECIFIED: u8 = 2;
pub(crate) const MATRIX_BT601: u8 = 5;
/// The same by another name.
const MATRIX_SMPTE170M: u8 = 6;
/// PAL, the tallest standard definition: taller pictures are BT.709 when nothing is said.
const SD_MAX_HEIGHT: u32 = 576;
/// Contrast and saturation of swscale: 1 in 16.16 fixed point.
pub(crate) const UNCHANGED: i32 = 1 << 16;

/// A picture whose planes lie one behind the other without padding ([`TightLayout`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Still {
    pub format: PixelFormat,
    pub width: u32,
    pub height: u32,
    pub colour: Colour,
    /// `TightLayout::of(format, width, height).bytes` of them.
    pub samples: Vec<u8>,
}

/// What samples of YUV mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shade {
    matrix: u8,
    full: bool,
}

impl Shade {
    /// Of every JPEG: nobody reads what one says beside.
    pub(crate) const JFIF: Self = Self { matrix: MATRIX_BT601, full: true };
}

impl From<&Picture> for Still {
    fn from(picture: &Picture) -> Self {
        let Picture { format, width, height, colour, .. } = *picture;
        let mut samples = vec![0; picture.tight_layout().bytes];
        // The room is exactly what the layout asks for.
        picture.copy_to(&mut samples);
        Self { format, width, height, colour, samples }
    }
}

impl Still {
    /// The same picture in another size and format. RGB is of full range; YUV is limited BT.601
    /// unless it was YUV before, which keeps its colour.
    pub fn converted(
        &self,
        format: PixelFormat,
        width: u32,
        height: u32,
    ) -> Result<Self, MediaError> {
        if self.format == PixelFormat::Gray8 && is_rgb(format) {
            return self.with_chroma().converted(format, width, height);
        }
        let from = self.frame()?;
        let converted = self.scale(&from, format, width, height);
        let to = converted.map_err(|source| failed("converting", source))?;
        let colour = self.colour_as(format);
        Ok(Self { format, width, height, colour, samples: tight(&to, format, width, height) })
    }

    /// Its colour once it is of this format.
    pub(crate) fn colour_as(&self, format: PixelFormat) -> Colour {
        if is_rgb(format) {
            Colour { range: RANGE_FULL, ..Colour::default() }
        } else if is_rgb(self.format) {
            Colour { range: RANGE_LIMITED, matrix: MATRIX_BT601, ..Colour::default() }
        } else if (format == PixelFormat::Gray8) != (self.format == PixelFormat::Gray8) {
            // What is not said means one range of a gray picture, and the other one of these.
            Colour { range: self.said_range(), ..self.colour }
        } else {
            self.colour
        }
    }

    /// As a PNG file, 8 bits a channel.
    pub fn png(&self) -> Result<Vec<u8>, MediaError> {
        let rgb = self.converted(PixelFormat::Rgb24, self.width, self.height)?;
        let mut frame = rgb.frame()?;
        frame.set_pts(Some(0));
        encode(&frame).map_err(|source| failed("encoding PNG", source))
    }

    /// A gray picture as one that swscale knows a range of.
    fn with_chroma(&self) -> Self {
        let mut samples = self.samples.clone();
        samples.resize(3 * self.samples.len(), 128);
        let colour = Colour { range: self.said_range(), ..self.colour };
        Self { format: PixelFormat::Yuv444p, colour, samples, ..*self }
    }

    /// The samples in memory of FFmpeg's, whose rows are aligned.
    fn frame(&self) -> Result<frame::Video, MediaError> {
        crate::init();
        let layout = self.layout()?;
        let mut frame = new_frame(self.format, self.width, self.height)
            .map_err(|source| failed("allocating", source))?;
        self.fill(&mut frame, &layout);
        Ok(frame)
    }

    /// Where its planes are; an error when the samples are not those of its size.
    fn layout(&self) -> Result<TightLayout, MediaError> {
        let layout = TightLayout::of(self.format, self.width, self.height);
        if self.samples.len() != layout.bytes || layout.bytes == 0 {
            return Err(failed("reading its samples", Error::InvalidData));
        }
        Ok(layout)
    }

    /// Copies the samples into a frame of its format and size.
    fn fill(&self, frame: &mut frame::Video, layout: &TightLayout) {
        for plane in 0..self.format.planes() {
            let extent = self.format.plane_extent(plane, self.width, self.height);
            let rows = self.samples[layout.planes[plane].offset_bytes..]
                .chunks_exact(extent.row_bytes as usize);
            let linesize = frame.stride(plane);
            let to = frame.data_mut(plane).chunks_mut(linesize);
            for (row, to) in rows.zip(to).take(extent.rows as usize) {
                to[..row.len()].copy_from_slice(row);
            }
        }
    }

    fn scale(
        &self,
        from: &frame::Video,
        format: PixelFormat,
        width: u32,
        height: u32,
    ) -> Result<frame::Video, Error> {
        let smaller = width < self.width || height < self.height;
        let kernel = if smaller { scaling::Flags::AREA } else { scaling::Flags::BICUBIC };
        // Chroma at full width and exact rounding: this is for eyes and files, not for speed.
        let flags = kernel | scaling::Flags::FULL_CHR_H_INT | scaling::Flags::ACCURATE_RND;
        let mut context = scaling::Context::get(
            pixel_of(self.format),
            self.width,
            self.height,
            pixel_of(format),
            width,
            height,
            flags,
        )?;
        self.set_colour(&mut context, format);
        let mut to = new_frame(format, width, height)?;
        context.run(from, &mut to)?;
        Ok(to)
    }

    /// swscale knows neither matrix nor range of a picture unless it is told.
    pub(crate) fn set_colour(&self, context: &mut scaling::Context, to: PixelFormat) {
        let yuv = if is_rgb(self.format) {
            Shade { matrix: MATRIX_BT601, full: false }
        } else {
            self.shade()
        };
        self.set_shade(context, Shade { full: is_rgb(to) || yuv.full, ..yuv });
    }

    fn set_shade(&self, context: &mut scaling::Context, to: Shade) {
        let from = self.shade();
        // SAFETY: a table of constants for any number, of static life.
        let table = unsafe { ffi::sws_getCoefficients(i32::from(from.matrix)) };
        // SAFETY: the same.
        let to_table = unsafe { ffi::sws_getCoefficients(i32::from(to.matrix)) };
        // SAFETY: reads the wrapper's pointer, nothing behind it.
        let pointer = unsafe { context.as_mut_ptr() };
        let (range, to_range) = (i32::from(from.full), i32::from(to.full));
        // SAFETY: the context is live and ours, the tables have the four values it reads. It answers
        // -1 for formats without a matrix, which then need none.
        unsafe {
            ffi::sws_setColorspaceDetails(
                pointer, table, range, to_table, to_range, 0, UNCHANGED, UNCHANGED,
            )
        };
    }

    /// What its samples mean; of RGB, what they would as YUV of full range.
    pub(crate) fn shade(&self) -> Shade {
        Shade { matrix: self.matrix(), full: self.is_full_range() }
    }

    fn matrix(&self) -> u8 {
        match self.colour.matrix {
            MATRIX_UNSPECIFIED | 0 if self.height > SD_MAX_HEIGHT => MATRIX_BT709,
            MATRIX_UNSPECIFIED | 0 | MATRIX_SMPTE170M => MATRIX_BT601,
            said => said,
        }
    }

    fn said_range(&self) -> u8 {
        if self.is_full_range() { RANGE_FULL } else { RANGE_LIMITED }
    }

    /// A picture of one plane is full range unless it says otherwise.
    fn is_full_range(&self) -> bool {
        match self.format {
            PixelFormat::Gray8 => self.colour.range != RANGE_LIMITED,
            format => is_rgb(format) || self.colour.range == RANGE_FULL,
        }
    }
}

/// Bytes of memory behind its samples with which a picture is converted where it lies: swscale's vector instructions
/// read past the end of a row.
pub const SPARE_BYTES: usize = 64;

/// Pictures one after the other into another format, each of the size it has, and what that takes, kept. Quick
/// rather than exact: for pictures that are encoded at once.
#[derive(Default)]
pub(crate) struct StillConverter {
    kept: Option<(Look, scaling::Context)>,
}

/// All that a conversion depends on.
type Look = (PixelFormat, u32, u32, Colour, PixelFormat, Option<Shade>);

impl StillConverter {
    /// As [`Still::converted`], for formats of YUV, into memory of FFmpeg's; with a `shade`, samples that mean that.
    /// Without [`SPARE_BYTES`] the picture is copied first.
    pub(crate) fn convert(
        &mut self,
        still: &Still,
        format: PixelFormat,
        shade: Option<Shade>,
    ) -> Result<frame::Video, MediaError> {
        let layout = still.layout()?;
        if shade.is_some() && still.format == PixelFormat::Gray8 && !still.is_full_range() {
            return self.convert(&still.with_chroma(), format, shade);
        }
        let converted = self.run(still, format, shade, &layout);
        converted.map_err(|source| failed("converting", source))
    }

    fn run(
        &mut self,
        still: &Still,
        format: PixelFormat,
        shade: Option<Shade>,
        layout: &TightLayout,
    ) -> Result<frame::Video, Error> {
        let look = (still.format, still.width, still.height, still.colour, format, shade);
        let context = match self.kept.take() {
            Some((kept, context)) if kept == look => &mut self.kept.insert((kept, context)).1,
            _ => &mut self.kept.insert((look, quick_context(still, format, shade)?)).1,
        };
        let mut to = new_frame(format, still.width, still.height)?;
        to.set_format(context.output().format);
        if still.samples.capacity() - still.samples.len() >= SPARE_BYTES {
            scale_in_place(context, still, layout, &mut to)?;
        } else {
            let mut from = new_frame(still.format, still.width, still.height)?;
            still.fill(&mut from, layout);
            from.set_format(context.input().format);
            context.run(&from, &mut to)?;
        }
        Ok(to)
    }
}

fn quick_context(
    still: &Still,
    to: PixelFormat,
    shade: Option<Shade>,
) -> Result<scaling::Context, Error> {
    let (width, height, flags) = (still.width, still.height, scaling::Flags::BILINEAR);
    let (mut before, mut after) = (pixel_of(still.format), pixel_of(to));
    if let Some(shade) = shade {
        before = named(before, still.is_full_range());
        after = named(after, shade.full);
    }
    let mut context = scaling::Context::get(before, width, height, after, width, height, flags)?;
    match shade {
        Some(shade) => still.set_shade(&mut context, shade),
        None => still.set_colour(&mut context, to),
    }
    Ok(context)
}

/// swscale looks which shortcuts there are before it is told a range, so this one says it by its name.
fn named(format: Pixel, full: bool) -> Pixel {
    match format {
        Pixel::YUV420P if full => Pixel::YUVJ420P,
        Pixel::YUV422P if full => Pixel::YUVJ422P,
        Pixel::YUV444P if full => Pixel::YUVJ444P,
        other => other,
    }
}

/// `to` and the context are of the picture's size, and its samples are as long as `layout` says and have
/// [`SPARE_BYTES`] behind them.
fn scale_in_place(
    context: &mut scaling::Context,
    still: &Still,
    layout: &TightLayout,
    to: &mut frame::Video,
) -> Result<(), Error> {
    let number = |value: u32| c_int::try_from(value).map_err(|_| Error::InvalidData);
    let (mut from, mut linesizes) = ([ptr::null(); 4], [0; 4]);
    for plane in 0..still.format.planes() {
        let extent = still.format.plane_extent(plane, still.width, still.height);
        from[plane] = still.samples.as_ptr().wrapping_add(layout.planes[plane].offset_bytes);
        linesizes[plane] = number(extent.row_bytes)?;
    }
    let height = number(still.height)?;
    let into = raw::frame(to);
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { context.as_mut_ptr() };
    // SAFETY: the context was made for pictures of this size and these formats. The planes of `from` lie in the
    // picture's samples, which are as long as the layout says, and what is read past the end of the last row is in the
    // same allocation; those of `to` are FFmpeg's own, borrowed mutably.
    let made = unsafe {
        ffi::sws_scale(
            pointer,
            from.as_ptr(),
            linesizes.as_ptr(),
            0,
            height,
            into.data.as_ptr(),
            into.linesize.as_ptr(),
        )
    };
    if made == height { Ok(()) } else { Err(Error::Unknown) }
}

/// Lends nothing: every picture is FFmpeg's own memory, to be copied out.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMemory;

impl NoMemory {
    pub fn shared() -> Arc<dyn PictureAllocator> {
        Arc::new(Self)
    }
}

impl PictureAllocator for NoMemory {
    fn allocate(&self, _need: &PictureNeed) -> Option<Box<dyn PictureMemory>> {
        None
    }
}

fn is_rgb(format: PixelFormat) -> bool {
    matches!(format, PixelFormat::Rgb24 | PixelFormat::Bgr24 | PixelFormat::Rgba)
}

fn new_frame(format: PixelFormat, width: u32, height: u32) -> Result<frame::Video, Error> {
    let frame = frame::Video::new(pixel_of(format), width, height);
    if raw::frame(&frame).data[0].is_null() {
        return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
    }
    Ok(frame)
}

/// The visible samples without padding.
fn tight(frame: &frame::Video, format: PixelFormat, width: u32, height: u32) -> Vec<u8> {
    let mut samples = Vec::with_capacity(TightLayout::of(format, width, height).bytes);
    for plane in 0..format.planes() {
        let extent = format.plane_extent(plane, width, height);
        let rows = frame.data(plane).chunks(frame.stride(plane)).take(extent.rows as usize);
        rows.for_each(|row| samples.extend_from_slice(&row[..extent.row_bytes as usize]));
    }
    samples
}

fn encode(frame: &frame::Video) -> Result<Vec<u8>, Error> {
    let codec = encoder::find(Id::PNG).ok_or(Error::EncoderNotFound)?;
    let mut video = codec::Context::new_with_codec(codec).encoder().video()?;
    video.set_width(frame.width());
    video.set_height(frame.height());
    video.set_format(Pixel::RGB24);
    video.set_time_base(Rational(1, 1));
    let mut encoder = video.open_as(codec)?;
    encoder.send_frame(frame)?;
    encoder.send_eof()?;
    let mut packet = Packet::empty();
    encoder.receive_packet(&mut packet)?;
    Ok(packet.data().unwrap_or_default().to_vec())
}

fn failed(doing: &'static str, source: Error) -> MediaError {
    MediaError::of(NAME, doing, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yuv(matrix: u8, range: u8, sample: [u8; 3]) -> Still {
        let plane = |value: u8| std::iter::repeat_n(value, 16 * 16);
        let samples = sample.into_iter().flat_map(plane).collect();
        let colour = Colour { range, matrix, ..Colour::default() };
        Still { format: PixelFormat::Yuv444p, width: 16, height: 16, colour, samples }
    }

    fn pixel(still: &Still) -> [u8; 3] {
        let rgb = still.converted(PixelFormat::Rgb24, 16, 16).unwrap();
        rgb.samples[3 * 100..3 * 101].try_into().unwrap()
    }

    fn near(seen: [u8; 3], expected: [u8; 3]) {
        let close = seen.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 2);
        assert!(close, "{seen:?}, expected {expected:?}");
    }

    #[test]
    fn red_is_red_in_each_matrix_and_range() {
        // ITU-R BT.601 and BT.709: what (255, 0, 0) is in YCbCr.
        near(pixel(&yuv(5, 1, [81, 90, 240])), [255, 0, 0]);
        near(pixel(&yuv(1, 1, [63, 102, 240])), [255, 0, 0]);
        near(pixel(&yuv(5, 2, [76, 85, 255])), [254, 0, 0]);
        // Unspecified and small is BT.601.
        near(pixel(&yuv(2, 0, [81, 90, 240])), [255, 0, 0]);
    }

    #[test]
    fn white_and_black_are_the_ends_of_their_range() {
        near(pixel(&yuv(5, 1, [235, 128, 128])), [255, 255, 255]);
        near(pixel(&yuv(5, 1, [16, 128, 128])), [0, 0, 0]);
        near(pixel(&yuv(5, 2, [16, 128, 128])), [16, 16, 16]);
        let gray = |range| {
            let colour = Colour { range, ..Colour::default() };
            let samples = vec![16; 256];
            pixel(&Still { format: PixelFormat::Gray8, width: 16, height: 16, colour, samples })
        };
        near(gray(0), [16, 16, 16]);
        near(gray(1), [0, 0, 0]);
    }

    #[test]
    fn rgb_keeps_its_order_in_every_form() {
        let of = |format, pixel: &[u8]| {
            let samples = pixel.repeat(256);
            let colour = Colour::default();
            super::tests::pixel(&Still { format, width: 16, height: 16, colour, samples })
        };
        assert_eq!(of(PixelFormat::Rgb24, &[10, 20, 30]), [10, 20, 30]);
        assert_eq!(of(PixelFormat::Bgr24, &[30, 20, 10]), [10, 20, 30]);
        assert_eq!(of(PixelFormat::Rgba, &[10, 20, 30, 255]), [10, 20, 30]);
    }

    #[test]
    fn odd_sizes_and_planes_of_half_width_survive_a_conversion() {
        let layout = TightLayout::of(PixelFormat::Nv12, 33, 17);
        let mut samples = vec![128; layout.bytes];
        samples[..33 * 17].fill(235);
        let colour = Colour { range: 1, ..Colour::default() };
        let nv12 = Still { format: PixelFormat::Nv12, width: 33, height: 17, colour, samples };
        let planar = nv12.converted(PixelFormat::Yuv420p, 33, 17).unwrap();
        assert_eq!(planar.samples.len(), TightLayout::of(PixelFormat::Yuv420p, 33, 17).bytes);
        assert!(planar.samples[..33 * 17].iter().all(|luma| *luma == 235));
        assert_eq!(planar.colour, colour);
        let small = nv12.converted(PixelFormat::Rgb24, 8, 4).unwrap();
        assert!(small.samples.iter().all(|value| *value >= 253), "{:?}", small.samples);
    }

    #[test]
    fn a_picture_is_converted_the_same_where_it_lies_and_from_a_copy() {
        for format in [PixelFormat::Rgb24, PixelFormat::Yuv444p, PixelFormat::Gray8] {
            let (width, height) = (62, 34);
            let bytes = TightLayout::of(format, width, height).bytes;
            let mut samples = Vec::with_capacity(bytes + SPARE_BYTES);
            samples.extend((0..=250).cycle().take(bytes));
            let roomy = Still { format, width, height, colour: Colour::default(), samples };
            let mut snug = roomy.clone();
            snug.samples.shrink_to_fit();
            let [roomy, snug] = [roomy, snug].map(|still| {
                let to =
                    StillConverter::default().convert(&still, PixelFormat::Yuv420p, None).unwrap();
                tight(&to, PixelFormat::Yuv420p, width, height)
            });
            assert!(roomy == snug && roomy.iter().any(|sample| *sample != roomy[0]), "{format:?}");
        }
    }

    #[test]
    fn a_picture_that_becomes_gray_says_the_range_that_it_had() {
        for (said, range) in [(0, RANGE_LIMITED), (1, RANGE_LIMITED), (2, RANGE_FULL)] {
            let of = yuv(5, said, [81, 90, 240]);
            assert_eq!(of.colour_as(PixelFormat::Gray8), Colour { range, ..of.colour });
            assert_eq!(of.colour_as(PixelFormat::Yuv420p), of.colour);
        }
    }

    #[test]
    fn samples_that_are_not_those_of_the_size_are_refused() {
        let mut still = yuv(5, 1, [1, 2, 3]);
        still.samples.pop();
        assert!(still.png().is_err());
    }

    #[test]
    fn a_png_begins_as_one() {
        let png = yuv(5, 1, [81, 90, 240]).png().unwrap();
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.ends_with(b"IEND\xaeB`\x82"));
    }
}
