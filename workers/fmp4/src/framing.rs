//! How the bytes of a packet stand in a file.

use bitstream::{Family, nal};
use protocol::stream::{Codec, Track};

use crate::av1::{self, obus};
use crate::fragment::Sample;
use crate::params::ParameterSets;
use crate::vp9;

#[derive(Clone, Debug)]
pub(crate) enum Framing {
    /// H.264 and H.265: NAL units behind their lengths, without the sets that the sample entry has.
    Nal { family: Family, sets: ParameterSets },
    /// AV1: units without temporal delimiters, and a sequence header before each key frame.
    Obus { sequence: Vec<u8> },
    /// As it is.
    Whole { codec: Codec },
}

/// A part of a sample.
pub(crate) enum Piece<'a> {
    /// A NAL unit, to be written behind its length.
    Nal(&'a [u8]),
    Raw(&'a [u8]),
}

impl Framing {
    pub(crate) fn of(track: &Track) -> Self {
        if let Some(family) = Family::of(track.codec) {
            let sets = ParameterSets::in_annexb(family, &track.extradata);
            return Self::Nal { family, sets };
        }
        match track.codec {
            Codec::Av1 => {
                let sequence = av1::sequence_in(&track.extradata);
                Self::Obus { sequence: sequence.map(|it| it.obu).unwrap_or_default() }
            }
            codec => Self::Whole { codec },
        }
    }

    /// Whether decoding can begin with this sample. What the source says is checked where the bytes
    /// tell: a player that is sent to a picture which is none stays dark.
    pub(crate) fn is_key(&self, sample: &Sample) -> bool {
        sample.key
            && match self {
                Self::Obus { .. } => av1::begins_with_key(&sample.payload),
                Self::Whole { codec: Codec::Vp9 } => vp9::key_frame(&sample.payload).is_some(),
                Self::Nal { .. } | Self::Whole { .. } => true,
            }
    }

    pub(crate) fn pieces<'a>(&'a self, sample: &'a Sample, into: &mut Vec<Piece<'a>>) {
        match self {
            Self::Nal { family, sets } => {
                let units = nal::units(&sample.payload);
                into.extend(units.filter(|unit| !sets.holds(*family, unit)).map(Piece::Nal));
            }
            Self::Obus { sequence } => {
                if self.is_key(sample) && !av1::has_sequence_header(&sample.payload) {
                    into.push(Piece::Raw(sequence));
                }
                into.extend(without_delimiters(&sample.payload).map(Piece::Raw));
            }
            Self::Whole { .. } => into.push(Piece::Raw(&sample.payload)),
        }
    }
}

/// The bytes of all units but those; what is none stays as it is.
fn without_delimiters(packet: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    obus(packet).filter_map(move |obu| {
        let Some(obu) = obu else { return packet.get(at..) };
        at += obu.whole.len();
        (!obu.is_delimiter()).then_some(obu.whole)
    })
}

impl Piece<'_> {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Nal(unit) => 4 + unit.len(),
            Self::Raw(bytes) => bytes.len(),
        }
    }

    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Nal(unit) => {
                bytes.extend(u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes());
                bytes.extend_from_slice(unit);
            }
            Self::Raw(raw) => bytes.extend_from_slice(raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::av1::tests::{KEY, SEQUENCE};
    use crate::movie::tests::av1;

    fn written(track: &Track, key: bool, payload: &[u8]) -> Vec<u8> {
        let sample = Sample { key, payload: payload.to_vec(), ..Sample::default() };
        let (framing, mut pieces, mut bytes) = (Framing::of(track), Vec::new(), Vec::new());
        framing.pieces(&sample, &mut pieces);
        pieces.iter().for_each(|piece| piece.write(&mut bytes));
        bytes
    }

    #[test]
    fn av1_has_no_delimiters_and_a_sequence_header_before_each_key_frame() {
        let whole = [SEQUENCE, KEY].concat();
        assert_eq!(written(&av1(), true, &[&[0x12, 0], &whole[..]].concat()), whole);
        assert_eq!(written(&av1(), true, KEY), whole);
        assert_eq!(written(&av1(), false, KEY), KEY);
    }

    #[test]
    fn what_is_no_av1_stays_as_it_is() {
        for odd in [&[0xff, 1, 2][..], &[0x12, 0, 0x0a, 0x7f, 1], &[0x32, 0xff]] {
            let expected = odd.strip_prefix(&[0x12, 0]).unwrap_or(odd);
            assert_eq!(written(&av1(), false, odd), expected);
        }
    }
}
