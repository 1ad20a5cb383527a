//! Which of a camera's streams are read here, and how. Pure.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bitstream::{Family, ParameterSet, nal, sps};
use media::ParameterSets;
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;

use super::audio::{Aac, Packing};
use super::nal::Assembler;
use super::sdp::{Kind, Media};

/// Some cameras leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What can be done with a stream.
#[derive(Debug)]
pub(crate) enum Choice {
    Ours(Box<Format>),
    /// The ring carries it, and FFmpeg takes it out of its packets.
    Ffmpegs,
    /// The ring does not carry it.
    Nobodys,
}

/// A stream that is read here.
#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) track: Track,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Video { assembler: Assembler, sets: ParameterSets },
    Audio(Packing),
}

pub(crate) fn of(media: &Media) -> Choice {
    let ours = match (media.kind, media.encoding.as_str()) {
        (Kind::Video, "H264") => Some(video(Codec::H264, Family::H264, media)),
        (Kind::Video, "H265") => Some(video(Codec::H265, Family::H265, media)),
        (Kind::Video, "AV1" | "JPEG" | "MP4V-ES" | "VP8" | "VP9") | (Kind::Audio, "MP4A-LATM") => {
            return Choice::Ffmpegs;
        }
        (Kind::Audio, "MPEG4-GENERIC") => {
            Aac::of(media).map(|(aac, config)| audio(Codec::Aac, Packing::Aac(aac), media, config))
        }
        (Kind::Audio, "OPUS") => Some(audio(Codec::Opus, Packing::Opus, media, Vec::new())),
        (Kind::Audio, "PCMU") => Some(samples(Codec::PcmMulaw, media)),
        (Kind::Audio, "PCMA") => Some(samples(Codec::PcmAlaw, media)),
        (Kind::Audio, "G722") => Some(g722(media)),
        (Kind::Audio, "L16") => {
            let channels = media.channels.clamp(1, 8);
            Some(audio(Codec::PcmS16le, Packing::L16 { channels }, media, Vec::new()))
        }
        _ => None,
    };
    match ours.filter(|format| format.track.time_base.den > 0) {
        Some(format) => Choice::Ours(Box::new(format)),
        None => Choice::Nobodys,
    }
}

fn video(codec: Codec, family: Family, media: &Media) -> Format {
    let mut known = Vec::new();
    for name in ["sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps"] {
        for set in media.parameter(name).unwrap_or_default().split(',') {
            let set = BASE64.decode(set.trim()).unwrap_or_default();
            if !set.is_empty() {
                nal::append(&mut known, &set);
            }
        }
    }
    let sets = ParameterSets::of(family, &known);
    let has_order = media.parameter("sprop-max-don-diff").is_some_and(|text| text != "0");
    let clock_hz = if media.clock_hz == 0 { 90_000 } else { media.clock_hz };
    let mut track = Track {
        codec,
        time_base: TimeBase { num: 1, den: clock_hz },
        width: 0,
        height: 0,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: rate(media.frame_rate),
        extradata: Vec::new(),
    };
    describe(&mut track, family, &sets);
    Format { track, content: Content::Video { assembler: Assembler::new(family, has_order), sets } }
}

/// Takes over what the parameter sets say; answers how many pictures may come before one that is shown
/// before them, or `None` while there is no set that tells the size.
pub(crate) fn describe(track: &mut Track, family: Family, sets: &ParameterSets) -> Option<usize> {
    let extradata = sets.to_annexb();
    let pictures = nal::units(&extradata)
        .filter(|nal| family.parameter_set(nal) == Some(ParameterSet::Sequence))
        .find_map(|set| sps::read(family, set))?;
    (track.width, track.height) = (pictures.width, pictures.height);
    if pictures.rate.0 > 0 {
        track.frame_rate = pictures.rate;
    }
    track.extradata = extradata;
    Some(pictures.reordered)
}

fn audio(codec: Codec, packing: Packing, media: &Media, extradata: Vec<u8>) -> Format {
    let clock_hz = if media.clock_hz == 0 { 8000 } else { media.clock_hz };
    let track = Track {
        codec,
        time_base: TimeBase { num: 1, den: clock_hz },
        width: 0,
        height: 0,
        sample_rate_hz: clock_hz,
        channels: media.channels.clamp(1, 8),
        frame_rate: (0, 1),
        extradata,
    };
    Format { track, content: Content::Audio(packing) }
}

fn samples(codec: Codec, media: &Media) -> Format {
    let channels = media.channels.clamp(1, 8);
    audio(codec, Packing::Samples { channels }, media, Vec::new())
}

/// Its clock counts half the samples, by an old mistake that stays (RFC 3551 section 4.5.2).
fn g722(media: &Media) -> Format {
    let mut format = samples(Codec::G722, media);
    format.track.sample_rate_hz = format.track.sample_rate_hz.saturating_mul(2);
    format
}

/// `a=framerate` as a fraction; to a thousandth.
fn rate(told: Option<f64>) -> (u32, u32) {
    match told {
        Some(rate) if rate < 1000.0 => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1 M")]
            let thousandths = (rate * 1000.0).round() as u32;
            if thousandths.is_multiple_of(1000) {
                (thousandths / 1000, 1)
            } else {
                (thousandths, 1000)
            }
        }
        _ => (0, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::sdp;
    use base64::engine::general_purpose::STANDARD;

    fn choice(text: &str) -> Choice {
        of(&sdp::read(text.as_bytes()).medias[0])
    }

    #[test]
    fn a_camera_that_tells_its_sets_is_described_before_its_first_picture() {
        let sps = "6742c00ad90209b011000003000100000300140f122648";
        let byte = |at| u8::from_str_radix(&sps[at..at + 2], 16).unwrap();
        let sps: Vec<u8> = (0..sps.len()).step_by(2).map(byte).collect();
        let text = STANDARD.encode(&sps);
        let text = format!(
            "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 sprop-parameter-sets={},aO48gA==\n",
            text.trim_end_matches('=')
        );
        let Choice::Ours(format) = choice(&text) else { panic!("not ours") };
        assert_eq!((format.track.width, format.track.height), (128, 64));
        assert_eq!(format.track.frame_rate.0 / format.track.frame_rate.1, 10);
        assert!(format.track.extradata.starts_with(&[0, 0, 0, 1, 0x67]));
    }

    #[test]
    fn g722_has_twice_the_samples_that_its_clock_says() {
        for text in ["m=audio 0 RTP/AVP 9\n", "m=audio 0 RTP/AVP 97\na=rtpmap:97 G722/8000/1\n"] {
            let Choice::Ours(format) = choice(text) else { panic!("{text} is not ours") };
            let Track { codec, time_base, sample_rate_hz, .. } = format.track;
            assert_eq!((codec, time_base.den, sample_rate_hz), (Codec::G722, 8_000, 16_000));
        }
    }

    #[test]
    fn what_is_not_read_here_is_left_to_ffmpeg_or_to_nobody() {
        let map = |encoding| format!("m=video 0 RTP/AVP 96\na=rtpmap:96 {encoding}/90000\n");
        assert!(matches!(choice(&map("VP8")), Choice::Ffmpegs));
        assert!(matches!(choice(&map("X-MAGIC")), Choice::Nobodys));
        assert!(matches!(choice("m=application 0 RTP/AVP 96\n"), Choice::Nobodys));
        assert!(matches!(
            choice("m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/8000\n"),
            Choice::Nobodys
        ));
    }
}
