//! Finds the NAL units of an Annex B byte stream (ITU-T H.264 and H.265, annex B).

use std::ops::Range;

use memchr::memmem;

/// The NAL units of `stream` without start codes and trailing zero bytes; empty ones are left out.
pub fn units(stream: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut next = start_code(stream, 0);
    std::iter::from_fn(move || {
        let begin = next?.end;
        next = start_code(stream, begin);
        Some(begin..next.map_or(stream.len(), |code| code.start))
    })
    .map(|unit| unit.start..trimmed_end(stream, &unit))
    .filter(|unit| !unit.is_empty())
}

/// One 00 00 01; the fourth byte of a long start code is a trailing zero of the unit before.
#[derive(Clone, Copy)]
struct StartCode {
    start: usize,
    end: usize,
}

fn start_code(stream: &[u8], from: usize) -> Option<StartCode> {
    let at = memmem::find(stream.get(from..)?, &[0, 0, 1])?;
    Some(StartCode { start: from + at, end: from + at + 3 })
}

/// A NAL unit never ends in a zero byte (H.264 section 7.4.1), so zeros before a start code are padding.
fn trimmed_end(stream: &[u8], unit: &Range<usize>) -> usize {
    let zeros = stream[unit.clone()].iter().rev().take_while(|byte| **byte == 0).count();
    unit.end - zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(stream: &[u8]) -> Vec<&[u8]> {
        units(stream).map(|unit| &stream[unit]).collect()
    }

    #[test]
    fn long_and_short_start_codes_and_padding_are_removed() {
        let stream = [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 3, 0, 0];
        assert_eq!(split(&stream), [&[0x67, 1][..], &[0x68, 2], &[0x65, 3]]);
    }

    #[test]
    fn bytes_before_the_first_start_code_and_empty_units_are_left_out() {
        assert_eq!(split(&[9, 9, 0, 0, 1, 0, 0, 1, 0x65]), [&[0x65][..]]);
        assert!(split(&[1, 2, 3]).is_empty());
        assert!(split(&[0, 0, 1]).is_empty());
    }
}
