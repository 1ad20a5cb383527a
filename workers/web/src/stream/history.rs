//! The newest fragments of one camera, and how a viewer moves along them. Pure; locking is in `feed`.
//!
//! Fragments are numbered as they come and lie in one log that all viewers share; a viewer is a number, its cursor. So
//! a viewer's queue costs no memory of its own, and a late viewer is one that begins at the last key frame. Who is more
//! than two seconds behind, while a newer key frame is there, goes on at that: what it sees is meant to be live.
//!
//! ```text
//!   first                 entry                    entry         end
//!     v                     v                        v            v
//!     [p p p p p p p p p p  K p p p p p p p p p p p  K p p p p p]
//!        ^ behind: skipped to the newest entry       ^ a new viewer begins here
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use protocol::time::MonoNs;

use super::unit::Unit;

/// A viewer this far behind the moment skips.
const BEHIND_MAX: Duration = Duration::from_secs(2);
/// Kept beyond the group of pictures in progress: as long as no viewer would skip, and no more than this.
const KEPT_FOR: Duration = Duration::from_secs(3);
const KEPT_BYTES: usize = 8 << 20;
/// The end of it, whatever the groups are: ten seconds at 25 Mbit/s. A longer group of pictures cannot be joined
/// before its next key frame.
const MOST_BYTES: usize = 32 << 20;

/// The log. `first + units.len()` is the number of the fragment to come.
#[derive(Debug, Default)]
pub struct History {
    units: VecDeque<Added>,
    /// Number of `units[0]`.
    first: u64,
    bytes: usize,
    /// Numbers of the begins in `units`, ascending: `first <= entries[0]`.
    entries: VecDeque<u64>,
}

#[derive(Debug)]
struct Added {
    unit: Arc<Unit>,
    at: MonoNs,
}

/// Where one viewer is.
#[derive(Debug)]
pub struct Cursor {
    next: u64,
    /// Fragments before the next begin would not decode.
    needs_entry: bool,
}

/// What a viewer is given.
#[derive(Debug)]
pub enum Taken {
    Unit(Arc<Unit>),
    /// It was behind and goes on at the newest key frame, so many fragments later.
    Skipped {
        units: u64,
    },
    /// It has everything.
    Nothing,
}

impl History {
    pub fn push(&mut self, unit: Arc<Unit>, now: MonoNs) {
        if unit.entry {
            self.entries.push_back(self.end());
        }
        self.bytes += unit.bytes.len();
        self.units.push_back(Added { unit, at: now });
        while self.is_over(now) {
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

    pub fn take(&self, cursor: &mut Cursor, now: MonoNs) -> Taken {
        if self.is_behind(cursor, now) {
            let joined = self.join();
            let units = joined.next - cursor.next;
            *cursor = joined;
            return Taken::Skipped { units };
        }
        while let Some(added) = self.at(cursor.next) {
            cursor.next += 1;
            if cursor.needs_entry && !added.unit.entry {
                continue;
            }
            cursor.needs_entry = false;
            return Taken::Unit(Arc::clone(&added.unit));
        }
        Taken::Nothing
    }

    /// Whether what it would be given next is gone, or old while something newer can be begun with.
    fn is_behind(&self, cursor: &Cursor, now: MonoNs) -> bool {
        let Some(next) = self.at(cursor.next) else { return cursor.next < self.first };
        let newer = self.entries.back().is_some_and(|entry| *entry > cursor.next);
        newer && now.saturating_since(next.at) > BEHIND_MAX
    }

    fn at(&self, number: u64) -> Option<&Added> {
        self.units.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn end(&self) -> u64 {
        self.first + self.units.len() as u64
    }

    fn is_over(&self, now: MonoNs) -> bool {
        let Some(oldest) = self.units.front() else { return false };
        let is_joined = self.entries.back().is_none_or(|entry| self.first >= *entry);
        let is_old = self.bytes > KEPT_BYTES || now.saturating_since(oldest.at) > KEPT_FOR;
        self.bytes > MOST_BYTES || (is_old && !is_joined)
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.units.pop_front() else { return };
        self.bytes -= oldest.unit.bytes.len();
        if self.entries.front() == Some(&self.first) {
            self.entries.pop_front();
        }
        self.first += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::unit;
    use proptest::prelude::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    /// `count` fragments of `bytes` bytes, 40 ms apart, a key frame each `group`.
    fn filled(count: u64, group: u64, bytes: usize) -> History {
        let mut history = History::default();
        for number in 0..count {
            history.push(unit(number, number % group == 0, bytes), at(number * 40));
        }
        history
    }

    fn take_all(history: &History, cursor: &mut Cursor, now: MonoNs) -> Vec<u64> {
        std::iter::from_fn(|| match history.take(cursor, now) {
            Taken::Unit(unit) => Some(unit.sequence),
            Taken::Skipped { .. } | Taken::Nothing => None,
        })
        .collect()
    }

    #[test]
    fn a_late_viewer_begins_at_the_last_key_frame_and_meets_the_live_ones_without_a_seam() {
        let mut history = filled(77, 25, 100);
        let mut cursor = history.join();
        assert_eq!(take_all(&history, &mut cursor, at(3_080)), [75, 76]);
        history.push(unit(77, false, 100), at(3_080));
        assert_eq!(take_all(&history, &mut cursor, at(3_080)), [77]);
        assert!(matches!(history.take(&mut cursor, at(3_080)), Taken::Nothing));
    }

    #[test]
    fn a_viewer_before_the_first_key_frame_waits_for_it() {
        let mut history = History::default();
        history.push(unit(0, false, 1), at(0));
        let mut cursor = history.join();
        history.push(unit(1, false, 1), at(40));
        assert!(take_all(&history, &mut cursor, at(40)).is_empty());
        history.push(unit(2, true, 1), at(80));
        assert_eq!(take_all(&history, &mut cursor, at(80)), [2]);
    }

    #[test]
    fn a_viewer_two_seconds_behind_skips_to_the_newest_key_frame_and_learns_how_much_it_lost() {
        let history = filled(80, 25, 100);
        let mut cursor = Cursor { next: 26, needs_entry: false };
        // Fragment 26 is of 1040 ms.
        assert!(matches!(history.take(&mut cursor, at(3_040)), Taken::Unit(_)));
        assert!(matches!(history.take(&mut cursor, at(3_200)), Taken::Skipped { units: 48 }));
        assert_eq!(take_all(&history, &mut cursor, at(3_200)), [75, 76, 77, 78, 79]);
    }

    #[test]
    fn in_a_long_group_a_viewer_is_sent_everything_since_there_is_nothing_to_skip_to() {
        let history = filled(500, 500, 100);
        let mut cursor = history.join();
        assert_eq!(take_all(&history, &mut cursor, at(20_000)).len(), 500);
    }

    #[test]
    fn a_viewer_that_stands_still_learns_that_all_it_had_to_get_is_gone() {
        let mut history = filled(30, 25, 1 << 20);
        let mut cursor = history.join();
        for number in 30..200 {
            history.push(unit(number, number % 25 == 0, 1 << 20), at(number * 40));
        }
        assert!(matches!(history.take(&mut cursor, at(8_000)), Taken::Skipped { units: 150 }));
    }

    #[test]
    fn what_is_kept_is_bounded_by_time_and_bytes() {
        assert!((75..=101).contains(&filled(1_000, 25, 100).units.len()));
        let large = filled(1_000, 25, 1 << 20);
        assert!(large.bytes <= 25 << 20, "{} bytes", large.bytes);
        let endless = filled(5_000, 5_000, 20 << 10);
        assert!(endless.bytes <= MOST_BYTES && endless.entries.is_empty());
    }

    proptest! {
        #[test]
        fn fragments_reach_a_viewer_in_order_and_it_begins_and_resumes_at_a_key_frame(
            steps in proptest::collection::vec(
                (any::<bool>(), 0usize..3 << 20, 0usize..4, 0u64..900), 1..60),
        ) {
            let mut history = History::default();
            let mut cursor = history.join();
            let (mut last, mut needs_entry, mut ms) = (None, true, 0);
            for (number, (entry, bytes, takes, step_ms)) in (0u64..).zip(steps) {
                ms += step_ms;
                history.push(unit(number, entry, bytes), at(ms));
                for _ in 0..takes {
                    match history.take(&mut cursor, at(ms)) {
                        Taken::Unit(unit) => {
                            let number = unit.sequence;
                            prop_assert!(last.is_none_or(|last| number == last + 1 || needs_entry && number > last));
                            prop_assert!(!needs_entry || unit.entry);
                            (last, needs_entry) = (Some(number), false);
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
