//! NAL units in the byte stream format (ITU-T H.264 and H.265, annex B of each).

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use protocol::stream::Codec;

/// What stands before each NAL unit in a packet ring.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Built once: that takes as long as looking through a small picture.
static SHORT_START_CODE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&[0, 0, 1]));
const SHORT_START_CODE_BYTES: usize = 3;

/// The two codecs that are made of NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    H264,
    H265,
}

/// Kinds of parameter sets, in the order that they must be sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParameterSet {
    /// H.265 only.
    Video,
    Sequence,
    Picture,
}

impl Family {
    pub fn of(codec: Codec) -> Option<Self> {
        match codec {
            Codec::H264 => Some(Self::H264),
            Codec::H265 => Some(Self::H265),
            _ => None,
        }
    }

    /// `nal_unit_type` (H.264 section 7.3.1, H.265 section 7.3.1.2); 0 of an empty unit.
    pub fn kind(self, unit: &[u8]) -> u8 {
        let first = unit.first().copied().unwrap_or(0);
        match self {
            Self::H264 => first & 0x1f,
            Self::H265 => first >> 1 & 0x3f,
        }
    }

    /// Access unit delimiters: one stands before everything else of its access unit.
    pub fn is_delimiter(self, unit: &[u8]) -> bool {
        let delimiter = if self == Self::H264 { 9 } else { 35 };
        self.kind(unit) == delimiter
    }

    /// Which parameter set this unit is (table 7-1 of both).
    pub fn parameter_set(self, unit: &[u8]) -> Option<ParameterSet> {
        match (self, self.kind(unit)) {
            (Self::H265, 32) => Some(ParameterSet::Video),
            (Self::H264, 7) | (Self::H265, 33) => Some(ParameterSet::Sequence),
            (Self::H264, 8) | (Self::H265, 34) => Some(ParameterSet::Picture),
            _ => None,
        }
    }

    /// The first sequence parameter set in `stream`, with its header and as it lies there.
    pub fn sequence_set(self, stream: &[u8]) -> Option<&[u8]> {
        units(stream).find(|unit| self.parameter_set(unit) == Some(ParameterSet::Sequence))
    }
}

/// The NAL units of `stream` without their start codes and the zero bytes that may follow them; empty ones,
/// and what stands before the first start code, are left out.
pub fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    ranges(stream).map(|unit| &stream[unit])
}

/// Where they are.
pub fn ranges(stream: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut next = start_code(stream, 0);
    std::iter::from_fn(move || {
        let begin = next.take()?.end;
        next = start_code(stream, begin);
        let end = next.as_ref().map_or(stream.len(), |code| code.start);
        Some(begin..begin + without_trailing_zeros(&stream[begin..end]).len())
    })
    .filter(|unit| !unit.is_empty())
}

/// Where the first `00 00 01` at or behind `from` is. The fourth byte of a long start code is a zero that
/// follows the unit before.
pub fn start_code(stream: &[u8], from: usize) -> Option<Range<usize>> {
    let at = from + SHORT_START_CODE.find(stream.get(from..)?)?;
    Some(at..at + SHORT_START_CODE_BYTES)
}

/// A NAL unit ends in its stop bit (H.264 section 7.4.1); zeros behind it belong to the stream.
pub fn without_trailing_zeros(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &unit[..end]
}

/// Writes a unit behind a start code of four bytes.
pub fn append(stream: &mut Vec<u8>, unit: &[u8]) {
    stream.extend_from_slice(&START_CODE);
    stream.extend_from_slice(unit);
}

/// The byte stream of these units.
pub fn stream<U: AsRef<[u8]>>(units: impl IntoIterator<Item = U>) -> Vec<u8> {
    let mut stream = Vec::new();
    units.into_iter().for_each(|unit| append(&mut stream, unit.as_ref()));
    stream
}

/// The unit without its emulation prevention bytes: the `03` of each `00 00 03` (H.264 section 7.4.1).
pub fn unescaped(unit: &[u8]) -> Vec<u8> {
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
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn split(stream: &[u8]) -> Vec<&[u8]> {
        units(stream).collect()
    }

    #[test]
    fn long_and_short_start_codes_and_padding_are_taken_off() {
        let stream = [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 3, 0, 0];
        assert_eq!(split(&stream), [&[0x67, 1][..], &[0x68, 2], &[0x65, 3]]);
    }

    #[test]
    fn what_stands_before_the_first_start_code_and_empty_units_are_left_out() {
        assert_eq!(split(&[9, 9, 0, 0, 1, 0, 0, 1, 0x65]), [&[0x65][..]]);
        for none in [&[][..], &[1, 2, 3], &[0, 0, 1], &[0x67, 0, 0, 2]] {
            assert!(split(none).is_empty(), "{none:?}");
        }
    }

    #[test]
    fn units_are_told_by_the_tables_of_both_codecs() {
        use ParameterSet::{Picture, Sequence, Video};
        let h264 = |head| Family::H264.parameter_set(&[head, 1]);
        assert_eq!([0x67, 0x68, 0x65].map(h264), [Some(Sequence), Some(Picture), None]);
        let h265 = |head| Family::H265.parameter_set(&[head, 1]);
        assert_eq!([0x40, 0x42, 0x44].map(h265), [Some(Video), Some(Sequence), Some(Picture)]);
        assert!(Family::H264.is_delimiter(&[9, 0xf0]) && Family::H265.is_delimiter(&[0x46, 1]));
        assert!(!Family::H264.is_delimiter(&[]) && Family::H265.parameter_set(&[]).is_none());
    }

    #[test]
    fn the_sequence_set_is_found_among_the_others() {
        let sets = stream([&[0x68, 2][..], &[0x67, 1], &[0x67, 3]]);
        assert_eq!(Family::H264.sequence_set(&sets), Some(&[0x67, 1][..]));
        assert_eq!(Family::H265.sequence_set(&sets), None);
    }

    #[test]
    fn emulation_prevention_is_taken_out() {
        assert_eq!(unescaped(&[1, 0, 0, 3, 1, 0, 0, 3]), [1, 0, 0, 1, 0, 0]);
    }

    proptest! {
        #[test]
        fn the_fast_search_agrees_with_the_plain_one(bytes in vec(0u8..4, 0..64), from in 0usize..70) {
            let plain = bytes.windows(3).enumerate().skip(from).find(|(_, it)| *it == [0, 0, 1]);
            prop_assert_eq!(start_code(&bytes, from), plain.map(|(at, _)| at..at + 3));
        }

        #[test]
        fn units_are_found_whatever_the_start_codes_are(
            units in vec((vec(2u8.., 1..20), any::<bool>()), 1..8),
        ) {
            let mut stream = Vec::new();
            for (unit, is_long) in &units {
                stream.extend(&START_CODE[usize::from(!is_long)..]);
                stream.extend(unit);
            }
            let written: Vec<&[u8]> = units.iter().map(|(unit, _)| unit.as_slice()).collect();
            prop_assert_eq!(split(&stream), written);
        }

        #[test]
        fn hostile_bytes_come_out_as_units_that_read_back(bytes in vec(0u8..4, 0..200)) {
            let once = stream(units(&bytes));
            prop_assert_eq!(split(&once), split(&bytes));
            for unit in units(&bytes) {
                prop_assert!(unescaped(unit).len() <= unit.len());
            }
        }
    }
}
