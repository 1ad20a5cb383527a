//! Where people find a page that stands behind something else: names of hosts, and the path it begins with.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest path that a page begins with.
const PATH_MAX: usize = 128;
/// Longest name of a host (RFC 1035 section 2.3.4).
const HOST_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// The path that a page begins with: empty, or `/cams`, or `/site/cams`. Without a slash at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BasePath(String);

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "base_path is '{0}': expected a path such as /cams, of letters, digits and any of . _ ~ - between slashes"
)]
pub struct BasePathError(String);

impl BasePath {
    /// `/` and nothing are the same: the page stands at the top.
    pub fn parse(text: &str) -> Result<Self, BasePathError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
        // A part of dots alone would lead elsewhere.
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(fits) && part.bytes().any(|b| b != b'.')
        };
        let is_path = path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_part));
        if path.is_empty() || is_path && path.len() <= PATH_MAX {
            return Ok(Self(path.to_owned()));
        }
        // A header may bring any length of it.
        Err(BasePathError(text.chars().take(PATH_MAX).collect()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_top(&self) -> bool {
        self.0.is_empty()
    }

    /// What follows this path in `path`, with its slash; `None` when it lies elsewhere.
    pub fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.as_str())?;
        match rest {
            "" => Some("/"),
            rest => rest.starts_with('/').then_some(rest),
        }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for BasePath {
    type Error = BasePathError;

    fn try_from(text: String) -> Result<Self, BasePathError> {
        Self::parse(&text)
    }
}

impl From<BasePath> for String {
    fn from(path: BasePath) -> Self {
        path.0
    }
}

/// A name that people open a page by, without port: `nvr.example.org`. Not an address, which needs no word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hosts: '{0}' is no name of a host: expected for example nvr.example.org, without port")]
pub struct HostNameError(String);

impl HostName {
    /// In small letters, whatever was written.
    pub fn parse(text: &str) -> Result<Self, HostNameError> {
        let name = text.to_ascii_lowercase();
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= LABEL_MAX
                && label.bytes().all(fits)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // The last part of a name is not a number, that of an IPv4 address is.
        let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
        let is_name = name.len() <= HOST_MAX
            && name.split('.').all(is_label)
            && !name.rsplit('.').next().is_none_or(is_number);
        if is_name { Ok(Self(name)) } else { Err(HostNameError(text.to_owned())) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HostName {
    type Error = HostNameError;

    fn try_from(text: String) -> Result<Self, HostNameError> {
        Self::parse(&text)
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_slashes_and_plain_words_and_leads_nowhere_else() {
        let of = |text: &str| BasePath::parse(text).map(|path| path.as_str().to_owned()).ok();
        for (text, path) in [
            ("", ""),
            ("/", ""),
            ("/cams", "/cams"),
            ("/cams/", "/cams"),
            ("/a/b-1._~", "/a/b-1._~"),
        ] {
            assert_eq!(of(text).as_deref(), Some(path), "{text}");
        }
        let long = format!("/{}", "x".repeat(PATH_MAX));
        for bad in [
            "cams",
            "//",
            "//evil.example",
            "/a//b",
            "/..",
            "/a/../b",
            "/.",
            "/a b",
            "/a\"b",
            "/a<b",
            "/a%2fb",
            "/a?b",
            "/a#b",
            "/a\r\nb",
            "http://x",
            &long,
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_lies_below_a_base_path_begins_with_a_slash() {
        let cams = BasePath::parse("/cams").unwrap();
        assert_eq!(cams.below("/cams"), Some("/"));
        assert_eq!(cams.below("/cams/api/v1/rings"), Some("/api/v1/rings"));
        assert_eq!(cams.below("/camsite"), None);
        assert_eq!(cams.below("/"), None);
        assert_eq!(BasePath::default().below("/x"), Some("/x"));
    }

    #[test]
    fn a_host_is_a_name_and_no_address() {
        assert_eq!(HostName::parse("NVR.Example.org").unwrap().as_str(), "nvr.example.org");
        assert!(HostName::parse("nvr").is_ok() && HostName::parse("a-1.b2.c").is_ok());
        for bad in
            ["", "127.0.0.1", "[::1]", "a:80", "-a.b", "a-.b", "a..b", "a.b.", "a/b", "*.b", "a b"]
        {
            assert!(HostName::parse(bad).is_err(), "{bad}");
        }
    }
}
