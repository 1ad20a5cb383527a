//! Any picture to packed red, green, blue. Pure.
//!
//! Integer arithmetic in 16-bit fixed point; chroma samples are repeated over the pixels they stand
//! for, as FFmpeg's own fast path does. The coefficients are those of ITU-T H.273 for the picture's
//! matrix; a picture that names none gets BT.709 when it is of high definition and BT.601 otherwise,
//! as players do.

use protocol::stream::{Colour, PixelFormat};

/// A picture that gives out its rows.
pub(crate) trait Picture {
    fn shape(&self) -> Shape;
    /// Copies row `y` of `plane`, or as much as `into` holds.
    fn row(&self, plane: usize, y: usize, into: &mut [u8]);
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) format: PixelFormat,
    pub(crate) colour: Colour,
}

/// Fills `rgb`, of width x height x 3 bytes.
pub(crate) fn convert(picture: &impl Picture, rgb: &mut [u8]) {
    let shape = picture.shape();
    let rows = (0..).zip(rgb.chunks_exact_mut(shape.width.max(1) * 3));
    match shape.format {
        PixelFormat::Rgb24 => rows.for_each(|(y, out)| picture.row(0, y, out)),
        PixelFormat::Bgr24 => swapped(picture, rows),
        PixelFormat::Rgba => without_alpha(picture, rows),
        PixelFormat::Gray8 => gray(picture, rows),
        PixelFormat::Nv12 | PixelFormat::Yuv420p | PixelFormat::Yuv422p | PixelFormat::Yuv444p => {
            chroma(picture, rows)
        }
    }
}

fn swapped<'a>(picture: &impl Picture, rows: impl Iterator<Item = (usize, &'a mut [u8])>) {
    for (y, out) in rows {
        picture.row(0, y, out);
        out.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
    }
}

fn without_alpha<'a>(picture: &impl Picture, rows: impl Iterator<Item = (usize, &'a mut [u8])>) {
    let mut rgba = vec![0; picture.shape().width * 4];
    for (y, out) in rows {
        picture.row(0, y, &mut rgba);
        for (pixel, four) in out.chunks_exact_mut(3).zip(rgba.chunks_exact(4)) {
            pixel.copy_from_slice(&four[..3]);
        }
    }
}

fn gray<'a>(picture: &impl Picture, rows: impl Iterator<Item = (usize, &'a mut [u8])>) {
    let shape = picture.shape();
    // A picture of one plane is full range unless it says otherwise.
    let matrix = Matrix::new(shape.colour, shape.height, shape.colour.range != LIMITED);
    let mut luma = vec![0; shape.width];
    for (y, out) in rows {
        picture.row(0, y, &mut luma);
        for (pixel, luma) in out.chunks_exact_mut(3).zip(&luma) {
            pixel.copy_from_slice(&matrix.pixel(*luma, NEUTRAL, NEUTRAL));
        }
    }
}

fn chroma<'a>(picture: &impl Picture, rows: impl Iterator<Item = (usize, &'a mut [u8])>) {
    let Shape { width, height, format, colour } = picture.shape();
    let matrix = Matrix::new(colour, height, colour.range == FULL);
    let halved_down = matches!(format, PixelFormat::Nv12 | PixelFormat::Yuv420p);
    let across = if format == PixelFormat::Yuv444p { 1 } else { 2 };
    let samples = width.div_ceil(across);
    let (mut luma, mut u, mut v) = (vec![0; width], vec![0; samples], vec![0; samples]);
    let mut both = vec![0; samples * 2];
    for (y, out) in rows {
        let chroma_y = if halved_down { y / 2 } else { y };
        picture.row(0, y, &mut luma);
        if format == PixelFormat::Nv12 {
            picture.row(1, chroma_y, &mut both);
            for ((pair, u), v) in both.chunks_exact(2).zip(&mut u).zip(&mut v) {
                (*u, *v) = (pair[0], pair[1]);
            }
        } else {
            picture.row(1, chroma_y, &mut u);
            picture.row(2, chroma_y, &mut v);
        }
        matrix.row(out, &luma, &u, &v, across);
    }
}

/// Values of [`Colour::range`].
const LIMITED: u8 = 1;
const FULL: u8 = 2;
/// Chroma of a colourless pixel.
const NEUTRAL: u8 = 128;
/// Fraction bits of the coefficients: 2.2 x 255 x 2^16 stays inside an i32.
const FRACTION_BITS: u32 = 16;

/// The way from luma and chroma to red, green, blue.
#[derive(Clone, Copy, Debug)]
struct Matrix {
    black: i32,
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl Matrix {
    fn new(colour: Colour, height: usize, full: bool) -> Self {
        let (red, blue) = weights(colour.matrix, height);
        let green = 1.0 - red - blue;
        // Limited range: 219 steps of luma from 16, 224 of chroma about 128 (H.273 8.3).
        let (black, luma, chroma) =
            if full { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
        let (red_v, blue_u) = (2.0 * (1.0 - red) * chroma, 2.0 * (1.0 - blue) * chroma);
        Self {
            black,
            luma: fixed(luma),
            red_v: fixed(red_v),
            green_u: fixed(-blue_u * blue / green),
            green_v: fixed(-red_v * red / green),
            blue_u: fixed(blue_u),
        }
    }

    fn row(&self, out: &mut [u8], luma: &[u8], u: &[u8], v: &[u8], across: usize) {
        let pixels = out.chunks_mut(3 * across).zip(luma.chunks(across));
        for ((pixels, luma), (u, v)) in pixels.zip(u.iter().zip(v)) {
            for (pixel, luma) in pixels.chunks_exact_mut(3).zip(luma) {
                pixel.copy_from_slice(&self.pixel(*luma, *u, *v));
            }
        }
    }

    fn pixel(&self, luma: u8, u: u8, v: u8) -> [u8; 3] {
        let bright = (i32::from(luma) - self.black) * self.luma + (1 << (FRACTION_BITS - 1));
        let (u, v) = (i32::from(u) - i32::from(NEUTRAL), i32::from(v) - i32::from(NEUTRAL));
        [
            clamp(bright + v * self.red_v),
            clamp(bright + u * self.green_u + v * self.green_v),
            clamp(bright + u * self.blue_u),
        ]
    }
}

/// Weights of red and blue in luma, by the code points of H.273 table 4.
fn weights(matrix: u8, height: usize) -> (f64, f64) {
    const BT601: (f64, f64) = (0.299, 0.114);
    const BT709: (f64, f64) = (0.2126, 0.0722);
    const BT2020: (f64, f64) = (0.2627, 0.0593);
    match matrix {
        1 => BT709,
        5 | 6 => BT601,
        9 | 10 => BT2020,
        // PAL has 576 lines; whatever has more is high definition.
        _ if height > 576 => BT709,
        _ => BT601,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the coefficients are below 2.2")]
fn fixed(value: f64) -> i32 {
    (value * f64::from(1 << FRACTION_BITS)).round() as i32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
fn clamp(fixed: i32) -> u8 {
    (fixed >> FRACTION_BITS).clamp(0, 255) as u8
}
