//! The conversion to red, green, blue, by itself: it needs no interpreter. Whole pictures are compared
//! with FFmpeg's in `test_frames.py`.

#[path = "../src/rgb.rs"]
mod rgb;

use protocol::stream::{Colour, PixelFormat};
use rgb::{Order, Picture, Shape};

const BT709: u8 = 1;
const LIMITED: u8 = 1;
const FULL: u8 = 2;

/// A picture of tight planes.
struct Made {
    shape: Shape,
    planes: Vec<Vec<u8>>,
}

impl Made {
    fn new(width: usize, format: PixelFormat, range: u8, planes: &[&[u8]]) -> Self {
        let height = planes[0].len() / (width * format.pixel_bytes() as usize);
        let colour = Colour { range, matrix: BT709, ..Colour::default() };
        let planes = planes.iter().map(|plane| plane.to_vec()).collect();
        Self { shape: Shape { width, height, format, colour }, planes }
    }

    fn pixels(&self) -> Vec<[u8; 3]> {
        self.in_order(Order::Rgb)
    }

    fn in_order(&self, order: Order) -> Vec<[u8; 3]> {
        let mut pixels = vec![0; self.shape.width * self.shape.height * 3];
        rgb::convert(self, order, &mut pixels);
        pixels.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }
}

impl Picture for Made {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn row(&self, plane: usize, y: usize, into: &mut [u8]) {
        let bytes = into.len();
        into.copy_from_slice(&self.planes[plane][y * bytes..(y + 1) * bytes]);
    }
}

#[test]
fn limited_range_spans_black_to_white() {
    let picture =
        Made::new(3, PixelFormat::Yuv444p, LIMITED, &[&[16, 126, 235], &[128; 3], &[128; 3]]);
    assert_eq!(picture.pixels(), [[0; 3], [128; 3], [255; 3]]);
}

#[test]
fn what_lies_outside_the_range_is_clipped() {
    let picture = Made::new(2, PixelFormat::Yuv444p, LIMITED, &[&[0, 255], &[0, 255], &[0, 255]]);
    assert_eq!(picture.pixels(), [[0, 77, 0], [255, 184, 255]]);
}

#[test]
fn one_chroma_sample_colours_two_by_two_pixels_also_at_an_odd_edge() {
    // 3 x 3: the last column and row have chroma samples of their own.
    let (red, grey) = (240, 128);
    let v = [grey, grey, grey, red];
    let picture = Made::new(3, PixelFormat::Yuv420p, FULL, &[&[128; 9], &[128; 4], &v]);
    let pixels = picture.pixels();
    assert_eq!(pixels[..8], [[128; 3]; 8]);
    assert_eq!(pixels[8], [255, 76, 128]);
}

#[test]
fn interleaved_chroma_means_the_same_as_planar() {
    let luma = [10, 60, 110, 160];
    let planar = Made::new(2, PixelFormat::Yuv420p, LIMITED, &[&luma, &[90], &[200]]);
    let interleaved = Made::new(2, PixelFormat::Nv12, LIMITED, &[&luma, &[90, 200]]);
    assert_eq!(planar.pixels(), interleaved.pixels());
}

#[test]
fn packed_formats_only_change_their_order() {
    let bgr = Made::new(1, PixelFormat::Bgr24, FULL, &[&[1, 2, 3]]);
    let rgba = Made::new(1, PixelFormat::Rgba, FULL, &[&[3, 2, 1, 9]]);
    assert_eq!((bgr.pixels(), rgba.pixels()), (vec![[3, 2, 1]], vec![[3, 2, 1]]));
}

#[test]
fn grey_is_full_range_unless_it_says_otherwise() {
    let grey = |range| Made::new(1, PixelFormat::Gray8, range, &[&[16]]).pixels();
    assert_eq!((grey(0), grey(LIMITED)), (vec![[16; 3]], vec![[0; 3]]));
}

#[test]
fn the_other_order_is_the_same_pixels_the_other_way_round() {
    let luma = [10, 60, 110, 160];
    let packed: Vec<u8> = (1..=16).collect();
    for (format, planes) in [
        (PixelFormat::Yuv420p, vec![&luma[..], &[90], &[200]]),
        (PixelFormat::Nv12, vec![&luma[..], &[90, 200]]),
        (PixelFormat::Gray8, vec![&luma[..]]),
        (PixelFormat::Rgb24, vec![&packed[..12]]),
        (PixelFormat::Bgr24, vec![&packed[..12]]),
        (PixelFormat::Rgba, vec![&packed[..]]),
    ] {
        let made = Made::new(2, format, LIMITED, &planes);
        let turned: Vec<_> = made.pixels().iter().map(|&[r, g, b]| [b, g, r]).collect();
        assert_eq!(made.in_order(Order::Bgr), turned, "{format:?}");
    }
}
