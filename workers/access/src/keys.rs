//! Tokens: what a request bears to be let in, and what may be done with it.

use std::fmt;
use std::sync::Arc;

use protocol::config::token::{TokenError, UnfitToken};
use protocol::config::when::Patterns;
use protocol::config::{Right, TokenConfig, Tokens};
use sha2::Digest as _;
use subtle::ConstantTimeEq as _;

/// The tokens of a server. None is in it: only what they are compared with.
#[derive(Debug, Default)]
pub struct Keys {
    kept: Vec<Kept>,
}

struct Kept {
    digest: [u8; 32],
    holder: Arc<Holder>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.holder.fmt(f)
    }
}

/// Who bears a token, and what that lets them do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// As the topology calls it.
    pub name: String,
    may: Vec<Right>,
    cameras: Patterns,
}

/// Why there are no such tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("token {name}: {why}")]
    Unfit { name: String, why: UnfitToken },
    #[error("tokens {0} and {1} are the same: who bears it could be either")]
    Same(String, String),
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Keys {
    /// Those of a topology.
    pub fn of(tokens: &Tokens) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        for (name, token) in tokens {
            token.check(name)?;
            let unfit = |why| KeyError::Unfit { name: name.clone(), why };
            TokenConfig::fits(&token.token).map_err(unfit)?;
            let text = token.token.reveal();
            if let Some(other) = keys.holder(text) {
                return Err(KeyError::Same(other.name.clone(), name.clone()));
            }
            let (may, cameras) = (token.may.clone(), token.cameras.clone());
            let holder = Arc::new(Holder { name: name.clone(), may, cameras });
            keys.kept.push(Kept { digest: digest(text), holder });
        }
        Ok(keys)
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Who bears this. It takes as long whoever it is, and when it is nobody.
    pub fn holder(&self, token: &str) -> Option<&Arc<Holder>> {
        let given = digest(token);
        let mut found = None;
        for kept in &self.kept {
            if bool::from(kept.digest.ct_eq(&given)) {
                found = Some(&kept.holder);
            }
        }
        found
    }
}

impl Holder {
    /// Whether it may do this at all.
    pub fn has(&self, right: Right) -> bool {
        self.may.contains(&right)
    }

    /// Whether it may do this to `camera`.
    pub fn may(&self, right: Right, camera: &str) -> bool {
        self.has(right) && self.cameras.matches(camera)
    }

    /// Whether it may do this to every camera there is or will be.
    pub fn may_everywhere(&self, right: Right) -> bool {
        let is_all = |pattern: &String| !pattern.is_empty() && pattern.bytes().all(|b| b == b'*');
        self.has(right) && self.cameras.0.iter().any(is_all)
    }
}

fn digest(token: &str) -> [u8; 32] {
    sha2::Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::secret::Secret;

    const OPS: &str = "ops-token-ops-token-ops-token";
    const TILL: &str = "till-token-till-token-till-token";

    fn token(text: &str, may: &[Right], cameras: &str) -> TokenConfig {
        TokenConfig { token: Secret::new(text), may: may.to_vec(), cameras: cameras.into() }
    }

    fn keys() -> Keys {
        let tokens = [
            ("ops".to_owned(), token(OPS, &[Right::Restart, Right::Record], "*")),
            ("till".to_owned(), token(TILL, &[Right::Comment], "till-*")),
        ];
        Keys::of(&tokens.into()).unwrap()
    }

    #[test]
    fn who_bears_a_token_may_do_what_it_says_where_it_says_and_nothing_else() {
        let keys = keys();
        let (ops, till) = (keys.holder(OPS).unwrap(), keys.holder(TILL).unwrap());
        assert_eq!((ops.name.as_str(), till.name.as_str()), ("ops", "till"));
        assert!(ops.may(Right::Restart, "yard") && ops.may_everywhere(Right::Record));
        assert!(!ops.may(Right::Comment, "yard") && !ops.has(Right::Read));
        assert!(till.may(Right::Comment, "till-3") && !till.may(Right::Comment, "yard"));
        assert!(!till.may_everywhere(Right::Comment) && !till.may(Right::Restart, "till-3"));
    }

    #[test]
    fn nobody_bears_what_is_no_token_or_nearly_one_and_no_token_is_kept() {
        let keys = keys();
        for text in ["", "ops", &OPS[1..], &OPS.to_uppercase(), &format!("{OPS} ")] {
            assert_eq!(keys.holder(text), None, "{text}");
        }
        assert_eq!(Keys::default().holder(""), None);
        let shown = format!("{keys:?}");
        assert!(shown.contains("ops") && !shown.contains(OPS), "{shown}");
    }

    #[test]
    fn tokens_that_cannot_be_are_errors_that_do_not_tell_them() {
        let of = |name: &str, token: TokenConfig| {
            Keys::of(&[(name.to_owned(), token)].into()).unwrap_err().to_string()
        };
        let text = of("ops", token("hunter2", &[Right::Read], "*"));
        assert!(text.contains("token ops") && !text.contains("hunter2"), "{text}");
        assert!(of("ops", token(OPS, &[], "*")).contains("may do nothing"));
        let twice = [
            ("a".to_owned(), token(OPS, &[Right::Read], "*")),
            ("b".to_owned(), token(OPS, &[Right::Restart], "*")),
        ];
        let text = Keys::of(&twice.into()).unwrap_err().to_string();
        assert!(text.contains("a and b") && !text.contains(OPS), "{text}");
    }
}
