//! Which packet of a ring.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Orders packets of one ring for ever, since epochs never repeat. With the ring's name it is the frame
/// id that detections carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PacketId {
    pub epoch: u64,
    pub sequence: u64,
}

impl PacketId {
    /// Packets between this one and `later`, of the same epoch; `None` when that cannot be known.
    pub fn missing_before(self, later: Self) -> Option<u64> {
        if self.epoch == later.epoch {
            Some(later.sequence.saturating_sub(self.sequence.saturating_add(1)))
        } else {
            None
        }
    }

    pub fn follows(self, earlier: Self) -> bool {
        self.epoch == earlier.epoch && Some(self.sequence) == earlier.sequence.checked_add(1)
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.sequence)
    }
}
