//! Bits of a header, the highest of each byte first.

/// Reads from the front; `None` behind the end.
#[derive(Clone, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// At most 32 bits.
    pub(super) fn take(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_the_order_they_are_written() {
        let mut bits = Bits::new(&[0b1010_0000, 0xff]);
        assert_eq!((bits.flag(), bits.take(3), bits.take(8)), (Some(true), Some(2), Some(0x0f)));
        assert_eq!(bits.take(4), Some(15));
        assert_eq!(bits.flag(), None);
        assert_eq!(Bits::new(&[1]).take(9), None);
    }
}
