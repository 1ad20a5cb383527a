//! Bit fields, as headers of codecs have them.

/// Exp-Golomb codes stand for at most 32 bits less one (H.264 section 9.1).
const GOLOMB_ZEROS_MAX: usize = 31;

/// Reads bits from the front, the highest of each byte first; `None` behind the end.
#[derive(Clone, Debug)]
pub struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// A field of at most 32 bits: u(n), f(n).
    pub fn take(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// A field of one bit.
    pub fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// A field of at most eight bits.
    pub fn byte(&mut self, count: usize) -> Option<u8> {
        u8::try_from(self.take(count)?).ok()
    }

    /// ue(v), H.264 section 9.1; `None` also for a code that is longer than any field has.
    pub fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > GOLOMB_ZEROS_MAX {
                return None;
            }
        }
        ((1u32 << zeros) - 1).checked_add(self.take(zeros)?)
    }

    /// Passes over that many bits; `None` if there are not so many.
    pub fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.bytes.len() * 8)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_come_in_the_order_they_are_written() {
        let mut bits = Bits::new(&[0b1010_0000, 0xff]);
        assert_eq!((bits.flag(), bits.take(3), bits.take(8)), (Some(true), Some(2), Some(0x0f)));
        assert_eq!(bits.byte(4), Some(15));
        assert_eq!(bits.flag(), None);
        assert_eq!(Bits::new(&[1]).take(9), None);
    }

    #[test]
    fn nothing_is_passed_over_that_is_not_there() {
        let mut bits = Bits::new(&[0, 1]);
        assert_eq!((bits.skip(15), bits.flag()), (Some(()), Some(true)));
        assert_eq!((bits.skip(1), bits.skip(usize::MAX)), (None, None));
    }

    #[test]
    fn exp_golomb_codes_are_those_of_the_standard() {
        // H.264 table 9-2, and the longest code there is.
        for (code, value) in [(0x80, 0), (0x40, 1), (0x60, 2), (0x20, 3), (0x38, 6)] {
            assert_eq!(Bits::new(&[code, 0]).exp_golomb(), Some(value));
        }
        let longest = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe];
        assert_eq!(Bits::new(&longest).exp_golomb(), Some(u32::MAX - 1));
        assert_eq!(Bits::new(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff]).exp_golomb(), None);
        assert_eq!(Bits::new(&[0]).exp_golomb(), None);
    }

    proptest! {
        #[test]
        fn any_value_reads_back_from_its_code(value in 0..u32::MAX) {
            let bits = u64::from(value) + 1;
            let length = 2 * bits.ilog2() + 1;
            let code = (bits << (64 - length)).to_be_bytes();
            prop_assert_eq!(Bits::new(&code).exp_golomb(), Some(value));
        }
    }
}
