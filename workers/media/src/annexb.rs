//! H.264 and H.265 in the ring's form: Annex B, 4-byte start codes, parameter sets before every key
//! frame. Pure: bytes in, bytes out; nothing here trusts a length or an id.

use bitstream::nal::{self, START_CODE};
use bitstream::{Bits, Family, ParameterSet};
use std::borrow::Cow;

/// Parameter sets kept for one track. Real streams have 2 or 3; H.264 allows 32 + 256.
const SETS_MAX: usize = 24;
/// Bytes of one set: real ones have tens, with scaling lists some hundred. All of them together
/// (24 KiB) stay below the 60 KiB of extradata a ring describes, so a hostile camera cannot make its
/// own ingest fail.
const SET_BYTES_MAX: usize = 1024;

/// Of picture parameter sets of H.264, which have the highest (7.4.2.2).
const SET_ID_MAX: u32 = 255;

/// The newest parameter sets of a track, by kind and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSets {
    family: Family,
    /// Sorted by (kind, id), at most `SETS_MAX`.
    sets: Vec<(ParameterSet, u32, Vec<u8>)>,
}

impl ParameterSets {
    /// Those in `stream`, which is Annex B: extradata or a key frame.
    pub fn of(family: Family, stream: &[u8]) -> Self {
        let mut sets = Self { family, sets: Vec::new() };
        for nal in nal::units(stream) {
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

    pub fn family(&self) -> Family {
        self.family
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
        for nal in nal::units(&unit) {
            if key && self.family.parameter_set(nal).is_some() {
                continue; // written with the others, in order and once
            }
            if sets_due && !self.family.is_delimiter(nal) {
                self.write_with_those_of(&unit, &mut out);
                sets_due = false;
            }
            nal::append(&mut out, nal);
        }
        if sets_due {
            self.write_with_those_of(&unit, &mut out);
        }
        out
    }

    /// Whether nothing stands between the NAL units but start codes of 4 bytes.
    fn learn_all(&mut self, unit: &[u8]) -> bool {
        let (mut at, mut follow) = (0, true);
        for nal in nal::ranges(unit) {
            follow &= nal.start == at + START_CODE.len() && unit[at..].starts_with(&START_CODE);
            at = nal.end;
            self.learn(&unit[nal]);
        }
        follow && at == unit.len()
    }

    fn learn(&mut self, nal: &[u8]) {
        let Some(kind) = self.family.parameter_set(nal) else { return };
        match self.place(kind, nal) {
            // Its successor cannot be kept, and it would undo that at the next key frame.
            Ok(at) if nal.len() > SET_BYTES_MAX => drop(self.sets.remove(at)),
            Err(_) if nal.len() > SET_BYTES_MAX => {}
            Ok(at) if self.sets[at].2 == nal => {}
            Ok(at) => self.sets[at].2 = nal.to_vec(),
            Err(at) if self.sets.len() < SETS_MAX => {
                let id = set_id(self.family, kind, nal);
                self.sets.insert(at, (kind, id, nal.to_vec()));
            }
            Err(_) => {}
        }
    }

    /// Where it is, or would be.
    fn place(&self, kind: ParameterSet, nal: &[u8]) -> Result<usize, usize> {
        let id = set_id(self.family, kind, nal);
        self.sets.binary_search_by_key(&(kind, id), |(kind, id, _)| (*kind, *id))
    }

    /// Those kept, and of each kind behind them what `unit` has of sets that are too large or too many to keep:
    /// they serve this unit.
    fn write_with_those_of(&self, unit: &[u8], out: &mut Vec<u8>) {
        let is_kept =
            |kind, nal: &[u8]| nal.len() <= SET_BYTES_MAX && self.place(kind, nal).is_ok();
        for kind in [ParameterSet::Video, ParameterSet::Sequence, ParameterSet::Picture] {
            let kept = self.sets.iter().filter(|(of, ..)| *of == kind).map(|(.., nal)| &nal[..]);
            let of_kind = |nal: &&[u8]| self.family.parameter_set(nal) == Some(kind);
            let own = nal::units(unit).filter(of_kind).filter(|nal| !is_kept(kind, nal));
            kept.chain(own).for_each(|nal| nal::append(out, nal));
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (_, _, nal) in &self.sets {
            nal::append(out, nal);
        }
    }
}

/// The set's own id, so that a newer set replaces its namesake only. H.265: a stream has one VPS and one SPS,
/// whose ids lie behind the profile; they replace each other.
fn set_id(family: Family, kind: ParameterSet, nal: &[u8]) -> u32 {
    let at = match (family, kind) {
        (Family::H264, ParameterSet::Sequence) => 4,
        (Family::H264, _) => 1,
        (Family::H265, ParameterSet::Picture) => 2,
        (Family::H265, _) => return 0,
    };
    let id = nal.get(at..).and_then(|bits| Bits::new(bits).exp_golomb());
    // Of one that is cut off or absurd.
    id.filter(|id| *id <= SET_ID_MAX).unwrap_or(0)
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
    fn a_set_that_is_too_large_to_keep_stays_in_its_own_key_frame() {
        let large: &[u8] = &[SPS, &[7; SET_BYTES_MAX]].concat();
        let mut sets = ParameterSets::of(Family::H264, &[]);
        let unit = stream(&[AUD, large, PPS, IDR], &START_CODE);
        assert_eq!(sets.normalise(&unit, true), unit);
        let large: &[u8] = &[PPS, &[7; SET_BYTES_MAX]].concat();
        let mut sets = ParameterSets::of(Family::H264, &stream(&[SPS], &START_CODE));
        let out = sets.normalise(stream(&[large, IDR], &START_CODE), true);
        assert_eq!(out, stream(&[SPS, large, IDR], &START_CODE));
    }

    #[test]
    fn a_set_whose_successor_is_too_large_to_keep_does_not_come_back() {
        let large: &[u8] = &[PPS, &[7; SET_BYTES_MAX]].concat();
        let mut sets = ParameterSets::of(Family::H264, &stream(&[SPS, PPS], &START_CODE));
        let out = sets.normalise(stream(&[large, IDR], &START_CODE), true);
        assert_eq!(out, stream(&[SPS, large, IDR], &START_CODE));
        let out = sets.normalise(stream(&[IDR], &START_CODE), true);
        assert_eq!(out, stream(&[SPS, IDR], &START_CODE));
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

    proptest! {
        #[test]
        fn hostile_bytes_come_out_as_units_that_read_back(
            unit in proptest::collection::vec(0u8..4, 0..200), key: bool,
        ) {
            let mut sets = ParameterSets::of(Family::H265, &unit);
            let once = sets.normalise(&unit, key);
            prop_assert_eq!(sets.normalise(&once, key), once);
            let written: Vec<&[u8]> = nal::units(&unit).collect();
            prop_assert_eq!(sets.normalise(&unit, false), stream(&written, &START_CODE));
        }
    }
}
