//! What a camera offers, and its SDP (RFC 8866; for RTSP, RFC 2326 appendix C).

use std::net::IpAddr;

use protocol::stream::Track;
use sdp_types::{
    Connection, Fmtp, FmtpParam, Media, MediaType, Origin, RtpMap, Session, TransportProto,
};

use crate::rtp;

/// The tracks of one camera that are served. Two equal ones have the same SDP, so a viewer of the
/// one can go on with the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presentation {
    /// The path of its URL.
    path: String,
    tracks: Vec<Served>,
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
        let tracks = (0u8..).zip(tracks).filter_map(|(index, track)| {
            let format = rtp::Format::of(track, index);
            if format.is_none() {
                tracing::info!(camera = path, track = index, codec = ?track.codec,
                    "track is left out: this codec is not served over RTSP");
            }
            Some(Served { index: index.into(), format: format?, frame_rate: track.frame_rate })
        });
        Self { path: path.to_owned(), tracks: tracks.collect() }
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

    /// The SDP for a client that reaches us at `local`.
    pub fn sdp(&self, local: IpAddr) -> Vec<u8> {
        // Nothing re-announces a description, so its id and version say nothing.
        let session = Session::builder(Origin::with_ip_addr(0, 0, local), &self.path)
            .connection(Connection::from_ip_addr(unspecified(local)))
            .attribute_with_value("tool", "framevisor")
            .attribute_with_value("control", "*")
            .attribute_with_value("range", "npt=now-")
            .medias(self.tracks.iter().map(Served::media))
            .build();
        let mut text = Vec::new();
        // Writing into memory does not fail; a short SDP would be refused by the client.
        let _ = session.write(&mut text);
        text
    }
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
            track(Codec::Vp8, &[]),
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
    fn sound_that_needs_no_parameters_is_told_in_one_line() {
        let telephone = Track { sample_rate_hz: 8_000, channels: 1, ..track(Codec::PcmMulaw, &[]) };
        let tracks = [
            telephone,
            track(Codec::PcmS16le, &[]),
            track(Codec::Opus, &[]),
            track(Codec::PcmAlaw, &[]),
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
            a=control:trackID=3\r\n";
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
