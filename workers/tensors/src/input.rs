//! Rows of a picture to the numbers that a model takes: sampled, coloured, scaled and fitted in, in one pass.
//! Pure; the caller hands out rows, so that a picture is never copied as a whole.
//!
//! ```text
//! rows of each plane ──two rows and two columns around each place──> Y U V or R G B
//!                    ──matrix and range of the stream──> R G B ──scale and order of the model──> numbers
//! ```

use protocol::config::detect::{ColourOrder, InputFit, Scale};
use protocol::config::tensor::TensorLayout;
use protocol::stream::{Colour, PixelFormat};

use crate::letterbox::{Placement, Sides};

/// What lies beside a letterboxed picture: YOLO models are trained with this gray.
const PAD: f32 = 114.0;
/// Mean and deviation of ImageNet's pictures, of 255 (torchvision's figures, by which such models are trained).
const IMAGENET_MEAN: [f32; 3] = [123.675, 116.28, 103.53];
const IMAGENET_DEVIATION: [f32; 3] = [58.395, 57.12, 57.375];

/// What a model wants to see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    pub size: Sides,
    /// 3, or 1 for luma alone.
    pub channels: usize,
    pub layout: TensorLayout,
    pub scale: Scale,
    pub colour: ColourOrder,
    pub fit: InputFit,
}

/// What a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    pub size: Sides,
    pub format: PixelFormat,
    pub colour: Colour,
}

impl Wish {
    /// Length of each axis of so many pictures.
    pub fn shape(&self, pictures: usize) -> [usize; 4] {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        match self.layout {
            TensorLayout::Nchw => [pictures, self.channels, height, width],
            TensorLayout::Nhwc => [pictures, height, width, self.channels],
        }
    }

    /// Numbers of one picture.
    pub fn numbers(&self) -> usize {
        self.size.0 as usize * self.size.1 as usize * self.channels
    }

    /// Fills `into`, which holds [`Self::numbers`] values, and says where the picture lies in it.
    /// `read_row(plane, y, row)` copies a row of a plane.
    pub fn fill(
        &self,
        sight: &Sight,
        into: &mut [f32],
        mut read_row: impl FnMut(usize, usize, &mut [u8]),
    ) -> Placement {
        let place = Placement::of(sight.size, self.size, self.fit);
        let mut planes: Vec<Sampled> =
            (0..sight.format.planes()).map(|plane| Sampled::new(sight, plane, &place)).collect();
        let colours = Colours::of(sight);
        let store = Store::of(self);
        store.pad(&place, into);
        for y in 0..place.height as usize {
            for plane in &mut planes {
                plane.sample(y, &mut read_row);
            }
            for x in 0..place.width as usize {
                let rgb = colours.rgb(&planes, x);
                store.put(into, place.left as usize + x, place.top as usize + y, rgb);
            }
        }
        place
    }
}

/// The two samples around a place, and how much of the second one.
#[derive(Clone, Copy, Debug)]
struct Tap {
    at: usize,
    next: usize,
    part: f32,
}

/// Where `count` places lie in a row of `samples`: middles on middles, edges held.
#[expect(clippy::cast_precision_loss, reason = "sides of pictures are far below 2^24")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held in 0..samples")]
fn taps(samples: usize, count: usize) -> Vec<Tap> {
    let last = samples.saturating_sub(1);
    let step = samples as f32 / count.max(1) as f32;
    let tap = |place: usize| {
        let exact = ((place as f32 + 0.5) * step - 0.5).clamp(0.0, last as f32);
        let at = (exact as usize).min(last);
        Tap { at, next: (at + 1).min(last), part: exact - at as f32 }
    };
    (0..count).map(tap).collect()
}

/// One plane, a row of places at a time.
#[derive(Debug)]
struct Sampled {
    plane: usize,
    channels: usize,
    across: Vec<Tap>,
    down: Vec<Tap>,
    /// The two rows around the current one, by their numbers.
    rows: [(Option<usize>, Vec<u8>); 2],
    /// The current row of places, channel by channel of each.
    line: Vec<f32>,
}

impl Sampled {
    fn new(sight: &Sight, plane: usize, place: &Placement) -> Self {
        let extent = sight.format.plane_extent(plane, sight.size.0, sight.size.1);
        let channels = match (sight.format, plane) {
            (PixelFormat::Nv12, 1) => 2,
            (format, _) => format.pixel_bytes() as usize,
        };
        let (bytes, rows) = (extent.row_bytes as usize, extent.rows as usize);
        let width = place.width as usize;
        Self {
            plane,
            channels,
            across: taps(bytes / channels, width),
            down: taps(rows, place.height as usize),
            rows: [(None, vec![0; bytes]), (None, vec![0; bytes])],
            line: vec![0.0; width * channels],
        }
    }

    fn sample(&mut self, y: usize, read_row: &mut impl FnMut(usize, usize, &mut [u8])) {
        let Some(down) = self.down.get(y).copied() else { return };
        self.hold([down.at, down.next], read_row);
        let [(_, upper), (_, lower)] = &self.rows;
        let channels = self.channels;
        for (tap, values) in self.across.iter().zip(self.line.chunks_exact_mut(channels)) {
            let (at, next) = (tap.at * channels, tap.next * channels);
            for (channel, value) in values.iter_mut().enumerate() {
                let of = |row: &[u8]| {
                    let (one, other) =
                        (f32::from(row[at + channel]), f32::from(row[next + channel]));
                    one + (other - one) * tap.part
                };
                let (above, below) = (of(upper), of(lower));
                *value = above + (below - above) * down.part;
            }
        }
    }

    /// Reads what is not there yet: from row to row most often nothing, or one of the two.
    fn hold(&mut self, wanted: [usize; 2], read_row: &mut impl FnMut(usize, usize, &mut [u8])) {
        if self.rows[1].0 == Some(wanted[0]) {
            self.rows.swap(0, 1);
        }
        for (row, y) in self.rows.iter_mut().zip(wanted) {
            if row.0 != Some(y) {
                read_row(self.plane, y, &mut row.1);
                row.0 = Some(y);
            }
        }
    }
}

/// How samples become red, green and blue of 0 to 255.
#[derive(Clone, Copy, Debug)]
enum Colours {
    /// One plane of luma: subtract, multiply.
    Luma {
        black: f32,
        gain: f32,
    },
    /// Packed colours, by their places in a pixel.
    Packed([usize; 3]),
    Yuv {
        black: f32,
        gain: f32,
        matrix: Matrix,
        is_nv12: bool,
    },
}

/// Of chroma, centred on 0, to colour differences.
#[derive(Clone, Copy, Debug)]
struct Matrix {
    red_v: f32,
    green_u: f32,
    green_v: f32,
    blue_u: f32,
}

impl Matrix {
    /// From the weights of red and blue in luma (ISO/IEC 23091-2), for chroma of `gain`.
    fn of(red: f32, blue: f32, gain: f32) -> Self {
        let green = 1.0 - red - blue;
        Self {
            red_v: 2.0 * (1.0 - red) * gain,
            green_u: 2.0 * blue * (1.0 - blue) / green * gain,
            green_v: 2.0 * red * (1.0 - red) / green * gain,
            blue_u: 2.0 * (1.0 - blue) * gain,
        }
    }
}

impl Colours {
    fn of(sight: &Sight) -> Self {
        // What does not say is limited, but gray, which is no television's.
        let is_full = match sight.colour.range {
            0 => sight.format == PixelFormat::Gray8,
            range => range == 2,
        };
        let (black, gain) = if is_full { (0.0, 1.0) } else { (16.0, 255.0 / 219.0) };
        match sight.format {
            PixelFormat::Gray8 => Self::Luma { black, gain },
            PixelFormat::Rgb24 | PixelFormat::Rgba => Self::Packed([0, 1, 2]),
            PixelFormat::Bgr24 => Self::Packed([2, 1, 0]),
            PixelFormat::Yuv420p
            | PixelFormat::Yuv422p
            | PixelFormat::Yuv444p
            | PixelFormat::Nv12 => {
                let chroma_gain = if is_full { 1.0 } else { 255.0 / 224.0 };
                let (red, blue) = weights(sight);
                let matrix = Matrix::of(red, blue, chroma_gain);
                Self::Yuv { black, gain, matrix, is_nv12: sight.format == PixelFormat::Nv12 }
            }
        }
    }

    #[inline]
    fn rgb(&self, planes: &[Sampled], x: usize) -> [f32; 3] {
        match *self {
            Self::Luma { black, gain } => [(planes[0].line[x] - black) * gain; 3],
            Self::Packed(places) => {
                let pixel = &planes[0].line[x * planes[0].channels..];
                places.map(|place| pixel[place])
            }
            Self::Yuv { black, gain, matrix, is_nv12 } => {
                let luma = (planes[0].line[x] - black) * gain;
                let (u, v) = if is_nv12 {
                    (planes[1].line[2 * x], planes[1].line[2 * x + 1])
                } else {
                    (planes[1].line[x], planes[2].line[x])
                };
                let (u, v) = (u - 128.0, v - 128.0);
                [
                    luma + matrix.red_v * v,
                    luma - matrix.green_u * u - matrix.green_v * v,
                    luma + matrix.blue_u * u,
                ]
            }
        }
    }
}

/// Weights of red and blue in luma, by the stream's matrix; what does not say is HD's from 720 rows on.
fn weights(sight: &Sight) -> (f32, f32) {
    let is_high = sight.size.1 >= 720;
    match sight.colour.matrix {
        1 => (0.2126, 0.0722),
        9 | 10 => (0.2627, 0.0593),
        4..=6 => (0.299, 0.114),
        // SMPTE 240M.
        7 => (0.212, 0.087),
        _ if is_high => (0.2126, 0.0722),
        _ => (0.299, 0.114),
    }
}

/// Where numbers go, and what they are there.
#[derive(Clone, Copy, Debug)]
struct Store {
    width: usize,
    /// From a pixel to the next, and from a colour to the next.
    pixel: usize,
    plane: usize,
    channels: usize,
    is_bgr: bool,
    /// Multiplied, then added, for red, green and blue.
    gain: [f32; 3],
    offset: [f32; 3],
}

impl Store {
    fn of(wish: &Wish) -> Self {
        let pixels = wish.size.0 as usize * wish.size.1 as usize;
        let (pixel, plane) = match wish.layout {
            TensorLayout::Nchw => (1, pixels),
            TensorLayout::Nhwc => (wish.channels, 1),
        };
        let (gain, offset) = match wish.scale {
            Scale::Byte => ([1.0; 3], [0.0; 3]),
            Scale::Unit => ([1.0 / 255.0; 3], [0.0; 3]),
            Scale::Signed => ([2.0 / 255.0; 3], [-1.0; 3]),
            Scale::ImageNet => {
                let gain = IMAGENET_DEVIATION.map(|deviation| 1.0 / deviation);
                let offset = [0, 1, 2].map(|at| -IMAGENET_MEAN[at] / IMAGENET_DEVIATION[at]);
                (gain, offset)
            }
        };
        Self {
            width: wish.size.0 as usize,
            pixel,
            plane,
            channels: wish.channels,
            is_bgr: wish.colour == ColourOrder::Bgr,
            gain,
            offset,
        }
    }

    #[inline]
    fn put(&self, into: &mut [f32], x: usize, y: usize, rgb: [f32; 3]) {
        let at = (y * self.width + x) * self.pixel;
        if self.channels == 1 {
            let [red, green, blue] = rgb.map(|value| value.clamp(0.0, 255.0));
            let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
            into[at] = luma * self.gain[0] + self.offset[0];
            return;
        }
        for (colour, value) in rgb.into_iter().enumerate() {
            let place = if self.is_bgr { 2 - colour } else { colour };
            let scaled = value.clamp(0.0, 255.0) * self.gain[colour] + self.offset[colour];
            into[at + place * self.plane] = scaled;
        }
    }

    /// Gray wherever the picture does not come to lie.
    fn pad(&self, place: &Placement, into: &mut [f32]) {
        let (left, top) = (place.left as usize, place.top as usize);
        let (right, bottom) = (left + place.width as usize, top + place.height as usize);
        let rows = into.len() / self.width.max(1) / self.channels.max(1);
        for y in 0..rows {
            let is_beside = y < top || y >= bottom;
            for x in (0..self.width).filter(|x| is_beside || *x < left || *x >= right) {
                self.put(into, x, y, [PAD; 3]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
