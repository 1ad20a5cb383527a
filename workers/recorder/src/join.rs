//! Where to go on after the last recorded packet. Pure.
//!
//! A recorder that died inside a group of pictures left a file that ends there. The next file has
//! to begin with a key frame to play by itself, so the group is taken from the ring once more:
//!
//! ```text
//! Probing ── the next packet is an entry, or does not follow ──> Record
//!    │ it continues the group
//!    └──> Rewound ── the ring still has the group's key frame ──> RecordAgain (then cut the old file)
//!            └──> Straight ──> RecordInside: the file begins inside the group
//! ```

use crate::packet_id::PacketId;

/// The end of what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) last: PacketId,
    /// First packet of the last group of pictures; `None` when the file has none to begin with.
    pub(crate) group: Option<PacketId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    Probing(Tail),
    Rewound(Tail),
    Straight(Tail),
}

/// What to do with the first packet seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It begins a file, or is left out until one can begin.
    Record,
    /// It is the key frame of the old file's last group; that group is cut off there when all of it
    /// is in the new file.
    RecordAgain,
    /// It continues the old file's last group.
    RecordInside,
    /// Read from behind this packet instead, and ask again.
    ReadBehind(PacketId, Join),
}

impl Join {
    /// `first` is the packet the ring gave, `entry` whether a file may begin there.
    pub(crate) fn step(self, first: PacketId, entry: bool) -> Step {
        match self {
            Self::Probing(tail) => {
                let group = tail.group.filter(|_| !entry && first.follows(tail.last));
                match group.and_then(before) {
                    Some(before_group) => Step::ReadBehind(before_group, Self::Rewound(tail)),
                    None => Step::Record,
                }
            }
            Self::Rewound(tail) if Some(first) == tail.group => Step::RecordAgain,
            Self::Rewound(tail) => Step::ReadBehind(tail.last, Self::Straight(tail)),
            Self::Straight(tail) if first.follows(tail.last) => Step::RecordInside,
            Self::Straight(_) => Step::Record,
        }
    }
}

fn before(id: PacketId) -> Option<PacketId> {
    Some(PacketId { sequence: id.sequence.checked_sub(1)?, ..id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(epoch: u64, sequence: u64) -> PacketId {
        PacketId { epoch, sequence }
    }

    fn tail() -> Tail {
        Tail { last: id(5, 110), group: Some(id(5, 100)) }
    }

    #[test]
    fn a_key_frame_begins_the_next_file_as_it_is() {
        assert_eq!(Join::Probing(tail()).step(id(5, 111), true), Step::Record);
    }

    #[test]
    fn an_unfinished_group_is_recorded_again() {
        let rewound = Join::Rewound(tail());
        let step = Join::Probing(tail()).step(id(5, 111), false);
        assert_eq!(step, Step::ReadBehind(id(5, 99), rewound));
        assert_eq!(rewound.step(id(5, 100), true), Step::RecordAgain);
    }

    #[test]
    fn a_group_that_left_the_ring_is_continued_inside() {
        let straight = Join::Straight(tail());
        let step = Join::Rewound(tail()).step(id(5, 104), false);
        assert_eq!(step, Step::ReadBehind(id(5, 110), straight));
        assert_eq!(straight.step(id(5, 111), false), Step::RecordInside);
        assert_eq!(straight.step(id(5, 115), false), Step::Record);
    }

    #[test]
    fn a_hole_and_a_new_epoch_are_not_joined() {
        assert_eq!(Join::Probing(tail()).step(id(5, 120), false), Step::Record);
        assert_eq!(Join::Probing(tail()).step(id(6, 1), false), Step::Record);
    }

    #[test]
    fn sound_alone_has_no_groups() {
        let tail = Tail { group: None, ..tail() };
        assert_eq!(Join::Probing(tail).step(id(5, 111), false), Step::Record);
    }
}
