//! What FFmpeg is told of a target: address, muxer and options. Pure.

use protocol::config::push::{Place, PushTransport, SrtPlace, bracketed};

/// Seven packets of MPEG-TS: what fits into any network's datagram, and what receivers expect.
const TS_DATAGRAM: &str = "1316";
/// Of an RTP packet: leaves room for tunnels, as our own RTSP server does.
const RTP_DATAGRAM: &str = "1400";
/// Longest wait for an SRT listener, in ms: longer than any caller's, whose interrupt ends it. So an end of
/// its own is the listener's refusal, which FFmpeg gives no other name.
const SRT_CONNECT_MS: &str = "60000";

/// Shorter words are no keys; hidden, they would riddle what FFmpeg logs.
const SECRET_MIN_BYTES: usize = 6;

/// What lets in, as a server may repeat it in its answers.
pub(super) fn secrets(place: &Place) -> Vec<String> {
    let words: Vec<&str> = match place {
        Place::Rtsp { url } => vec![parted(url).1],
        Place::Rtmp { url } => {
            let (path, query) = parted(url);
            vec![path.rsplit('/').next().unwrap_or_default(), query]
        }
        Place::Srt(SrtPlace { stream_id, passphrase, .. }) => {
            [stream_id, passphrase].into_iter().flatten().map(String::as_str).collect()
        }
        Place::Udp { .. } | Place::Rtp { .. } => Vec::new(),
    };
    let long = words.into_iter().filter(|word| word.len() >= SECRET_MIN_BYTES);
    long.map(str::to_owned).collect()
}

/// A URL and its query.
fn parted(url: &str) -> (&str, &str) {
    url.split_once('?').unwrap_or((url, ""))
}

/// How one connection is opened.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Door {
    /// With all that lets in.
    pub(super) url: String,
    pub(super) format: &'static str,
    /// Of the protocol below the muxer.
    pub(super) io: Vec<(&'static str, String)>,
    pub(super) muxer: Vec<(&'static str, String)>,
}

impl Door {
    fn new(url: String, format: &'static str, muxer: &[(&'static str, &str)]) -> Self {
        // What stays in a buffer is late.
        let live = [("flush_packets", "1")];
        let muxer = live.iter().chain(muxer).map(|(key, value)| (*key, (*value).to_owned()));
        Self { url, format, io: Vec::new(), muxer: muxer.collect() }
    }
}

/// One for all tracks; of RTP one for each.
pub(super) fn doors(place: &Place, transport: PushTransport, tracks: usize) -> Vec<Door> {
    match place {
        Place::Rtsp { url } => {
            let by = if transport == PushTransport::Udp { "udp" } else { "tcp" };
            // VP9 in RTP was a draft when FFmpeg 5.1 was made.
            let options =
                [("rtsp_transport", by), ("pkt_size", RTP_DATAGRAM), ("strict", "experimental")];
            vec![Door::new(url.clone(), "rtsp", &options)]
        }
        Place::Rtmp { url } => {
            vec![Door::new(url.clone(), "flv", &[("flvflags", "no_duration_filesize")])]
        }
        Place::Srt(place) => vec![srt(place)],
        Place::Udp { host, port, ttl } => {
            let url = format!("udp://{}:{port}?pkt_size={TS_DATAGRAM}", bracketed(host));
            vec![Door::new(url + &hops(*ttl), "mpegts", &[])]
        }
        Place::Rtp { host, port, ttl, .. } => (0..tracks)
            .filter_map(|track| {
                let port = port.checked_add(u16::try_from(track * 2).ok()?)?;
                let url = format!("rtp://{}:{port}?pkt_size={RTP_DATAGRAM}", bracketed(host));
                Some(Door::new(url + &hops(*ttl), "rtp", &[("strict", "experimental")]))
            })
            .collect(),
    }
}

fn hops(ttl: Option<u8>) -> String {
    ttl.map(|ttl| format!("&ttl={ttl}")).unwrap_or_default()
}

/// What lets in goes beside the URL, which FFmpeg's log repeats.
fn srt(place: &SrtPlace) -> Door {
    let url = format!("srt://{}:{}", bracketed(&place.host), place.port);
    let mut door = Door::new(url, "mpegts", &[]);
    let mut add = |key, value: Option<String>| door.io.extend(value.map(|value| (key, value)));
    add("mode", Some("caller".to_owned()));
    add("connect_timeout", Some(SRT_CONNECT_MS.to_owned()));
    add("streamid", place.stream_id.clone());
    add("passphrase", place.passphrase.clone());
    // FFmpeg counts in µs.
    add("latency", place.latency_ms.map(|ms| (u64::from(ms) * 1000).to_string()));
    add("pbkeylen", place.key_bytes.map(|bytes| bytes.to_string()));
    door
}

#[cfg(test)]
mod tests {
    use protocol::config::PushUrl;

    use super::*;

    fn doors_of(text: &str, tracks: usize) -> Vec<Door> {
        doors(&PushUrl::parse(text).unwrap().place(), PushTransport::Udp, tracks)
    }

    #[test]
    fn each_track_of_rtp_has_a_port_of_its_own() {
        let urls = doors_of("rtp://[::1]:5004?sdp=x&ttl=3", 2).into_iter().map(|door| door.url);
        let urls: Vec<String> = urls.collect();
        let expected = [5004, 5006].map(|port| format!("rtp://[::1]:{port}?pkt_size=1400&ttl=3"));
        assert_eq!(urls, expected);
        assert_eq!(doors_of("rtp://h:65535?sdp=x", 2).len(), 1, "no port is left for the other");
    }

    #[test]
    fn what_lets_in_to_srt_stands_in_no_url() {
        let url = "srt://h:9000?streamid=publish:a&passphrase=0123456789&latency=200";
        let doors = doors_of(url, 2);
        assert_eq!(doors[0].url, "srt://h:9000");
        assert!(doors[0].io.contains(&("passphrase", "0123456789".to_owned())));
        assert!(doors[0].io.contains(&("latency", "200000".to_owned())));
    }

    #[test]
    fn keys_are_known_as_servers_may_repeat_them() {
        for (url, expected) in [
            ("rtmp://h/live/k3y-of-mine?token=a/b", vec!["k3y-of-mine", "token=a/b"]),
            ("rtmp://h/live/cam", vec![]),
            ("rtsp://h/cam?token=x", vec!["token=x"]),
            (
                "srt://h:9000?streamid=publish:cam&passphrase=0123456789",
                vec!["publish:cam", "0123456789"],
            ),
            ("udp://h:9000", vec![]),
        ] {
            assert_eq!(secrets(&PushUrl::parse(url).unwrap().place()), expected, "{url}");
        }
    }

    #[test]
    fn rtsp_goes_the_way_it_is_told() {
        let doors = doors_of("rtsp://u:p@h/x", 2);
        assert!(doors[0].muxer.contains(&("rtsp_transport", "udp".to_owned())));
        assert_eq!((doors[0].url.as_str(), doors.len()), ("rtsp://u:p@h/x", 1));
    }
}
