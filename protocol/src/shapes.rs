//! `test:?picture=shapes`: what is where in picture `number`, so that whoever finds things in pictures can be
//! compared with the truth. Part of the outer contract, as the frame code is (`docs/detection.md`). Pure.
//!
//! Three shapes move to and fro, each in a lane of its own, so that none hides another. Their sizes breathe,
//! and every hundred pictures they change places among the lanes.

/// What the shapes are called, in the order of a model's classes.
pub const NAMES: [&str; 3] = ["box", "disc", "triangle"];

/// Rows at the top and at the bottom that the frame code has.
const STRIP_ROWS: u32 = 16;
const LANES: u32 = 3;
/// Pictures until the shapes change lanes.
const TURN: u64 = 100;
/// Pixels a picture that the shape of each lane goes.
const SPEEDS: [u64; 3] = [3, 5, 2];

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of its rectangle.
    Box,
    /// The ellipse inside it.
    Disc,
    /// Its tip in the middle of the upper edge, its foot the lower edge.
    Triangle,
}

impl Form {
    const ALL: [Self; 3] = [Self::Box, Self::Disc, Self::Triangle];

    /// Its place in [`NAMES`].
    pub fn class(self) -> usize {
        match self {
            Self::Box => 0,
            Self::Disc => 1,
            Self::Triangle => 2,
        }
    }

    pub fn name(self) -> &'static str {
        NAMES[self.class()]
    }
}

/// A shape and the rectangle around it, in pixels; all even, so that chroma fits luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub form: Form,
    /// From the top, 0 to 2.
    pub lane: usize,
    pub x: u32,
    pub y: u32,
    pub w: u32,
    pub h: u32,
}

impl Shape {
    /// The columns of row `y` that it covers, from and to; `None` where it is not.
    pub fn columns(&self, y: u32) -> Option<(u32, u32)> {
        let row = y.checked_sub(self.y).filter(|row| *row < self.h)?;
        let wide = match self.form {
            Form::Box => self.w,
            Form::Disc => {
                let (h, up) = (u64::from(self.h), u64::from(self.h.abs_diff(2 * row + 1)));
                let reach = (h * h - up * up).isqrt() * u64::from(self.w) / h;
                u32::try_from(reach).unwrap_or(self.w)
            }
            Form::Triangle => (2 * row + 1) * self.w / (2 * self.h),
        };
        let left = self.x + (self.w - wide) / 2;
        Some((left, left + wide.max(1)))
    }
}

/// The shapes of a picture, the upper lane's first. The width is at least 128, the height 64.
pub fn shapes(width: u32, height: u32, number: u64) -> [Shape; 3] {
    [0, 1, 2].map(|lane| shape(width, height, number, lane))
}

fn shape(width: u32, height: u32, number: u64, lane: u32) -> Shape {
    let lane_height = height.saturating_sub(2 * STRIP_ROWS) / LANES;
    let turns = number / TURN + u64::from(lane);
    let at = |count: usize| usize::try_from(turns % count as u64).unwrap_or(0);
    // From a half of the lane to seven eighths of it and back, in steps of a sixteenth.
    let h = even(lane_height * (8 + bounce(number / 4, 6)) / 16).max(4);
    // As wide as high, and a quarter or a half wider.
    let wider = [4, 5, 6][at(3)];
    let widest = even(lane_height * 14 / 16 * 6 / 4).clamp(4, width / 2);
    let w = even(h * wider / 4).min(widest);
    let speed = SPEEDS[lane as usize % SPEEDS.len()];
    Shape {
        form: Form::ALL[at(3)],
        lane: lane as usize,
        x: even(bounce(number * speed, width - widest)),
        y: even(STRIP_ROWS + lane * lane_height + (lane_height - h.min(lane_height)) / 2),
        w,
        h,
    }
}

fn even(pixels: u32) -> u32 {
    pixels / 2 * 2
}

/// A position that runs from 0 to `range` and back.
fn bounce(travelled: u64, range: u32) -> u32 {
    let range = range.max(1);
    let phase = u32::try_from(travelled % (2 * u64::from(range))).unwrap_or(0);
    if phase <= range { phase } else { 2 * range - phase }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_shapes_of_a_number_never_change() {
        let shape = |form, lane, x, y, w, h| Shape { form, lane, x, y, w, h };
        assert_eq!(
            shapes(640, 480, 0),
            [
                shape(Form::Box, 0, 0, 52, 74, 74),
                shape(Form::Disc, 1, 0, 202, 92, 74),
                shape(Form::Triangle, 2, 0, 350, 110, 74),
            ]
        );
    }

    #[test]
    fn a_row_of_each_form_is_as_wide_as_it_should_be() {
        let of = |form| Shape { form, lane: 0, x: 10, y: 20, w: 40, h: 20 };
        assert_eq!(of(Form::Box).columns(20), Some((10, 50)));
        assert_eq!((of(Form::Box).columns(19), of(Form::Box).columns(40)), (None, None));
        // At its middle all of it, at its edges next to nothing.
        assert_eq!(of(Form::Disc).columns(30), Some((11, 49)));
        let (left, right) = of(Form::Disc).columns(20).unwrap();
        assert!(right - left < 15 && left.abs_diff(60 - right) <= 1, "{left} {right}");
        let (left, right) = of(Form::Triangle).columns(39).unwrap();
        assert!(left <= 11 && right >= 49, "{left} {right}");
        let (left, right) = of(Form::Triangle).columns(20).unwrap();
        assert!(right - left <= 2 && left.abs_diff(30) <= 1, "{left} {right}");
    }

    proptest! {
        #[test]
        fn shapes_lie_in_the_picture_between_the_strips_and_apart(
            cells in 4u32..60, half_height in 32u32..600, number in 0u64..1 << 40,
        ) {
            let (width, height) = (cells * 32, half_height * 2);
            let shapes = shapes(width, height, number);
            for shape in shapes {
                prop_assert!(shape.x + shape.w <= width, "{shape:?}");
                prop_assert!(shape.y >= STRIP_ROWS && shape.y + shape.h <= height - STRIP_ROWS, "{shape:?}");
                for y in shape.y..shape.y + shape.h {
                    let (left, right) = shape.columns(y).unwrap();
                    prop_assert!(shape.x <= left && left < right && right <= shape.x + shape.w, "{shape:?}");
                }
            }
            prop_assert!(shapes[0].y + shapes[0].h <= shapes[1].y);
            prop_assert!(shapes[1].y + shapes[1].h <= shapes[2].y);
            let mut classes = shapes.map(|shape| shape.form.class());
            classes.sort_unstable();
            prop_assert_eq!(classes, [0, 1, 2]);
        }
    }
}
