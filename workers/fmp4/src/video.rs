//! Sample entries of pictures.
//!
//! `avc1` and `hvc1` keep the parameter sets here and out of the samples: that is what the strict
//! players (Apple's) ask for, it saves bytes, and a file stands by itself because the recorder
//! begins a new one when a key frame brings other sets. A set that differs stays in its sample.
//!
//! JPEG is `mp4v` with the object type of JPEG, which is how ISO/IEC 14496-1 puts it into MP4: FFmpeg
//! writes it so, and FFmpeg, GStreamer, VLC and mp4box.js read it. (`jpeg` is QuickTime's own, which
//! mp4box.js does not know; `mjpg` is HEIF's, which FFmpeg does not.)

use bitstream::Family;
use mp4_atom::esds::{DecoderConfig, EsDescriptor, Esds};
use mp4_atom::{
    Av01, Avc1, Avcc, AvccExt, Codec as Entry, Decode, Encode, Hvc1, HvcCArray, Hvcc, Visual, Vp09,
};
use protocol::stream::{Codec, Track};

use crate::boxes::{self, nested};
use crate::error::Error;
use crate::framing::Framing;
use crate::params::{ParameterSets, h264_chroma, h265_summary};
use crate::{av1, vp9};

/// The first profile after which `avcC` carries the chroma format: Baseline, Main and Extended
/// have none (ISO/IEC 14496-15, 5.3.3.1.2).
const PROFILES_WITHOUT_CHROMA: [u8; 3] = [66, 77, 88];
/// JPEG and visual stream in the words of ISO/IEC 14496-1, tables 5 and 6.
const OBJECT_TYPE_JPEG: u8 = 0x6c;
const STREAM_TYPE_VISUAL: u8 = 4;

/// The whole box.
pub(crate) fn sample_entry(
    index: usize,
    track: &Track,
    framing: &Framing,
) -> Result<Vec<u8>, Error> {
    let codec = track.codec;
    let entry: Entry = match framing {
        Framing::Nal { family, sets } => of_sets(index, track, *family, sets)?,
        Framing::Obus { .. } => {
            let missing = "sequence header";
            let sequence = av1::sequence_in(&track.extradata).ok_or(Error::NoParameterSet {
                track: index,
                codec,
                missing,
            })?;
            let visual = visual(index, track)?;
            Av01 { visual, av1c: sequence.av1c(), ..Av01::default() }.into()
        }
        Framing::Whole { codec: Codec::Vp9 } => {
            let visual = visual(index, track)?;
            Vp09 { visual, vpcc: vp9::vpcc(track), ..Vp09::default() }.into()
        }
        Framing::Whole { .. } => return jpeg(&visual(index, track)?),
    };
    let mut bytes = Vec::new();
    entry.encode(&mut bytes)?;
    Ok(bytes)
}

fn jpeg(visual: &Visual) -> Result<Vec<u8>, Error> {
    let dec_config = DecoderConfig {
        object_type_indication: OBJECT_TYPE_JPEG,
        stream_type: STREAM_TYPE_VISUAL,
        ..DecoderConfig::default()
    };
    let es_desc = EsDescriptor { dec_config, ..EsDescriptor::default() };
    let mut bytes = Vec::new();
    nested(&mut bytes, b"mp4v", |mp4v| {
        visual.encode(mp4v)?;
        Esds { es_desc }.encode(mp4v)
    })?;
    Ok(bytes)
}

/// Size of the pictures when the content of an `mp4v` box says that they are JPEG.
pub(crate) fn read_jpeg(mut mp4v: &[u8]) -> Option<Visual> {
    let visual = Visual::decode(&mut mp4v).ok()?;
    let esds: Esds = boxes::decode(boxes::only(mp4v, b"esds")?)?;
    let is_jpeg = esds.es_desc.dec_config.object_type_indication == OBJECT_TYPE_JPEG;
    is_jpeg.then_some(visual)
}

fn of_sets(
    index: usize,
    track: &Track,
    family: Family,
    sets: &ParameterSets,
) -> Result<Entry, Error> {
    let codec = track.codec;
    if let Some(missing) = sets.missing(family) {
        return Err(Error::NoParameterSet { track: index, codec, missing });
    }
    let visual = visual(index, track)?;
    let bytes = sets.sequence[0].len();
    let short = Error::ShortConfiguration { track: index, codec, bytes };
    if family == Family::H264 {
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
