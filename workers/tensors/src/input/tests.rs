use super::*;
use proptest::prelude::*;

fn wish(size: Sides) -> Wish {
    Wish {
        size,
        channels: 3,
        layout: TensorLayout::Nchw,
        scale: Scale::Byte,
        colour: ColourOrder::Rgb,
        fit: InputFit::Letterbox,
    }
}

fn sight(size: Sides, format: PixelFormat) -> Sight {
    Sight { size, format, colour: Colour::default() }
}

/// A picture whose samples `sample(plane, x, y)` gives, `x` in bytes of the row.
fn filled(wish: &Wish, sight: &Sight, sample: impl Fn(usize, usize, usize) -> u8) -> Vec<f32> {
    let mut into = vec![f32::NAN; wish.numbers()];
    wish.fill(sight, &mut into, |plane, y, row| {
        for (x, byte) in row.iter_mut().enumerate() {
            *byte = sample(plane, x, y);
        }
    });
    into
}

/// A pixel of a NCHW input, rounded.
#[expect(clippy::cast_possible_truncation, reason = "0 to 255")]
fn pixel(wish: &Wish, numbers: &[f32], x: u32, y: u32) -> [i32; 3] {
    let (at, plane) = ((y * wish.size.0 + x) as usize, (wish.size.0 * wish.size.1) as usize);
    [0, 1, 2].map(|colour| numbers[at + colour * plane].round() as i32)
}

#[test]
fn white_black_and_the_colours_of_television_come_out_right() {
    let wish = wish((8, 8));
    // Y, U, V of 8-bit BT.601, limited; and the colour it is.
    for ([y, u, v], rgb) in [
        ([235, 128, 128], [255, 255, 255]),
        ([16, 128, 128], [0, 0, 0]),
        ([81, 90, 240], [255, 0, 0]),
        ([145, 54, 34], [0, 255, 0]),
        ([41, 240, 110], [0, 0, 255]),
    ] {
        let planar = sight((16, 16), PixelFormat::Yuv420p);
        let numbers = filled(&wish, &planar, |plane, _, _| [y, u, v][plane]);
        let seen = pixel(&wish, &numbers, 3, 3);
        assert!(
            seen.iter().zip(rgb).all(|(a, b): (&i32, i32)| a.abs_diff(b) <= 2),
            "{seen:?} {rgb:?}"
        );
        let nv12 = sight((16, 16), PixelFormat::Nv12);
        let interleaved =
            filled(&wish, &nv12, |plane, x, _| if plane == 0 { y } else { [u, v][x % 2] });
        assert_eq!(pixel(&wish, &interleaved, 3, 3), seen);
    }
}

#[test]
fn the_streams_own_matrix_and_range_count() {
    let wish = wish((8, 8));
    let red = |colour| {
        let sight = Sight { colour, ..sight((16, 16), PixelFormat::Yuv444p) };
        pixel(&wish, &filled(&wish, &sight, |plane, _, _| [63, 102, 240][plane]), 3, 3)
    };
    // Red of BT.709, limited.
    let seen = red(Colour { matrix: 1, range: 1, ..Colour::default() });
    assert!(seen[0] >= 252 && seen[1] <= 3 && seen[2] <= 3, "{seen:?}");
    // That of SMPTE 240M is nearly the same there, and far from BT.601's.
    let seen = red(Colour { matrix: 7, range: 1, ..Colour::default() });
    assert!(seen[0] >= 252 && seen[1] <= 3 && seen[2] <= 3, "{seen:?}");
    let full = Sight {
        colour: Colour { range: 2, ..Colour::default() },
        ..sight((16, 16), PixelFormat::Yuv420p)
    };
    let gray = filled(&wish, &full, |plane, _, _| [16, 128, 128][plane]);
    assert_eq!(pixel(&wish, &gray, 3, 3), [16, 16, 16]);
}

#[test]
fn packed_colours_are_taken_as_they_lie() {
    let (wish, size) = (wish((4, 4)), (8, 8));
    for (format, bytes) in [
        (PixelFormat::Rgb24, &[10, 20, 30][..]),
        (PixelFormat::Bgr24, &[30, 20, 10]),
        (PixelFormat::Rgba, &[10, 20, 30, 255]),
    ] {
        let numbers = filled(&wish, &sight(size, format), |_, x, _| bytes[x % bytes.len()]);
        assert_eq!(pixel(&wish, &numbers, 2, 2), [10, 20, 30], "{format:?}");
    }
    let gray = filled(&wish, &sight(size, PixelFormat::Gray8), |_, _, _| 77);
    assert_eq!(pixel(&wish, &gray, 1, 1), [77, 77, 77]);
}

#[test]
fn beside_the_picture_it_is_gray_and_nothing_is_left_out() {
    let wish = wish((16, 16));
    let numbers = filled(&wish, &sight((32, 16), PixelFormat::Rgb24), |_, _, _| 200);
    for y in 0..16 {
        let expected = if (4..12).contains(&y) { 200 } else { 114 };
        for x in 0..16 {
            assert_eq!(pixel(&wish, &numbers, x, y), [expected; 3], "{x} {y}");
        }
    }
}

#[test]
fn order_layout_and_scale_are_the_models() {
    let sight = sight((4, 4), PixelFormat::Rgb24);
    let of = |wish: Wish| filled(&wish, &sight, |_, x, _| [0, 51, 255][x % 3]);
    let plain = wish((2, 2));
    let unit = of(Wish { scale: Scale::Unit, ..plain });
    assert!((unit[4] - 0.2).abs() < 1e-6 && unit[8] == 1.0);
    let bgr = of(Wish { colour: ColourOrder::Bgr, ..plain });
    assert_eq!((bgr[0], bgr[4], bgr[8]), (255.0, 51.0, 0.0));
    let nhwc = of(Wish { layout: TensorLayout::Nhwc, ..plain });
    assert_eq!(nhwc[..6], [0.0, 51.0, 255.0, 0.0, 51.0, 255.0]);
    let signed = of(Wish { scale: Scale::Signed, ..plain });
    assert_eq!((signed[0], signed[8]), (-1.0, 1.0));
    let imagenet = of(Wish { scale: Scale::ImageNet, ..plain });
    assert!((imagenet[0] + 2.117_9).abs() < 1e-3 && (imagenet[8] - 2.64).abs() < 1e-3);
    // The mean and deviation of a colour go with it.
    let swapped = of(Wish { scale: Scale::ImageNet, colour: ColourOrder::Bgr, ..plain });
    assert_eq!((swapped[8], swapped[0]), (imagenet[0], imagenet[8]));
    let luma = of(Wish { channels: 1, ..plain });
    assert!((luma[0] - (0.587 * 51.0 + 0.114 * 255.0)).abs() < 1e-3 && luma.len() == 4);
}

#[test]
fn a_row_is_read_once_and_rows_that_are_not_needed_never() {
    let (wish, mut read) = (wish((32, 32)), Vec::new());
    let sight = sight((640, 640), PixelFormat::Gray8);
    let mut into = vec![0.0; wish.numbers()];
    wish.fill(&sight, &mut into, |_, y, _| read.push(y));
    let all = read.len();
    read.sort_unstable();
    read.dedup();
    assert_eq!((all, read.len()), (64, 64));
}

/// The definition: the four samples around a place, weighted by how near it is to each.
#[expect(clippy::cast_possible_truncation, reason = "0 to 255")]
fn naive(
    bytes: &[Vec<u8>],
    width: usize,
    height: usize,
    out: (usize, usize),
    x: usize,
    y: usize,
) -> f32 {
    let exact = |place: usize, samples: usize, count: usize| {
        let at = (place as f64 + 0.5) * samples as f64 / count as f64 - 0.5;
        at.clamp(0.0, samples as f64 - 1.0)
    };
    let (ex, ey) = (exact(x, width, out.0), exact(y, height, out.1));
    let mut sum = 0.0;
    for (sy, row) in bytes.iter().enumerate() {
        for (sx, sample) in row.iter().enumerate() {
            let near = |at: f64, sample: usize| (1.0 - (at - sample as f64).abs()).max(0.0);
            sum += near(ex, sx) * near(ey, sy) * f64::from(*sample);
        }
    }
    sum as f32
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn samples_are_what_the_definition_says(
        width in 1usize..20, height in 1usize..20, out in (1u32..20, 1u32..20), seed: u32,
    ) {
        let sample = |x: usize, y: usize| {
            let mixed = (x * 31 + y * 17).wrapping_mul(2_654_435_761).wrapping_add(seed as usize);
            u8::try_from((mixed >> 7) % 256).unwrap_or(0)
        };
        let bytes: Vec<Vec<u8>> =
            (0..height).map(|y| (0..width).map(|x| sample(x, y)).collect()).collect();
        let wish = Wish { channels: 1, fit: InputFit::Stretch, ..wish(out) };
        let sides = (u32::try_from(width).unwrap(), u32::try_from(height).unwrap());
        let numbers = filled(&wish, &sight(sides, PixelFormat::Gray8), |_, x, y| bytes[y][x]);
        for (at, seen) in numbers.iter().enumerate() {
            let (x, y) = (at % out.0 as usize, at / out.0 as usize);
            let expected = naive(&bytes, width, height, (out.0 as usize, out.1 as usize), x, y);
            prop_assert!((seen - expected).abs() < 0.02, "{x} {y}: {seen} {expected}");
        }
    }

    #[test]
    fn every_number_is_filled_whatever_the_sizes(
        picture in (1u32..70, 1u32..70), size in (1u32..70, 1u32..70), format in 0usize..8,
        layout: bool, fit: bool,
    ) {
        let wish = Wish {
            layout: if layout { TensorLayout::Nchw } else { TensorLayout::Nhwc },
            fit: if fit { InputFit::Letterbox } else { InputFit::Stretch },
            ..wish(size)
        };
        let numbers = filled(&wish, &sight(picture, PixelFormat::ALL[format]), |_, _, _| 99);
        prop_assert!(numbers.iter().all(|number| (0.0..=255.0).contains(number)));
    }
}
