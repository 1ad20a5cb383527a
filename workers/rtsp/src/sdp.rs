//! What a camera offers, and its SDP (RFC 8866; for RTSP, RFC 2326 appendix C).

use std::net::IpAddr;

use protocol::stream::Track;
use sdp_types::{
    Connection, Fmtp, FmtpParam, Media, MediaType, Origin, RtpMap, Session, TransportProto,
};

use crate::recorded::range::Window;
use crate::rtp;

/// The tracks of one camera that are served. Two equal ones have the same SDP, so a viewer of the
/// one can go on with the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presentation {
    /// The path of its URL.
    path: String,
    tracks: Vec<Served>,
    /// Of a recording; `None` for a camera as it is now.
    window: Option<Window>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Index in the ring; the N of the control URL `trackID=N`.
    pub index: u32,
    pub format: rtp::Format,
    frame_rate: (u32, u32),
}

impl Presentation {
    pub fn of(path: &str, tracks: &[Track]) -> Self {
        Self { path: path.to_owned(), tracks: served(path, (0..).zip(tracks)), window: None }
    }

    /// Of a recording, whose tracks have the numbers they had in their ring.
    pub fn recorded(path: &str, streams: &[(u32, Track)], window: Window) -> Self {
        let streams = streams.iter().map(|(index, track)| (*index, track));
        Self { path: path.to_owned(), tracks: served(path, streams), window: Some(window) }
    }

    /// What there is of a recording; `None` for a camera as it is now.
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    /// Whether a recording goes on with the tracks that were told.
    pub fn has_tracks_of(&self, streams: &[(u32, Track)]) -> bool {
        self.tracks == served(&self.path, streams.iter().map(|(index, track)| (*index, track)))
    }

    pub fn has_video(&self) -> bool {
        self.tracks.iter().any(|track| track.format.media() == rtp::Media::Video)
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tracks(&self) -> &[Served] {
        &self.tracks
    }

    pub fn track(&self, index: u32) -> Option<&Served> {
        self.tracks.iter().find(|track| track.index == index)
    }

    /// Whether viewers may begin at such a packet: a key frame of the first video track, or anything
    /// when there is no video.
    pub fn is_entry(&self, track: u32, key: bool) -> bool {
        let mut tracks = self.tracks.iter();
        match tracks.find(|track| track.format.media() == rtp::Media::Video) {
            Some(video) => key && track == video.index,
            None => true,
        }
    }

    /// What can be played (RFC 2326, C.1.5).
    fn range(&self) -> String {
        self.window.map_or_else(|| "npt=now-".to_owned(), |window| window.told())
    }

    /// The SDP for a client that reaches us at `local`.
    pub fn sdp(&self, local: IpAddr) -> Vec<u8> {
        // Nothing re-announces a description, so its id and version say nothing.
        let session = Session::builder(Origin::with_ip_addr(0, 0, local), &self.path)
            .connection(Connection::from_ip_addr(unspecified(local)))
            .attribute_with_value("tool", "framevisor")
            .attribute_with_value("control", "*")
            .attribute_with_value("range", self.range())
            .medias(self.tracks.iter().map(Served::media))
            .build();
        let mut text = Vec::new();
        // Writing into memory does not fail; a short SDP would be refused by the client.
        let _ = session.write(&mut text);
        text
    }
}

/// Tracks that RTP carries.
fn served<'a>(path: &str, tracks: impl Iterator<Item = (u32, &'a Track)>) -> Vec<Served> {
    let served = |(index, track): (u32, &Track)| {
        // A ring has eight tracks at most.
        let format = rtp::Format::of(track, u8::try_from(index).ok()?);
        let told = format.inspect_err(|why| {
            tracing::warn!(camera = path, track = index, %why, "track is left out");
        });
        Some(Served { index, format: told.ok()?, frame_rate: track.frame_rate })
    };
    tracks.filter_map(served).collect()
}

impl Served {
    fn media(&self) -> Media {
        let format = &self.format;
        let kind = match format.media() {
            rtp::Media::Audio => MediaType::Audio,
            rtp::Media::Video => MediaType::Video,
        };
        Media::builder(kind, 0, TransportProto::RtpAvp, format.payload_type)
            .attribute(self.rtp_map())
            .attribute_if(self.fmtp(), !format.parameters.is_empty())
            .attribute_with_value_if_some("framerate", self.pictures_per_s())
            .attribute_with_value("control", control(self.index))
            .build()
    }

    fn rtp_map(&self) -> RtpMap {
        let format = &self.format;
        let map = RtpMap::builder(format.payload_type, format.encoding(), format.clock_hz);
        map.encoding_params_if(format.channels, format.media() == rtp::Media::Audio).build()
    }

    fn fmtp(&self) -> Fmtp {
        let parameter =
            |(name, value): &(&str, String)| FmtpParam::builder(name).value(value).build();
        Fmtp::builder(self.format.payload_type)
            .format_specific_params(self.format.parameters.iter().map(parameter))
            .build()
    }

    fn pictures_per_s(&self) -> Option<String> {
        let (numerator, denominator) = self.frame_rate;
        (numerator > 0 && denominator > 0)
            .then(|| format!("{:.3}", f64::from(numerator) / f64::from(denominator)))
    }
}

/// The control URL of a track, relative to the base that DESCRIBE states.
pub fn control(index: u32) -> String {
    format!("trackID={index}")
}

/// Media goes where SETUP says, so the address of the description is "any" of the right family.
fn unspecified(local: IpAddr) -> IpAddr {
    match local {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::stream::Codec;
    use protocol::time::TimeBase;

    fn track(codec: Codec, extradata: &[u8]) -> Track {
        Track {
            codec,
            time_base: TimeBase::VIDEO_90K,
            width: 640,
            height: 480,
            sample_rate_hz: if codec.is_video() { 0 } else { 48_000 },
            channels: if codec.is_video() { 0 } else { 2 },
            frame_rate: if codec.is_video() { (25, 1) } else { (0, 1) },
            extradata: extradata.to_vec(),
        }
    }

    #[test]
    fn the_description_of_a_camera_reads_as_clients_expect() {
        let extradata = [0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0xd9, 0, 0, 0, 1, 0x68, 0xcb, 0x83];
        let tracks = [
            track(Codec::H264, &extradata),
            Track { width: 2048, ..track(Codec::Mjpeg, &[]) },
            track(Codec::Aac, &[0x11, 0x90]),
        ];
        let sdp = Presentation::of("cam1", &tracks).sdp([127, 0, 0, 1].into());
        let expected = "v=0\r\n\
            o=- 0 0 IN IP4 127.0.0.1\r\n\
            s=cam1\r\n\
            c=IN IP4 0.0.0.0\r\n\
            t=0 0\r\n\
            a=tool:framevisor\r\n\
            a=control:*\r\n\
            a=range:npt=now-\r\n\
            m=video 0 RTP/AVP 96\r\n\
            a=rtpmap:96 H264/90000\r\n\
            a=fmtp:96 packetization-mode=1;profile-level-id=42C01E;sprop-parameter-sets=Z0LAHtk=,aMuD\r\n\
            a=framerate:25.000\r\n\
            a=control:trackID=0\r\n\
            m=audio 0 RTP/AVP 98\r\n\
            a=rtpmap:98 mpeg4-generic/48000/2\r\n\
            a=fmtp:98 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190\r\n\
            a=control:trackID=2\r\n";
        assert_eq!(String::from_utf8(sdp).unwrap(), expected);
    }

    #[test]
    fn every_codec_of_pictures_is_told_by_its_own_name() {
        let mpeg4 = [0, 0, 1, 0xb0, 3];
        let tracks = [
            track(Codec::Mjpeg, &[]),
            track(Codec::Mpeg4, &mpeg4),
            track(Codec::Vp8, &[]),
            track(Codec::Vp9, &[1, 30, 0x82, 2, 2, 2, 0, 0]),
            track(Codec::Av1, &[0x81, 0x08, 0x0c, 0]),
        ];
        let sdp = Presentation::of("cam1", &tracks).sdp([127, 0, 0, 1].into());
        let sdp = String::from_utf8(sdp).unwrap();
        let told: Vec<&str> = sdp
            .lines()
            .filter(|line| {
                line.starts_with("m=") || line.contains("map:") || line.contains("fmtp:")
            })
            .collect();
        let expected = [
            "m=video 0 RTP/AVP 26",
            "a=rtpmap:26 JPEG/90000",
            "m=video 0 RTP/AVP 97",
            "a=rtpmap:97 MP4V-ES/90000",
            "a=fmtp:97 profile-level-id=3;config=000001B003",
            "m=video 0 RTP/AVP 98",
            "a=rtpmap:98 VP8/90000",
            "m=video 0 RTP/AVP 99",
            "a=rtpmap:99 VP9/90000",
            "a=fmtp:99 profile-id=1",
            "m=video 0 RTP/AVP 100",
            "a=rtpmap:100 AV1/90000",
            "a=fmtp:100 profile=0;level-idx=8;tier=0",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn sound_that_needs_no_parameters_is_told_in_one_line() {
        let telephone = Track { sample_rate_hz: 8_000, channels: 1, ..track(Codec::PcmMulaw, &[]) };
        let tracks = [
            telephone,
            track(Codec::PcmS16le, &[]),
            track(Codec::Opus, &[]),
            track(Codec::PcmAlaw, &[]),
            Track { sample_rate_hz: 16_000, channels: 1, ..track(Codec::G722, &[]) },
        ];
        let sdp = Presentation::of("mic", &tracks).sdp([127, 0, 0, 1].into());
        let sdp = String::from_utf8(sdp).unwrap();
        let lines = "m=audio 0 RTP/AVP 0\r\n\
            a=rtpmap:0 PCMU/8000/1\r\n\
            a=control:trackID=0\r\n\
            m=audio 0 RTP/AVP 97\r\n\
            a=rtpmap:97 L16/48000/2\r\n\
            a=control:trackID=1\r\n\
            m=audio 0 RTP/AVP 98\r\n\
            a=rtpmap:98 opus/48000/2\r\n\
            a=fmtp:98 sprop-stereo=1\r\n\
            a=control:trackID=2\r\n\
            m=audio 0 RTP/AVP 99\r\n\
            a=rtpmap:99 PCMA/48000/2\r\n\
            a=control:trackID=3\r\n\
            m=audio 0 RTP/AVP 9\r\n\
            a=rtpmap:9 G722/8000/1\r\n\
            a=control:trackID=4\r\n";
        assert!(sdp.ends_with(lines), "{sdp}");
    }

    #[test]
    fn an_ipv6_client_reads_ipv6_addresses() {
        let sdp = Presentation::of("cam1", &[]).sdp(std::net::Ipv6Addr::LOCALHOST.into());
        let sdp = String::from_utf8(sdp).unwrap();
        assert!(sdp.contains("o=- 0 0 IN IP6 ::1\r\n"));
        assert!(sdp.contains("c=IN IP6 ::\r\n"));
    }
}
