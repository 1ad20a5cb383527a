//! `use: uploader`: finished recordings into object storage that speaks S3.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::as_text::as_text;
use crate::secret::Secret;
use crate::units::BitRate;

/// What the user writes under `use: uploader`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploaderConfig {
    /// The `dir` of a recorder. A relative path starts at the topology file's folder.
    pub dir: PathBuf,
    /// Objects are `PREFIX/CAMERA/FILE`.
    pub to: Destination,
    /// Where the store answers, when that is not Amazon's.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
    /// Default us-east-1, which stores of one's own take.
    #[serde(default = "region")]
    pub region: String,
    /// `KEY:SECRET` or `KEY:SECRET:TOKEN`. Default: the role of the machine.
    #[serde(default)]
    pub credentials: Option<Secret>,
    /// Certificates (PEM) to trust beside those of the system.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// No more than this goes out, on average over some parts. Default: no limit.
    #[serde(default)]
    pub rate: Option<BitRate>,
    /// Files that are sent at a time. Default 4.
    #[serde(default = "four")]
    pub parallel: u32,
    #[serde(default)]
    pub delete_after: DeleteAfter,
}

impl UploaderConfig {
    /// Everything at its default.
    pub fn of(dir: PathBuf, to: Destination) -> Self {
        Self {
            dir,
            to,
            endpoint: None,
            region: region(),
            credentials: None,
            ca: None,
            rate: None,
            parallel: four(),
            delete_after: DeleteAfter::default(),
        }
    }
}

fn region() -> String {
    "us-east-1".to_owned()
}

fn four() -> u32 {
    4
}

/// When a recording leaves this machine by the uploader's hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeleteAfter {
    /// Retention of the recorder alone decides.
    #[default]
    Never,
    /// Once it is in the store; the two newest of a camera, pinned and held ones stay.
    Uploaded,
}

/// Why a text names no place of a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("'{0}': expected s3://BUCKET or s3://BUCKET/PREFIX, for example s3://cameras/site1")]
    Destination(String),
    #[error("'{0}': expected http://HOST[:PORT] or https://HOST[:PORT], without a user or a path")]
    Endpoint(String),
    #[error("expected KEY:SECRET or KEY:SECRET:TOKEN")]
    Credentials,
}

/// `s3://BUCKET[/PREFIX]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub bucket: String,
    /// Without slashes around it; may be empty.
    pub prefix: String,
}

impl FromStr for Destination {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let bad = || StoreError::Destination(without_user(text));
        let rest = text.strip_prefix("s3://").ok_or_else(bad)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
        let is_bucket = (3..=63).contains(&bucket.len()) && bucket.bytes().all(fits);
        let prefix = prefix.trim_matches('/');
        // What needs no escapes and is the same in every store.
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(is_plain) && part.bytes().any(|b| b != b'.')
        };
        let is_prefix =
            prefix.is_empty() || (prefix.len() <= 500 && prefix.split('/').all(is_part));
        if !is_bucket || !is_prefix {
            return Err(bad());
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, prefix } = self;
        if prefix.is_empty() {
            write!(f, "s3://{bucket}")
        } else {
            write!(f, "s3://{bucket}/{prefix}")
        }
    }
}

/// `http://HOST[:PORT]` or `https://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// Whether everything but the secret key can be read on the way.
    pub fn is_plain(&self) -> bool {
        self.0.starts_with("http://")
    }
}

impl FromStr for Endpoint {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let bad = || StoreError::Endpoint(without_user(text));
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let host = rest.ok_or_else(bad)?.trim_end_matches('/');
        let (name, port) = match host.rsplit_once(':') {
            // Colons inside brackets are an address's own.
            Some((name, port)) if !port.contains(']') => (name, Some(port)),
            _ => (host, None),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if name.is_empty() || !name.chars().all(fits) || !is_port {
            return Err(bad());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// A password that was written where it must not be is not repeated; nor is what may be one, behind a colon.
fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    match (rest.rfind('@'), rest.find(':')) {
        (Some(at), _) => format!("{scheme}://***{}", &rest[at..]),
        (None, Some(colon)) if rest[colon + 1..].parse::<u32>().is_err() => {
            format!("{scheme}://***")
        }
        _ => text.to_owned(),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What [`UploaderConfig::credentials`] says.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub key: String,
    pub secret: String,
    pub token: Option<String>,
}

impl Login {
    pub fn of(credentials: &Secret) -> Result<Self, StoreError> {
        let mut parts = credentials.reveal().trim().splitn(3, ':').map(str::to_owned);
        let (key, secret) = parts.next().zip(parts.next()).ok_or(StoreError::Credentials)?;
        let token = parts.next().filter(|token| !token.is_empty());
        if key.is_empty() || secret.is_empty() {
            return Err(StoreError::Credentials);
        }
        Ok(Self { key, secret, token })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(not shown)")
    }
}

as_text!(Destination);
as_text!(Endpoint);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_bucket_and_perhaps_a_prefix() {
        let of = |text: &str| text.parse::<Destination>();
        let site = of("s3://cameras/site1/hall/").unwrap();
        assert_eq!((site.bucket.as_str(), site.prefix.as_str()), ("cameras", "site1/hall"));
        assert_eq!(site.to_string(), "s3://cameras/site1/hall");
        assert_eq!(of("s3://cameras").unwrap().to_string(), "s3://cameras");
        for bad in [
            "cameras",
            "s3://",
            "s3://a",
            "s3://Cameras",
            "s3://cam/../x",
            "s3://cam/a b",
            "gs://cam",
        ] {
            let refused = of(bad).unwrap_err().to_string();
            assert!(refused.contains("s3://BUCKET"), "{refused}");
        }
        for bad in ["s3://AKIA1:hunter2@cameras/site1", "s3://AKIA1:hunter2/cameras"] {
            let refused = of(bad).unwrap_err().to_string();
            assert!(refused.contains("s3://***") && !refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn an_endpoint_names_a_host_and_never_a_user() {
        let of = |text: &str| text.parse::<Endpoint>();
        for good in ["http://127.0.0.1:9000", "https://s3.example.org", "http://[::1]:9000"] {
            assert_eq!(of(good).unwrap().to_string(), good);
        }
        assert!(of("http://h:9000/").unwrap().is_plain() && !of("https://h").unwrap().is_plain());
        for bad in ["h:9000", "http://", "ftp://h", "http://h:0", "http://h:x", "http://h/path"] {
            assert!(of(bad).is_err(), "{bad} was taken");
        }
        let refused = of("http://key:hunter2@h").unwrap_err().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn credentials_are_a_key_a_secret_and_perhaps_a_token() {
        let of = |text: &str| Login::of(&Secret::new(text));
        let login = of("AKIA1:a/b+c=\n").unwrap();
        assert_eq!((login.key.as_str(), login.secret.as_str()), ("AKIA1", "a/b+c="));
        assert_eq!(of("a:b:c:d").unwrap().token.as_deref(), Some("c:d"));
        for bad in ["", "a", "a:", ":b"] {
            assert_eq!(of(bad), Err(StoreError::Credentials), "{bad}");
        }
        assert!(!format!("{login:?}").contains("a/b"));
    }
}
