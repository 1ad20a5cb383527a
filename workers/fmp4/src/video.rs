//! Sample entries of H.264 and H.265, built from parameter sets.
//!
//! `avc1` and `hvc1` keep the parameter sets here and out of the samples: that is what the strict
//! players (Apple's) ask for, it saves bytes, and a file stands by itself because the recorder
//! begins a new one when a key frame brings other sets. A set that differs stays in its sample.

use mp4_atom::{Avc1, Avcc, AvccExt, Codec as Entry, Hvc1, HvcCArray, Hvcc, Visual};
use protocol::stream::{Codec, Track};

use crate::error::Error;
use crate::params::{ParameterSets, h264_chroma, h265_summary};

/// The first profile after which `avcC` carries the chroma format: Baseline, Main and Extended
/// have none (ISO/IEC 14496-15, 5.3.3.1.2).
const PROFILES_WITHOUT_CHROMA: [u8; 3] = [66, 77, 88];

pub(crate) fn sample_entry(
    index: usize,
    track: &Track,
    sets: &ParameterSets,
) -> Result<Entry, Error> {
    let codec = track.codec;
    if let Some(missing) = sets.missing(codec) {
        return Err(Error::NoParameterSet { track: index, codec, missing });
    }
    let visual = visual(index, track)?;
    let bytes = sets.sequence[0].len();
    let short = Error::ShortConfiguration { track: index, codec, bytes };
    if codec == Codec::H264 {
        let avcc = avcc(sets).ok_or(short)?;
        Ok(Avc1 { visual, avcc, ..Avc1::default() }.into())
    } else {
        let hvcc = hvcc(sets).ok_or(short)?;
        Ok(Hvc1 { visual, hvcc, ..Hvc1::default() }.into())
    }
}

fn visual(index: usize, track: &Track) -> Result<Visual, Error> {
    let side = |pixels: u32| u16::try_from(pixels).ok().filter(|&side| side > 0);
    let (Some(width), Some(height)) = (side(track.width), side(track.height)) else {
        return Err(Error::Size { track: index, width: track.width, height: track.height });
    };
    Ok(Visual { data_reference_index: 1, width, height, ..Visual::default() })
}

fn avcc(sets: &ParameterSets) -> Option<Avcc> {
    let first = &sets.sequence[0];
    let mut avcc = Avcc::new(first, &[]).ok()?;
    avcc.sequence_parameter_sets.clone_from(&sets.sequence);
    avcc.picture_parameter_sets.clone_from(&sets.picture);
    if !PROFILES_WITHOUT_CHROMA.contains(&avcc.avc_profile_indication) {
        // Decoders take it from the set itself, so a set that we cannot read costs nothing.
        avcc.ext = h264_chroma(first).map(|chroma| AvccExt {
            chroma_format: chroma.format_idc,
            bit_depth_luma: chroma.luma_bits,
            bit_depth_chroma: chroma.chroma_bits,
            sequence_parameter_sets_ext: Vec::new(),
        });
    }
    Some(avcc)
}

fn hvcc(sets: &ParameterSets) -> Option<Hvcc> {
    let summary = h265_summary(&sets.sequence[0])?;
    let [profile, compatibility @ .., level] = summary.general;
    let (flags, constraints) = compatibility.split_at(4);
    Some(Hvcc {
        general_profile_space: profile >> 6,
        general_tier_flag: profile & 0x20 != 0,
        general_profile_idc: profile & 0x1f,
        general_profile_compatibility_flags: flags.try_into().ok()?,
        general_constraint_indicator_flags: constraints.try_into().ok()?,
        general_level_idc: level,
        chroma_format_idc: summary.chroma.format_idc,
        bit_depth_luma_minus8: summary.chroma.luma_bits - 8,
        bit_depth_chroma_minus8: summary.chroma.chroma_bits - 8,
        num_temporal_layers: summary.temporal_layers,
        temporal_id_nested: summary.temporal_id_nested,
        length_size_minus_one: 3,
        arrays: vec![
            complete(32, &sets.video),
            complete(33, &sets.sequence),
            complete(34, &sets.picture),
        ],
        ..Hvcc::new()
    })
}

/// All sets of one kind: `hvc1` promises that the samples bring no others.
fn complete(nal_unit_type: u8, units: &[Vec<u8>]) -> HvcCArray {
    HvcCArray { completeness: true, nal_unit_type, nalus: units.to_vec() }
}
