//! What is missing between two fragments of a camera, and why. Pure.

use protocol::time::UtcNs;
use serde::{Deserialize, Serialize};

use crate::facts::Fragment;
use crate::packet_id::PacketId;

/// A place where a recording does not go on without a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The end of what stands before it.
    pub from: UtcNs,
    /// When the first packet behind it was captured. `from <= to` as long as no clock was set back.
    pub to: UtcNs,
    /// Packets of the ring that no file holds. What a source did not publish, because it was away, is
    /// nowhere counted.
    pub missing: u64,
    pub reason: GapReason,
    /// The last packet before it.
    pub before: PacketId,
    /// The first packet behind it.
    pub after: PacketId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The rest of the file before is not whole.
    Damage,
    /// The source said that what it sends does not continue what it sent before.
    Discontinuity,
    /// Packets were published and no file holds them: they were overwritten before they were recorded.
    Missing,
    /// It was not to be recorded: no rule and no command wanted it.
    Paused,
    /// Packets were published, and numbers of files are not there where they should be: retention or a
    /// person removed them. A recorder that cannot write uses up numbers too.
    Removed,
    /// The ring began a new epoch: the camera's ingest was restarted.
    SourceRestart,
}

impl GapReason {
    pub const ALL: [Self; 6] = [
        Self::Damage,
        Self::Discontinuity,
        Self::Missing,
        Self::Paused,
        Self::Removed,
        Self::SourceRestart,
    ];

    /// As in JSON and in the index.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::Discontinuity => "discontinuity",
            Self::Missing => "missing",
            Self::Paused => "paused",
            Self::Removed => "removed",
            Self::SourceRestart => "source_restart",
        }
    }

    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Damage => "the recording is damaged",
            Self::Discontinuity => "the source was interrupted",
            Self::Missing => "packets were lost before they were recorded",
            Self::Paused => "it was not to be recorded",
            Self::Removed => "files of this time were removed, or could not be written",
            Self::SourceRestart => "the camera was started again",
        }
    }
}

impl Gap {
    /// `damaged`: the file of `before` is not whole behind it. `None` when `after` goes on exactly, or
    /// repeats what stands before it, as while a recorder joins on to an older file.
    pub fn between(before: &Fragment, damaged: bool, after: &Fragment) -> Option<Self> {
        if before.epoch == after.epoch && after.first <= before.last {
            return None;
        }
        let reason = if after.paused {
            GapReason::Paused
        } else if before.epoch != after.epoch {
            GapReason::SourceRestart
        } else if after.first_id().follows(before.last_id()) {
            after.discontinuity.then_some(GapReason::Discontinuity)?
        } else if damaged {
            GapReason::Damage
        } else {
            GapReason::Missing
        };
        // An epoch counts from 1. Of the one before nobody knows where it ended.
        let missing = before.last_id().missing_before(after.first_id());
        // What nobody wanted is not missing.
        let missing = if reason == GapReason::Paused { Some(0) } else { missing };
        Some(Self {
            from: before.end,
            to: after.capture,
            missing: missing.unwrap_or_else(|| after.first.saturating_sub(1)),
            reason,
            before: before.last_id(),
            after: after.first_id(),
        })
    }

    /// The same where numbers of files between the two are not there. A file that a joint took away leaves no
    /// hole; what nobody wanted was in no file.
    #[must_use]
    pub fn without_files(self) -> Self {
        let is_told = matches!(self.reason, GapReason::Discontinuity | GapReason::Paused);
        let reason = if is_told || self.missing == 0 { self.reason } else { GapReason::Removed };
        Self { reason, ..self }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Ten packets of a second.
    pub(crate) fn fragment(epoch: u64, first: u64, second: u64) -> Fragment {
        Fragment {
            at_bytes: 0,
            bytes: 1000,
            epoch,
            first,
            last: first + 9,
            recorded: 10,
            capture: UtcNs(second * 1_000_000_000),
            end: UtcNs((second + 1) * 1_000_000_000),
            key: Some(first),
            discontinuity: false,
            camera_clock: false,
            paused: false,
        }
    }

    #[test]
    fn what_follows_has_no_gap_before_it() {
        assert_eq!(Gap::between(&fragment(7, 1, 0), false, &fragment(7, 11, 1)), None);
        assert_eq!(Gap::between(&fragment(7, 1, 0), true, &fragment(7, 11, 1)), None);
        assert_eq!(Gap::between(&fragment(7, 11, 1), false, &fragment(7, 11, 1)), None);
    }

    #[test]
    fn a_hole_tells_its_size_its_time_and_its_reason() {
        let gap = Gap::between(&fragment(7, 1, 0), false, &fragment(7, 31, 3)).unwrap();
        assert_eq!((gap.missing, gap.reason), (20, GapReason::Missing));
        assert_eq!((gap.from.0, gap.to.0), (1_000_000_000, 3_000_000_000));
        assert_eq!((gap.before.sequence, gap.after.sequence), (10, 31));
        let gap = Gap::between(&fragment(7, 1, 0), true, &fragment(7, 31, 3)).unwrap();
        assert_eq!((gap.missing, gap.reason), (20, GapReason::Damage));
    }

    #[test]
    fn a_new_epoch_counts_what_it_had_published_before() {
        let gap = Gap::between(&fragment(7, 1, 0), false, &fragment(8, 3, 5)).unwrap();
        assert_eq!((gap.missing, gap.reason), (2, GapReason::SourceRestart));
    }

    #[test]
    fn what_was_not_to_be_recorded_is_a_gap_and_not_missing() {
        let after = Fragment { paused: true, discontinuity: true, ..fragment(7, 31, 9) };
        let gap = Gap::between(&fragment(7, 1, 0), false, &after).unwrap();
        assert_eq!((gap.missing, gap.reason), (0, GapReason::Paused));
        let after = Fragment { epoch: 8, ..after };
        let gap = Gap::between(&fragment(7, 1, 0), false, &after).unwrap();
        assert_eq!((gap.missing, gap.reason), (0, GapReason::Paused));
    }

    #[test]
    fn packets_of_files_that_are_not_there_were_removed_and_not_lost() {
        let before = fragment(7, 1, 0);
        let reason = |after: &Fragment, damaged| {
            Gap::between(&before, damaged, after).unwrap().without_files().reason
        };
        assert_eq!(reason(&fragment(7, 31, 3), false), GapReason::Removed);
        assert_eq!(reason(&fragment(7, 31, 3), true), GapReason::Removed);
        assert_eq!(reason(&fragment(8, 31, 3), false), GapReason::Removed);
        // A joint took the file between, and nothing with it.
        assert_eq!(reason(&fragment(8, 1, 3), false), GapReason::SourceRestart);
        let paused = Fragment { paused: true, ..fragment(7, 31, 3) };
        assert_eq!(reason(&paused, false), GapReason::Paused);
    }

    #[test]
    fn a_discontinuity_is_a_gap_without_missing_packets() {
        let after = Fragment { discontinuity: true, ..fragment(7, 11, 9) };
        let gap = Gap::between(&fragment(7, 1, 0), false, &after).unwrap();
        assert_eq!((gap.missing, gap.reason), (0, GapReason::Discontinuity));
    }
}
