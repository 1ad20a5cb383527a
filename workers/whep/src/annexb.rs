//! What browsers must be told of H.264 and H.265, and what must be done to key frames for them. Pure.

use std::borrow::Cow;

use bitstream::{Family, ParameterSet, nal};

/// A NAL unit of filler data (H.264 section 7.3.2.7): decoders pass it over.
const FILLER: [u8; 3] = [12, 0xff, 0x80];

/// The `profile_idc` of the first sequence parameter set of H.264.
pub(crate) fn h264_profile(sets: &[u8]) -> Option<u8> {
    Family::H264.sequence_set(sets)?.get(1).copied()
}

/// The `general_profile_idc` of the first sequence parameter set of H.265 (section 7.3.3).
pub(crate) fn h265_profile(sets: &[u8]) -> Option<u8> {
    Family::H265.sequence_set(sets)?.get(3).map(|byte| byte & 0x1f)
}

/// A key frame of H.264 of which no parameter set gets lost on the way: the packetizer of the WebRTC stack
/// keeps the last set of each kind until another NAL unit comes. A filler after each picture parameter set but
/// the last makes it send every pair.
pub(crate) fn with_all_sets(unit: &[u8]) -> Cow<'_, [u8]> {
    let kind = |nal: &[u8]| Family::H264.parameter_set(nal);
    let count = |wanted| nal::units(unit).filter(|nal| kind(nal) == Some(wanted)).count();
    let pictures = count(ParameterSet::Picture);
    if pictures <= 1 && count(ParameterSet::Sequence) <= 1 {
        return Cow::Borrowed(unit);
    }
    let mut out = Vec::with_capacity(unit.len() + 64 * pictures);
    let (mut sequence, mut left): (&[u8], _) = (&[], pictures);
    for nal in nal::units(unit) {
        match kind(nal) {
            Some(ParameterSet::Sequence) => sequence = nal,
            Some(ParameterSet::Picture) => {
                left -= 1;
                let filler: &[u8] = if left > 0 { &FILLER } else { &[] };
                [sequence, nal, filler].into_iter().for_each(|nal| put(&mut out, nal));
            }
            _ => put(&mut out, nal),
        }
    }
    Cow::Owned(out)
}

fn put(out: &mut Vec<u8>, nal: &[u8]) {
    if !nal.is_empty() {
        nal::append(out, nal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(nals: &[&[u8]]) -> Vec<u8> {
        nal::stream(nals)
    }

    #[test]
    fn profiles_are_those_of_the_sequence_parameter_sets() {
        assert_eq!(h264_profile(&stream(&[&[0x67, 100, 0, 31], &[0x68, 1]])), Some(100));
        let sets = stream(&[&[0x40, 1, 12], &[0x42, 1, 1, 0x22, 0]]);
        assert_eq!(h265_profile(&sets), Some(2));
        assert_eq!(h264_profile(&[]), None);
        assert_eq!(h265_profile(&stream(&[&[0x42]])), None);
    }

    #[test]
    fn a_key_frame_with_one_pair_of_sets_is_left_alone() {
        let unit = stream(&[&[0x67, 1], &[0x68, 2], &[0x65, 3]]);
        assert!(matches!(with_all_sets(&unit), Cow::Borrowed(_)));
    }

    #[test]
    fn each_picture_parameter_set_goes_with_its_sequence_parameter_set() {
        let unit = stream(&[&[0x67, 1], &[0x68, 2], &[0x68, 3], &[0x65, 4]]);
        let wanted: [&[u8]; 6] =
            [&[0x67, 1], &[0x68, 2], &FILLER, &[0x67, 1], &[0x68, 3], &[0x65, 4]];
        assert_eq!(with_all_sets(&unit).into_owned(), stream(&wanted));
        let two = stream(&[&[0x67, 1], &[0x68, 2], &[0x67, 5], &[0x68, 3], &[0x65, 4]]);
        let wanted: [&[u8]; 6] =
            [&[0x67, 1], &[0x68, 2], &FILLER, &[0x67, 5], &[0x68, 3], &[0x65, 4]];
        assert_eq!(with_all_sets(&two).into_owned(), stream(&wanted));
    }
}
