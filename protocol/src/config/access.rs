//! Who may come in to a server, and its certificate: `users:`, `basic:` and `tls:` of a worker that listens.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::when::Patterns;
use crate::secret::Secret;

/// Who may come in, by name. Without any, everybody may do everything.
pub type Users = BTreeMap<String, UserConfig>;

/// The name of those who say none.
pub const ANYONE: &str = "anyone";

/// Digests of passwords are made for it: a stored one counts here and nowhere else.
pub const REALM: &str = "framevisor";

/// Longest name of a user.
const NAME_MAX: usize = 64;
/// Longest password: it stands in one header line of a request.
const PASSWORD_MAX_BYTES: usize = 1024;
/// What begins a credential that holds digests of a password instead of it.
const DIGEST: &str = "digest:";

/// One of `users:`. What is not said may not be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserConfig {
    /// The password, or digests of it ([`Password`]). Of `anyone` there is none.
    pub password: Option<Secret>,
    /// Paths that may be played; a star stands for any characters.
    pub play: Patterns,
    /// Paths that may be published to.
    pub publish: Patterns,
}

/// Why one of `users:` cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    #[error("'{0}' is no name of a user: expected 1 to 64 letters, digits and any of . _ - @")]
    Name(String),
    #[error("{0} has no password: expected password: ${{cred:NAME}}")]
    NoPassword(String),
    #[error("anyone is who says no name, and has no password: give the user another name")]
    Anyone,
    #[error("{0} may do nothing: expected play, publish or both, for example play: '*'")]
    Idle(String),
}

impl UserConfig {
    /// Whether `name` may be this user.
    pub fn check(&self, name: &str) -> Result<(), UserError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-@".contains(&b);
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(fits) {
            return Err(UserError::Name(name.to_owned()));
        }
        match (&self.password, name == ANYONE) {
            (None, false) => return Err(UserError::NoPassword(name.to_owned())),
            (Some(_), true) => return Err(UserError::Anyone),
            (Some(_), false) | (None, true) => {}
        }
        if self.play.is_empty() && self.publish.is_empty() {
            return Err(UserError::Idle(name.to_owned()));
        }
        Ok(())
    }
}

/// Where a password may come as it is, which whoever listens on the way can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basic {
    Always,
    Never,
    /// Where TLS hides it.
    #[default]
    Tls,
}

/// `tls:` of a worker that listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificates (PEM), that of the server first. A relative path starts at the topology file's folder.
    pub cert: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// Address and port the supervisor binds, beside the plain one. Default: on loopback, the kind's own port.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
}

impl TlsConfig {
    /// `port`: the kind's own.
    pub(super) fn address(&self, port: u16) -> SocketAddr {
        self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], port)))
    }
}

/// What [`UserConfig::password`] says: a password, or `digest:sha-256=HEX`, `digest:md5=HEX` or both with a
/// comma between them, each the digest of `NAME:framevisor:PASSWORD` (H(A1) of RFC 7616 section 3.4.2).
#[derive(Clone, PartialEq, Eq)]
pub enum Password<'a> {
    Digests { sha256: Option<[u8; 32]>, md5: Option<[u8; 16]> },
    Plain(&'a str),
}

/// It does not say what is there instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a password of 1 to 1024 bytes, or digest:sha-256=HEX,md5=HEX")]
pub struct PasswordError;

impl<'a> Password<'a> {
    pub fn of(secret: &'a Secret) -> Result<Self, PasswordError> {
        let text = secret.reveal();
        if let Some(digests) = text.strip_prefix(DIGEST) {
            return Self::digests(digests.trim()).ok_or(PasswordError);
        }
        let fits = !text.is_empty()
            && text.len() <= PASSWORD_MAX_BYTES
            && !text.chars().any(char::is_control);
        if fits { Ok(Self::Plain(text)) } else { Err(PasswordError) }
    }

    fn digests(text: &str) -> Option<Self> {
        let (mut sha256, mut md5) = (None, None);
        for part in text.split(',') {
            match part.trim().split_once('=')? {
                ("sha-256", hex) if sha256.is_none() => sha256 = Some(bytes(hex)?),
                ("md5", hex) if md5.is_none() => md5 = Some(bytes(hex)?),
                _ => return None,
            }
        }
        Some(Self::Digests { sha256, md5 })
    }
}

impl fmt::Debug for Password<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(not shown)")
    }
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    if hex.len() != 2 * N || !hex.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(password: Option<&str>, play: &str) -> UserConfig {
        let play = if play.is_empty() { Patterns::default() } else { play.into() };
        UserConfig { password: password.map(Secret::new), play, publish: Patterns::default() }
    }

    #[test]
    fn a_user_has_a_name_a_password_and_something_to_do() {
        assert_eq!(user(Some("pw"), "*").check("anna@example.org"), Ok(()));
        assert_eq!(user(None, "lobby").check(ANYONE), Ok(()));
        for name in ["", "an na", "a:b", "a\"b", &"x".repeat(65)] {
            assert_eq!(user(Some("pw"), "*").check(name), Err(UserError::Name(name.into())));
        }
        assert_eq!(user(None, "*").check("anna"), Err(UserError::NoPassword("anna".into())));
        assert_eq!(user(Some("pw"), "*").check(ANYONE), Err(UserError::Anyone));
        assert_eq!(user(Some("pw"), "").check("anna"), Err(UserError::Idle("anna".into())));
    }

    #[test]
    fn a_password_is_itself_or_its_digests() {
        let is_plain = |text| matches!(Password::of(&Secret::new(text)), Ok(Password::Plain(it)) if it == text);
        assert!(is_plain("hunter2") && is_plain("with a blank: and more"));
        let (sha, md5) = ("ab".repeat(32), "0F".repeat(16));
        let both = Secret::new(format!("digest:sha-256={sha}, md5={md5}"));
        let digests = Password::Digests { sha256: Some([0xab; 32]), md5: Some([0x0f; 16]) };
        assert_eq!(Password::of(&both), Ok(digests));
        let one = Secret::new(format!("digest:md5={md5}"));
        let digests = Password::Digests { sha256: None, md5: Some([0x0f; 16]) };
        assert_eq!(Password::of(&one), Ok(digests));
        for bad in ["", "a\nb", "digest:", "digest:sha-256=abc", "digest:sha-1=ab", "digest:md5"] {
            assert_eq!(Password::of(&Secret::new(bad)), Err(PasswordError), "{bad}");
        }
        let twice = Secret::new(format!("digest:md5={md5},md5={md5}"));
        assert_eq!(Password::of(&twice), Err(PasswordError));
        assert!(!format!("{:?}", Password::of(&Secret::new("hunter2"))).contains("hunter2"));
    }
}
