//! Colours that people write as samples of the canvas. Pure.

use protocol::config::compositor::Rgb;
use protocol::stream::Colour;

/// ISO/IEC 23091-2.
const MATRIX_BT709: u8 = 1;

/// Luma and chroma of limited range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ycc {
    pub(crate) y: u8,
    pub(crate) u: u8,
    pub(crate) v: u8,
}

impl Ycc {
    /// ITU-R BT.709 section 3, BT.601 section 2.5: of red and blue the weights in luma, of green the rest.
    pub(crate) fn of(Rgb(red, green, blue): Rgb, canvas: Colour) -> Self {
        let (of_red, of_blue) =
            if canvas.matrix == MATRIX_BT709 { (0.2126, 0.0722) } else { (0.299, 0.114) };
        let [red, green, blue] = [red, green, blue].map(|it| f64::from(it) / 255.0);
        let luma = of_red * red + (1.0 - of_red - of_blue) * green + of_blue * blue;
        let blueness = (blue - luma) / (2.0 * (1.0 - of_blue));
        let redness = (red - luma) / (2.0 * (1.0 - of_red));
        Self {
            y: sample(16.0 + 219.0 * luma),
            u: sample(128.0 + 224.0 * blueness),
            v: sample(128.0 + 224.0 * redness),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn sample(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_matrix(rgb: Rgb, matrix: u8) -> [u8; 3] {
        let Ycc { y, u, v } = Ycc::of(rgb, Colour { range: 1, matrix, ..Colour::default() });
        [y, u, v]
    }

    #[test]
    fn primaries_are_what_the_recommendations_say() {
        assert_eq!(in_matrix(Rgb(255, 0, 0), 5), [81, 90, 240]);
        assert_eq!(in_matrix(Rgb(0, 255, 0), 5), [145, 54, 34]);
        assert_eq!(in_matrix(Rgb(0, 255, 0), 1), [173, 42, 26]);
        assert_eq!(in_matrix(Rgb(255, 255, 255), 1), [235, 128, 128]);
        assert_eq!(in_matrix(Rgb(0, 0, 0), 5), [16, 128, 128]);
    }
}
