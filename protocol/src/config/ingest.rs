//! `use: ingest`: a camera, file or test pattern into a packet ring.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::RateLimits;
pub use super::test_pattern::{TestMode, TestPattern, TestPicture, TestSound, Wave};

/// What the user writes under `use: ingest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestConfig {
    /// `test:?size=&fps=&gop=&bitrate=&mode=live|loop&picture=`, `test:?tone=`, `rtsp://...`, `file:PATH` or a path.
    pub source: Source,
    /// Files only: start again at the end. Default true.
    #[serde(default = "yes", rename = "loop")]
    pub repeat: bool,
    /// RTSP only: how packets come. Default tcp.
    #[serde(default)]
    pub transport: Transport,
    /// Live sources only: rates that tell that the camera is not well.
    #[serde(default)]
    pub health: RateLimits,
}

/// How a camera's packets come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// On the connection of the requests: nothing is lost, and firewalls let it pass.
    #[default]
    Tcp,
    /// A packet that is lost is not waited for.
    Udp,
    /// To a group that others may read too.
    Multicast,
    /// UDP, and TCP when the camera does not do that or nothing arrives.
    Auto,
}

impl Transport {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Multicast => "multicast",
            Self::Auto => "auto",
        }
    }
}

fn yes() -> bool {
    true
}

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    Rtsp(RtspUrl),
    Test(TestPattern),
}

/// A URL with its credentials; `Display` and `Debug` leave them out.
#[derive(Clone, PartialEq, Eq)]
pub struct RtspUrl {
    url: String,
    shown: String,
}

impl RtspUrl {
    fn new(url: &str) -> Self {
        Self { url: url.to_owned(), shown: without_credentials(url) }
    }

    /// What to connect to. Not for people.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl fmt::Display for RtspUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RtspUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RtspUrl").field(&self.shown).finish()
    }
}

impl Source {
    /// Shown as `text`, in which a secret stands under its name; only an RTSP source can be.
    pub fn shown_as(self, text: &str) -> Option<Self> {
        match self {
            Self::Rtsp(url) => {
                Some(Self::Rtsp(RtspUrl { shown: without_credentials(text), ..url }))
            }
            Self::File(_) | Self::Test(_) => None,
        }
    }
}

/// For people and their files the text alone; between processes what is shown goes beside it.
impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = String::from(self.clone());
        if serializer.is_human_readable() {
            text.serialize(serializer)
        } else {
            (text, self.to_string()).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: String| text.parse::<Self>().map_err(de::Error::custom);
        if deserializer.is_human_readable() {
            return parse(String::deserialize(deserializer)?);
        }
        let (text, shown) = <(String, String)>::deserialize(deserializer)?;
        let source = parse(text)?;
        Ok(source.clone().shown_as(&shown).unwrap_or(source))
    }
}

/// Why a text is no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error("source scheme '{0}': expected test:, rtsp:// or file: (or a path)")]
    Scheme(String),
    #[error(
        "test source key '{0}': expected size, fps, gop, bitrate, mode, picture or beep, or tone without them, and of either sound, rate, channels or level"
    )]
    TestKey(String),
    #[error("test source key '{0}' is of sound: expected tone or beep beside it")]
    TestSilent(String),
    #[error("test source {key}={seen}: expected {expected}")]
    TestValue { key: String, seen: String, expected: &'static str },
    #[error("source is empty: expected test:, an rtsp:// URL or a file path")]
    Empty,
    #[error("source has no host: expected rtsp://HOST[:PORT]/PATH")]
    NoHost,
    /// Without what was seen, which may be a part of a password.
    #[error(
        "source's port is no number: expected rtsp://HOST[:PORT]/PATH, in a password before it %2F for '/', %3F for '?', %23 for '#'"
    )]
    NoPort,
    #[error("source's port is {0}: expected 1 to 65535")]
    Port(String),
}

impl FromStr for Source {
    type Err = SourceError;
    fn from_str(text: &str) -> Result<Self, SourceError> {
        if text.is_empty() {
            return Err(SourceError::Empty);
        }
        match text.split_once(':') {
            Some(("test", query)) => Ok(Self::Test(query.trim_start_matches('?').parse()?)),
            Some(("rtsp", rest)) if rest.starts_with("//") => {
                check_authority(&rest[2..])?;
                Ok(Self::Rtsp(RtspUrl::new(text)))
            }
            Some(("file", path)) => Ok(Self::File(path.trim_start_matches("//").into())),
            Some((scheme, rest)) if rest.starts_with("//") => {
                Err(SourceError::Scheme(scheme.to_owned()))
            }
            _ => Ok(Self::File(text.into())),
        }
    }
}

/// Whether what follows `rtsp://` names a host that could be there.
fn check_authority(rest: &str) -> Result<(), SourceError> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let target = authority.rsplit('@').next().unwrap_or_default();
    // An IPv6 address stands in brackets, its colons are no port's.
    let host_end = target.find(']').map_or(0, |end| end + 1);
    let (host, port) = match target[host_end..].find(':') {
        Some(colon) => (&target[..host_end + colon], Some(&target[host_end + colon + 1..])),
        None => (target, None),
    };
    if host.is_empty() || host.contains(' ') {
        return Err(SourceError::NoHost);
    }
    match port {
        None | Some("") => Ok(()),
        Some(port) if port.bytes().any(|b| !b.is_ascii_digit()) => Err(SourceError::NoPort),
        Some(port) if in_range(port, 1, 65_535).is_none() => {
            Err(SourceError::Port(port.to_owned()))
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn in_range(text: &str, low: u32, high: u32) -> Option<u32> {
    text.parse().ok().filter(|value| (low..=high).contains(value))
}

impl TryFrom<String> for Source {
    type Error = SourceError;
    fn try_from(text: String) -> Result<Self, SourceError> {
        text.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        match source {
            Source::Rtsp(rtsp) => rtsp.url,
            other => other.to_string(),
        }
    }
}

/// For people: no credentials.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Rtsp(url) => url.fmt(f),
            Self::Test(pattern) => pattern.fmt(f),
        }
    }
}

/// `rtsp://user:pw@host/path` as `rtsp://host/path`.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("//") else {
        return url.to_owned();
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..authority_end];
    let at = authority.rfind('@').or_else(|| {
        // What looks like a port and is no number is a password with a '/' or '?' that should have
        // been written %2F or %3F: better too much is hidden than a part of it shown.
        let (_, port) = authority.rsplit_once(':')?;
        port.parse::<u16>().is_err().then(|| rest.rfind('@'))?
    });
    match at {
        Some(at) => format!("{scheme}//{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_source_reads_back_as_it_prints() {
        for text in [
            "test:?size=320x192&fps=10&mode=loop",
            "test:?picture=black",
            "test:?tone=1000",
            "test:?tone=0&sound=pcma",
            "test:?beep=440&fps=10",
        ] {
            let source: Source = text.parse().unwrap();
            assert_eq!(source.to_string().parse::<Source>().unwrap(), source, "{text}");
        }
    }

    #[test]
    fn credentials_never_print() {
        let source: Source = "rtsp://admin:p@ss@10.0.0.5:554/main?a=b@c".parse().unwrap();
        assert_eq!(source.to_string(), "rtsp://10.0.0.5:554/main?a=b@c");
        for password in ["p/ss", "p?ss", "#"] {
            let source =
                Source::Rtsp(RtspUrl::new(&format!("rtsp://admin:{password}@10.0.0.5/main")));
            assert_eq!(source.to_string(), "rtsp://10.0.0.5/main");
        }
        let plain: Source = "rtsp://10.0.0.5:554/main?a=b@c".parse().unwrap();
        assert_eq!(plain.to_string(), "rtsp://10.0.0.5:554/main?a=b@c");
    }

    #[test]
    fn an_rtsp_source_names_a_host_and_a_port_that_can_be() {
        for good in [
            "rtsp://10.0.0.5",
            "rtsp://nvr.local:8554/a?b=c:d",
            "rtsp://[fe80::1]:554/x",
            "rtsp://[::1]",
            "rtsp://u:p@host:/x",
        ] {
            assert!(good.parse::<Source>().is_ok(), "{good}");
        }
        for bad in ["rtsp://", "rtsp:///main", "rtsp://:554/x", "rtsp://u:p@/x", "rtsp://u:p@:1/x"]
        {
            assert_eq!(bad.parse::<Source>(), Err(SourceError::NoHost), "{bad}");
        }
        for port in ["0", "65536", "99999999999"] {
            let url = format!("rtsp://10.0.0.5:{port}/main");
            assert_eq!(url.parse::<Source>(), Err(SourceError::Port(port.into())));
        }
        for password in ["p/ss", "p?ss", "p#ss"] {
            let url = format!("rtsp://admin:{password}@10.0.0.5/main");
            let error = url.parse::<Source>().unwrap_err();
            assert!(error.to_string().contains("%2F") && !error.to_string().contains("ss@"));
        }
    }

    #[test]
    fn what_stands_for_a_secret_is_shown_in_other_processes_too() {
        let source: Source = "rtsp://10.0.0.5/live?token=s3cret".parse().unwrap();
        let source = source.shown_as("rtsp://10.0.0.5/live?token=${cred:token}").unwrap();
        assert!(!format!("{source} {source:?}").contains("s3cret"));
        let there: Source = crate::codec::decode(&crate::codec::encode(&source).unwrap()).unwrap();
        assert_eq!(there, source);
        let Source::Rtsp(url) = &there else { panic!("{there:?}") };
        assert_eq!(url.url(), "rtsp://10.0.0.5/live?token=s3cret");
    }

    #[test]
    fn schemes_that_could_run_commands_are_refused() {
        for bad in [
            "exec://x",
            "concat://a|b",
            "http://x/y",
            "",
            "test:?size=1x1",
            "test:?colour=red",
            "test:?picture=red",
        ] {
            assert!(bad.parse::<Source>().is_err(), "{bad:?} was taken");
        }
    }
}
