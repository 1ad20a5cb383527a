//! NAL units in Annex B (ITU-T H.264 and H.265, annex B). Pure.

use std::borrow::Cow;

use memchr::memmem;

const START: [u8; 4] = [0, 0, 0, 1];
const H264_SPS: u8 = 7;
const H264_PPS: u8 = 8;
const H265_SPS: u8 = 33;
/// A NAL unit of filler data (H.264 section 7.3.2.7): decoders pass it over.
const FILLER: [u8; 3] = [12, 0xff, 0x80];

/// The NAL units, without start codes and without the zeros that may stand behind them.
pub(crate) fn units(bytes: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = memmem::find_iter(bytes, &[0, 0, 1]).map(|at| at + 3).collect();
    let ends = starts.iter().skip(1).map(|next| next - 3).chain([bytes.len()]);
    starts.iter().zip(ends).map(|(&start, end)| without_zeros(&bytes[start..end])).collect()
}

fn without_zeros(unit: &[u8]) -> &[u8] {
    let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &unit[..length]
}

/// The `profile_idc` of the first sequence parameter set of H.264.
pub(crate) fn h264_profile(sets: &[u8]) -> Option<u8> {
    let sps = units(sets).into_iter().find(|unit| h264_kind(unit) == Some(H264_SPS))?;
    sps.get(1).copied()
}

/// The `general_profile_idc` of the first sequence parameter set of H.265 (section 7.3.3).
pub(crate) fn h265_profile(sets: &[u8]) -> Option<u8> {
    let is_sps = |unit: &&[u8]| unit.first().is_some_and(|byte| byte >> 1 & 0x3f == H265_SPS);
    units(sets).into_iter().find(is_sps)?.get(3).map(|byte| byte & 0x1f)
}

/// A key frame of H.264 of which no parameter set gets lost on the way: the packetizer of the WebRTC stack
/// keeps the last set of each kind until another NAL unit comes. A filler after each picture parameter set but
/// the last makes it send every pair.
pub(crate) fn with_all_sets(unit: &[u8]) -> Cow<'_, [u8]> {
    let nals = units(unit);
    let count = |kind| nals.iter().filter(|nal| h264_kind(nal) == Some(kind)).count();
    let pictures = count(H264_PPS);
    if pictures <= 1 && count(H264_SPS) <= 1 {
        return Cow::Borrowed(unit);
    }
    let mut out = Vec::with_capacity(unit.len() + 64 * pictures);
    let (mut sequence, mut left): (&[u8], _) = (&[], pictures);
    for nal in nals {
        match h264_kind(nal) {
            Some(H264_SPS) => sequence = nal,
            Some(H264_PPS) => {
                left -= 1;
                let filler: &[u8] = if left > 0 { &FILLER } else { &[] };
                [sequence, nal, filler].into_iter().for_each(|nal| put(&mut out, nal));
            }
            _ => put(&mut out, nal),
        }
    }
    Cow::Owned(out)
}

fn h264_kind(nal: &[u8]) -> Option<u8> {
    nal.first().map(|byte| byte & 0x1f)
}

fn put(out: &mut Vec<u8>, nal: &[u8]) {
    if !nal.is_empty() {
        out.extend(START);
        out.extend(nal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(nals: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        nals.iter().for_each(|nal| put(&mut out, nal));
        out
    }

    #[test]
    fn units_are_told_apart_by_short_and_long_start_codes() {
        let bytes = [0, 0, 0, 1, 7, 1, 0, 0, 1, 8, 2, 0, 0, 0, 0, 1, 5, 3, 0];
        assert_eq!(units(&bytes), [&[7, 1][..], &[8, 2], &[5, 3]]);
        assert!(units(&[]).is_empty());
        assert!(units(&[1, 2, 3]).is_empty());
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
