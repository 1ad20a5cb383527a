//! The URLs of a camera. Pure.

use std::fmt;

const DEFAULT_PORT: u16 = 554;

/// An RTSP URL taken apart. `Display` and `Debug` leave the credentials out.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) credentials: Option<Credentials>,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As it was written, with its port when it had one.
    authority: String,
    path: String,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Url {
    /// `None` for what is no `rtsp://HOST[:PORT][/PATH]`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix("rtsp://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((credentials, authority)) => (Some(Credentials::parse(credentials)), authority),
            None => (None, authority),
        };
        let host_end = authority.find(']').map_or(0, |end| end + 1);
        let (host, port) = match authority[host_end..].find(':') {
            Some(colon) => {
                let (host, port) = authority.split_at(host_end + colon);
                (host, if port == ":" { DEFAULT_PORT } else { port[1..].parse().ok()? })
            }
            None => (authority, DEFAULT_PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (authority, path) = (authority.to_owned(), path.to_owned());
        (!host.is_empty()).then_some(Self { credentials, host, port, authority, path })
    }
}

impl Url {
    /// With these credentials, unless it has its own.
    pub(crate) fn with(mut self, credentials: Option<Credentials>) -> Self {
        self.credentials = self.credentials.or(credentials);
        self
    }
}

impl Credentials {
    fn parse(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Self { user: unescaped(user), password: unescaped(password) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rtsp://{}{}", self.authority, self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `%2F` for `/` and so on; a `%` without two digits stands for itself.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let code =
            code.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The URL that `control` of a description names, whose base is `base` (RFC 2326 appendix C.1.1).
pub(crate) fn resolve(base: &str, control: Option<&str>) -> String {
    match control.map(str::trim) {
        None | Some("" | "*") => base.to_owned(),
        Some(control) if control.contains("://") => control.to_owned(),
        // Cameras mean "behind it", also where the base has no slash at its end, or a query.
        Some(control) => {
            format!("{}/{}", base.trim_end_matches('/'), control.trim_start_matches('/'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_shown_without_its_credentials() {
        let url = Url::parse("rtsp://admin:p%40s%2fs@10.0.0.5:8554/main?a=b@c").unwrap();
        let Credentials { user, password } = url.credentials.clone().unwrap();
        assert_eq!((user.as_str(), password.as_str()), ("admin", "p@s/s"));
        assert_eq!((url.host.as_str(), url.port), ("10.0.0.5", 8554));
        assert_eq!(format!("{url} {url:?}").matches("rtsp://10.0.0.5:8554/main?a=b@c").count(), 2);
        assert_eq!(
            Url::parse("rtsp://[::1]/x").map(|url| (url.host, url.port)),
            Some(("::1".into(), 554))
        );
        for bad in ["http://x/", "rtsp://", "rtsp://:1/", "rtsp://x:99999/"] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn controls_are_found_from_any_base() {
        for (base, control, url) in [
            ("rtsp://h/cam/", Some("trackID=1"), "rtsp://h/cam/trackID=1"),
            ("rtsp://h/cam", Some("trackID=1"), "rtsp://h/cam/trackID=1"),
            ("rtsp://h/cam", Some("/trackID=1"), "rtsp://h/cam/trackID=1"),
            ("rtsp://h/cam?x=1", Some("trackID=1"), "rtsp://h/cam?x=1/trackID=1"),
            ("rtsp://h/cam", Some("rtsp://h/cam/t1"), "rtsp://h/cam/t1"),
            ("rtsp://h/cam", Some("*"), "rtsp://h/cam"),
            ("rtsp://h/cam", None, "rtsp://h/cam"),
        ] {
            assert_eq!(resolve(base, control), url);
        }
    }
}
