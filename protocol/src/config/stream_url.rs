//! Sources that FFmpeg's protocols bring: HTTP, RTMP, SRT, UDP.

use std::str::FromStr;

use super::ingest::SourceError;
use super::source_url::{SourceUrl, authority, check_authority};

/// Where a stream comes from, or where somebody is to send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamUrl {
    scheme: Scheme,
    url: SourceUrl,
    listens: bool,
}

/// The allow-list: nothing else reaches FFmpeg's protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Motion JPEG of a camera, HLS, MPEG-TS or any other container.
    Http,
    Https,
    Rtmp,
    Rtmps,
    Srt,
    /// MPEG-TS, to this host or to a group.
    Udp,
}

impl Scheme {
    pub const ALL: [Self; 6] =
        [Self::Http, Self::Https, Self::Rtmp, Self::Rtmps, Self::Srt, Self::Udp];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Rtmp => "rtmp",
            Self::Rtmps => "rtmps",
            Self::Srt => "srt",
            Self::Udp => "udp",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str() == name)
    }
}

impl StreamUrl {
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub fn url(&self) -> &SourceUrl {
        &self.url
    }

    /// Whether somebody connects to it, instead of it to somebody: `mode=listener` of RTMP and SRT.
    pub fn listens(&self) -> bool {
        self.listens
    }

    /// Whether nothing is asked for: datagrams come, or they do not.
    pub fn is_sent_here(&self) -> bool {
        self.scheme == Scheme::Udp
    }

    pub(super) fn shown_as(self, text: &str) -> Self {
        Self { url: self.url.shown_as(text), ..self }
    }
}

impl FromStr for StreamUrl {
    type Err = SourceError;
    fn from_str(text: &str) -> Result<Self, SourceError> {
        let unknown = |scheme: &str| SourceError::Scheme(scheme.to_owned());
        let (name, rest) = text.split_once("://").ok_or_else(|| unknown(text))?;
        let scheme = Scheme::of(name).ok_or_else(|| unknown(name))?;
        let listens = match scheme {
            Scheme::Rtmp | Scheme::Srt => listens(rest)?,
            Scheme::Http | Scheme::Https | Scheme::Rtmps | Scheme::Udp => false,
        };
        // Whoever waits for others waits at all of this host's addresses when it names none.
        let has_port = match listens || scheme == Scheme::Udp {
            true => authority(rest)?.has_port,
            false => check_authority(rest)?.has_port,
        };
        if !has_port && matches!(scheme, Scheme::Srt | Scheme::Udp) {
            return Err(SourceError::PortMissing(scheme.as_str()));
        }
        Ok(Self { scheme, url: SourceUrl::new(text), listens })
    }
}

fn listens(rest: &str) -> Result<bool, SourceError> {
    let query = rest.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let mode = query.split('&').find_map(|pair| pair.strip_prefix("mode="));
    match mode {
        None | Some("caller") => Ok(false),
        Some("listener") => Ok(true),
        Some(other) => Err(SourceError::Mode(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ingest::Source;

    #[test]
    fn streams_are_told_by_their_scheme_and_say_who_waits_for_whom() {
        let listens = |text: &str| match text.parse::<Source>() {
            Ok(Source::Stream(stream)) => stream.listens(),
            other => panic!("{text}: {other:?}"),
        };
        for text in [
            "http://10.0.0.5/video.cgi",
            "https://tv.example/live/index.m3u8",
            "rtmp://10.0.0.5/live/door",
            "rtmps://10.0.0.5/live/door",
            "srt://10.0.0.5:9000?latency=200",
            "srt://10.0.0.5:9000?mode=caller",
            "udp://239.1.1.1:5000",
            "udp://:5000",
            "udp://@239.1.1.1:5000",
        ] {
            assert!(!listens(text), "{text}");
        }
        assert!(listens("rtmp://0.0.0.0:1935/live/door?mode=listener"));
        assert!(listens("srt://:9000?mode=listener&latency=200"));
    }

    #[test]
    fn what_cannot_be_connected_to_is_told() {
        let error = |text: &str| text.parse::<Source>().unwrap_err();
        assert_eq!(error("http:///x"), SourceError::NoHost);
        assert_eq!(error("srt://:9000"), SourceError::NoHost);
        assert_eq!(error("srt://10.0.0.5"), SourceError::PortMissing("srt"));
        assert_eq!(error("udp://239.1.1.1"), SourceError::PortMissing("udp"));
        assert_eq!(error("udp://h:0"), SourceError::Port("0".to_owned()));
        assert_eq!(error("srt://h:1?mode=rendezvous"), SourceError::Mode("rendezvous".to_owned()));
        let other = error("ftp://10.0.0.5/a.ts");
        assert!(other.to_string().contains("srt, udp"), "{other}");
    }

    #[test]
    fn between_processes_its_secret_goes_along_and_is_not_shown() {
        let source: Source = "srt://10.0.0.5:9000?passphrase=s3cret0123".parse().unwrap();
        assert!(!format!("{source} {source:?}").contains("s3cret"));
        let there: Source = crate::codec::decode(&crate::codec::encode(&source).unwrap()).unwrap();
        assert_eq!(there, source);
    }
}
