//! The newest units of one camera, and how a viewer moves along them. Pure; locking is in `feed`.
//!
//! Units are numbered from 0 as they come and kept in one log that all viewers of a camera share; a
//! viewer is only a number, its cursor. So a viewer's backlog costs nothing of its own, a late
//! viewer is one that begins at the last key frame, and what it is sent can have neither a gap nor a
//! repeat where the cached pictures meet the live ones: they are one sequence.
//!
//! ```text
//!   first                 entry                    entry         end
//!     v                     v                        v            v
//!     [p p p p p p p p p p  K p p p p p p p p p p p  K p p p p p]
//!        ^ slow viewer        a new viewer begins here ^        ^ live viewer
//! ```
//! A viewer whose cursor falls out at the front has fallen behind: it goes on at the newest key
//! frame and is told how many units it lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use protocol::time::MonoNs;

use crate::unit::Unit;

/// Groups of pictures that are kept whole: the one in progress, from which new viewers begin ...
const GROUPS_UNWATCHED: usize = 1;
/// ... and the one before it, in which viewers may still be reading when it ends.
const GROUPS_WATCHED: usize = 2;
/// Kept beyond those groups while somebody watches, so that short groups do not make viewers skip at the first hiccup: a
/// viewer may be this far behind ...
const KEPT_BYTES: usize = 4 << 20;
/// ... but not this long, since what it sees is meant to be live.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// The end of it, whatever the groups are: ten seconds at 25 Mbit/s. A longer group of pictures
/// cannot be joined before its next key frame.
const MOST_BYTES: usize = 32 << 20;

/// The log. `first + units.len()` is the number of the unit to come.
#[derive(Debug, Default)]
pub struct History {
    units: VecDeque<Entry>,
    /// Number of `units[0]`.
    first: u64,
    bytes: usize,
    /// Numbers of the entry points in `units`, ascending: `first <= entries[0]`.
    entries: VecDeque<u64>,
}

#[derive(Debug)]
struct Entry {
    unit: Arc<Unit>,
    added: MonoNs,
}

/// Where one viewer is.
#[derive(Debug)]
pub struct Cursor {
    next: u64,
    /// Units before the next entry point would not decode.
    needs_entry: bool,
}

/// What a viewer is given.
#[derive(Debug)]
pub enum Taken {
    Unit(Arc<Unit>),
    /// It fell behind and goes on at the newest key frame, this many units later.
    Skipped {
        units: u64,
    },
    /// It has everything.
    Nothing,
}

impl Cursor {
    /// Whether units before number `end` are still to be taken.
    pub fn is_before(&self, end: u64) -> bool {
        self.next < end
    }
}

impl History {
    /// Nothing is spared for viewers when `watched` is false.
    pub fn push(&mut self, unit: Arc<Unit>, now: MonoNs, watched: bool) {
        if unit.entry {
            self.entries.push_back(self.end());
        }
        self.bytes += unit.payload.len();
        self.units.push_back(Entry { unit, added: now });
        while self.is_over(now, watched) {
            self.drop_oldest();
        }
        debug_assert!(self.entries.front().is_none_or(|entry| *entry >= self.first));
    }

    /// A viewer that begins now: at the newest key frame, else at the next one.
    pub fn join(&self) -> Cursor {
        match self.entries.back() {
            Some(&entry) => Cursor { next: entry, needs_entry: false },
            None => Cursor { next: self.end(), needs_entry: true },
        }
    }

    pub fn take(&self, cursor: &mut Cursor) -> Taken {
        if cursor.next < self.first {
            let joined = self.join();
            let units = joined.next - cursor.next;
            *cursor = joined;
            return Taken::Skipped { units };
        }
        while let Some(entry) = self.at(cursor.next) {
            cursor.next += 1;
            if cursor.needs_entry && !entry.unit.entry {
                continue;
            }
            cursor.needs_entry = false;
            return Taken::Unit(Arc::clone(&entry.unit));
        }
        Taken::Nothing
    }

    fn at(&self, number: u64) -> Option<&Entry> {
        self.units.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// The number of the unit to come.
    pub fn end(&self) -> u64 {
        self.first + self.units.len() as u64
    }

    fn is_over(&self, now: MonoNs, watched: bool) -> bool {
        let Some(oldest) = self.units.front() else { return false };
        let groups = if watched { GROUPS_WATCHED } else { GROUPS_UNWATCHED };
        let in_kept_group = match self.entries.len().checked_sub(groups) {
            Some(at) => self.first >= self.entries[at],
            None => !self.entries.is_empty(),
        };
        let is_old = self.bytes > KEPT_BYTES || now.saturating_since(oldest.added) > KEPT_FOR;
        let is_spare = is_old || !watched;
        self.bytes > MOST_BYTES || (is_spare && !in_kept_group)
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.units.pop_front() else { return };
        self.bytes -= oldest.unit.payload.len();
        if self.entries.front() == Some(&self.first) {
            self.entries.pop_front();
        }
        self.first += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::time::UtcNs;

    fn unit(number: i64, entry: bool, bytes: usize) -> Arc<Unit> {
        Arc::new(Unit {
            track: 0,
            entry,
            pts_ns: number,
            captured: UtcNs(0),
            pieces: Vec::new(),
            payload: vec![0; bytes],
        })
    }

    /// `groups` groups of `length` units of `bytes` bytes, 40 ms apart.
    fn filled(groups: i64, length: i64, bytes: usize) -> History {
        let mut history = History::default();
        for number in 0..groups * length {
            let now = MonoNs(u64::try_from(number).unwrap() * 40_000_000);
            history.push(unit(number, number % length == 0, bytes), now, true);
        }
        history
    }

    fn take_all(history: &History, cursor: &mut Cursor) -> Vec<i64> {
        std::iter::from_fn(|| match history.take(cursor) {
            Taken::Unit(unit) => Some(unit.pts_ns),
            Taken::Skipped { .. } | Taken::Nothing => None,
        })
        .collect()
    }

    #[test]
    fn a_late_viewer_begins_at_the_last_key_frame_and_meets_the_live_units_without_a_seam() {
        let mut history = filled(3, 25, 100);
        history.push(unit(75, true, 100), MonoNs(0), true);
        history.push(unit(76, false, 100), MonoNs(0), true);
        let mut cursor = history.join();
        assert_eq!(take_all(&history, &mut cursor), [75, 76]);
        history.push(unit(77, false, 100), MonoNs(0), true);
        assert_eq!(take_all(&history, &mut cursor), [77]);
        assert!(matches!(history.take(&mut cursor), Taken::Nothing));
    }

    #[test]
    fn a_viewer_before_the_first_key_frame_waits_for_it() {
        let mut history = History::default();
        history.push(unit(0, false, 1), MonoNs(0), true);
        let mut cursor = history.join();
        history.push(unit(1, false, 1), MonoNs(0), true);
        assert!(take_all(&history, &mut cursor).is_empty());
        history.push(unit(2, true, 1), MonoNs(0), true);
        history.push(unit(3, false, 1), MonoNs(0), true);
        assert_eq!(take_all(&history, &mut cursor), [2, 3]);
    }

    #[test]
    fn a_slow_viewer_skips_to_the_newest_key_frame_and_learns_how_much_it_lost() {
        let mut history = filled(1, 25, 1 << 20);
        let mut cursor = history.join();
        for number in 25..110 {
            history.push(unit(number, number % 25 == 0, 1 << 20), MonoNs(0), true);
        }
        assert!(matches!(history.take(&mut cursor), Taken::Skipped { units: 100 }));
        assert_eq!(take_all(&history, &mut cursor)[..2], [100, 101]);
    }

    #[test]
    fn while_nobody_watches_only_the_group_in_progress_is_kept() {
        let mut history = filled(3, 25, 100);
        history.push(unit(75, true, 100), MonoNs(0), false);
        history.push(unit(76, false, 100), MonoNs(0), false);
        assert_eq!(history.units.len(), 2);
        assert_eq!(take_all(&history, &mut history.join()), [75, 76]);
    }

    #[test]
    fn short_groups_leave_a_viewer_four_mebibytes_of_slack() {
        let history = filled(1000, 2, 100 << 10);
        assert!((40..=41).contains(&history.units.len()), "{}", history.units.len());
    }

    #[test]
    fn of_a_thin_stream_no_more_than_ten_seconds_are_kept() {
        let history = filled(100, 25, 100);
        assert!((240..=275).contains(&history.units.len()), "{}", history.units.len());
    }

    #[test]
    fn two_long_groups_are_kept_whole() {
        let history = filled(5, 500, 10 << 10);
        assert_eq!(history.units.len(), 1000);
        assert_eq!(history.join().next, 2000);
    }

    #[test]
    fn an_endless_group_is_bounded_and_its_viewers_wait_for_the_next_key_frame() {
        let mut history = filled(1, 5000, 20 << 10);
        assert!(history.bytes <= MOST_BYTES);
        let mut cursor = history.join();
        assert!(take_all(&history, &mut cursor).is_empty());
        history.push(unit(5000, true, 1), MonoNs(0), true);
        assert_eq!(take_all(&history, &mut cursor), [5000]);
    }

    proptest! {
        #[test]
        fn units_reach_a_viewer_in_order_and_it_begins_and_resumes_at_a_key_frame(
            steps in proptest::collection::vec((any::<bool>(), 0usize..3 << 20, 0usize..4), 1..60),
        ) {
            let mut history = History::default();
            let mut cursor = history.join();
            let (mut last, mut needs_entry) = (None, true);
            for (number, (entry, bytes, takes)) in steps.into_iter().enumerate() {
                history.push(unit(i64::try_from(number).unwrap(), entry, bytes), MonoNs(0), true);
                for _ in 0..takes {
                    match history.take(&mut cursor) {
                        Taken::Unit(unit) => {
                            prop_assert!(last.is_none_or(|last| unit.pts_ns == last + 1 || needs_entry && unit.pts_ns > last));
                            prop_assert!(!needs_entry || unit.entry);
                            (last, needs_entry) = (Some(unit.pts_ns), false);
                        }
                        Taken::Skipped { units } => {
                            prop_assert!(units > 0);
                            needs_entry = true;
                        }
                        Taken::Nothing => {}
                    }
                }
            }
        }
    }
}
