//! A camera's description of its streams (SDP, RFC 8866), read as cameras write it. Pure.

use std::net::IpAddr;

use super::message::plain;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Audio,
    Other,
    Video,
}

/// What a camera offers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Description {
    /// Of the whole session.
    pub(crate) control: Option<String>,
    pub(crate) medias: Vec<Media>,
}

/// One stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Media {
    pub(crate) kind: Kind,
    pub(crate) payload_type: u8,
    /// In capitals, as in `a=rtpmap`; empty when it is not told.
    pub(crate) encoding: String,
    pub(crate) clock_hz: u32,
    /// 0 when it is not told.
    pub(crate) channels: u32,
    pub(crate) frame_rate: Option<f64>,
    pub(crate) control: Option<String>,
    /// Where it is sent when it is multicast.
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
    parameters: Vec<(String, String)>,
}

impl Media {
    /// Of `a=fmtp`.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn new(line: &str, address: Option<IpAddr>) -> Self {
        let mut words = line.split_whitespace();
        let kind = match words.next() {
            Some("audio") => Kind::Audio,
            Some("video") => Kind::Video,
            _ => Kind::Other,
        };
        let port = words.next().and_then(|word| word.split('/').next()?.parse().ok()).unwrap_or(0);
        let payload_type = words.nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let (encoding, clock_hz, channels) = well_known(payload_type);
        Self {
            kind,
            payload_type,
            encoding: encoding.to_owned(),
            clock_hz,
            channels,
            frame_rate: None,
            control: None,
            address,
            port,
            parameters: Vec::new(),
        }
    }

    fn attribute(&mut self, name: &str, value: &str) {
        match name {
            "rtpmap" => self.map(value),
            "fmtp" => self.format(value),
            "control" => self.control = Some(value.to_owned()),
            "framerate" => self.frame_rate = value.parse().ok().filter(|rate| *rate > 0.0),
            _ => {}
        }
    }

    fn map(&mut self, value: &str) {
        let Some((number, map)) = value.split_once(' ') else { return };
        if number.parse() != Ok(self.payload_type) {
            return;
        }
        let mut parts = map.trim().split('/').map(str::trim);
        self.encoding = plain(parts.next().unwrap_or_default()).to_ascii_uppercase();
        self.clock_hz = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        self.channels = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    }

    fn format(&mut self, value: &str) {
        let (number, rest) = value.split_once(' ').unwrap_or((value, ""));
        if number.parse() != Ok(self.payload_type) {
            return;
        }
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.trim().to_owned(), value.trim().to_owned())
        };
        self.parameters =
            rest.split(';').filter(|part| !part.trim().is_empty()).map(pair).collect();
        // A camera that forgot the map told what it is by its parameters.
        if self.encoding.is_empty() && self.parameter("sprop-parameter-sets").is_some() {
            self.encoding = "H264".to_owned();
            self.clock_hz = 90_000;
        }
    }
}

/// Payload types with a fixed meaning (RFC 3551 section 6).
fn well_known(payload_type: u8) -> (&'static str, u32, u32) {
    match payload_type {
        0 => ("PCMU", 8000, 1),
        8 => ("PCMA", 8000, 1),
        9 => ("G722", 8000, 1),
        26 => ("JPEG", 90_000, 0),
        _ => ("", 0, 0),
    }
}

/// Reads what can be read; a line that makes no sense is passed over.
pub(crate) fn read(text: &[u8]) -> Description {
    let text = String::from_utf8_lossy(text);
    let mut description = Description::default();
    let mut address = None;
    for line in text.split(['\n', '\r']).map(str::trim) {
        let Some((kind, value)) = line.split_once('=') else { continue };
        let media = description.medias.last_mut();
        match (kind.trim(), media) {
            ("m", _) => description.medias.push(Media::new(value, address)),
            ("c", Some(media)) => media.address = connection(value).or(media.address),
            ("c", None) => address = connection(value),
            ("a", media) => {
                let (name, value) = value.split_once(':').unwrap_or((value, ""));
                match (media, name.trim()) {
                    (Some(media), name) => media.attribute(name, value.trim()),
                    (None, "control") => description.control = Some(value.trim().to_owned()),
                    (None, _) => {}
                }
            }
            _ => {}
        }
    }
    description
}

/// `IN IP4 224.1.2.3/64`.
fn connection(value: &str) -> Option<IpAddr> {
    value.split_whitespace().nth(2)?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_description_is_read_with_the_oddities_of_cameras() {
        let text =
            b"v=0\r\no=- 0 0 IN IP4 192.168.1.2\r\ns=\r\nc=IN IP4 0.0.0.0\r\na=control:*\r\n\
            m=video 0 RTP/AVP 96 \r\na=rtpmap:96 h264/90000 \r\na=framerate:12.5\r\n\
            a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z00=,aO4= ;\r\n\
            a=control:trackID=1\r\nm=audio 0 RTP/AVP 0\na=fmtp:0\na=control:rtsp://x/a\n\
            m=application 0 RTP/AVP 107\r\nc=IN IP4 239.1.2.3/16\r\nnonsense\r\n";
        let description = read(text);
        assert_eq!(description.control.as_deref(), Some("*"));
        let [video, audio, other] = &description.medias[..] else { panic!("{description:?}") };
        assert_eq!(
            (video.kind, video.encoding.as_str(), video.clock_hz),
            (Kind::Video, "H264", 90_000)
        );
        assert_eq!(video.parameter("Sprop-Parameter-Sets"), Some("Z00=,aO4="));
        assert_eq!((video.frame_rate, video.control.as_deref()), (Some(12.5), Some("trackID=1")));
        assert_eq!((audio.encoding.as_str(), audio.clock_hz, audio.channels), ("PCMU", 8000, 1));
        assert_eq!(other.kind, Kind::Other);
        assert_eq!(other.address, Some([239, 1, 2, 3].into()));
    }

    #[test]
    fn a_forgotten_map_is_told_by_the_parameters() {
        let text = b"m=video 0 RTP/AVP 96\r\na=fmtp:96 sprop-parameter-sets=Z00=\r\n";
        assert_eq!(read(text).medias[0].encoding, "H264");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([mac]=)?[ -~\r\n]{0,200}") {
            read(text.as_bytes());
        }
    }
}
