//! A source's address, and what people may see of it.

use std::fmt;
use std::ops::Range;

use super::ingest::{SourceError, in_range};
use crate::secret::HIDDEN;

/// Names of parts of a path or query whose values are nobody's business, besides those that hold one of [`SECRETS`].
/// An SRT `streamid` is what many servers take user and password by.
const SECRET_WORDS: [&str; 9] =
    ["auth", "authorization", "key", "pass", "pw", "pwd", "sig", "signature", "streamid"];
const SECRETS: [&str; 10] = [
    "access_key",
    "accesskey",
    "api_key",
    "apikey",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "token",
];

/// A URL with its credentials; `Display` and `Debug` leave them out.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    url: String,
    shown: String,
}

impl SourceUrl {
    pub(super) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), shown: shown(url) }
    }

    pub(super) fn shown_as(self, text: &str) -> Self {
        Self { shown: shown(text), ..self }
    }

    /// What to connect to. Not for people.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What nobody may see of its path and query.
    pub fn secrets(&self) -> Vec<&str> {
        secret_values(&self.url).into_iter().map(|at| &self.url[at]).collect()
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceUrl").field(&self.shown).finish()
    }
}

/// Whether what follows `SCHEME://` names a host that could be there.
pub(super) fn check_authority(rest: &str) -> Result<Authority<'_>, SourceError> {
    match authority(rest)? {
        Authority { host: "", .. } => Err(SourceError::NoHost),
        authority => Ok(authority),
    }
}

/// Where a URL leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    pub(super) host: &'a str,
    pub(super) has_port: bool,
}

/// Of what follows `SCHEME://`; its host may be empty.
pub(super) fn authority(rest: &str) -> Result<Authority<'_>, SourceError> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let target = authority.rsplit('@').next().unwrap_or_default();
    // An IPv6 address stands in brackets, its colons are no port's.
    let host_end = target.find(']').map_or(0, |end| end + 1);
    let (host, port) = match target[host_end..].find(':') {
        Some(colon) => (&target[..host_end + colon], Some(&target[host_end + colon + 1..])),
        None => (target, None),
    };
    if host.contains(' ') {
        return Err(SourceError::NoHost);
    }
    match port {
        None | Some("") => Ok(Authority { host, has_port: false }),
        Some(port) if port.bytes().any(|b| !b.is_ascii_digit()) => Err(SourceError::NoPort),
        Some(port) if in_range(port, 1, 65_535).is_none() => {
            Err(SourceError::Port(port.to_owned()))
        }
        Some(_) => Ok(Authority { host, has_port: true }),
    }
}

/// Without credentials, and with stars for what its path and query keep secret; references to secrets stay.
fn shown(url: &str) -> String {
    let mut url = without_credentials(url);
    // From the last on: what stands before keeps its place.
    for at in secret_values(&url).into_iter().rev() {
        if !url[at.clone()].starts_with("${") {
            url.replace_range(at, HIDDEN);
        }
    }
    url
}

/// Where they are, in their order. Recorders without a name have user and password in their path:
/// `/user=admin&password=x&channel=1`, `/user=admin_password=x_channel=1`.
fn secret_values(url: &str) -> Vec<Range<usize>> {
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = host + url[host..].find(['/', '?', '#']).unwrap_or(url.len() - host);
    let rest = &url[path..];
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut found = Vec::new();
    let mut begin = path;
    for part in before.split(['/', '&']).chain(query.split('&')) {
        let end = begin + part.len();
        found.extend(value_in(part).map(|at| begin + at..end).filter(|value| !value.is_empty()));
        // One character is between each part and the next.
        begin = end + 1;
    }
    found
}

/// Where the value begins in `NAME=VALUE`, or behind other pairs, if its name is that of a secret.
fn value_in(part: &str) -> Option<usize> {
    let mut name = 0;
    for (at, _) in part.match_indices('=') {
        if is_secret(&part[name..at]) {
            return Some(at + 1);
        }
        name = at + 1;
    }
    None
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.contains(&name.as_str()) || SECRETS.iter().any(|secret| name.contains(secret))
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
    fn secrets_of_a_query_are_starred_and_known() {
        let url = SourceUrl::new("http://10.0.0.5/video.cgi?user=admin&pwd=s3cret&Token=x&rate=5");
        assert_eq!(
            url.to_string(),
            "http://10.0.0.5/video.cgi?user=admin&pwd=***&Token=***&rate=5"
        );
        assert_eq!(url.secrets(), ["s3cret", "x"]);
        let srt = SourceUrl::new("srt://10.0.0.5:9000?passphrase=0123456789&latency=200");
        assert_eq!(srt.to_string(), "srt://10.0.0.5:9000?passphrase=***&latency=200");
        let srt = SourceUrl::new("srt://10.0.0.5:9000?streamid=read:cam:user:s3cret");
        assert_eq!(srt.to_string(), "srt://10.0.0.5:9000?streamid=***");
        for (path, secret) in [
            ("user=admin&password=***&channel=1&stream=0.sdp?", "s3cret"),
            ("user=admin_password=***?real_stream", "s3cret_channel=1_stream=0.sdp"),
            ("live/token=***/main?a=b=c&key=***", "s3cret"),
        ] {
            let shown = format!("rtsp://10.0.0.5:554/{path}");
            let url = SourceUrl::new(&shown.replace("***", secret));
            assert_eq!(url.to_string(), shown);
            assert!(!url.secrets().is_empty() && url.secrets().iter().all(|it| *it == secret));
            assert_eq!(SourceUrl::new(&shown).to_string(), shown);
        }
        let named = SourceUrl::new("http://h/?pwd=x").shown_as("http://h/?pwd=${cred:pw}");
        assert_eq!(named.to_string(), "http://h/?pwd=${cred:pw}");
    }
}
