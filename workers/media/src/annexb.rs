//! H.264 and H.265 in the ring's form: Annex B, 4-byte start codes, parameter sets before every key
//! frame. Pure: bytes in, bytes out; nothing here trusts a length or an id.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use protocol::stream::Codec;

const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Built once: that takes as long as looking through a small picture.
static START: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&[0, 0, 1]));
/// Parameter sets kept for one track. Real streams have 2 or 3; H.264 allows 32 + 256.
const SETS_MAX: usize = 24;
/// Bytes of one set: real ones have tens, with scaling lists some hundred. All of them together
/// (24 KiB) stay below the 60 KiB of extradata a ring describes, so a hostile camera cannot make its
/// own ingest fail.
const SET_BYTES_MAX: usize = 1024;

/// The two codecs built of NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    H264,
    H265,
}

impl Family {
    pub fn of(codec: Codec) -> Option<Self> {
        match codec {
            Codec::H264 => Some(Self::H264),
            Codec::H265 => Some(Self::H265),
            _ => None,
        }
    }

    /// `nal_unit_type` of ITU-T H.264 7.3.1 and H.265 7.3.1.2; 0 for an empty unit.
    fn kind(self, nal: &[u8]) -> u8 {
        let first = nal.first().copied().unwrap_or(0);
        match self {
            Self::H264 => first & 0x1f,
            Self::H265 => first >> 1 & 0x3f,
        }
    }

    fn is_access_unit_delimiter(self, kind: u8) -> bool {
        kind == if self == Self::H264 { 9 } else { 35 }
    }

    /// VPS, SPS and PPS, in the order they must be sent in.
    fn is_parameter_set(self, kind: u8) -> bool {
        match self {
            Self::H264 => matches!(kind, 7 | 8),
            Self::H265 => matches!(kind, 32..=34),
        }
    }

    /// The set's own id, so that a newer set replaces its namesake only. H.265: a stream has one
    /// VPS and one SPS, whose ids lie behind the profile; they replace each other.
    fn set_id(self, kind: u8, nal: &[u8]) -> u32 {
        match (self, kind) {
            (Self::H264, 7) => exp_golomb(nal.get(4..).unwrap_or_default()),
            (Self::H264, _) => exp_golomb(nal.get(1..).unwrap_or_default()),
            (Self::H265, 34) => exp_golomb(nal.get(2..).unwrap_or_default()),
            (Self::H265, _) => 0,
        }
    }
}

/// The newest parameter sets of a track, by kind and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSets {
    family: Family,
    /// Sorted by (kind, id), at most `SETS_MAX`.
    sets: Vec<(u8, u32, Vec<u8>)>,
}

impl ParameterSets {
    /// Those in `stream`, which is Annex B: extradata or a key frame.
    pub fn of(family: Family, stream: &[u8]) -> Self {
        let mut sets = Self { family, sets: Vec::new() };
        for nal in nals(stream) {
            sets.learn(nal);
        }
        sets
    }

    /// Annex B with 4-byte start codes: the track's extradata.
    pub fn to_annexb(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The access unit `unit` in the ring's form; learns the sets it carries. One that has that form, as most
    /// cameras' have, is given back as it lies.
    pub fn normalise<'a>(&mut self, unit: impl Into<Cow<'a, [u8]>>, key: bool) -> Vec<u8> {
        let unit = unit.into();
        let is_in_form = self.learn_all(&unit);
        if !key && is_in_form {
            return unit.into_owned();
        }
        let mut out = Vec::with_capacity(unit.len() + 256);
        let mut sets_due = key;
        for nal in nals(&unit) {
            let kind = self.family.kind(nal);
            if key && self.family.is_parameter_set(kind) {
                continue; // written with the others, in order and once
            }
            if sets_due && !self.family.is_access_unit_delimiter(kind) {
                self.write(&mut out);
                sets_due = false;
            }
            append(&mut out, nal);
        }
        if sets_due {
            self.write(&mut out);
        }
        out
    }

    /// Whether nothing stands between the NAL units but start codes of 4 bytes.
    fn learn_all(&mut self, unit: &[u8]) -> bool {
        let (mut at, mut follow) = (0, true);
        for nal in nal_ranges(unit) {
            follow &= nal.start == at + START_CODE.len() && unit[at..].starts_with(&START_CODE);
            at = nal.end;
            self.learn(&unit[nal]);
        }
        follow && at == unit.len()
    }

    fn learn(&mut self, nal: &[u8]) {
        let kind = self.family.kind(nal);
        if !self.family.is_parameter_set(kind) || nal.len() > SET_BYTES_MAX {
            return;
        }
        let id = self.family.set_id(kind, nal);
        let place = self.sets.binary_search_by_key(&(kind, id), |(kind, id, _)| (*kind, *id));
        match place {
            Ok(at) if self.sets[at].2 == nal => {}
            Ok(at) => self.sets[at].2 = nal.to_vec(),
            Err(at) if self.sets.len() < SETS_MAX => self.sets.insert(at, (kind, id, nal.to_vec())),
            Err(_) => {}
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (_, _, nal) in &self.sets {
            append(out, nal);
        }
    }
}

fn append(out: &mut Vec<u8>, nal: &[u8]) {
    out.extend_from_slice(&START_CODE);
    out.extend_from_slice(nal);
}

/// The NAL units of an Annex B stream, without start codes and trailing zeros.
pub(crate) fn nals(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    nal_ranges(stream).map(|range| &stream[range])
}

/// Where they are.
fn nal_ranges(stream: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let here = rest?;
        rest = after_start_code(here);
        let end = rest.map_or(here.len(), |next| here.len() - next.len() - 3);
        let begin = stream.len() - here.len();
        Some(begin..begin + without_trailing_zeros(&here[..end]).len())
    })
    .filter(|nal| !nal.is_empty())
}

/// What follows the first `00 00 01`.
fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    START.find(bytes).map(|at| &bytes[at + 3..])
}

/// A NAL unit ends in its stop bit; zeros behind it belong to the stream (H.264 B.1.1).
fn without_trailing_zeros(nal: &[u8]) -> &[u8] {
    let end = nal.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    &nal[..end]
}

/// `ue(v)` at the start of `bits` (H.264 9.1); 0 when it is cut off or absurd.
fn exp_golomb(bits: &[u8]) -> u32 {
    let bit = |at: usize| bits.get(at / 8).map_or(0, |byte| u32::from(byte >> (7 - at % 8) & 1));
    // Ids go up to 255, which takes 8 leading zeros; the bytes read are too few for an escape.
    let Some(zeros) = (0..=8).find(|&at| bit(at) == 1) else {
        return 0;
    };
    (0..=zeros).fold(0, |value, at| value << 1 | bit(zeros + at)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1e, 0x95, 0xa0];
    const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
    const AUD: &[u8] = &[0x09, 0xf0];
    const IDR: &[u8] = &[0x65, 0x88, 0x84];
    const SLICE: &[u8] = &[0x41, 0x9a, 0x01];

    fn stream(nals: &[&[u8]], start: &[u8]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [start, nal].concat()).collect()
    }

    #[test]
    fn a_key_frame_without_parameter_sets_gets_them_behind_its_delimiter() {
        let mut sets = ParameterSets::of(Family::H264, &stream(&[SPS, PPS], &[0, 0, 1]));
        let out = sets.normalise(stream(&[AUD, IDR], &[0, 0, 1]), true);
        assert_eq!(out, stream(&[AUD, SPS, PPS, IDR], &START_CODE));
    }

    #[test]
    fn a_unit_that_has_the_rings_form_is_given_back_as_it_lies() {
        let mut sets = ParameterSets::of(Family::H264, &[]);
        let unit = stream(&[AUD, SLICE], &START_CODE);
        let at = unit.as_ptr();
        let out = sets.normalise(unit, false);
        assert_eq!((out.as_ptr(), out), (at, stream(&[AUD, SLICE], &START_CODE)));
    }

    #[test]
    fn endless_parameter_sets_are_not_kept() {
        let huge = [SPS, &[7; SET_BYTES_MAX]].concat();
        assert!(ParameterSets::of(Family::H264, &stream(&[&huge], &START_CODE)).is_empty());
        // exp-Golomb ids 0 to 254 in eight bits behind the unit's header.
        let many: Vec<Vec<u8>> =
            (1..=255u8).map(|id| [&[0x68, id][..], &[7; 900]].concat()).collect();
        let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
        let sets = ParameterSets::of(Family::H264, &stream(&many, &START_CODE));
        assert!(sets.to_annexb().len() <= SETS_MAX * (SET_BYTES_MAX + START_CODE.len()));
    }

    #[test]
    fn a_key_frame_with_parameter_sets_has_them_once() {
        let mut sets = ParameterSets::of(Family::H264, &[]);
        let unit = stream(&[SPS, PPS, SPS, PPS, IDR], &START_CODE);
        assert_eq!(sets.normalise(&unit, true), stream(&[SPS, PPS, IDR], &START_CODE));
    }

    #[test]
    fn a_set_sent_between_key_frames_stands_before_the_next_one() {
        let newer: &[u8] = &[0x68, 0xce, 0x3c, 0x90];
        let mut sets = ParameterSets::of(Family::H264, &stream(&[SPS, PPS], &START_CODE));
        let between = stream(&[newer, SLICE], &START_CODE);
        assert_eq!(sets.normalise(&between, false), between);
        let out = sets.normalise(stream(&[IDR], &START_CODE), true);
        assert_eq!(out, stream(&[SPS, newer, IDR], &START_CODE));
    }

    #[test]
    fn sets_of_different_ids_are_kept_apart() {
        let second: &[u8] = &[0x68, 0x4c, 0xe3, 0xc8]; // pps id 1: 010
        let sets = ParameterSets::of(Family::H264, &stream(&[PPS, second, SPS], &START_CODE));
        assert_eq!(sets.to_annexb(), stream(&[SPS, PPS, second], &START_CODE));
    }

    #[test]
    fn exp_golomb_reads_the_ids_of_the_standard() {
        for (bits, value) in [(0x80, 0), (0x40, 1), (0x60, 2), (0x20, 3), (0x38, 6)] {
            assert_eq!(exp_golomb(&[bits, 0]), value);
        }
        assert_eq!(exp_golomb(&[0, 0, 0]), 0);
    }

    proptest! {
        #[test]
        fn hostile_bytes_come_out_as_units_that_read_back(
            unit in proptest::collection::vec(0u8..4, 0..200), key: bool,
        ) {
            let mut sets = ParameterSets::of(Family::H265, &unit);
            let once = sets.normalise(&unit, key);
            prop_assert_eq!(sets.normalise(&once, key), once);
            let written: Vec<&[u8]> = nals(&unit).collect();
            prop_assert_eq!(sets.normalise(&unit, false), stream(&written, &START_CODE));
        }

        #[test]
        fn units_are_found_whatever_the_start_codes_are(
            bodies in proptest::collection::vec(proptest::collection::vec(2u8.., 1..20), 1..8),
            long: bool,
        ) {
            let start: &[u8] = if long { &START_CODE } else { &START_CODE[1..] };
            let nal_slices: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            let whole = stream(&nal_slices, start);
            prop_assert_eq!(nals(&whole).collect::<Vec<_>>(), nal_slices);
        }
    }
}
