//! The frame code (`docs/framecode.md`): a picture's number in a top and a bottom strip of 32 cells.
//! Pure.

/// Rows of each strip.
pub(crate) const STRIP_ROWS: usize = 16;
/// Cells across a strip, one bit each.
const CELLS: usize = 32;
/// Limited-range white and black: no player clips or stretches them.
const ONE: u8 = 235;
const ZERO: u8 = 16;

/// The 32 bits of a number: 24 of its own, least first, then the XOR of its three bytes. Numbers
/// start again after 2^24 pictures, 7 days at 25 a second.
pub(crate) fn code(number: u64) -> u32 {
    let bytes = number.to_le_bytes();
    let check = bytes[0] ^ bytes[1] ^ bytes[2];
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], check])
}

/// Fills one row of a strip; the picture is `width` pixels wide, a multiple of 32.
pub(crate) fn draw_row(code: u32, width: usize, row: &mut [u8]) {
    let cell_pixels = width / CELLS;
    for (cell, pixels) in row[..width].chunks_mut(cell_pixels).enumerate() {
        pixels.fill(if code >> cell & 1 == 1 { ONE } else { ZERO });
    }
}

#[cfg(test)]
pub(crate) const NUMBERS: u64 = 1 << 24;

/// The number in the strip whose rows are given, `None` when its check bits do not fit.
#[cfg(test)]
pub(crate) fn read_strip(rows: &[&[u8]]) -> Option<u32> {
    let cell_pixels = rows[0].len() / CELLS;
    let bit = |cell: usize| {
        let range =
            cell * cell_pixels + cell_pixels / 4..(cell + 1) * cell_pixels - cell_pixels / 4;
        let sum: usize = rows.iter().flat_map(|row| &row[range.clone()]).map(|p| *p as usize).sum();
        u32::from(sum > 128 * rows.len() * range.len()) << cell
    };
    let seen: u32 = (0..CELLS).map(bit).sum();
    let number = seen & 0x00ff_ffff;
    (code(u64::from(number)) == seen).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_code_of_a_known_number_never_changes() {
        assert_eq!(code(0), 0);
        assert_eq!(code(0x01_02_03), 0x00_01_02_03);
        assert_eq!(code(0xAB_CD_EF), 0x89_AB_CD_EF);
        assert_eq!(code(NUMBERS + 7), code(7));
    }

    proptest! {
        #[test]
        fn a_strip_reads_back_as_its_number(number in 0..NUMBERS, cells in 4usize..60) {
            let mut row = vec![0; cells * CELLS + 9];
            draw_row(code(number), cells * CELLS, &mut row);
            let visible = &row[..cells * CELLS];
            prop_assert_eq!(read_strip(&[visible; 4]), Some(u32::try_from(number).unwrap()));
        }

        #[test]
        fn one_wrong_cell_is_noticed(number in 0..NUMBERS, cell in 0..CELLS) {
            let mut row = vec![0; 4 * CELLS];
            draw_row(code(number) ^ 1 << cell, 4 * CELLS, &mut row);
            prop_assert_eq!(read_strip(&[&row[..]; 4]), None);
        }
    }
}
