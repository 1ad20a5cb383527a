//! The `Authorization` header (RFC 7616 section 3.4, RFC 7617 section 2). The caller bounds its length.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::digest::Algorithm;

/// What a client says of itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    Basic { user: String, password: String },
    Digest(Response),
}

/// The answer to a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub user: String,
    pub realm: String,
    pub nonce: String,
    /// What it was made for.
    pub uri: String,
    pub response: String,
    pub algorithm: Algorithm,
    /// With `qop=auth`.
    pub counted: Option<Counted>,
}

/// What keeps an answer from being good a second time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// As sent: eight hexadecimal digits.
    pub nc: String,
    pub count: u32,
    pub cnonce: String,
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Basic { .. } => f.write_str("Basic(not shown)"),
            Self::Digest(response) => f.debug_tuple("Digest").field(response).finish(),
        }
    }
}

impl Authorization {
    /// Whose name it bears, rightly or not.
    pub fn user(&self) -> &str {
        match self {
            Self::Basic { user, .. } | Self::Digest(Response { user, .. }) => user,
        }
    }
}

/// `None` for what is neither, or not whole, or asks for what is not offered.
pub fn parse(header: &str) -> Option<Authorization> {
    let (scheme, rest) = header.trim().split_once(' ')?;
    if scheme.eq_ignore_ascii_case("basic") {
        basic(rest.trim())
    } else if scheme.eq_ignore_ascii_case("digest") {
        digest(rest).map(Authorization::Digest)
    } else {
        None
    }
}

/// What a request bears (RFC 6750 section 2.1); `None` when it says who it is in another way, or not at all.
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, rest) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
}

fn basic(token: &str) -> Option<Authorization> {
    // Some clients leave the padding out.
    let bytes = STANDARD.decode(token).or_else(|_| STANDARD_NO_PAD.decode(token)).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Authorization::Basic { user: user.to_owned(), password: password.to_owned() })
}

fn digest(text: &str) -> Option<Response> {
    let parameters = parameters(text)?;
    let find = |name: &str| {
        let mut found = parameters.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let first = found.next().map(|(_, value)| value.as_str());
        // Which of two is meant nobody knows.
        if found.next().is_some() { Err(()) } else { Ok(first) }
    };
    let own = |name: &str| find(name).ok().flatten().map(str::to_owned);
    let counted = match find("qop").ok()? {
        None => None,
        Some(qop) if qop.eq_ignore_ascii_case("auth") => {
            let nc = own("nc").filter(|nc| nc.len() == 8)?;
            let count = u32::from_str_radix(&nc, 16).ok()?;
            Some(Counted { nc, count, cnonce: own("cnonce")? })
        }
        Some(_) => return None,
    };
    Some(Response {
        user: own("username")?,
        realm: own("realm")?,
        nonce: own("nonce")?,
        uri: own("uri")?,
        response: own("response")?,
        algorithm: Algorithm::of(find("algorithm").ok()?)?,
        counted,
    })
}

/// `name=value, name="value"`: tokens and quoted strings (RFC 9110 section 5.6).
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut all = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=')?;
        let (value, behind) = value(behind.trim_start())?;
        all.push((name.trim().to_owned(), value));
        let behind = behind.trim_start();
        // Empty elements may stand between commas.
        rest = behind.trim_start_matches([',', ' ', '\t']);
        if rest.len() == behind.len() && !rest.is_empty() {
            return None;
        }
    }
    Some(all)
}

/// The value that `text` begins with, and what is behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut is_escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if is_escaped => {
                value.push(c);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => return Some((value, &quoted[at + 1..])),
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FFMPEG: &str = "Digest username=\"anna\", realm=\"framevisor\", nonce=\"ab12\", \
        uri=\"rtsp://127.0.0.1:8554/cam1\", response=\"0123456789abcdef0123456789abcdef\", \
        algorithm=\"MD5\", qop=\"auth\", cnonce=\"f00d\", nc=0000000a";

    fn digest_of(header: &str) -> Response {
        match parse(header) {
            Some(Authorization::Digest(response)) => response,
            other => panic!("{header}: {other:?}"),
        }
    }

    #[test]
    fn what_players_send_is_read() {
        let response = digest_of(FFMPEG);
        assert_eq!((response.user.as_str(), response.nonce.as_str()), ("anna", "ab12"));
        assert_eq!(response.algorithm, Algorithm::Md5);
        assert_eq!(response.counted.unwrap().count, 10);
        // GStreamer and live555 know neither qop nor algorithms.
        let plain = "Digest username=\"a\\\"b\", realm=\"framevisor\",nonce=\"n\" , uri=\"/x,y=z\",response=r";
        let response = digest_of(plain);
        assert_eq!((response.user.as_str(), response.uri.as_str()), ("a\"b", "/x,y=z"));
        assert_eq!((response.response.as_str(), response.counted), ("r", None));
    }

    #[test]
    fn basic_is_read_with_and_without_padding_and_with_colons_in_the_password() {
        let of = |user: &str, password: &str| {
            Some(Authorization::Basic { user: user.to_owned(), password: password.to_owned() })
        };
        assert_eq!(parse("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), of("Aladdin", "open sesame"));
        assert_eq!(parse("basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ"), of("Aladdin", "open sesame"));
        assert_eq!(parse("Basic YTpiOmM="), of("a", "b:c"));
        assert!(!format!("{:?}", parse("Basic YTpiOmM=")).contains("b:c"));
    }

    #[test]
    fn what_is_not_whole_or_not_offered_is_nothing() {
        for header in [
            "",
            "Basic",
            "Basic ",
            "Basic !!",
            "Basic YQ==",
            "Bearer abc",
            "Digest",
            "Digest ",
            "Digest username=\"a",
            "Digest username",
            "Digest username=\"a\" realm=\"b\"",
        ] {
            assert_eq!(parse(header), None, "{header}");
        }
        for (part, other) in [
            ("qop=\"auth\"", "qop=\"auth-int\""),
            ("algorithm=\"MD5\"", "algorithm=SHA-512-256"),
            ("algorithm=\"MD5\"", "algorithm=MD5-sess"),
            ("nc=0000000a", "nc=a"),
            ("nc=0000000a", "nc=0000000g"),
            ("cnonce=\"f00d\", ", ""),
            ("nonce=\"ab12\"", "nonce=\"ab12\", nonce=\"ab13\""),
            ("uri=\"rtsp://127.0.0.1:8554/cam1\", ", ""),
        ] {
            assert_eq!(parse(&FFMPEG.replace(part, other)), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn random_headers_never_panic(header in "(Digest|Basic|[A-Za-z]{0,8}) ?[ -~\u{e9}]{0,120}") {
            parse(&header);
        }

        #[test]
        fn almost_whole_headers_never_panic(
            parts in proptest::collection::vec(
                ("(username|realm|nonce|uri|response|qop|nc|cnonce|algorithm|x)", "\"?[a-f0-9\\\\=, ]{0,12}\"?"),
                0..14,
            ),
        ) {
            let parts: Vec<String> = parts.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            parse(&format!("Digest {}", parts.join(", ")));
        }

        #[test]
        fn what_is_quoted_comes_back(user in "[ -~]{0,30}") {
            let quoted = user.replace('\\', "\\\\").replace('"', "\\\"");
            let header = FFMPEG.replace("username=\"anna\"", &format!("username=\"{quoted}\""));
            prop_assert_eq!(digest_of(&header).user, user);
        }
    }
}
