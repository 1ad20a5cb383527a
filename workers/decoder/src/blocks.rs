//! A picture as text: each cell of the terminal is two pixels, the upper one its foreground. Pure.

use std::fmt::Write as _;

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cells {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
}

/// The largest size that keeps the picture's shape, with one row left for words. Heights are even;
/// a pixel is half a cell high, which is about square.
pub(crate) fn fit(width: u32, height: u32, cells: Cells) -> (u32, u32) {
    let most =
        (u64::from(cells.columns.max(2)), u64::from(cells.rows.saturating_sub(1).max(1)) * 2);
    let (width, height) = (u64::from(width.max(1)), u64::from(height.max(1)));
    let by_width = (most.0, (height * most.0).div_ceil(width));
    let by_height = (((width * most.1) / height).max(1), most.1);
    let (wide, high) = if by_width.1 <= most.1 { by_width } else { by_height };
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    (narrow(wide), narrow(high.next_multiple_of(2)))
}

/// `rgb` is `width` x `height` x 3; the lines end in `\n` and in plain colours.
pub(crate) fn draw(rgb: &[u8], width: u32, height: u32) -> String {
    let row_bytes = width as usize * 3;
    let mut text = String::with_capacity(rgb.len() * 4);
    let mut rows = rgb.chunks_exact(row_bytes.max(1)).take(height as usize);
    while let (Some(upper), Some(lower)) = (rows.next(), rows.next()) {
        line(&mut text, upper, lower);
    }
    text
}

fn line(text: &mut String, upper: &[u8], lower: &[u8]) {
    let mut colours: Option<[&[u8]; 2]> = None;
    for pair in upper.chunks_exact(3).zip(lower.chunks_exact(3)) {
        let pair = [pair.0, pair.1];
        // Neighbours of the same colours need no new ones.
        if colours.replace(pair) != Some(pair) {
            let [up, low] = pair;
            let _ = write!(
                text,
                "\x1b[38;2;{};{};{}m\x1b[48;2;{};{};{}m",
                up[0], up[1], up[2], low[0], low[1], low[2]
            );
        }
        text.push('▀');
    }
    text.push_str("\x1b[0m\x1b[K\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_fills_the_terminal_and_keeps_its_shape() {
        let cells = |columns, rows| Cells { columns, rows };
        assert_eq!(fit(640, 480, cells(80, 24)), (61, 46));
        assert_eq!(fit(640, 480, cells(60, 40)), (60, 46));
        assert_eq!(fit(1920, 1080, cells(200, 60)), (200, 114));
        assert_eq!(fit(100, 1000, cells(80, 24)), (4, 46));
        assert_eq!(fit(1, 1, cells(0, 0)), (2, 2));
    }

    #[test]
    fn each_cell_is_two_pixels_and_colours_are_said_once() {
        let (red, blue) = ([255, 0, 0], [0, 0, 255]);
        let rgb = [red, red, blue, blue].concat();
        let text = draw(&rgb, 2, 2);
        assert_eq!(text, "\x1b[38;2;255;0;0m\x1b[48;2;0;0;255m▀▀\x1b[0m\x1b[K\n");
        assert_eq!(draw(&[9; 3 * 4 * 6], 4, 6).lines().count(), 3);
    }
}
