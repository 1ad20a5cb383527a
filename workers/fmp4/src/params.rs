//! Parameter sets of H.264 and H.265: which NAL units they are, and the few fields that an MP4
//! sample entry repeats.

use bitstream::nal::{self, unescaped};
use bitstream::{Bits, Family, ParameterSet};
use protocol::stream::Codec;

/// Most sets of a kind, and bytes of one, that `avcC` can state. What goes beyond stays in the samples.
const SETS_MAX: usize = 31;
const SET_MAX_BYTES: usize = u16::MAX as usize;

/// Parameter sets in the order they came, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParameterSets {
    /// H.265 only.
    pub(crate) video: Vec<Vec<u8>>,
    pub(crate) sequence: Vec<Vec<u8>>,
    pub(crate) picture: Vec<Vec<u8>>,
}

impl ParameterSets {
    pub(crate) fn in_annexb(family: Family, bytes: &[u8]) -> Self {
        let mut sets = Self::default();
        for unit in nal::units(bytes) {
            let Some(kind) = family.parameter_set(unit) else {
                continue;
            };
            let list = sets.list_mut(kind);
            let fits = list.len() < SETS_MAX && unit.len() <= SET_MAX_BYTES;
            if fits && !list.iter().any(|had| had == unit) {
                list.push(unit.to_vec());
            }
        }
        sets
    }

    /// The kind of set that is not there and that a decoder cannot start without.
    pub(crate) fn missing(&self, family: Family) -> Option<&'static str> {
        let video_needed = family == Family::H265;
        if video_needed && self.video.is_empty() {
            Some("video parameter set")
        } else if self.sequence.is_empty() {
            Some("sequence parameter set")
        } else if self.picture.is_empty() {
            Some("picture parameter set")
        } else {
            None
        }
    }

    pub(crate) fn holds(&self, family: Family, unit: &[u8]) -> bool {
        family.parameter_set(unit).is_some_and(|kind| self.list(kind).iter().any(|set| set == unit))
    }

    fn list(&self, kind: ParameterSet) -> &Vec<Vec<u8>> {
        match kind {
            ParameterSet::Video => &self.video,
            ParameterSet::Sequence => &self.sequence,
            ParameterSet::Picture => &self.picture,
        }
    }

    fn list_mut(&mut self, kind: ParameterSet) -> &mut Vec<Vec<u8>> {
        match kind {
            ParameterSet::Video => &mut self.video,
            ParameterSet::Sequence => &mut self.sequence,
            ParameterSet::Picture => &mut self.picture,
        }
    }
}

/// The parameter sets inside an access unit, as Annex B for [`protocol::stream::Track::extradata`].
/// `None` when it does not hold all that a decoder needs.
pub fn parameter_sets(codec: Codec, access_unit: &[u8]) -> Option<Vec<u8>> {
    let family = Family::of(codec)?;
    let sets = ParameterSets::in_annexb(family, access_unit);
    if sets.missing(family).is_some() {
        return None;
    }
    let lists = [&sets.video, &sets.sequence, &sets.picture];
    Some(nal::stream(lists.into_iter().flatten()))
}

/// Sampling and depth of the samples, as both sample entries state them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chroma {
    pub(crate) format_idc: u8,
    pub(crate) luma_bits: u8,
    pub(crate) chroma_bits: u8,
}

/// What `avcC` repeats of a sequence parameter set: of the profiles that have it, the chroma
/// format (H.264 7.3.2.1.1). `None` when the set is cut off.
pub(crate) fn h264_chroma(set: &[u8]) -> Option<Chroma> {
    let plain = unescaped(set);
    let mut bits = Bits::new(plain.get(4..)?);
    bits.exp_golomb()?; // seq_parameter_set_id
    chroma(&mut bits, |_| Some(()))
}

/// What `hvcC` repeats of a sequence parameter set (H.265 7.3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct H265Summary {
    /// general_profile_space to general_level_idc, as they lie in the set.
    pub(crate) general: [u8; 12],
    pub(crate) temporal_layers: u8,
    pub(crate) temporal_id_nested: bool,
    pub(crate) chroma: Chroma,
}

pub(crate) fn h265_summary(set: &[u8]) -> Option<H265Summary> {
    let plain = unescaped(set);
    let head = *plain.get(2)?;
    let general: [u8; 12] = plain.get(3..15)?.try_into().ok()?;
    let sub_layers = (head >> 1) & 7;
    let mut bits = Bits::new(plain.get(15..)?);
    skip_sub_layers(&mut bits, sub_layers)?;
    bits.exp_golomb()?; // sps_seq_parameter_set_id
    let chroma = chroma(&mut bits, |bits| {
        bits.exp_golomb()?; // pic_width_in_luma_samples
        bits.exp_golomb()?; // pic_height_in_luma_samples
        let cropped = bits.take(1)? == 1;
        for _ in 0..if cropped { 4 } else { 0 } {
            bits.exp_golomb()?;
        }
        Some(())
    })?;
    Some(H265Summary {
        general,
        temporal_layers: sub_layers + 1,
        temporal_id_nested: head & 1 == 1,
        chroma,
    })
}

/// chroma_format_idc, what stands `between`, and the two bit depths.
fn chroma(
    bits: &mut Bits<'_>,
    between: impl FnOnce(&mut Bits<'_>) -> Option<()>,
) -> Option<Chroma> {
    let format_idc = bits.exp_golomb().filter(|&idc| idc <= 3)?;
    if format_idc == 3 {
        bits.take(1)?; // separate_colour_plane_flag
    }
    between(bits)?;
    let mut depth = || bits.exp_golomb().filter(|&above_8| above_8 <= 7);
    Some(Chroma {
        format_idc: u8::try_from(format_idc).ok()?,
        luma_bits: u8::try_from(depth()? + 8).ok()?,
        chroma_bits: u8::try_from(depth()? + 8).ok()?,
    })
}

/// profile_tier_level's part for sub-layers (H.265 7.3.3).
fn skip_sub_layers(bits: &mut Bits<'_>, sub_layers: u8) -> Option<()> {
    if sub_layers == 0 {
        return Some(());
    }
    // Two presence flags for each of eight sub-layers; those above the last are reserved zeros.
    let present = bits.take(16)?;
    for layer in 0..u32::from(sub_layers) {
        let profile = (present >> (15 - 2 * layer)) & 1;
        let level = (present >> (14 - 2 * layer)) & 1;
        for _ in 0..profile * 11 + level {
            bits.take(8)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_frame_gives_its_parameter_sets_once_each() {
        let unit = [
            &[0, 0, 0, 1, 9, 0x10][..],
            &[0, 0, 0, 1, 0x67, 1, 2, 3],
            &[0, 0, 0, 1, 0x68, 4],
            &[0, 0, 0, 1, 0x68, 4],
            &[0, 0, 0, 1, 0x65, 5],
        ]
        .concat();
        let expected = [0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 4];
        assert_eq!(parameter_sets(Codec::H264, &unit).unwrap(), expected);
        assert_eq!(parameter_sets(Codec::H264, &unit[..14]), None);
    }

    #[test]
    fn the_chroma_of_a_high_profile_set_is_read() {
        // x264, High 4:2:0, 8 bit, 640x480.
        let set = [0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1];
        let expected = Chroma { format_idc: 1, luma_bits: 8, chroma_bits: 8 };
        assert_eq!(h264_chroma(&set), Some(expected));
    }

    #[test]
    fn the_summary_of_an_x265_set_is_read() {
        let set = [
            0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00,
            0x00, 0x03, 0x00, 0x78, 0xa0, 0x02, 0x80, 0x80, 0x35, 0x9f, 0x59, 0x66, 0x62,
        ];
        let summary = h265_summary(&set).unwrap();
        assert_eq!(summary.general, [1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 120]);
        assert_eq!((summary.temporal_layers, summary.temporal_id_nested), (1, true));
        assert_eq!(summary.chroma, Chroma { format_idc: 1, luma_bits: 8, chroma_bits: 8 });
    }

    proptest! {
        #[test]
        fn random_sets_never_panic(set in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = h264_chroma(&set);
            let _ = h265_summary(&set);
            let _ = parameter_sets(Codec::H265, &set);
        }
    }
}
