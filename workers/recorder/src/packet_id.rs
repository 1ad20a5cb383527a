//! Which packet of a ring.

use std::fmt;

/// Orders packets of one ring for ever, since epochs never repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PacketId {
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
}

impl PacketId {
    /// Packets between this one and `later`, of the same epoch; `None` when that cannot be known.
    pub(crate) fn missing_before(self, later: Self) -> Option<u64> {
        if self.epoch == later.epoch {
            Some(later.sequence.saturating_sub(self.sequence + 1))
        } else {
            None
        }
    }

    pub(crate) fn follows(self, earlier: Self) -> bool {
        self.epoch == earlier.epoch && Some(self.sequence) == earlier.sequence.checked_add(1)
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.sequence)
    }
}
