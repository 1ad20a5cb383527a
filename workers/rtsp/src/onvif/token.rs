//! Who asks, by WS-UsernameToken (OASIS Web Services Security UsernameToken Profile 1.0): most ONVIF clients speak it
//! and nothing else. Its digest is made from the password itself, so that a user whose password is kept as digests
//! has to say who they are by HTTP digest. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::config::Users;
use protocol::config::access::Password;
use protocol::secret::Secret;
use sha1::{Digest, Sha1};
use xml::Element;

/// How far a client's clock may be off: ONVIF devices take five minutes at most.
const CLOCK_OFF_MAX: Duration = Duration::from_secs(300);
/// Nonces that are remembered; with more in one window of time the next one is refused rather than believed twice.
const NONCES_MAX: usize = 4_096;
/// Of a nonce, as it is sent: sixteen bytes are usual.
const NONCE_MAX_BYTES: usize = 128;

/// What a client says of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct UsernameToken {
    pub user: String,
    proof: Proof,
}

#[derive(Clone, PartialEq, Eq)]
enum Proof {
    Digest {
        digest: String,
        nonce: Vec<u8>,
        created: String,
    },
    /// The password as it is.
    Text(String),
}

impl fmt::Debug for UsernameToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UsernameToken(not shown)")
    }
}

impl UsernameToken {
    /// `None` where it says too little to be looked at.
    pub(super) fn read(element: &Element) -> Option<Self> {
        let user = element.text_of("Username")?.to_owned();
        let password = element.find("Password")?;
        let is_digest =
            password.attribute("Type").is_some_and(|kind| kind.ends_with("#PasswordDigest"));
        if !is_digest {
            return Some(Self { user, proof: Proof::Text(password.text.trim().to_owned()) });
        }
        let nonce = STANDARD.decode(element.text_of("Nonce")?).ok()?;
        let created = element.text_of("Created")?.to_owned();
        let digest = password.text.trim().to_owned();
        let fits = nonce.len() <= NONCE_MAX_BYTES;
        fits.then_some(Self { user, proof: Proof::Digest { digest, nonce, created } })
    }

    /// Whether it has the password itself in it, which whoever listens on the way can read.
    pub fn is_plain(&self) -> bool {
        matches!(self.proof, Proof::Text(_))
    }
}

/// The passwords that tokens are compared with, and the tokens of the last minutes: each counts once.
#[derive(Default)]
pub struct Tokens {
    passwords: BTreeMap<String, Secret>,
    used: VecDeque<(SystemTime, Vec<u8>)>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("users", &self.passwords.len()).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Of the users whose passwords are known.
    pub fn of(users: &Users) -> Self {
        let known = users.iter().filter_map(|(name, user)| {
            let password = user.password.as_ref()?;
            let is_plain = matches!(Password::of(password), Ok(Password::Plain(_)));
            is_plain.then(|| (name.clone(), password.clone()))
        });
        Self { passwords: known.collect(), used: VecDeque::new() }
    }

    /// Whether the token is its user's, and new. One that has no password to compare with is wrong.
    pub fn is_right(&mut self, token: &UsernameToken, now: SystemTime) -> bool {
        let password = self.passwords.get(&token.user).map_or("", |password| password.reveal());
        let is_known = !password.is_empty();
        match &token.proof {
            Proof::Text(text) => is_same(text.as_bytes(), password.as_bytes()) && is_known,
            Proof::Digest { digest, nonce, created } => {
                let expected = digest_of(nonce, created, password);
                let is_right = is_same(digest.as_bytes(), expected.as_bytes()) && is_known;
                is_right && is_timely(created, now) && self.is_first(nonce, created, now)
            }
        }
    }

    fn is_first(&mut self, nonce: &[u8], created: &str, now: SystemTime) -> bool {
        let is_over = |(at, _): &(SystemTime, Vec<u8>)| {
            now.duration_since(*at).is_ok_and(|age| age > 2 * CLOCK_OFF_MAX)
        };
        while self.used.front().is_some_and(is_over) {
            self.used.pop_front();
        }
        let mark = [nonce, b"/", created.as_bytes()].concat();
        let is_new = self.used.iter().all(|(_, used)| *used != mark);
        if !is_new || self.used.len() >= NONCES_MAX {
            return false;
        }
        self.used.push_back((now, mark));
        true
    }
}

fn digest_of(nonce: &[u8], created: &str, password: &str) -> String {
    let mut sha = Sha1::new();
    sha.update(nonce);
    sha.update(created.as_bytes());
    sha.update(password.as_bytes());
    STANDARD.encode(sha.finalize())
}

/// Whether it was made now, by a clock that may be off.
fn is_timely(created: &str, now: SystemTime) -> bool {
    let Ok(created) = humantime::parse_rfc3339(created) else { return false };
    let off = now.duration_since(created).unwrap_or_else(|error| error.duration());
    off <= CLOCK_OFF_MAX
}

/// Without telling by its time how much of it is right.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use protocol::config::UserConfig;

    use super::*;

    fn tokens() -> Tokens {
        let user = |password: &str| UserConfig {
            password: Some(Secret::new(password)),
            play: "*".into(),
            ..UserConfig::default()
        };
        let kept = format!("digest:md5={}", "0".repeat(32));
        Tokens::of(&[("anna".to_owned(), user("pw")), ("bert".to_owned(), user(&kept))].into())
    }

    fn token(user: &str, password: &str, created: &str) -> UsernameToken {
        let nonce = b"sixteen bytes...".to_vec();
        let digest = digest_of(&nonce, created, password);
        UsernameToken {
            user: user.to_owned(),
            proof: Proof::Digest { digest, nonce, created: created.to_owned() },
        }
    }

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_digest_is_that_of_the_specifications_example() {
        // ONVIF application programmer's guide, 6.1.1.3.
        let nonce = STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap();
        let digest = digest_of(&nonce, "2010-09-16T07:50:45Z", "userpassword");
        assert_eq!(digest, "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
    }

    #[test]
    fn the_right_password_counts_once_and_in_its_time() {
        let mut tokens = tokens();
        let now = at("2026-11-22T12:00:00Z");
        let right = token("anna", "pw", "2026-11-22T11:58:00.250Z");
        assert!(tokens.is_right(&right, now));
        assert!(!tokens.is_right(&right, now), "again");
        assert!(!tokens.is_right(&token("anna", "wrong", "2026-11-22T12:00:00Z"), now));
        assert!(!tokens.is_right(&token("anna", "pw", "2026-11-22T11:50:00Z"), now), "old");
        assert!(!tokens.is_right(&token("anna", "pw", "2026-11-22T12:10:00Z"), now), "ahead");
        assert!(!tokens.is_right(&token("anna", "pw", "today"), now));
        assert!(!tokens.is_right(&token("nobody", "", "2026-11-22T12:00:00Z"), now));
        // A password that is kept as digests is none that a token is made of.
        let kept = format!("digest:md5={}", "0".repeat(32));
        assert!(!tokens.is_right(&token("bert", &kept, "2026-11-22T12:00:00Z"), now));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let mut tokens = tokens();
        let now = at("2026-11-22T12:00:00Z");
        let mut of = |number: usize, now| {
            let nonce = number.to_be_bytes().to_vec();
            let created = "2026-11-22T12:00:00Z".to_owned();
            let digest = digest_of(&nonce, &created, "pw");
            let proof = Proof::Digest { digest, nonce, created };
            tokens.is_right(&UsernameToken { user: "anna".to_owned(), proof }, now)
        };
        assert!((0..NONCES_MAX).all(|number| of(number, now)));
        assert!(!of(NONCES_MAX, now));
        assert!(!of(0, now + 2 * CLOCK_OFF_MAX), "out of its time anyway");
        assert_eq!(tokens.used.len(), NONCES_MAX);
    }

    #[test]
    fn a_token_is_read_and_none_of_it_shown() {
        let text = "<Security><UsernameToken><Username>anna</Username>\
            <Password Type=\"http://x#PasswordDigest\">abc=</Password><Nonce>AAAA</Nonce>\
            <Created>2026-11-22T12:00:00Z</Created></UsernameToken></Security>";
        let read = |text: &str| {
            let element = xml::read(text.as_bytes()).unwrap();
            UsernameToken::read(element.find("UsernameToken").unwrap())
        };
        let token = read(text).unwrap();
        assert_eq!(token.user, "anna");
        assert!(!token.is_plain());
        assert!(!format!("{token:?}").contains("anna"));
        assert!(read(&text.replace("<Nonce>AAAA</Nonce>", "")).is_none());
        assert!(read(&text.replace("#PasswordDigest", "#PasswordText")).unwrap().is_plain());
    }
}
