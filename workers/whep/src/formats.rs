//! Which tracks of a ring WebRTC can carry, and as what. Pure.

use std::cmp::Ordering;

use protocol::stream::{Codec, Track};
use str0m::RtcConfig;
use str0m::format::{Codec as Coded, FormatParams};
use str0m::media::Frequency;

use crate::annexb;

/// The kind of an `m=` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Audio,
    Video,
}

/// The RTP payload formats that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Av1,
    H264,
    H265,
    Opus,
    Pcma,
    Pcmu,
    Vp8,
    Vp9,
}

impl Format {
    /// `None` for what browsers do not take by WebRTC. G.711 is as telephones have it, or not at all (RFC 7874
    /// section 3).
    fn of(track: &Track) -> Option<Self> {
        let is_telephone = (track.sample_rate_hz, track.channels) == (8_000, 1);
        match track.codec {
            Codec::Av1 => Some(Self::Av1),
            Codec::H264 => Some(Self::H264),
            Codec::H265 => Some(Self::H265),
            Codec::Opus => Some(Self::Opus),
            Codec::PcmAlaw if is_telephone => Some(Self::Pcma),
            Codec::PcmMulaw if is_telephone => Some(Self::Pcmu),
            Codec::Vp8 => Some(Self::Vp8),
            Codec::Vp9 => Some(Self::Vp9),
            _ => None,
        }
    }

    /// As SDP has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Av1 => "AV1",
            Self::H264 => "H264",
            Self::H265 => "H265",
            Self::Opus => "opus",
            Self::Pcma => "PCMA",
            Self::Pcmu => "PCMU",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
        }
    }

    /// Of the RTP clock.
    pub(crate) fn frequency(self) -> Frequency {
        match self {
            Self::Opus => Frequency::FORTY_EIGHT_KHZ,
            Self::Pcma | Self::Pcmu => Frequency::EIGHT_KHZ,
            _ => Frequency::NINETY_KHZ,
        }
    }

    pub(crate) fn coded(self) -> Coded {
        match self {
            Self::Av1 => Coded::Av1,
            Self::H264 => Coded::H264,
            Self::H265 => Coded::H265,
            Self::Opus => Coded::Opus,
            Self::Pcma => Coded::PCMA,
            Self::Pcmu => Coded::PCMU,
            Self::Vp8 => Coded::Vp8,
            Self::Vp9 => Coded::Vp9,
        }
    }

    /// Whether its units are cut where samples end, and so may be cut anywhere.
    pub(crate) fn is_samples(self) -> bool {
        matches!(self, Self::Pcma | Self::Pcmu)
    }
}

/// A track that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// Its number in the ring.
    pub(crate) track: u32,
    pub(crate) format: Format,
    /// As the bitstream numbers profiles; `None` when it is not known or does not matter.
    profile: Option<u8>,
}

impl Served {
    fn of(number: usize, track: &Track) -> Option<Self> {
        let format = Format::of(track)?;
        let profile = match format {
            Format::H264 => annexb::h264_profile(&track.extradata),
            Format::H265 => annexb::h265_profile(&track.extradata),
            _ => None,
        };
        Some(Self { track: u32::try_from(number).ok()?, format, profile })
    }

    /// Which of two negotiated forms of its format is the better one: that of its own profile. Browsers decode
    /// what comes whatever was agreed on, so another profile is no reason to show nothing.
    pub(crate) fn compare(&self, one: &FormatParams, other: &FormatParams) -> Ordering {
        self.is_of(other).cmp(&self.is_of(one))
    }

    fn is_of(&self, form: &FormatParams) -> bool {
        let Some(profile) = self.profile.map(u32::from) else { return false };
        match self.format {
            // `profile_idc`, constraints, level (RFC 6184 section 8.1).
            Format::H264 => form.profile_level_id.is_some_and(|id| id >> 16 == profile),
            Format::H265 => {
                let level = form.h265_profile_tier_level;
                let said = level.map(|it| u32::from(it.profile().to_id())).or(form.profile_id);
                // Main is meant by who says nothing (RFC 7798 section 7.1).
                said.unwrap_or(1) == profile
            }
            _ => false,
        }
    }
}

/// What of a camera is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lineup {
    pub(crate) video: Option<Served>,
    pub(crate) audio: Option<Served>,
    /// Tracks that are not, by the names of their codecs.
    pub(crate) left_out: Vec<&'static str>,
    /// Whether the ring has pictures, served or not.
    has_pictures: bool,
}

impl Lineup {
    pub(crate) fn of(tracks: &[Track]) -> Self {
        let mut lineup = Self::default();
        for (number, track) in tracks.iter().enumerate() {
            let is_video = track.codec.is_video();
            lineup.has_pictures |= is_video;
            let place = if is_video { &mut lineup.video } else { &mut lineup.audio };
            match Served::of(number, track) {
                Some(served) if place.is_none() => *place = Some(served),
                _ => lineup.left_out.push(name(track.codec)),
            }
        }
        lineup
    }

    /// Why nothing of it can be watched.
    pub(crate) fn unfit(&self) -> Option<String> {
        let left_out = self.left_out.join(", ");
        match (self.video, self.audio) {
            (None, _) if self.has_pictures => {
                Some(format!("its tracks are {left_out}, and browsers take no such pictures"))
            }
            (None, None) if left_out.is_empty() => Some("it has no tracks".to_owned()),
            (None, None) => Some(format!("its tracks are {left_out}")),
            _ => None,
        }
    }

    pub(crate) fn of_media(&self, media: Media) -> Option<&Served> {
        match media {
            Media::Audio => self.audio.as_ref(),
            Media::Video => self.video.as_ref(),
        }
    }

    /// Which served track has this number in the ring.
    pub(crate) fn media_of(&self, track: u32) -> Option<(Media, &Served)> {
        let of = |media| self.of_media(media).map(|served| (media, served));
        [of(Media::Video), of(Media::Audio)].into_iter().flatten().find(|(_, it)| it.track == track)
    }

    /// Whether viewers of the other may go on with this one: parameter sets travel with the pictures.
    pub(crate) fn continues(&self, other: &Self) -> bool {
        let bare = |served: Option<Served>| served.map(|served| (served.track, served.format));
        (bare(self.video), bare(self.audio)) == (bare(other.video), bare(other.audio))
    }

    /// What may be agreed on. A kind that is not served has something that every browser has, since a line
    /// of SDP without any format is none.
    pub(crate) fn configure(&self, config: RtcConfig) -> RtcConfig {
        let video = self.video.map_or(Format::Vp8, |served| served.format);
        let audio = self.audio.map_or(Format::Opus, |served| served.format);
        let mut config = config.clear_codecs();
        match video {
            Format::H264 => h264(&mut config),
            Format::H265 => h265(&mut config),
            Format::Av1 => config.codec_config().enable_av1(true),
            Format::Vp9 => config.codec_config().enable_vp9(true),
            _ => config.codec_config().enable_vp8(true),
        }
        match audio {
            Format::Pcma => config.codec_config().enable_pcma(true, false),
            Format::Pcmu => config.codec_config().enable_pcmu(true, false),
            _ => config.codec_config().enable_opus(true, false),
        }
        config
    }
}

/// Packetization mode 1 alone: mode 0 has no way to cut a NAL unit (RFC 6184 section 6.2). The profiles that
/// browsers offer, the richest first; level 3.1 is what they say, and levels may differ.
fn h264(config: &mut RtcConfig) {
    let profiles: [(u8, u8, u32); 4] =
        [(114, 115, 0x64001f), (123, 119, 0x4d001f), (108, 109, 0x42e01f), (127, 121, 0x42001f)];
    for (payload, resend, profile) in profiles {
        config.codec_config().add_h264(payload.into(), Some(resend.into()), true, profile);
    }
}

/// Main and Main 10, up to level 6 (180 / 30, RFC 7798 section 7.1).
fn h265(config: &mut RtcConfig) {
    let profiles: [(u8, u8, u8); 2] = [(102, 103, 1), (104, 105, 2)];
    for (payload, resend, profile) in profiles {
        config.codec_config().add_h265(payload.into(), Some(resend.into()), profile, 0, 180);
    }
}

fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::Aac => "AAC",
        Codec::Av1 => "AV1",
        Codec::G722 => "G.722",
        Codec::H264 => "H.264",
        Codec::H265 => "H.265",
        Codec::Mjpeg => "MJPEG",
        Codec::Mpeg4 => "MPEG-4",
        Codec::Opus => "Opus",
        Codec::PcmAlaw | Codec::PcmMulaw => "G.711",
        Codec::PcmS16le => "PCM",
        Codec::Vp8 => "VP8",
        Codec::Vp9 => "VP9",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::time::TimeBase;

    pub(crate) fn track(codec: Codec) -> Track {
        Track {
            codec,
            time_base: TimeBase::NANOSECONDS,
            width: 0,
            height: 0,
            sample_rate_hz: 48_000,
            channels: 2,
            frame_rate: (0, 1),
            extradata: Vec::new(),
        }
    }

    fn telephone() -> Track {
        Track { sample_rate_hz: 8_000, channels: 1, ..track(Codec::PcmAlaw) }
    }

    #[test]
    fn the_first_track_of_each_kind_is_served_and_the_others_are_named() {
        let tracks = [Codec::Aac, Codec::H264, Codec::Opus, Codec::H265].map(track);
        let lineup = Lineup::of(&tracks);
        let numbers = (lineup.video.map(|it| it.track), lineup.audio.map(|it| it.track));
        assert_eq!(numbers, (Some(1), Some(2)));
        assert_eq!(lineup.left_out, ["AAC", "H.265"]);
        assert_eq!(lineup.media_of(1).map(|(media, _)| media), Some(Media::Video));
        assert_eq!(lineup.media_of(0), None);
        assert_eq!(lineup.unfit(), None);
    }

    #[test]
    fn g711_is_served_as_telephones_have_it() {
        assert_eq!(Lineup::of(&[telephone()]).audio.map(|it| it.format), Some(Format::Pcma));
        assert_eq!(Lineup::of(&[track(Codec::PcmAlaw)]).audio, None);
    }

    #[test]
    fn a_camera_whose_pictures_no_browser_takes_says_what_it_sends() {
        let why = Lineup::of(&[track(Codec::Mjpeg), track(Codec::Opus)]).unfit().unwrap();
        assert!(why.contains("MJPEG"), "{why}");
        let why = Lineup::of(&[track(Codec::Aac)]).unfit().unwrap();
        assert!(why.contains("AAC"), "{why}");
        assert!(Lineup::of(&[]).unfit().is_some());
        assert_eq!(Lineup::of(&[track(Codec::Opus)]).unfit(), None);
    }

    #[test]
    fn viewers_go_on_when_the_size_changes_and_not_when_the_format_does() {
        let one = Lineup::of(&[track(Codec::H264)]);
        let larger =
            Track { width: 1920, extradata: vec![0, 0, 1, 0x67, 100], ..track(Codec::H264) };
        assert!(Lineup::of(&[larger]).continues(&one));
        assert!(!Lineup::of(&[track(Codec::H265)]).continues(&one));
        assert!(!Lineup::of(&[track(Codec::H264), track(Codec::Opus)]).continues(&one));
    }

    #[test]
    fn the_profile_of_the_stream_goes_first() {
        let main = Track { extradata: vec![0, 0, 1, 0x67, 0x4d, 0, 31], ..track(Codec::H264) };
        let served = Lineup::of(&[main]).video.unwrap();
        let form = |id| FormatParams { profile_level_id: Some(id), ..FormatParams::default() };
        let mut forms = [form(0x42001f), form(0x64001f), form(0x4d001f)];
        forms.sort_by(|one, other| served.compare(one, other));
        assert_eq!(forms[0].profile_level_id, Some(0x4d001f));
        assert_eq!(forms[1].profile_level_id, Some(0x42001f), "the others stay in their order");
    }
}
