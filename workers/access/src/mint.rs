//! Nonces that prove by themselves who gave them and when, so that nobody has to remember them.

use std::fmt;
use std::time::Duration;

use protocol::time::MonoNs;
use sha2::Digest as _;

use crate::digest::{hex, is_same};

/// Hexadecimal digits of the time, in front of the tag.
const TIME_DIGITS: usize = 16;
const TAG_BYTES: usize = 16;

/// What signs them: random, and known to one process alone. Another process's nonces are old here, and a client
/// that is told so answers a new one by itself.
pub struct Mint {
    key: [u8; 32],
}

impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mint(not shown)")
    }
}

impl Mint {
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    pub fn nonce(&self, now: MonoNs) -> String {
        format!("{:016x}{}", now.0, self.tag(now))
    }

    /// Whether it was given by this mint, at most `age` ago.
    pub fn is_own(&self, nonce: &str, now: MonoNs, age: Duration) -> bool {
        let digits = nonce.get(..TIME_DIGITS);
        let Some(given) = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) else {
            return false;
        };
        let given = MonoNs(given);
        is_same(&self.nonce(given), nonce) && given <= now && now.saturating_since(given) <= age
    }

    /// All that is signed has the same length and half of the digest is kept back, so that no longer text can be
    /// signed from it: the key in front is enough of a signature.
    fn tag(&self, given: MonoNs) -> String {
        let digest = sha2::Sha256::new()
            .chain_update(self.key)
            .chain_update(given.0.to_be_bytes())
            .finalize();
        hex(&digest[..TAG_BYTES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(300);
    const START: MonoNs = MonoNs(5_000_000_000_000);

    #[test]
    fn a_nonce_is_good_until_it_is_old_and_at_no_other_mint() {
        let (own, other) = (Mint::new([1; 32]), Mint::new([2; 32]));
        let nonce = own.nonce(START);
        assert!(own.is_own(&nonce, START, AGE) && own.is_own(&nonce, START + AGE, AGE));
        assert!(!own.is_own(&nonce, START + AGE + Duration::from_nanos(1), AGE));
        assert!(!other.is_own(&nonce, START, AGE));
        assert!(!own.is_own(&nonce, MonoNs(START.0 - 1), AGE), "not before it was given");
    }

    #[test]
    fn a_nonce_that_was_changed_anywhere_is_none() {
        let mint = Mint::new([1; 32]);
        let nonce = mint.nonce(START);
        for at in 0..nonce.len() {
            let mut other = nonce.clone().into_bytes();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            let other = String::from_utf8(other).unwrap();
            assert!(!mint.is_own(&other, START + AGE, AGE), "{at}");
        }
        for bad in ["", "0", "zz", &nonce[..47], &format!("{nonce}0"), "ääääääääääääääääääää"]
        {
            assert!(!mint.is_own(bad, START, AGE), "{bad}");
        }
        assert!(!format!("{mint:?}").contains('1'));
    }
}
