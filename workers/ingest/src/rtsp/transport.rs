//! The `Transport` of a stream: what is asked for, and what a camera made of it. Pure.

use std::net::IpAddr;

/// How packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// On the connection of the requests; the channel of its packets, that of the reports one above.
    Interleaved(u8),
    /// To this port of ours, reports to the one above.
    Udp(u16),
    Multicast,
}

impl Way {
    /// For SETUP.
    pub(crate) fn header(self) -> String {
        match self {
            Self::Interleaved(channel) => {
                format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel.wrapping_add(1))
            }
            Self::Udp(port) => {
                format!("RTP/AVP;unicast;client_port={port}-{}", port.wrapping_add(1))
            }
            Self::Multicast => "RTP/AVP;multicast".to_owned(),
        }
    }
}

/// What a camera answers; nothing of it is sure to be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) interleaved: Option<(u8, u8)>,
    /// Ports it sends from.
    pub(crate) server_port: Option<(u16, u16)>,
    /// Ports of a group.
    pub(crate) port: Option<(u16, u16)>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) destination: Option<IpAddr>,
}

/// The ssrc is not read: it has many forms, some of them wrong, and the packets tell it.
pub(crate) fn read(header: &str) -> Agreed {
    let mut agreed = Agreed::default();
    let first = header.split(',').next().unwrap_or_default();
    for part in first.split(';') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "interleaved" => agreed.interleaved = pair(value),
            "server_port" => agreed.server_port = pair(value),
            "port" => agreed.port = pair(value),
            "source" => agreed.source = value.parse().ok(),
            "destination" => agreed.destination = value.parse().ok(),
            _ => {}
        }
    }
    agreed
}

/// `4-5`, or `4` for 4 and the one after it.
fn pair<T: std::str::FromStr + Step>(text: &str) -> Option<(T, T)> {
    match text.split_once('-') {
        Some((one, other)) => Some((one.trim().parse().ok()?, other.trim().parse().ok()?)),
        None => {
            let one: T = text.trim().parse().ok()?;
            Some((one, one.next()))
        }
    }
}

trait Step: Copy {
    fn next(self) -> Self;
}

impl Step for u8 {
    fn next(self) -> Self {
        self.wrapping_add(1)
    }
}

impl Step for u16 {
    fn next(self) -> Self {
        self.wrapping_add(1)
    }
}

/// `url=...;seq=1;rtptime=2, url=...`: of each stream, in the order of the header, the timestamp that
/// belongs to the beginning, where it is told.
pub(crate) fn begin_ticks(rtp_info: &str) -> Vec<Option<u32>> {
    let of_stream = |stream: &str| {
        let value = stream.split(';').find_map(|part| part.trim().strip_prefix("rtptime="))?;
        // Seen: -1, and 0 for all streams, which is a random number of 2^32 and so means nothing.
        value.trim().parse().ok().filter(|ticks| *ticks != 0)
    };
    rtp_info.split(',').map(of_stream).collect()
}

/// `12345;timeout=60`: the id, and after how many seconds without a request the session ends.
pub(crate) fn session(header: &str) -> (String, Option<u64>) {
    let mut parts = header.split(';').map(str::trim);
    let id = parts.next().unwrap_or_default().to_owned();
    let timeout = parts.find_map(|part| part.strip_prefix("timeout=")?.trim().parse().ok());
    (id, timeout.filter(|seconds| *seconds > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_cameras_are_read_whatever_else_is_in_them() {
        let agreed = read("RTP/AVP/TCP;interleaved=2-3;ssrc= 0x12AB;mode=\"PLAY\"");
        assert_eq!(agreed.interleaved, Some((2, 3)));
        let agreed =
            read("RTP/AVP;unicast;source=10.0.0.5;client_port=1-2;server_port=8000;ssrc=-7");
        assert_eq!(agreed.server_port, Some((8000, 8001)));
        assert_eq!(agreed.source, Some([10, 0, 0, 5].into()));
        let agreed = read("RTP/AVP;multicast;destination=239.0.0.1;port=5000-5001;ttl=16");
        assert_eq!(
            (agreed.port, agreed.destination),
            (Some((5000, 5001)), Some([239, 0, 0, 1].into()))
        );
        assert_eq!(read("nonsense;interleaved=900-901;="), Agreed::default());
    }

    #[test]
    fn where_a_stream_begins_is_believed_when_it_says_something() {
        let info =
            "url=rtsp://h/1;seq=5;rtptime=123 , url=rtsp://h/2;rtptime=-1,url=x;seq=0;rtptime=0;";
        assert_eq!(begin_ticks(info), [Some(123), None, None]);
    }

    #[test]
    fn a_session_may_tell_how_long_it_lasts() {
        assert_eq!(session("12ab ;timeout=60"), ("12ab".to_owned(), Some(60)));
        assert_eq!(session("12ab;timeout=0"), ("12ab".to_owned(), None));
    }
}
