//! What a file holds, in the words that players ask for (RFC 6381): `avc1.64001e,mp4a.40.2`. Pure.

use bitstream::Family;
use bitstream::nal::unescaped;
use protocol::stream::{Codec, Track};

use crate::{av1, vp9};

/// General profile, tier and level of H.265: of these bytes the rest is constraints.
const H265_PROFILE_BYTES: usize = 12;

/// The `codecs` of a file of these tracks; `None` when one of them says too little.
pub fn codecs<'a>(tracks: impl IntoIterator<Item = &'a Track>) -> Option<String> {
    let each: Option<Vec<String>> = tracks.into_iter().map(of_track).collect();
    each.filter(|each| !each.is_empty()).map(|each| each.join(","))
}

fn of_track(track: &Track) -> Option<String> {
    match track.codec {
        Codec::H264 => h264(&track.extradata),
        Codec::H265 => h265(&track.extradata),
        Codec::Aac => aac(&track.extradata),
        Codec::Opus => Some("opus".to_owned()),
        Codec::Av1 => av1(&track.extradata),
        Codec::Vp9 => Some(vp9(track)),
        // Visual, in the table of object types: 0x6c is JPEG.
        Codec::Mjpeg => Some("mp4v.6C".to_owned()),
        _ => None,
    }
}

fn h264(extradata: &[u8]) -> Option<String> {
    let sps = Family::H264.sequence_set(extradata)?;
    let [profile, constraints, level] = *sps.get(1..)?.first_chunk()?;
    Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
}

/// ISO/IEC 14496-15, annex E.3.
fn h265(extradata: &[u8]) -> Option<String> {
    let sps = unescaped(Family::H265.sequence_set(extradata)?);
    // Behind the header of the unit and the byte with the number of layers.
    let profile: [u8; H265_PROFILE_BYTES] = *sps.get(3..)?.first_chunk()?;
    let space = ["", "A", "B", "C"][usize::from(profile[0] >> 6)];
    let tier = if profile[0] >> 5 & 1 == 1 { 'H' } else { 'L' };
    let compatible = u32::from_be_bytes(*profile[1..].first_chunk()?).reverse_bits();
    let constraints = &profile[5..11];
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let constraints: String = constraints[..used].iter().map(|byte| format!(".{byte:X}")).collect();
    let (idc, level) = (profile[0] & 0x1f, profile[11]);
    Some(format!("hvc1.{space}{idc}.{compatible:X}.{tier}{level}{constraints}"))
}

/// AV1 in ISO media, section 5.
fn av1(extradata: &[u8]) -> Option<String> {
    let record = av1::sequence_in(extradata)?.av1c();
    let tier = if record.seq_tier_0 { 'H' } else { 'M' };
    let depth = match (record.high_bitdepth, record.twelve_bit) {
        (true, true) => 12,
        (true, false) => 10,
        (false, _) => 8,
    };
    Some(format!("av01.{}.{:02}{tier}.{depth:02}", record.seq_profile, record.seq_level_idx_0))
}

/// VP codec in ISO media, section "codecs parameter".
fn vp9(track: &Track) -> String {
    let record = vp9::vpcc(track);
    format!("vp09.{:02}.{:02}.{:02}", record.profile, record.level, record.bit_depth)
}

/// The object type is in the first five bits of the configuration.
fn aac(configuration: &[u8]) -> Option<String> {
    let kind = configuration.first()? >> 3;
    // 31 escapes to types that nobody streams.
    (kind > 0 && kind < 31).then(|| format!("mp4a.40.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movie::tests as tracks;
    use tracks::{aac as sound, h264 as picture};

    #[test]
    fn tracks_are_told_in_the_words_of_players() {
        assert_eq!(codecs([&picture(), &sound()]).unwrap(), "avc1.64001e,mp4a.40.2");
        let opus = Track { codec: Codec::Opus, ..sound() };
        assert_eq!(codecs([&opus]).unwrap(), "opus");
        assert_eq!(codecs([&tracks::vp9()]).unwrap(), "vp09.00.20.08");
        assert_eq!(codecs([&tracks::av1()]).unwrap(), "av01.0.00M.08");
        assert_eq!(codecs([&tracks::mjpeg()]).unwrap(), "mp4v.6C");
    }

    #[test]
    fn a_picture_of_h265_is_told_with_its_constraints() {
        // x265, Main, level 3: two guards in the profile.
        let sps = [
            0, 0, 0, 1, 0x42, 0x01, 0x01, 0x01, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x5a,
            0xa0,
        ];
        let track = Track { codec: Codec::H265, extradata: sps.to_vec(), ..picture() };
        assert_eq!(codecs([&track]).unwrap(), "hvc1.1.6.L90.90");
    }

    #[test]
    fn a_track_that_says_too_little_is_no_file() {
        let none = Track { extradata: Vec::new(), ..picture() };
        assert_eq!(codecs([&none, &sound()]), None);
        assert_eq!(codecs([]), None);
    }
}
