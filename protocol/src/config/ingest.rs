//! `use: ingest`: a camera, stream, device, file or test pattern into a packet ring.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::RateLimits;
use super::device::Device;
pub use super::publisher::{Publisher, Second};
use super::source_url::{self, SourceUrl};
use super::stream_url::{Scheme, StreamUrl};
pub use super::test_pattern::{TestMode, TestPattern, TestPicture, TestSound, Wave};
use crate::units::Span;

/// What the user writes under `use: ingest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestConfig {
    /// `test:?size=&fps=&gop=&bitrate=&mode=live|loop&picture=`, `test:?tone=`, `rtsp://...`, a
    /// [`StreamUrl`], `v4l2:PATH`, `publish:`, `file:PATH` or a path.
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
    /// Files only: every round begins with the key frame at or before this. Default: the file's begin.
    #[serde(default)]
    pub start: Span,
    /// Cameras and streams only: connect when somebody reads, and rest when nobody does. Default false.
    #[serde(default)]
    pub on_demand: bool,
}

impl IngestConfig {
    /// With every default.
    pub fn of(source: Source) -> Self {
        Self {
            source,
            repeat: true,
            transport: Transport::default(),
            start: Span::default(),
            on_demand: false,
            health: RateLimits::default(),
        }
    }
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
    Device(Device),
    File(PathBuf),
    /// Who publishes to this camera at an `rtsp` worker.
    Publisher(Publisher),
    Rtsp(SourceUrl),
    /// What is read by FFmpeg's protocols.
    Stream(StreamUrl),
    Test(TestPattern),
}

impl Source {
    /// Shown as `text`, in which a secret stands under its name; only a URL can be.
    pub fn shown_as(self, text: &str) -> Option<Self> {
        match self {
            Self::Rtsp(url) => Some(Self::Rtsp(url.shown_as(text))),
            Self::Stream(url) => Some(Self::Stream(url.shown_as(text))),
            Self::Device(_) | Self::File(_) | Self::Publisher(_) | Self::Test(_) => None,
        }
    }

    /// Of one that has any.
    pub fn url(&self) -> Option<&SourceUrl> {
        match self {
            Self::Rtsp(url) => Some(url),
            Self::Stream(stream) => Some(stream.url()),
            Self::Device(_) | Self::File(_) | Self::Publisher(_) | Self::Test(_) => None,
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
    #[error(
        "source scheme '{0}': expected rtsp, http, https, rtmp, rtmps, srt, udp, v4l2, publish, test or file (or a path)"
    )]
    Scheme(String),
    #[error("source key '{key}' of v4l2: expected size, fps or format")]
    DeviceKey { key: String },
    #[error("source v4l2 {key}={seen}: expected {expected}")]
    DeviceValue { key: String, seen: String, expected: &'static str },
    #[error("source v4l2:{0}: expected a device, such as v4l2:/dev/video0?format=mjpeg")]
    DevicePath(String),
    #[error("source key '{seen}' of publish: expected second=refuse or second=replace")]
    PublisherKey { seen: String },
    #[error(
        "source publish: expected nothing behind it but ?second=refuse or ?second=replace: the camera's name is its path"
    )]
    PublisherPath,
    #[error("source mode={0}: expected caller or listener")]
    Mode(String),
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
    #[error("source has no host: expected SCHEME://HOST[:PORT]/PATH")]
    NoHost,
    /// Without what was seen, which may be a part of a password.
    #[error(
        "source's port is no number: expected SCHEME://HOST[:PORT]/PATH, in a password before it %2F for '/', %3F for '?', %23 for '#'"
    )]
    NoPort,
    #[error("source's port is {0}: expected 1 to 65535")]
    Port(String),
    #[error("source has no port: expected {0}://HOST:PORT")]
    PortMissing(&'static str),
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
                source_url::check_authority(&rest[2..])?;
                Ok(Self::Rtsp(SourceUrl::new(text)))
            }
            Some((scheme, rest)) if rest.starts_with("//") && Scheme::of(scheme).is_some() => {
                Ok(Self::Stream(text.parse()?))
            }
            Some(("v4l2", device)) => Ok(Self::Device(device.parse()?)),
            Some(("publish", query)) => Ok(Self::Publisher(query.parse()?)),
            Some(("file", path)) => Ok(Self::File(path.trim_start_matches("//").into())),
            Some((scheme, rest)) if rest.starts_with("//") => {
                Err(SourceError::Scheme(scheme.to_owned()))
            }
            _ => Ok(Self::File(text.into())),
        }
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
            Source::Rtsp(url) => url.url().to_owned(),
            Source::Stream(stream) => stream.url().url().to_owned(),
            other => other.to_string(),
        }
    }
}

/// For people: no credentials.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => device.fmt(f),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Publisher(publisher) => publisher.fmt(f),
            Self::Rtsp(url) => url.fmt(f),
            Self::Stream(stream) => stream.url().fmt(f),
            Self::Test(pattern) => pattern.fmt(f),
        }
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
                Source::Rtsp(SourceUrl::new(&format!("rtsp://admin:{password}@10.0.0.5/main")));
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
            "gopher://x/y",
            "",
            "test:?size=1x1",
            "test:?colour=red",
            "test:?picture=red",
        ] {
            assert!(bad.parse::<Source>().is_err(), "{bad:?} was taken");
        }
    }
}
