//! Lines of text on a canvas: how large, and where their pixels are. Pure.

use protocol::config::compositor::layout::Rect;

use crate::canvas::Canvas;
use crate::colour::Ycc;
use crate::font;

/// Around a line, in its own pixels.
const PADDING: u32 = 1;
/// Of a line, with what is around it.
const LINE: u32 = font::HEIGHT + 2 * PADDING;
/// Longer texts are cut: a line of small letters across the largest canvas.
const LETTERS_MAX: usize = 512;

/// A line that is about so high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lettering {
    /// Pixels of the canvas for each of a letter's.
    scale: u32,
}

impl Lettering {
    pub(crate) fn of_height(pixels: u32) -> Self {
        Self { scale: ((pixels + LINE / 2) / LINE).max(1) }
    }

    /// Smaller, when the text is wider than `width` otherwise.
    pub(crate) fn within(self, width: u32, text: &str) -> Self {
        let wanted = Self { scale: 1 }.size(text).0;
        Self { scale: self.scale.min(width / wanted.max(1)).max(1) }
    }

    /// Width and height of a line with what is around it.
    pub(crate) fn size(self, text: &str) -> (u32, u32) {
        let letters = u32::try_from(text.chars().take(LETTERS_MAX).count()).unwrap_or(0);
        let width = letters * font::ADVANCE + 2 * PADDING;
        (width * self.scale, LINE * self.scale)
    }

    /// On a shaded ground, from the corner of `room` on; what does not fit in is left out.
    pub(crate) fn write(self, canvas: &mut Canvas<'_>, room: Rect, text: &str, colour: Ycc) {
        let (width, height) = self.size(text);
        canvas.shade(Rect { w: width.min(room.w), h: height.min(room.h), ..room });
        self.letters(canvas, room, text, colour);
    }

    /// Without a ground.
    pub(crate) fn letters(self, canvas: &mut Canvas<'_>, room: Rect, text: &str, colour: Ycc) {
        let step = font::ADVANCE * self.scale;
        let mut x = PADDING * self.scale;
        for letter in text.chars().take(LETTERS_MAX) {
            if x + font::WIDTH * self.scale > room.w {
                return;
            }
            self.letter(canvas, (room, x), letter, colour);
            x += step;
        }
    }

    fn letter(self, canvas: &mut Canvas<'_>, (room, x): (Rect, u32), letter: char, colour: Ycc) {
        for (row, bits) in (0..).zip(font::glyph(letter)) {
            let y = (PADDING + row) * self.scale;
            if y + self.scale > room.h {
                return;
            }
            for (from, length) in runs(bits) {
                let rect = Rect {
                    x: room.x + x + from * self.scale,
                    y: room.y + y,
                    w: length * self.scale,
                    h: self.scale,
                };
                canvas.fill(rect, colour);
            }
        }
    }
}

/// Of pixels side by side in a row: where they begin, and how many there are.
fn runs(bits: u8) -> impl Iterator<Item = (u32, u32)> {
    let is_set = move |x: u32| x < font::WIDTH && bits >> (font::WIDTH - 1 - x) & 1 == 1;
    let begins = (0..font::WIDTH).filter(move |x| is_set(*x) && (*x == 0 || !is_set(x - 1)));
    begins.map(move |x| {
        let length = (x..font::WIDTH).take_while(|x| is_set(*x)).count();
        (x, u32::try_from(length).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::canvas::tests::Sheet;

    const WHITE: Ycc = Ycc { y: 235, u: 128, v: 128 };

    #[test]
    fn runs_are_the_set_bits() {
        assert_eq!(runs(0b10110).collect::<Vec<_>>(), [(0, 1), (2, 2)]);
        assert_eq!(runs(0b11111).collect::<Vec<_>>(), [(0, 5)]);
        assert_eq!(runs(0).count(), 0);
    }

    #[test]
    fn a_letter_is_drawn_as_large_as_asked() {
        let mut sheet = Sheet::new(32, 32);
        let room = sheet.canvas().whole();
        Lettering::of_height(18).letters(&mut sheet.canvas(), room, "I", WHITE);
        let seen = sheet.tight();
        let lit = seen[..32 * 32].iter().filter(|it| **it == 235).count();
        // Eleven pixels of the letter, four of the canvas each.
        assert_eq!(lit, 11 * 4);
        assert_eq!(seen[2 * 32 + 2 + 2], 235, "its first pixel, behind the padding");
    }

    #[test]
    fn a_long_text_is_written_smaller() {
        let large = Lettering::of_height(36);
        let text = "no picture since 12:03:04";
        assert!(large.size(text).0 > 320);
        assert!(large.within(320, text).size(text).0 <= 320);
        assert_eq!(large.within(320, "ok"), large);
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_room(
            text in "\\PC{0,60}", height in 1u32..80, w in 2u32..100, h in 2u32..40,
        ) {
            let mut sheet = Sheet::new(128, 64);
            let room = Rect { x: 10, y: 10, w, h: h.min(50) };
            Lettering::of_height(height).write(&mut sheet.canvas(), room, &text, WHITE);
            for (at, sample) in sheet.tight()[..128 * 64].iter().enumerate() {
                let (x, y) = (at % 128, at / 128);
                let inside = (10..10 + w as usize).contains(&x) && (10..10 + h as usize).contains(&y);
                prop_assert!(inside || *sample == 128, "({x}, {y})");
            }
        }
    }
}
