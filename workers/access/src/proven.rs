//! What was right lately. A page asks many times a second, each time with the same password: whoever mistyped it
//! once must not wait behind each of these, as a guess does.
//!
//! ```text
//!   credentials ──> Proof ──> proven? ──yes──> looked at, at once
//!                               └─no──> waits for its turn (`Guesses`) ──> right? ──> proven
//! ```
//! It is looked at either way. What a guess has to be in place of right is unknown to who guesses: the password, the
//! token, or the nonce that another client was given.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use protocol::time::MonoNs;
use sha2::Digest as _;

use crate::header::Authorization;

/// As long as a nonce can be answered.
const PROVEN_FOR: Duration = crate::gate::NONCE_AGE;
/// 48 KB; with more, the one that was said longest ago waits for its turn again.
const KEPT_MAX: usize = 1024;

/// Stands for credentials, which are not kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proof([u8; 32]);

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(not shown)")
    }
}

impl Proof {
    /// Of a digest, all answers to one nonce in one name are the same.
    pub fn of(said: &Authorization) -> Self {
        match said {
            Authorization::Basic { user, password } => Self::hash(["basic", user, password]),
            Authorization::Digest(answer) => Self::hash(["digest", &answer.user, &answer.nonce]),
        }
    }

    pub fn of_token(token: &str) -> Self {
        Self::hash(["token", token, ""])
    }

    fn hash(parts: [&str; 3]) -> Self {
        let mut hash = sha2::Sha256::new();
        for part in parts {
            let bytes = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hash.update(bytes.to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// Those that were right lately.
#[derive(Debug, Default)]
pub struct Proven {
    last: BTreeMap<Proof, MonoNs>,
}

impl Proven {
    pub fn has(&self, proof: Proof, now: MonoNs) -> bool {
        self.last.get(&proof).is_some_and(|last| is_young(*last, now))
    }

    /// It was right just now.
    pub fn note(&mut self, proof: Proof, now: MonoNs) {
        if !self.last.contains_key(&proof) {
            self.make_room(now);
        }
        self.last.insert(proof, now);
    }

    /// A wrong answer came in its place: what follows waits for its turn.
    pub fn forget(&mut self, proof: Proof) {
        self.last.remove(&proof);
    }

    fn make_room(&mut self, now: MonoNs) {
        if self.last.len() < KEPT_MAX {
            return;
        }
        self.last.retain(|_, last| is_young(*last, now));
        if self.last.len() < KEPT_MAX {
            return;
        }
        let oldest = self.last.iter().min_by_key(|(_, last)| **last);
        if let Some(oldest) = oldest.map(|(proof, _)| *proof) {
            self.last.remove(&oldest);
        }
    }
}

fn is_young(last: MonoNs, now: MonoNs) -> bool {
    now.saturating_since(last) <= PROVEN_FOR
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::parse;

    const START: MonoNs = MonoNs(1_000_000_000_000);

    fn digest(nonce: &str, response: &str) -> Proof {
        let header = format!(
            "Digest username=\"anna\", realm=\"framevisor\", nonce=\"{nonce}\", uri=\"/x\", response=\"{response}\""
        );
        Proof::of(&parse(&header).unwrap())
    }

    #[test]
    fn what_was_right_is_proven_until_it_is_old_and_nothing_else_is() {
        let mut proven = Proven::default();
        let right = Proof::of(&parse("Basic YTpiOmM=").unwrap());
        assert!(!proven.has(right, START));
        proven.note(right, START);
        assert!(proven.has(right, START + PROVEN_FOR));
        assert!(!proven.has(right, START + PROVEN_FOR + Duration::from_nanos(1)));
        for other in ["Basic YTpiOmQ=", "Basic YjpiOmM="] {
            assert!(!proven.has(Proof::of(&parse(other).unwrap()), START), "{other}");
        }
        assert!(!proven.has(Proof::of_token("a:b:c"), START));
        assert!(!format!("{proven:?}").contains('['), "{proven:?}");
    }

    #[test]
    fn of_a_digest_the_nonce_is_proven_and_no_other() {
        let mut proven = Proven::default();
        proven.note(digest("n1", "aa"), START);
        assert!(proven.has(digest("n1", "bb"), START), "another path, another answer");
        assert!(!proven.has(digest("n2", "aa"), START));
        proven.forget(digest("n1", "cc"));
        assert!(!proven.has(digest("n1", "aa"), START), "somebody guesses with it");
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let basic = |user: &str, password: &str| {
            let (user, password) = (user.to_owned(), password.to_owned());
            Proof::of(&Authorization::Basic { user, password })
        };
        assert!(basic("ab", "c") != basic("a", "bc"));
    }

    #[test]
    fn of_too_many_the_oldest_goes() {
        let mut proven = Proven::default();
        let token = |number: u64| Proof::of_token(&number.to_string());
        let at = |number: u64| MonoNs(START.0 + number);
        let all = u64::try_from(KEPT_MAX).unwrap();
        for number in 0..=all {
            proven.note(token(number), at(number));
        }
        assert_eq!(proven.last.len(), KEPT_MAX);
        assert!(!proven.has(token(0), at(all)) && proven.has(token(1), at(all)));
        let later = START + PROVEN_FOR + PROVEN_FOR;
        proven.note(token(0), later);
        assert_eq!(proven.last.len(), 1, "the others were old");
    }
}
