//! The reader of `docs/framecode.md`: a 24-bit picture number with 8 check bits, as 32 cells in a
//! strip of 16 rows at the top and another at the bottom.

use serde::Serialize;

/// Rows of a strip.
pub const STRIP_ROWS: usize = 16;
const CELLS: usize = 32;

/// The numbers in the top and bottom strip of a gray picture; `None` where the check bits disagree.
pub fn read(gray: &[u8], width: usize) -> (Option<u32>, Option<u32>) {
    let strip = STRIP_ROWS * width;
    (read_strip(&gray[..strip], width), read_strip(&gray[gray.len() - strip..], width))
}

fn read_strip(strip: &[u8], width: usize) -> Option<u32> {
    let bits = (0..CELLS).map(|cell| u32::from(is_light(strip, width, cell)) << cell);
    let word = bits.fold(0, |word, bit| word | bit);
    let (number, check) = (word & 0x00ff_ffff, word >> 24);
    let expected = (number ^ (number >> 8) ^ (number >> 16)) & 0xff;
    (check == expected).then_some(number)
}

/// The mean of a cell's middle: its edges blur in compression.
fn is_light(strip: &[u8], width: usize, cell: usize) -> bool {
    let cell_width = width / CELLS;
    let columns = cell * cell_width + cell_width / 4..(cell + 1) * cell_width - cell_width / 4;
    let middle = (4..12).flat_map(|row| strip[row * width..][columns.clone()].iter());
    let (sum, count) =
        middle.fold((0u64, 0u64), |(sum, count), luma| (sum + u64::from(*luma), count + 1));
    sum > 128 * count
}

/// What a run of pictures says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Run {
    pub pictures: u64,
    pub first: Option<u32>,
    pub last: Option<u32>,
    /// Top and bottom strip disagree: a half-written picture.
    pub torn: u64,
    pub unreadable: u64,
    pub doubled: u64,
    pub backward: u64,
    /// Numbers left out.
    pub lost: u64,
    /// The first few places where numbers were left out.
    pub holes: Vec<(u32, u32)>,
}

impl Run {
    /// Numbers rise by one from first to last; with `modulo`, the code wraps there (a looped source).
    pub fn of(codes: &[(Option<u32>, Option<u32>)], modulo: Option<u32>) -> Self {
        let mut run = Self { pictures: codes.len() as u64, ..Self::default() };
        for code in codes {
            match code {
                (Some(top), Some(bottom)) if top == bottom => run.count(*top, modulo),
                (Some(_), Some(_)) => run.torn += 1,
                _ => run.unreadable += 1,
            }
        }
        run
    }

    fn count(&mut self, number: u32, modulo: Option<u32>) {
        if let Some(last) = self.last {
            let expected = modulo.map_or(last + 1, |modulo| (last + 1) % modulo);
            if number == last {
                self.doubled += 1;
            } else if number < expected {
                self.backward += 1;
            } else if number > expected {
                self.lost += u64::from(number - expected);
                self.holes.push((last, number));
                self.holes.truncate(8);
            }
        }
        self.first = self.first.or(Some(number));
        self.last = Some(number);
    }

    pub fn is_exact(&self) -> bool {
        self.pictures > 0
            && self.torn + self.unreadable + self.doubled + self.backward + self.lost == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(numbers: &[u32]) -> Vec<(Option<u32>, Option<u32>)> {
        numbers.iter().map(|number| (Some(*number), Some(*number))).collect()
    }

    fn picture(number: u32, width: usize) -> Vec<u8> {
        let check = (number ^ (number >> 8) ^ (number >> 16)) & 0xff;
        let word = number | check << 24;
        let row: Vec<u8> = (0..width)
            .map(|x| if word >> (x / (width / 32)) & 1 == 1 { 235 } else { 16 })
            .collect();
        row.repeat(2 * STRIP_ROWS)
    }

    #[test]
    fn a_number_reads_back_from_its_cells() {
        for number in [0, 1, 0xabcdef, 0x00ff_ffff] {
            assert_eq!(read(&picture(number, 320), 320), (Some(number), Some(number)));
        }
    }

    #[test]
    fn a_flipped_cell_is_unreadable_not_another_number() {
        let mut gray = picture(77, 320);
        for row in 0..STRIP_ROWS {
            gray[row * 320..row * 320 + 10].fill(16);
        }
        assert_eq!(read(&gray, 320), (None, Some(77)));
    }

    #[test]
    fn holes_doubles_and_steps_back_are_told_apart() {
        let run = Run::of(&codes(&[1, 2, 5, 5, 4]), None);
        assert_eq!((run.lost, run.doubled, run.backward), (2, 1, 1));
        assert!(Run::of(&codes(&[8, 9, 0, 1]), Some(10)).is_exact());
    }

    #[test]
    fn nothing_is_not_exact() {
        assert!(!Run::of(&[], None).is_exact());
    }
}
