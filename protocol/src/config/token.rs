//! `tokens:` of a web worker: what a program says to be let in, and what it may do then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::when::Patterns;
use crate::secret::Secret;

/// By name: what is told of who did something.
pub type Tokens = BTreeMap<String, TokenConfig>;

/// Longest name of a token.
const NAME_MAX: usize = 64;
/// Fewer characters can be guessed: 128 random bits have 22 in base64, and 32 in hexadecimal.
const TOKEN_MIN_BYTES: usize = 20;
/// It stands in one header line of a request.
const TOKEN_MAX_BYTES: usize = 1024;

/// One of `tokens:`. What is not said may not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// What is sent as `Authorization: Bearer TOKEN`.
    pub token: Secret,
    pub may: Vec<Right>,
    /// Cameras that it is about; a star stands for any characters. Default: all.
    #[serde(default = "all")]
    pub cameras: Patterns,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Write comments and tags beside recordings.
    Comment,
    /// See what users see.
    Read,
    /// Begin and end recording, whatever the topology says.
    Record,
    /// Start workers again.
    Restart,
}

impl Right {
    pub const ALL: [Self; 4] = [Self::Comment, Self::Read, Self::Record, Self::Restart];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Read => "read",
            Self::Record => "record",
            Self::Restart => "restart",
        }
    }
}

/// Why one of `tokens:` cannot be. It does not say what is there instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("'{0}' is no name of a token: expected 1 to 64 letters, digits and any of . _ - @")]
    Name(String),
    #[error("{0} may do nothing: expected may: with some of comment, read, record, restart")]
    Idle(String),
    #[error("{0} has cameras: that name none: leave it out for all, or name some")]
    NoCameras(String),
}

/// What a credential holds that is to be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected 20 to 1024 letters, digits and any of - . _ ~ + / =, as `openssl rand -hex 24` makes them"
)]
pub struct UnfitToken;

impl TokenConfig {
    /// Whether `name` may be this token; what it is itself is for [`Self::fits`].
    pub fn check(&self, name: &str) -> Result<(), TokenError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-@".contains(&b);
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(fits) {
            return Err(TokenError::Name(name.to_owned()));
        }
        if self.may.is_empty() {
            return Err(TokenError::Idle(name.to_owned()));
        }
        if self.cameras.is_empty() {
            return Err(TokenError::NoCameras(name.to_owned()));
        }
        Ok(())
    }

    /// Whether it can stand in a header as it is (RFC 6750 section 2.1) and is too long to be guessed.
    pub fn fits(token: &Secret) -> Result<(), UnfitToken> {
        let text = token.reveal();
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
        let fits = (TOKEN_MIN_BYTES..=TOKEN_MAX_BYTES).contains(&text.len());
        if fits && text.bytes().all(is_plain) { Ok(()) } else { Err(UnfitToken) }
    }
}

fn all() -> Patterns {
    "*".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(may: &[Right]) -> TokenConfig {
        TokenConfig { token: Secret::new("x".repeat(32)), may: may.to_vec(), cameras: all() }
    }

    #[test]
    fn a_token_has_a_name_and_something_to_do() {
        assert_eq!(token(&[Right::Restart]).check("ops@site-1"), Ok(()));
        for name in ["", "a b", "a\"b", &"x".repeat(65)] {
            assert_eq!(token(&Right::ALL).check(name), Err(TokenError::Name(name.into())));
        }
        assert_eq!(token(&[]).check("ops"), Err(TokenError::Idle("ops".into())));
        let nowhere = TokenConfig { cameras: Patterns::default(), ..token(&[Right::Read]) };
        assert_eq!(nowhere.check("ops"), Err(TokenError::NoCameras("ops".into())));
    }

    #[test]
    fn a_token_is_too_long_to_be_guessed_and_fits_into_a_header() {
        let fits = |text: &str| TokenConfig::fits(&Secret::new(text)).is_ok();
        assert!(fits(&"a".repeat(20)) && fits(&"Zz09-._~+/=".repeat(4)) && fits(&"a".repeat(1024)));
        for bad in ["", "hunter2", &"a".repeat(19), &"a".repeat(1025), "with a blank in it, long"] {
            assert!(!fits(bad), "{bad}");
        }
        let secret = Secret::new("too-short");
        assert!(!TokenConfig::fits(&secret).unwrap_err().to_string().contains("too-short"));
    }

    #[test]
    fn a_right_has_one_name() {
        for right in Right::ALL {
            assert_eq!(serde_json::to_value(right).unwrap(), right.as_str());
        }
    }
}
