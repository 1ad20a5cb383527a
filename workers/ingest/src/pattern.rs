//! The moving test picture between two strips of frame code. Pure: a number in, pixels out, the
//! same for ever.

use protocol::config::ingest::TestPicture;
use protocol::shapes::shapes;

use crate::framecode::{self, STRIP_ROWS};

/// Raised when the picture of a number changes, so that cached loops of the old one are not used.
pub(crate) const VERSION: u32 = 1;

/// A picture size; the width is a multiple of 32, the height is even and above the two strips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) picture: TestPicture,
}

/// Limited-range black, and a middling gray.
const BLACK: u8 = 16;
const GRAY: u8 = 126;
/// Chroma of what has no colour.
const COLOURLESS: u8 = 128;

/// A box that wanders over the picture, bouncing at its edges.
struct Wanderer {
    /// Side lengths as parts of the free picture's, in 1/16.
    width_16: usize,
    height_16: usize,
    /// Pixels a picture.
    across: u64,
    down: u64,
    /// Luma, then the two chroma samples.
    colour: [u8; 3],
}

/// Two boxes of clear contrast at different speeds: a motion detector sees them at any size.
const WANDERERS: [Wanderer; 2] = [
    Wanderer { width_16: 3, height_16: 4, across: 4, down: 2, colour: [210, 90, 170] },
    Wanderer { width_16: 2, height_16: 3, across: 7, down: 3, colour: [40, 180, 90] },
];

/// Of the shape in each lane, from the top: the lane, not the form, so that the form is what tells them apart.
const SHAPE_COLOURS: [[u8; 3]; 3] = [[210, 90, 170], [40, 180, 90], [190, 60, 60]];

impl Pattern {
    /// Draws plane `plane` (0 luma, 1 and 2 chroma halved both ways) of picture `number`.
    pub(crate) fn draw(&self, number: u64, plane: usize, bytes: &mut [u8], linesize: usize) {
        let number = match self.picture {
            TestPicture::Moving | TestPicture::Shapes => number,
            TestPicture::Frozen => 0,
            TestPicture::Black => return bytes.fill(if plane == 0 { BLACK } else { COLOURLESS }),
            TestPicture::Gray => return bytes.fill(if plane == 0 { GRAY } else { COLOURLESS }),
        };
        if plane == 0 {
            self.draw_luma(number, bytes, linesize);
        } else {
            self.draw_chroma(number, plane, bytes, linesize);
        }
    }

    fn draw_luma(&self, number: u64, bytes: &mut [u8], linesize: usize) {
        let (code, ramp) = (framecode::code(number), self.ramp());
        for (y, row) in bytes.chunks_mut(linesize).enumerate().take(self.height) {
            if y < STRIP_ROWS || y >= self.height - STRIP_ROWS {
                framecode::draw_row(code, self.width, row);
            } else {
                row[..self.width].copy_from_slice(&ramp[y..y + self.width]);
            }
        }
        self.draw_things(number, 0, bytes, linesize);
    }

    /// A still diagonal ramp from dark to mid grey: cheap to encode, and boxes stand out. Row y is
    /// the part from y on.
    fn ramp(&self) -> Vec<u8> {
        let steps = self.width + self.height;
        // At most 48 + 96: it fits whatever the size.
        (0..steps).map(|at| u8::try_from(48 + 96 * at / steps).unwrap_or(u8::MAX)).collect()
    }

    fn draw_chroma(&self, number: u64, plane: usize, bytes: &mut [u8], linesize: usize) {
        for row in bytes.chunks_mut(linesize).take(self.height / 2) {
            row[..self.width / 2].fill(COLOURLESS);
        }
        self.draw_things(number, plane, bytes, linesize);
    }

    fn draw_things(&self, number: u64, plane: usize, bytes: &mut [u8], linesize: usize) {
        if self.picture == TestPicture::Shapes {
            self.draw_shapes(number, plane, bytes, linesize);
        } else {
            self.draw_boxes(number, plane, bytes, linesize);
        }
    }

    fn draw_shapes(&self, number: u64, plane: usize, bytes: &mut [u8], linesize: usize) {
        let shrink = if plane == 0 { 1 } else { 2 };
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        for shape in shapes(side(self.width), side(self.height), number) {
            let colour = SHAPE_COLOURS[shape.lane % SHAPE_COLOURS.len()][plane];
            let (top, bottom) = (shape.y / shrink, (shape.y + shape.h) / shrink);
            let rows = bytes.chunks_mut(linesize).enumerate();
            for (y, row) in rows.take(bottom as usize).skip(top as usize) {
                if let Some((left, right)) = shape.columns(side(y) * shrink) {
                    row[(left / shrink) as usize..right.div_ceil(shrink) as usize].fill(colour);
                }
            }
        }
    }

    fn draw_boxes(&self, number: u64, plane: usize, bytes: &mut [u8], linesize: usize) {
        let shrink = if plane == 0 { 1 } else { 2 };
        for wanderer in &WANDERERS {
            let place = self.place(wanderer, number);
            let columns = place.left / shrink..(place.left + place.width) / shrink;
            let rows = place.top / shrink..(place.top + place.height) / shrink;
            for row in bytes.chunks_mut(linesize).take(rows.end).skip(rows.start) {
                row[columns.clone()].fill(wanderer.colour[plane]);
            }
        }
    }

    fn place(&self, wanderer: &Wanderer, number: u64) -> Place {
        let free_height = self.height - 2 * STRIP_ROWS;
        let width = self.width * wanderer.width_16 / 16;
        let height = free_height * wanderer.height_16 / 16;
        Place {
            left: bounce(number * wanderer.across, self.width - width),
            top: STRIP_ROWS + bounce(number * wanderer.down, free_height - height),
            width,
            height,
        }
    }
}

struct Place {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// A position that runs from 0 to `range` and back.
fn bounce(travelled: u64, range: usize) -> usize {
    let range = range.max(1);
    let phase = usize::try_from(travelled % (2 * range as u64)).unwrap_or(0);
    if phase <= range { phase } else { 2 * range - phase }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moving(width: usize, height: usize) -> Pattern {
        Pattern { width, height, picture: TestPicture::Moving }
    }

    fn luma(pattern: Pattern, number: u64) -> Vec<u8> {
        let mut bytes = vec![0; pattern.width * pattern.height];
        pattern.draw(number, 0, &mut bytes, pattern.width);
        bytes
    }

    #[test]
    fn the_picture_moves_enough_for_a_detector_and_not_everywhere() {
        let pattern = moving(640, 480);
        let (one, next) = (luma(pattern, 100), luma(pattern, 105));
        let moved = one.iter().zip(&next).filter(|(a, b)| a.abs_diff(**b) > 25).count();
        let share = moved as f64 / one.len() as f64;
        assert!((0.01..0.2).contains(&share), "{share}");
    }

    #[test]
    fn the_same_number_is_the_same_picture() {
        let pattern = moving(320, 192);
        assert_eq!(luma(pattern, 77), luma(pattern, 77));
        assert_ne!(luma(pattern, 77), luma(pattern, 78));
    }

    #[test]
    fn shapes_are_drawn_where_they_are_said_to_be() {
        let pattern = Pattern { picture: TestPicture::Shapes, ..moving(640, 480) };
        for number in [0, 7, 99, 100, 12_345] {
            let drawn = luma(pattern, number);
            let ground = moving(640, 480).ramp();
            for (y, row) in
                drawn.chunks(640).enumerate().skip(STRIP_ROWS).take(480 - 2 * STRIP_ROWS)
            {
                let mut expected = ground[y..y + 640].to_vec();
                for shape in shapes(640, 480, number) {
                    if let Some((left, right)) = shape.columns(u32::try_from(y).unwrap()) {
                        expected[left as usize..right as usize].fill(SHAPE_COLOURS[shape.lane][0]);
                    }
                }
                assert_eq!(row, expected, "picture {number}, row {y}");
            }
        }
    }

    #[test]
    fn pictures_of_a_camera_that_is_not_well_do_not_change() {
        for picture in [TestPicture::Frozen, TestPicture::Black, TestPicture::Gray] {
            let pattern = Pattern { picture, ..moving(320, 192) };
            assert_eq!(luma(pattern, 0), luma(pattern, 78));
        }
        let black = Pattern { picture: TestPicture::Black, ..moving(320, 192) };
        assert!(luma(black, 3).iter().all(|luma| *luma == BLACK));
    }

    proptest! {
        #[test]
        fn every_allowed_size_draws_both_strips(
            cells in 4usize..40, half_height in 32usize..300, number in 0u64..1 << 40, slack in 0usize..70,
        ) {
            let pattern = moving(cells * 32, half_height * 2);
            let linesize = pattern.width + slack;
            let mut bytes = vec![0; linesize * pattern.height];
            pattern.draw(number, 0, &mut bytes, linesize);
            let row = |y: usize| &bytes[y * linesize..y * linesize + pattern.width];
            let expected = u32::try_from(number % framecode::NUMBERS).unwrap();
            prop_assert_eq!(framecode::read_strip(&[row(0), row(15)]), Some(expected));
            let bottom = [row(pattern.height - 16), row(pattern.height - 1)];
            prop_assert_eq!(framecode::read_strip(&bottom), Some(expected));
            for plane in [1, 2] {
                let mut chroma = vec![0; linesize * half_height];
                pattern.draw(number, plane, &mut chroma, linesize);
                prop_assert!(chroma[..pattern.width / 2].iter().all(|sample| *sample == 128));
            }
        }
    }
}
