//! `use: notify`: events of the project to a web server.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::when::Patterns;
use crate::secret::Secret;
use crate::units::Span;

/// What the user writes under `use: notify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyConfig {
    /// Each event is posted there.
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
}

impl NotifyConfig {
    /// Everything at its default.
    pub fn of(url: WebUrl, on: Patterns) -> Self {
        Self { url, on, secret: None, timeout: ten_seconds(), give_up_after: a_day() }
    }
}

fn ten_seconds() -> Span {
    Span::from_millis(10_000)
}

fn a_day() -> Span {
    Span::from_millis(86_400_000)
}

/// An `http://` or `https://` address. Its user, its path and its query may be what lets in, so people see
/// its host alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUrl(Secret);

/// Why a text is none. It does not repeat the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH")]
pub struct WebUrlError;

impl WebUrl {
    pub fn parse(text: &str) -> Result<Self, WebUrlError> {
        let text = text.trim();
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
        for bad in ["", "hooks.example.org", "ftp://h", "http://", "http:///x", "http://a b"] {
            assert_eq!(WebUrl::parse(bad), Err(WebUrlError), "{bad}");
        }
    }
}
