//! Any picture to packed red, green, blue, or the other way round. Pure.
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

/// In which the channels of a pixel stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Rgb,
    Bgr,
}

/// Fills `pixels`, of width x height x 3 bytes.
pub(crate) fn convert(picture: &impl Picture, order: Order, pixels: &mut [u8]) {
    let shape = picture.shape();
    let rows = (0..).zip(pixels.chunks_exact_mut(shape.width.max(1) * 3));
    match (shape.format, order) {
        (PixelFormat::Rgb24, Order::Rgb) | (PixelFormat::Bgr24, Order::Bgr) => {
            rows.for_each(|(y, out)| picture.row(0, y, out));
        }
        (PixelFormat::Rgb24 | PixelFormat::Bgr24, _) => swapped(picture, rows),
        (PixelFormat::Rgba, order) => without_alpha(picture, order, rows),
        (PixelFormat::Gray8, _) => gray(picture, rows),
        (
            PixelFormat::Nv12 | PixelFormat::Yuv420p | PixelFormat::Yuv422p | PixelFormat::Yuv444p,
            order,
        ) => chroma(picture, order, rows),
    }
}

fn swapped<'a>(picture: &impl Picture, rows: impl Iterator<Item = (usize, &'a mut [u8])>) {
    for (y, out) in rows {
        picture.row(0, y, out);
        swap(out);
    }
}

fn swap(pixels: &mut [u8]) {
    pixels.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
}

fn without_alpha<'a>(
    picture: &impl Picture,
    order: Order,
    rows: impl Iterator<Item = (usize, &'a mut [u8])>,
) {
    let mut rgba = vec![0; picture.shape().width * 4];
    for (y, out) in rows {
        picture.row(0, y, &mut rgba);
        for (pixel, four) in out.chunks_exact_mut(3).zip(rgba.chunks_exact(4)) {
            pixel.copy_from_slice(&four[..3]);
        }
        if order == Order::Bgr {
            swap(out);
        }
    }
}

fn gray<'a>(picture: &impl Picture, rows: impl Iterator<Item = (usize, &'a mut [u8])>) {
    let shape = picture.shape();
    // A picture of one plane is full range unless it says otherwise.
    let matrix = Matrix::new(shape.colour, shape.height, shape.colour.range != LIMITED);
    let mut line = Line::new(shape.width);
    for (y, out) in rows {
        picture.row(0, y, &mut line.luma);
        // All channels are the same.
        line.paint(&matrix, Order::Rgb, out);
    }
}

fn chroma<'a>(
    picture: &impl Picture,
    order: Order,
    rows: impl Iterator<Item = (usize, &'a mut [u8])>,
) {
    let Shape { width, height, format, colour } = picture.shape();
    let matrix = Matrix::new(colour, height, colour.range == FULL);
    let down = if matches!(format, PixelFormat::Nv12 | PixelFormat::Yuv420p) { 2 } else { 1 };
    let across = if format == PixelFormat::Yuv444p { 1 } else { 2 };
    let samples = width.div_ceil(across);
    let mut line = Line::new(width);
    let (mut u, mut v, mut both) = (vec![0; samples], vec![0; samples], vec![0; samples * 2]);
    for (y, out) in rows {
        if y % down == 0 {
            if format == PixelFormat::Nv12 {
                picture.row(1, y / down, &mut both);
                split(&both, &mut u, &mut v);
            } else {
                picture.row(1, y / down, &mut u);
                picture.row(2, y / down, &mut v);
            }
            line.colour(&matrix, &u, &v, across);
        }
        picture.row(0, y, &mut line.luma);
        line.paint(&matrix, order, out);
    }
}

fn split(both: &[u8], u: &mut [u8], v: &mut [u8]) {
    for ((pair, u), v) in both.chunks_exact(2).zip(u).zip(v) {
        (*u, *v) = (pair[0], pair[1]);
    }
}

/// One row on its way: each step runs over whole slices, so that the compiler can use wide registers.
struct Line {
    luma: Vec<u8>,
    /// What chroma adds to red, green and blue of each pixel.
    terms: [Vec<i32>; 3],
    channels: [Vec<u8>; 3],
}

impl Line {
    fn new(width: usize) -> Self {
        Self {
            luma: vec![0; width],
            terms: [vec![0; width], vec![0; width], vec![0; width]],
            channels: [vec![0; width], vec![0; width], vec![0; width]],
        }
    }

    /// Takes the chroma of a row, each sample of which stands for `across` pixels.
    fn colour(&mut self, matrix: &Matrix, u: &[u8], v: &[u8], across: usize) {
        for (terms, (u_weight, v_weight)) in self.terms.iter_mut().zip(matrix.chroma) {
            for (terms, (u, v)) in terms.chunks_mut(across).zip(u.iter().zip(v)) {
                let from_neutral = |sample: u8| i32::from(sample) - NEUTRAL;
                terms.fill(from_neutral(*u) * u_weight + from_neutral(*v) * v_weight);
            }
        }
    }

    fn paint(&mut self, matrix: &Matrix, order: Order, out: &mut [u8]) {
        for (channel, terms) in self.channels.iter_mut().zip(&self.terms) {
            for ((sample, luma), term) in channel.iter_mut().zip(&self.luma).zip(terms) {
                *sample = clamp((i32::from(*luma) - matrix.black) * matrix.luma + HALF + term);
            }
        }
        let [red, green, blue] = &self.channels;
        let (first, last) = if order == Order::Rgb { (red, blue) } else { (blue, red) };
        for (((pixel, first), green), last) in
            out.chunks_exact_mut(3).zip(first).zip(green).zip(last)
        {
            (pixel[0], pixel[1], pixel[2]) = (*first, *green, *last);
        }
    }
}

/// Values of [`Colour::range`].
const LIMITED: u8 = 1;
const FULL: u8 = 2;
/// Chroma of a colourless pixel.
const NEUTRAL: i32 = 128;
/// Fraction bits of the coefficients: 2.2 x 255 x 2^16 stays inside an i32.
const FRACTION_BITS: u32 = 16;
const HALF: i32 = 1 << (FRACTION_BITS - 1);

/// The way from luma and chroma to red, green, blue.
#[derive(Clone, Copy, Debug)]
struct Matrix {
    black: i32,
    luma: i32,
    /// Weights of U and V in red, green and blue.
    chroma: [(i32, i32); 3],
}

impl Matrix {
    fn new(colour: Colour, height: usize, full: bool) -> Self {
        let (red, blue) = weights(colour.matrix, height);
        let green = 1.0 - red - blue;
        // Limited range: 219 steps of luma from 16, 224 of chroma about 128 (H.273 8.3).
        let (black, luma, chroma) =
            if full { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
        let (red_v, blue_u) = (2.0 * (1.0 - red) * chroma, 2.0 * (1.0 - blue) * chroma);
        let green_uv = (fixed(-blue_u * blue / green), fixed(-red_v * red / green));
        let chroma = [(0, fixed(red_v)), green_uv, (fixed(blue_u), 0)];
        Self { black, luma: fixed(luma), chroma }
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

#[expect(clippy::cast_sign_loss, reason = "clamped to 0..=255")]
fn clamp(fixed: i32) -> u8 {
    (fixed >> FRACTION_BITS).clamp(0, 255) as u8
}
