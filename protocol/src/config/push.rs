//! `use: rtsp-push`: a packet ring, as it is, to a server or an address elsewhere.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::secret::Secret;
use crate::stream::Codec;

/// What the user writes under `use: rtsp-push`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushConfig {
    /// The scheme says how it is sent.
    pub to: PushUrl,
    /// RTSP only: how packets go. Default tcp.
    #[serde(default)]
    pub transport: PushTransport,
    /// Whether sound goes along. Default true.
    #[serde(default = "yes")]
    pub audio: bool,
}

impl PushConfig {
    /// Everything at its default.
    pub fn to(to: PushUrl) -> Self {
        Self { to, transport: PushTransport::default(), audio: true }
    }
}

fn yes() -> bool {
    true
}

/// How packets go to an RTSP server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushTransport {
    /// On the connection of the requests: nothing is lost, and firewalls let it pass.
    #[default]
    Tcp,
    /// What is lost is not sent again.
    Udp,
}

/// How something is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Rtsp,
    Rtmp,
    Srt,
    /// MPEG-TS over UDP.
    Udp,
    Rtp,
}

impl Protocol {
    pub const ALL: [Self; 5] = [Self::Rtsp, Self::Rtmp, Self::Srt, Self::Udp, Self::Rtp];

    /// The scheme of its URLs.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Rtsp => "rtsp",
            Self::Rtmp => "rtmp",
            Self::Srt => "srt",
            Self::Udp => "udp",
            Self::Rtp => "rtp",
        }
    }

    /// What carries the packets, as people call it.
    pub fn carrier(self) -> &'static str {
        match self {
            Self::Rtsp => "RTSP",
            Self::Rtmp => "RTMP",
            Self::Srt | Self::Udp => "MPEG-TS",
            Self::Rtp => "RTP",
        }
    }

    /// What may be sent without being encoded anew, pictures before sound.
    pub fn carries(self) -> &'static [Codec] {
        match self {
            Self::Rtsp | Self::Rtp => &[
                Codec::H264,
                Codec::H265,
                Codec::Mpeg4,
                Codec::Mjpeg,
                Codec::Vp8,
                Codec::Vp9,
                Codec::Aac,
                Codec::Opus,
                Codec::PcmMulaw,
                Codec::PcmAlaw,
            ],
            Self::Rtmp => &[Codec::H264, Codec::Aac],
            Self::Srt | Self::Udp => {
                &[Codec::H264, Codec::H265, Codec::Mpeg4, Codec::Aac, Codec::Opus]
            }
        }
    }
}

/// A target taken apart as far as it must be. Not for people.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// With user and password as they were written.
    Rtsp {
        url: String,
    },
    Rtmp {
        url: String,
    },
    Srt(SrtPlace),
    Udp {
        host: String,
        port: u16,
        ttl: Option<u8>,
    },
    /// Pictures go to `port`, each further track two ports higher. The description is written to `sdp`.
    Rtp {
        host: String,
        port: u16,
        ttl: Option<u8>,
        sdp: PathBuf,
    },
}

/// A listener of SRT.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtPlace {
    pub host: String,
    pub port: u16,
    pub stream_id: Option<String>,
    pub passphrase: Option<String>,
    pub latency_ms: Option<u32>,
    /// Of the key: 16, 24 or 32.
    pub key_bytes: Option<u32>,
}

impl Place {
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Rtsp { .. } => Protocol::Rtsp,
            Self::Rtmp { .. } => Protocol::Rtmp,
            Self::Srt(_) => Protocol::Srt,
            Self::Udp { .. } => Protocol::Udp,
            Self::Rtp { .. } => Protocol::Rtp,
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({}, not shown)", self.protocol().scheme())
    }
}

impl fmt::Debug for SrtPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SrtPlace(not shown)")
    }
}

/// Where to. User, password, query and the name of an RTMP stream may be what lets in: people see none of
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushUrl(Secret);

/// Why a text is none. It repeats nothing that may be a part of a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushUrlError {
    #[error("expected rtsp://, rtmp://, srt://, udp:// or rtp://, then HOST[:PORT]")]
    Scheme,
    #[error("the address has no host: expected {scheme}://HOST[:PORT]")]
    NoHost { scheme: &'static str },
    #[error(
        "the port is no number from 1 to 65535: expected {scheme}://HOST:PORT; in a password before it write %2F for '/', %3F for '?', %23 for '#', %40 for '@'"
    )]
    Port { scheme: &'static str },
    #[error("a user belongs to rtsp:// and rtmp:// alone")]
    User,
    #[error("expected rtmp://HOST[:PORT]/APP/STREAM")]
    NoStream,
    #[error("{scheme}:// has no '{key}': expected {expected}")]
    Key { scheme: &'static str, key: String, expected: &'static str },
    #[error("{key} is not {expected}")]
    Value { key: &'static str, expected: &'static str },
    #[error("expected rtp://HOST:PORT?sdp=FILE, the file that tells receivers what is sent")]
    NoSdp,
}

impl PushUrl {
    pub fn parse(text: &str) -> Result<Self, PushUrlError> {
        let text = text.trim();
        let place = place_of(text)?;
        Ok(Self(Secret::new(text).shown_as(shown(&place, text))))
    }

    /// Shown as `text`, the name under which a topology has it.
    pub fn shown_as(self, text: &str) -> Self {
        Self(self.0.shown_as(text))
    }

    /// Not for people.
    pub fn url(&self) -> &str {
        self.0.reveal()
    }

    pub fn protocol(&self) -> Protocol {
        self.place().protocol()
    }

    pub fn place(&self) -> Place {
        // Nothing else is ever held.
        place_of(self.0.reveal()).unwrap_or_else(|_| Place::Rtsp { url: String::new() })
    }

    /// With the file of its description, if it has one, as `absolute` makes it.
    pub fn with_file(self, absolute: impl FnOnce(&mut PathBuf)) -> Self {
        let Place::Rtp { host, port, ttl, mut sdp } = self.place() else { return self };
        absolute(&mut sdp);
        let ttl = ttl.map(|ttl| format!("&ttl={ttl}")).unwrap_or_default();
        let text = format!("rtp://{}:{port}?sdp={}{ttl}", bracketed(&host), escaped(&sdp));
        let is_named = self.to_string().contains("${");
        let shown = if is_named { self.to_string() } else { text.clone() };
        Self(Secret::new(text).shown_as(shown))
    }
}

impl fmt::Display for PushUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for PushUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PushUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let is_text = deserializer.is_human_readable();
        let secret = Secret::deserialize(deserializer)?;
        let parsed = Self::parse(secret.reveal()).map_err(de::Error::custom)?;
        Ok(if is_text { parsed } else { Self(secret) })
    }
}

fn place_of(text: &str) -> Result<Place, PushUrlError> {
    let (protocol, rest) = Protocol::ALL
        .into_iter()
        .find_map(|it| Some((it, text.strip_prefix(it.scheme())?.strip_prefix("://")?)))
        .ok_or(PushUrlError::Scheme)?;
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(PushUrlError::Scheme);
    }
    let parts = Parts::of(protocol.scheme(), rest)?;
    match protocol {
        Protocol::Rtsp => Ok(Place::Rtsp { url: text.to_owned() }),
        Protocol::Rtmp if parts.stream().is_none() => Err(PushUrlError::NoStream),
        Protocol::Rtmp => Ok(Place::Rtmp { url: text.to_owned() }),
        _ if parts.has_user => Err(PushUrlError::User),
        Protocol::Srt => srt(&parts).map(Place::Srt),
        Protocol::Udp => {
            let [ttl] = parts.values(["ttl"], "ttl")?;
            Ok(Place::Udp { host: parts.host.clone(), port: parts.needed_port()?, ttl: hops(ttl)? })
        }
        Protocol::Rtp => {
            let [sdp, ttl] = parts.values(["sdp", "ttl"], "sdp or ttl")?;
            let sdp = sdp.filter(|path| !path.is_empty()).ok_or(PushUrlError::NoSdp)?.into();
            let (host, port) = (parts.host.clone(), parts.needed_port()?);
            Ok(Place::Rtp { host, port, ttl: hops(ttl)?, sdp })
        }
    }
}

fn srt(parts: &Parts<'_>) -> Result<SrtPlace, PushUrlError> {
    let keys = ["mode", "streamid", "passphrase", "latency", "pbkeylen"];
    let expected = "streamid, passphrase, latency (in ms), pbkeylen or mode=caller";
    let [mode, stream_id, passphrase, latency, key] = parts.values(keys, expected)?;
    let bad = |key, expected| PushUrlError::Value { key, expected };
    if mode.is_some_and(|mode| mode != "caller") {
        return Err(bad("mode", "caller: the server listens"));
    }
    if stream_id.as_ref().is_some_and(|id| id.len() > 512) {
        return Err(bad("streamid", "at most 512 characters"));
    }
    if passphrase.as_ref().is_some_and(|phrase| !(10..=64).contains(&phrase.len())) {
        return Err(bad("passphrase", "10 to 64 characters"));
    }
    let number = |text: Option<String>, fits: fn(u32) -> bool, wrong: PushUrlError| match text {
        None => Ok(None),
        Some(text) => match text.parse().ok().filter(|number| fits(*number)) {
            Some(number) => Ok(Some(number)),
            None => Err(wrong),
        },
    };
    let latency_wrong = bad("latency", "0 to 60000 ms");
    let key_wrong = bad("pbkeylen", "16, 24 or 32");
    Ok(SrtPlace {
        host: parts.host.clone(),
        port: parts.needed_port()?,
        stream_id,
        passphrase,
        latency_ms: number(latency, |ms| ms <= 60_000, latency_wrong)?,
        key_bytes: number(key, |bytes| [16, 24, 32].contains(&bytes), key_wrong)?,
    })
}

fn hops(text: Option<String>) -> Result<Option<u8>, PushUrlError> {
    let bad = PushUrlError::Value { key: "ttl", expected: "0 to 255" };
    text.map(|text| text.parse().map_err(|_| bad)).transpose()
}

/// What stands behind the scheme.
struct Parts<'a> {
    scheme: &'static str,
    has_user: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: Option<u16>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn of(scheme: &'static str, rest: &'a str) -> Result<Self, PushUrlError> {
        let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, target) = match authority.rsplit_once('@') {
            Some((user, target)) => (Some(user), target),
            None => (None, authority),
        };
        let host_end = target.find(']').map_or(0, |end| end + 1);
        let (host, port) = match target[host_end..].find(':') {
            Some(colon) => (&target[..host_end + colon], Some(&target[host_end + colon + 1..])),
            None => (target, None),
        };
        let port = match port.filter(|port| !port.is_empty()).map(str::parse) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            // Not repeated: it may be a part of a password.
            Some(_) => return Err(PushUrlError::Port { scheme }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(PushUrlError::NoHost { scheme });
        }
        let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
        Ok(Self { scheme, has_user: user.is_some(), host: host.to_owned(), port, path, query })
    }

    fn needed_port(&self) -> Result<u16, PushUrlError> {
        self.port.ok_or(PushUrlError::Port { scheme: self.scheme })
    }

    /// Where the last part of an RTMP path begins, which names the stream.
    fn stream(&self) -> Option<&'a str> {
        let (app, stream) = self.path.trim_start_matches('/').rsplit_once('/')?;
        (!app.is_empty() && !stream.is_empty()).then_some(app)
    }

    /// The values of a query that has no other keys.
    fn values<const N: usize>(
        &self,
        keys: [&'static str; N],
        expected: &'static str,
    ) -> Result<[Option<String>; N], PushUrlError> {
        let mut values = [const { None }; N];
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(at) = keys.iter().position(|known| *known == key) else {
                let (scheme, key) = (self.scheme, key.to_owned());
                return Err(PushUrlError::Key { scheme, key, expected });
            };
            let value = unescaped(value);
            // It ends texts of C: the rest would be lost, and FFmpeg's wrapper panics.
            if value.contains('\0') {
                return Err(PushUrlError::Value { key: keys[at], expected: "a text without %00" });
            }
            values[at] = Some(value);
        }
        Ok(values)
    }
}

/// What people see of it.
fn shown(place: &Place, text: &str) -> String {
    let scheme = place.protocol().scheme();
    let rest = &text[scheme.len() + 3..];
    let Ok(parts) = Parts::of(scheme, rest) else { return format!("{scheme}://...") };
    let port = parts.port.map(|port| format!(":{port}")).unwrap_or_default();
    let target = format!("{scheme}://{}{port}", bracketed(&parts.host));
    match place {
        Place::Rtsp { .. } => target + parts.path,
        Place::Rtmp { .. } => format!("{target}/{}/***", parts.stream().unwrap_or_default()),
        Place::Srt(_) => target,
        Place::Udp { .. } | Place::Rtp { .. } => text.to_owned(),
    }
}

/// A host as it stands in a URL.
pub fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn escaped(path: &std::path::Path) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    let one = |b: &u8| if plain(*b) { char::from(*b).to_string() } else { format!("%{b:02X}") };
    path.as_os_str().as_encoded_bytes().iter().map(one).collect()
}

/// `%2F` for `/` and so on; a `%` without two digits stands for itself.
pub(super) fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let code = digits.and_then(|it| u8::from_str_radix(str::from_utf8(it).ok()?, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    fn url(text: &str) -> PushUrl {
        PushUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn nothing_that_lets_in_is_shown() {
        for (text, shown) in [
            ("rtsp://me:pw@10.0.0.5:8554/cam?token=x", "rtsp://10.0.0.5:8554/cam"),
            ("rtsp://[fe80::1]/cam", "rtsp://[fe80::1]/cam"),
            ("rtmp://me:pw@live.example.org/app/key?x=y", "rtmp://live.example.org/app/***"),
            ("srt://h:9000?streamid=publish:cam&passphrase=0123456789", "srt://h:9000"),
            ("udp://239.1.1.1:5000?ttl=4", "udp://239.1.1.1:5000?ttl=4"),
            ("rtp://10.0.0.9:5004?sdp=cam.sdp", "rtp://10.0.0.9:5004?sdp=cam.sdp"),
        ] {
            let url = url(text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.url(), text);
            let told =
                format!("{url:?} {:?} {}", url.place(), serde_json::to_string(&url).unwrap());
            assert!(["pw", "token=", "key", "0123"].iter().all(|it| !told.contains(it)), "{told}");
            let sent = codec::encode(&url.clone().shown_as("${cred:push}")).unwrap();
            let arrived = codec::decode::<PushUrl>(&sent).unwrap();
            assert_eq!((arrived.url(), arrived.to_string().as_str()), (text, "${cred:push}"));
        }
    }

    #[test]
    fn a_target_is_taken_apart() {
        let Place::Srt(srt) = url("srt://h:9000?streamid=a%26b&latency=200&pbkeylen=32").place()
        else {
            panic!("no SRT")
        };
        assert_eq!((srt.host.as_str(), srt.port), ("h", 9000));
        assert_eq!((srt.stream_id.as_deref(), srt.latency_ms), (Some("a&b"), Some(200)));
        let rtp = url("rtp://[::1]:5004?sdp=a%20b.sdp&ttl=1");
        let there = rtp.with_file(|path| *path = PathBuf::from("/srv").join(&*path));
        assert_eq!(there.to_string(), "rtp://[::1]:5004?sdp=/srv/a%20b.sdp&ttl=1");
        let Place::Rtp { host, port, ttl, sdp } = there.place() else { panic!("no RTP") };
        assert_eq!((host.as_str(), port, ttl), ("::1", 5004, Some(1)));
        assert_eq!(sdp, PathBuf::from("/srv/a b.sdp"));
    }

    #[test]
    fn a_text_that_is_no_target_is_refused_without_being_repeated() {
        for bad in [
            "",
            "cam",
            "http://h/x",
            "file:///etc/hunter2",
            "exec:hunter2",
            "rtsp://",
            "rtsp://:8554/x",
            "rtsp://u:hunter2@/x",
            "rtsp://u:hun/ter2@h:8554/x",
            "rtsp://h:0/x",
            "rtsp://h /x",
            "rtmp://h/app",
            "rtmp://h//key",
            "srt://h",
            "srt://u:hunter2@h:9000",
            "srt://h:9000?passphrase=hunter2",
            "srt://h:9000?mode=listener",
            "srt://h:9000?linger=5",
            "srt://h:9000?latency=soon",
            "srt://h:9000?pbkeylen=8",
            "srt://h:9000?streamid=hunter2%00b",
            "udp://h",
            "udp://h:5000?ttl=256",
            "udp://h:5000?pkt_size=1",
            "rtp://h:5004",
            "rtp://h:5004?sdp=",
            "rtp://h:5004?sdp=a%00b",
        ] {
            let refused = PushUrl::parse(bad).unwrap_err().to_string();
            assert!(!refused.contains("hunter2") && !refused.contains("ter2"), "{refused}");
        }
    }

    #[test]
    fn nothing_is_carried_that_its_receivers_would_not_read() {
        assert!(!Protocol::Rtmp.carries().contains(&Codec::H265));
        assert!(!Protocol::Udp.carries().contains(&Codec::Vp9));
        assert!(!Protocol::Srt.carries().contains(&Codec::PcmAlaw));
        for protocol in Protocol::ALL {
            assert!(protocol.carries().contains(&Codec::H264));
            assert!(protocol.carries().contains(&Codec::Aac));
        }
    }
}
