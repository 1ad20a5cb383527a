//! The Annex B byte stream (ITU-T H.264 and H.265, annex B): NAL units between start codes.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Built once: that takes as long as looking through a small picture.
static START: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&[0, 0, 1]));

/// The NAL units of `bytes`, without start codes and without the zero bytes that may follow a unit.
pub(crate) fn nal_units(bytes: &[u8]) -> NalUnits<'_> {
    NalUnits { rest: find_start_code(bytes).map(|at| &bytes[at + 3..]) }
}

pub(crate) struct NalUnits<'a> {
    /// Everything behind the last start code seen.
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let rest = self.rest?;
            let unit = match find_start_code(rest) {
                Some(at) => {
                    self.rest = Some(&rest[at + 3..]);
                    &rest[..at]
                }
                None => {
                    self.rest = None;
                    rest
                }
            };
            let unit = without_trailing_zeros(unit);
            if !unit.is_empty() {
                return Some(unit);
            }
        }
    }
}

/// A NAL unit never ends in a zero byte, so these belong to the next start code or are padding.
fn without_trailing_zeros(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    &unit[..end]
}

/// Where the next `00 00 01` begins.
fn find_start_code(bytes: &[u8]) -> Option<usize> {
    START.find(bytes)
}

/// `unit` without its emulation prevention bytes: the `03` of each `00 00 03`.
pub(crate) fn unescaped(unit: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn units(bytes: &[u8]) -> Vec<&[u8]> {
        nal_units(bytes).collect()
    }

    #[test]
    fn both_start_codes_and_padding_are_understood() {
        let stream = [9, 0, 0, 0, 1, 0x67, 1, 0, 0, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 3, 0];
        assert_eq!(units(&stream), [&[0x67, 1][..], &[0x68, 2], &[0x65, 3]]);
    }

    #[test]
    fn bytes_without_a_start_code_hold_no_unit() {
        assert!(units(&[0x67, 0, 0, 2]).is_empty());
        assert!(units(&[]).is_empty());
        assert!(units(&[0, 0, 1]).is_empty());
    }

    #[test]
    fn emulation_prevention_is_taken_out() {
        assert_eq!(unescaped(&[1, 0, 0, 3, 1, 0, 0, 3]), [1, 0, 0, 1, 0, 0]);
    }

    proptest! {
        #[test]
        fn the_fast_search_agrees_with_the_plain_one(bytes in proptest::collection::vec(0u8..4, 0..64)) {
            let plain = bytes.windows(3).position(|window| window == [0, 0, 1]);
            prop_assert_eq!(find_start_code(&bytes), plain);
        }
    }
}
