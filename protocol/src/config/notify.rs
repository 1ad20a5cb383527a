//! `use: notify`: events of the project to a web server or an MQTT broker.

mod broker;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::when::Patterns;
use crate::secret::Secret;
use crate::units::Span;

pub use broker::Broker;

/// Brokers take more, and people read less.
const TOPIC_MAX_BYTES: usize = 200;

/// What the user writes under `use: notify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyConfig {
    /// Each event is posted or published there.
    pub url: WebUrl,
    /// Which events: names as hooks know them, or patterns.
    pub on: Patterns,
    /// Signs each request, so that its receiver knows who sent it. Default: not signed.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// How long one request may take. Default 10s.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
    /// What is older when its turn comes is given up. Default 1d.
    #[serde(default = "a_day")]
    pub give_up_after: Span,
    /// Certificates (PEM) to trust beside those of the system.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// MQTT alone: what its topics begin with. Default: framevisor/PROJECT.
    #[serde(default)]
    pub topic: Option<String>,
    /// MQTT alone: what the topics of Home Assistant's discovery begin with, or `off`. Default: homeassistant.
    #[serde(default)]
    pub discovery: Option<String>,
}

impl NotifyConfig {
    /// Everything at its default.
    pub fn of(url: WebUrl, on: Patterns) -> Self {
        let (timeout, give_up_after) = (ten_seconds(), a_day());
        let (secret, ca, topic, discovery) = (None, None, None, None);
        Self { url, on, secret, timeout, give_up_after, ca, topic, discovery }
    }
}

/// Whether MQTT lets messages be published below it: no wildcards, no empty levels, nothing of the broker's own.
pub fn is_topic(text: &str) -> bool {
    let is_level = |level: &str| {
        !level.is_empty() && !level.chars().any(|c| c.is_control() || c == '+' || c == '#')
    };
    text.len() <= TOPIC_MAX_BYTES && !text.starts_with('$') && text.split('/').all(is_level)
}

fn ten_seconds() -> Span {
    Span::from_millis(10_000)
}

fn a_day() -> Span {
    Span::from_millis(86_400_000)
}

/// An address of a web server or an MQTT broker. Its user, its path and its query may be what lets in, so
/// people see its host alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUrl(Secret);

/// Why a text is none. It does not repeat the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH, or of a broker mqtt://[USER:PASSWORD@]HOST[:PORT] or mqtts://..."
)]
pub struct WebUrlError;

impl WebUrl {
    pub fn parse(text: &str) -> Result<Self, WebUrlError> {
        let text = text.trim();
        if let Some(broker) = Broker::of(text) {
            let shown = broker?.to_string();
            return Ok(Self(Secret::new(text).shown_as(shown)));
        }
        let scheme = ["http://", "https://"].into_iter().find(|scheme| text.starts_with(scheme));
        let scheme = scheme.ok_or(WebUrlError)?;
        let rest = &text[scheme.len()..];
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host = rest[..end].rsplit('@').next().unwrap_or_default();
        let is_plain = text.bytes().all(|b| b.is_ascii_graphic());
        if host.is_empty() || host.starts_with(':') || !is_plain {
            return Err(WebUrlError);
        }
        let more = if rest.len() > end + 1 { "/..." } else { "/" };
        Ok(Self(Secret::new(text).shown_as(format!("{scheme}{host}{more}"))))
    }

    /// Where it leads to when MQTT is spoken there.
    pub fn broker(&self) -> Option<Broker> {
        Broker::of(self.0.reveal())?.ok()
    }

    /// Shown as `text`, the name under which a topology has it.
    pub fn shown_as(self, text: &str) -> Self {
        Self(self.0.shown_as(text))
    }

    /// Not for people.
    pub fn url(&self) -> &str {
        self.0.reveal()
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for WebUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WebUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let is_text = deserializer.is_human_readable();
        let secret = Secret::deserialize(deserializer)?;
        let parsed = Self::parse(secret.reveal()).map_err(de::Error::custom)?;
        Ok(if is_text { parsed } else { Self(secret) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn people_see_the_host_of_a_url_and_the_next_process_all_of_it() {
        let text = "https://user:pw@hooks.example.org:8443/services/T0/secret?x=1";
        let url = WebUrl::parse(text).unwrap();
        assert_eq!(url.to_string(), "https://hooks.example.org:8443/...");
        assert_eq!(WebUrl::parse("http://h/").unwrap().to_string(), "http://h/");
        let sent = codec::encode(&url.clone().shown_as("${cred:hook}")).unwrap();
        let arrived = codec::decode::<WebUrl>(&sent).unwrap();
        assert_eq!((arrived.url(), arrived.to_string().as_str()), (text, "${cred:hook}"));
        let bad = ["", "hooks.example.org", "ftp://h", "http://", "http:///x", "http://a b"];
        for bad in bad.into_iter().chain(["mqtt://", "mqtt://h:0", "mqtts://h/topic", "mqtt://u@"])
        {
            assert_eq!(WebUrl::parse(bad), Err(WebUrlError), "{bad}");
        }
    }

    #[test]
    fn a_topic_has_levels_and_no_wildcards() {
        for good in ["framevisor", "site/cams", "a b/c"] {
            assert!(is_topic(good), "{good}");
        }
        for bad in ["", "/a", "a//b", "a/", "a/#", "+", "$SYS/a", "a\0b", &"x".repeat(201)] {
            assert!(!is_topic(bad), "{bad}");
        }
    }
}
