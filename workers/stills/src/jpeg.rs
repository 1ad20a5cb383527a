//! A copied picture to JPEG, at its own size and with its own chroma resolution. Pure.

use jpeg_encoder::{ColorType, Encoder, ImageBuffer, JpegColorType, SamplingFactor};
use protocol::stream::PixelFormat;

use crate::colour::ToJpeg;
use crate::picture::Picture;

/// Why a picture cannot be a JPEG.
#[derive(Debug, thiserror::Error)]
pub enum JpegError {
    #[error("picture of {width}x{height}: a JPEG has 1 to 65535 pixels a side")]
    Size { width: u32, height: u32 },
    #[error("JPEG encoder: {0}")]
    Encoder(#[from] jpeg_encoder::EncodingError),
}

/// `quality` is 1 to 100; what is outside is brought inside.
pub fn encode(picture: &Picture, quality: u8) -> Result<Vec<u8>, JpegError> {
    let (width, height) = sides(picture)?;
    let quality = quality.clamp(1, 100);
    let mut out = Vec::with_capacity(picture.planes[0].len() / 4);
    let mut encoder = Encoder::new(&mut out, quality);
    encoder.set_sampling_factor(sampling(picture.format));
    match packed(picture.format) {
        Some(colour) => encoder.encode(&picture.planes[0], width, height, colour)?,
        None => encoder.encode_image(Planar {
            picture,
            to: ToJpeg::new(picture.format, picture.colour, picture.height),
            width,
            height,
        })?,
    }
    Ok(out)
}

fn sides(picture: &Picture) -> Result<(u16, u16), JpegError> {
    let bad = JpegError::Size { width: picture.width, height: picture.height };
    match (u16::try_from(picture.width), u16::try_from(picture.height)) {
        (Ok(width @ 1..), Ok(height @ 1..)) => Ok((width, height)),
        _ => Err(bad),
    }
}

fn packed(format: PixelFormat) -> Option<ColorType> {
    match format {
        PixelFormat::Rgb24 => Some(ColorType::Rgb),
        PixelFormat::Bgr24 => Some(ColorType::Bgr),
        PixelFormat::Rgba => Some(ColorType::Rgba),
        _ => None,
    }
}

fn sampling(format: PixelFormat) -> SamplingFactor {
    match format {
        PixelFormat::Yuv420p | PixelFormat::Nv12 => SamplingFactor::R_4_2_0,
        PixelFormat::Yuv422p => SamplingFactor::R_4_2_2,
        _ => SamplingFactor::R_4_4_4,
    }
}

/// Planar and semi-planar pictures as the encoder wants them: full chroma rows. The encoder takes
/// the top left sample of each chroma block back, so the repeated samples cost no quality.
struct Planar<'a> {
    picture: &'a Picture,
    to: ToJpeg,
    width: u16,
    height: u16,
}

impl ImageBuffer for Planar<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        if self.picture.format == PixelFormat::Gray8 {
            JpegColorType::Luma
        } else {
            JpegColorType::Ycbcr
        }
    }

    fn width(&self) -> u16 {
        self.width
    }

    fn height(&self) -> u16 {
        self.height
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let y = usize::from(y);
        let luma = self.picture.row(0, y);
        match self.picture.format {
            PixelFormat::Gray8 => buffers[0].extend(luma.iter().map(|&v| self.to.luma(v))),
            PixelFormat::Nv12 => {
                let pairs = self.picture.row(1, y / 2);
                self.fill(buffers, luma, |x| (pairs[x / 2 * 2], pairs[x / 2 * 2 + 1]));
            }
            PixelFormat::Yuv420p => self.fill_planar(buffers, luma, y / 2, 2),
            PixelFormat::Yuv422p => self.fill_planar(buffers, luma, y, 2),
            _ => self.fill_planar(buffers, luma, y, 1),
        }
    }
}

impl Planar<'_> {
    fn fill_planar(&self, buffers: &mut [Vec<u8>; 4], luma: &[u8], row: usize, step: usize) {
        let (cb, cr) = (self.picture.row(1, row), self.picture.row(2, row));
        self.fill(buffers, luma, |x| (cb[x / step], cr[x / step]));
    }

    fn fill(&self, buffers: &mut [Vec<u8>; 4], luma: &[u8], at: impl Fn(usize) -> (u8, u8)) {
        for (x, &sample) in luma.iter().enumerate() {
            let (cb, cr) = at(x);
            for (buffer, value) in buffers.iter_mut().zip(self.to.pixel(sample, cb, cr)) {
                buffer.push(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gradient;
    use zune_jpeg::JpegDecoder;
    use zune_jpeg::zune_core::bytestream::ZCursor;
    use zune_jpeg::zune_core::colorspace::ColorSpace;
    use zune_jpeg::zune_core::options::DecoderOptions;

    fn decoded(jpeg: &[u8], space: ColorSpace) -> (usize, usize, Vec<u8>) {
        let options = DecoderOptions::default().jpeg_set_out_colorspace(space);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
        let pixels = decoder.decode().unwrap();
        let (width, height) = decoder.dimensions().unwrap();
        (width, height, pixels)
    }

    /// Largest distance of the decoded luma from what the picture says.
    fn luma_error(picture: &Picture) -> u8 {
        let jpeg = encode(picture, 95).unwrap();
        let (width, height, pixels) = decoded(&jpeg, ColorSpace::YCbCr);
        assert_eq!(
            (width, height),
            (picture.width as usize, picture.height as usize),
            "{:?}",
            picture.format
        );
        let step = pixels.len() / (width * height);
        let to = ToJpeg::new(picture.format, picture.colour, picture.height);
        let expected = picture.planes[0].iter().map(|&v| to.luma(v));
        let seen = pixels.iter().step_by(step);
        seen.zip(expected).map(|(a, b)| a.abs_diff(b)).max().unwrap()
    }

    #[test]
    fn every_planar_format_keeps_its_size_and_luma() {
        for format in
            [PixelFormat::Yuv420p, PixelFormat::Yuv422p, PixelFormat::Yuv444p, PixelFormat::Nv12]
        {
            for (width, height) in [(64, 48), (33, 17), (1, 1), (640, 362)] {
                let error = luma_error(&gradient(format, width, height));
                assert!(error <= 6, "{format:?} {width}x{height}: off by {error}");
            }
        }
    }

    #[test]
    fn a_gray_picture_is_a_gray_jpeg() {
        let picture = gradient(PixelFormat::Gray8, 61, 35);
        let jpeg = encode(&picture, 95).unwrap();
        let (width, height, pixels) = decoded(&jpeg, ColorSpace::Luma);
        assert_eq!((width, height, pixels.len()), (61, 35, 61 * 35));
        let to = ToJpeg::new(picture.format, picture.colour, picture.height);
        let error = pixels.iter().zip(&picture.planes[0]).map(|(&a, &b)| a.abs_diff(to.luma(b)));
        assert!(error.max().unwrap() <= 4);
    }

    #[test]
    fn packed_pictures_keep_their_colours() {
        for format in [PixelFormat::Rgb24, PixelFormat::Bgr24, PixelFormat::Rgba] {
            let mut picture = gradient(format, 16, 16);
            let red: &[u8] = match format {
                PixelFormat::Rgb24 => &[255, 0, 0],
                PixelFormat::Bgr24 => &[0, 0, 255],
                _ => &[255, 0, 0, 255],
            };
            picture.planes = vec![red.repeat(256)];
            let (_, _, pixels) = decoded(&encode(&picture, 95).unwrap(), ColorSpace::RGB);
            assert!(pixels[0] >= 250 && pixels[1] <= 5 && pixels[2] <= 5, "{format:?}");
        }
    }

    #[test]
    fn chroma_of_a_red_frame_is_red_in_every_subsampling() {
        for format in
            [PixelFormat::Yuv420p, PixelFormat::Yuv422p, PixelFormat::Yuv444p, PixelFormat::Nv12]
        {
            let mut picture = gradient(format, 32, 32);
            picture.planes[0].fill(81);
            if format == PixelFormat::Nv12 {
                for pair in picture.planes[1].chunks_exact_mut(2) {
                    pair.copy_from_slice(&[90, 240]);
                }
            } else {
                picture.planes[1].fill(90);
                picture.planes[2].fill(240);
            }
            let (_, _, pixels) = decoded(&encode(&picture, 95).unwrap(), ColorSpace::RGB);
            assert!(
                pixels[0] >= 248 && pixels[1] <= 8 && pixels[2] <= 8,
                "{format:?} {:?}",
                &pixels[..3]
            );
        }
    }

    #[test]
    fn a_picture_without_pixels_or_too_large_is_refused() {
        for (width, height) in [(0, 4), (4, 0), (65_536, 1)] {
            let mut picture = gradient(PixelFormat::Gray8, 1, 1);
            (picture.width, picture.height) = (width, height);
            assert!(matches!(encode(&picture, 80), Err(JpegError::Size { .. })));
        }
    }
}
