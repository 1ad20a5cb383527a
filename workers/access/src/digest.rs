//! Digests of passwords and of answers to a challenge (RFC 7616 section 3.4).

use protocol::config::access::REALM;
use sha2::Digest as _;
use subtle::ConstantTimeEq as _;

use crate::header::Response;

/// What an answer is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    /// The best first, as section 3.7 asks for. Clients that know one challenge alone, ffmpeg and GStreamer,
    /// take the last, which they all understand.
    pub const OFFERED: [Self; 2] = [Self::Sha256, Self::Md5];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// None is MD5, as it was before there was a choice.
    pub fn of(name: Option<&str>) -> Option<Self> {
        let name = name.unwrap_or(Self::Md5.as_str());
        Self::OFFERED.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(name))
    }

    /// The digest of `parts` with a colon between them, in lower-case hexadecimal.
    fn hex(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        match self {
            Self::Md5 => hex(&md5::Md5::digest(text)),
            Self::Sha256 => hex(&sha2::Sha256::digest(text)),
        }
    }
}

/// H(A1) of a user, as far as it is known: all that is kept of a password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub md5: Option<String>,
    pub sha256: Option<String>,
}

impl Kept {
    pub fn of(user: &str, password: &str) -> Self {
        let of = |algorithm: Algorithm| Some(algorithm.hex(&[user, REALM, password]));
        Self { md5: of(Algorithm::Md5), sha256: of(Algorithm::Sha256) }
    }

    pub fn of_digests(sha256: Option<[u8; 32]>, md5: Option<[u8; 16]>) -> Self {
        Self { md5: md5.map(|it| hex(&it)), sha256: sha256.map(|it| hex(&it)) }
    }

    fn with(&self, algorithm: Algorithm) -> Option<&str> {
        match algorithm {
            Algorithm::Md5 => self.md5.as_deref(),
            Algorithm::Sha256 => self.sha256.as_deref(),
        }
    }

    /// Whether this is the password of `user`.
    pub fn is(&self, user: &str, password: &str) -> bool {
        let known = Algorithm::OFFERED.into_iter().find_map(|it| Some((it, self.with(it)?)));
        known.is_some_and(|(algorithm, kept)| {
            is_same(kept, &algorithm.hex(&[user, REALM, password]))
        })
    }

    /// Whether the answer to a challenge was made with the password.
    pub fn answers(&self, method: &str, answer: &Response) -> bool {
        let Some(kept) = self.with(answer.algorithm) else { return false };
        is_same(&expected(kept, method, answer), &answer.response)
    }
}

/// Section 3.4.1; without `qop` that of RFC 2069, which many players still send.
fn expected(kept: &str, method: &str, answer: &Response) -> String {
    let asked = answer.algorithm.hex(&[method, &answer.uri]);
    let hex = |parts: &[&str]| answer.algorithm.hex(parts);
    match &answer.counted {
        Some(counted) => hex(&[kept, &answer.nonce, &counted.nc, &counted.cnonce, "auth", &asked]),
        None => hex(&[kept, &answer.nonce, &asked]),
    }
}

/// In a time that does not tell where they differ.
pub(crate) fn is_same(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.to_ascii_lowercase().as_bytes()).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let of = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Authorization, parse};

    fn answer(text: &str) -> Response {
        match parse(text) {
            Some(Authorization::Digest(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// RFC 7616 section 3.9.1, whose realm is not ours: its H(A1) is given.
    #[test]
    fn the_examples_of_rfc_7616_are_right() {
        let a1 = "Mufasa:http-auth@example.org:Circle of Life";
        let kept = Kept {
            md5: Some(Algorithm::Md5.hex(&[a1])),
            sha256: Some(Algorithm::Sha256.hex(&[a1])),
        };
        let of = |algorithm: &str, response: &str| {
            answer(&format!(
                "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
                 algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
                 response=\"{response}\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            ))
        };
        let md5 = of("MD5", "8ca523f5e9506fed4657c9700eebdbec");
        let sha256 =
            of("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
        assert!(kept.answers("GET", &md5) && kept.answers("GET", &sha256));
        assert!(!kept.answers("POST", &md5) && !kept.answers("POST", &sha256));
        let wrong = of("MD5", "8ca523f5e9506fed4657c9700eebdbed");
        assert!(!kept.answers("GET", &wrong));
        assert!(
            !Kept { md5: None, ..kept }.answers("GET", &md5),
            "one digest does not do for another"
        );
    }

    /// RFC 2617 section 3.5 with its `qop` and counter left out, as RFC 2069 has it.
    #[test]
    fn an_answer_without_a_counter_is_that_of_rfc_2069() {
        let kept = Kept { md5: Some("939e7578ed9e3c518a452acee763bce9".to_owned()), sha256: None };
        let answer = answer(
            "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", uri=\"/dir/index.html\", \
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", response=\"670FD8C2DF070C60B045671B8B24FF02\"",
        );
        assert!(kept.answers("GET", &answer));
    }

    #[test]
    fn a_password_is_known_by_any_digest_that_is_kept_and_by_no_other_name() {
        let kept = Kept::of("anna", "hunter2");
        assert!(kept.is("anna", "hunter2"));
        assert!(!kept.is("anna", "hunter3") && !kept.is("bert", "hunter2"));
        assert!(Kept { sha256: None, ..kept.clone() }.is("anna", "hunter2"));
        assert!(!Kept::default().is("anna", "hunter2"));
        assert!(!format!("{kept:?}").contains("hunter2"));
    }
}
