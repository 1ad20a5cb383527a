//! Random numbers from the system, for one request at a time.

use crate::rtp::sender::Beginning;

/// Everything of a session that must not be guessed or predicted (RFC 3550 section 5.1, and the
/// session id, which is all a request needs to control a session).
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    pub session: u128,
    pub beginning: Beginning,
}

/// The system gives none.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no random numbers from the system: {0}")]
pub struct NoChance(getrandom::Error);

impl Chance {
    pub fn draw() -> Result<Self, NoChance> {
        let mut bytes = [0; 26];
        getrandom::fill(&mut bytes).map_err(NoChance)?;
        Ok(Self::from_bytes(bytes))
    }

    /// What nobody can know before it is given away, for a challenge.
    pub fn nonce() -> Result<u128, NoChance> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(NoChance)?;
        Ok(u128::from_ne_bytes(bytes))
    }

    fn from_bytes(bytes: [u8; 26]) -> Self {
        let mut bytes = bytes.into_iter();
        let mut word = |count| {
            bytes.by_ref().take(count).fold(0u128, |word, byte| word << 8 | u128::from(byte))
        };
        let session = word(16);
        let mut word32 = || u32::try_from(word(4)).unwrap_or_default();
        let (ssrc, ticks) = (word32(), word32());
        let sequence = u16::try_from(word(2)).unwrap_or_default();
        Self { session, beginning: Beginning { ssrc, sequence, ticks } }
    }
}
