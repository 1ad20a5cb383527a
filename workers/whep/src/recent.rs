//! The newest units of one camera, and a viewer's place among them. Pure; the lock is in `feed`.
//!
//! Units are numbered as they come and kept once for all viewers; a viewer is a number. One that begins, or
//! asks for a key frame, goes to the newest key frame there is and catches up with the units behind it:
//! `live_from` is where that ends. One that is late goes on at the newest key frame, too.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::formats::Media;
use crate::unit::Unit;

/// Groups of pictures that are kept whole: the one in progress, and the one in which viewers still are when it
/// begins.
const GROUPS: usize = 2;
/// More than those groups where they are short: a viewer may be so late without a loss.
const KEPT_NS: i64 = 2_000_000_000;
/// The end of it, whatever the groups are: ten seconds at 25 Mbit/s. A longer group cannot be joined.
const MOST_BYTES: usize = 32 << 20;
/// A viewer that is later than this skips to a newer key frame if there is one: what it sees is live, or not at
/// all.
const LATE_NS: i64 = 1_000_000_000;

/// Invariants: `first <= entries[0]`, ascending; `first + units.len()` is the number of the unit to come.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    units: VecDeque<Arc<Unit>>,
    /// Number of `units[0]`.
    first: u64,
    bytes: usize,
    /// Numbers of the units at which a viewer may begin.
    entries: VecDeque<u64>,
}

/// Where one viewer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    next: u64,
    /// Units before the next entry would not decode.
    needs_entry: bool,
    /// Units before this number are old: pictures that are needed for those to come, sound that is over.
    live_from: u64,
    /// The time at which it is live.
    live_ns: i64,
}

/// What a viewer is given.
#[derive(Debug)]
pub(crate) enum Taken {
    /// `behind`: it is old, and how late it is for its viewer, in ns.
    Unit {
        unit: Arc<Unit>,
        behind_ns: i64,
    },
    /// So many units are left out.
    Skipped {
        units: u64,
    },
    Nothing,
}

impl Cursor {
    /// Whether it is at rest until a key frame comes.
    pub(crate) fn waits(&self) -> bool {
        self.needs_entry
    }
}

impl Recent {
    pub(crate) fn push(&mut self, unit: Arc<Unit>) {
        if unit.entry {
            self.entries.push_back(self.end());
        }
        self.bytes += unit.data.len();
        self.units.push_back(unit);
        while self.is_over() {
            self.drop_oldest();
        }
        debug_assert!(self.entries.front().is_none_or(|entry| *entry >= self.first));
    }

    /// From the newest key frame, else from the next one.
    pub(crate) fn join(&self) -> Cursor {
        match self.entries.back() {
            Some(&entry) => self.from(entry, false),
            None => self.wait(),
        }
    }

    /// From the next key frame that comes.
    pub(crate) fn wait(&self) -> Cursor {
        self.from(self.end(), true)
    }

    fn from(&self, next: u64, needs_entry: bool) -> Cursor {
        let live_ns = self.units.back().map_or(0, |unit| unit.pts_ns);
        Cursor { next, needs_entry, live_from: self.end(), live_ns }
    }

    pub(crate) fn take(&self, cursor: &mut Cursor) -> Taken {
        if let Some(later) = self.later_start(cursor) {
            let units = later.next - cursor.next;
            *cursor = later;
            return Taken::Skipped { units };
        }
        while let Some(unit) = self.at(cursor.next) {
            let is_old = cursor.next < cursor.live_from;
            cursor.next += 1;
            cursor.needs_entry &= !unit.entry;
            if cursor.needs_entry || (is_old && unit.media == Media::Audio && !unit.entry) {
                continue;
            }
            let behind_ns =
                if is_old { cursor.live_ns.saturating_sub(unit.pts_ns).max(0) } else { 0 };
            return Taken::Unit { unit: Arc::clone(unit), behind_ns };
        }
        Taken::Nothing
    }

    /// Where a viewer goes on that has lost its place, or that has a newer key frame before it and is late or
    /// still catching up.
    fn later_start(&self, cursor: &Cursor) -> Option<Cursor> {
        if cursor.next < self.first {
            return Some(self.join());
        }
        let newest = *self.entries.back()?;
        let unit = self.at(cursor.next)?;
        let now_ns = self.units.back()?.pts_ns;
        let is_late = now_ns.saturating_sub(unit.pts_ns) > LATE_NS;
        let catches_up = cursor.next < cursor.live_from;
        (newest > cursor.next && (is_late || catches_up)).then(|| self.from(newest, false))
    }

    fn at(&self, number: u64) -> Option<&Arc<Unit>> {
        self.units.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn end(&self) -> u64 {
        self.first + self.units.len() as u64
    }

    fn is_over(&self) -> bool {
        let (Some(oldest), Some(newest)) = (self.units.front(), self.units.back()) else {
            return false;
        };
        let groups = self.entries.len().checked_sub(GROUPS);
        let is_spare = groups.is_some_and(|at| self.first < self.entries[at]);
        let is_old = newest.pts_ns.saturating_sub(oldest.pts_ns) > KEPT_NS;
        self.bytes > MOST_BYTES || (is_spare && is_old)
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.units.pop_front() else { return };
        self.bytes -= oldest.data.len();
        if self.entries.front() == Some(&self.first) {
            self.entries.pop_front();
        }
        self.first += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::time::Stamp;

    use super::*;

    const FRAME_NS: i64 = 40_000_000;

    fn unit(number: i64, entry: bool, bytes: usize) -> Arc<Unit> {
        let (media, captured) = (Media::Video, Stamp::default());
        Arc::new(Unit {
            media,
            entry,
            pts_ns: number * FRAME_NS,
            captured,
            data: vec![0; bytes].into(),
        })
    }

    fn sound(number: i64) -> Arc<Unit> {
        let unit = Arc::unwrap_or_clone(unit(number, false, 1));
        Arc::new(Unit { media: Media::Audio, ..unit })
    }

    /// `count` pictures with a key frame each `group`.
    fn filled(count: i64, group: i64) -> Recent {
        let mut recent = Recent::default();
        (0..count).for_each(|number| recent.push(unit(number, number % group == 0, 100)));
        recent
    }

    fn take_all(recent: &Recent, cursor: &mut Cursor) -> Vec<(i64, i64)> {
        std::iter::from_fn(|| match recent.take(cursor) {
            Taken::Unit { unit, behind_ns } => Some((unit.pts_ns / FRAME_NS, behind_ns / FRAME_NS)),
            Taken::Skipped { .. } | Taken::Nothing => None,
        })
        .collect()
    }

    #[test]
    fn who_comes_late_catches_up_from_the_newest_key_frame_without_a_seam() {
        let mut recent = filled(78, 25);
        let mut cursor = recent.join();
        recent.push(unit(78, false, 1));
        assert_eq!(take_all(&recent, &mut cursor), [(75, 2), (76, 1), (77, 0), (78, 0)]);
        recent.push(unit(79, false, 1));
        assert_eq!(take_all(&recent, &mut cursor), [(79, 0)]);
        assert!(matches!(recent.take(&mut cursor), Taken::Nothing));
    }

    #[test]
    fn before_the_first_key_frame_and_after_a_wait_nothing_is_given() {
        let mut recent = Recent::default();
        let mut cursor = recent.join();
        recent.push(unit(0, false, 1));
        assert_eq!(take_all(&recent, &mut cursor), []);
        recent.push(unit(1, true, 1));
        assert_eq!(take_all(&recent, &mut cursor), [(1, 0)]);
        cursor = recent.wait();
        recent.push(unit(2, false, 1));
        recent.push(unit(3, true, 1));
        assert_eq!(take_all(&recent, &mut cursor), [(3, 0)]);
    }

    #[test]
    fn sound_of_the_past_is_left_out() {
        let mut recent = Recent::default();
        recent.push(unit(0, true, 1));
        recent.push(sound(0));
        recent.push(unit(1, false, 1));
        let mut cursor = recent.join();
        recent.push(sound(1));
        assert_eq!(take_all(&recent, &mut cursor), [(0, 1), (1, 0), (1, 0)]);
    }

    #[test]
    fn a_late_viewer_goes_on_at_the_newest_key_frame_and_its_loss_is_counted() {
        let mut recent = filled(26, 25);
        let mut cursor = recent.join();
        take_all(&recent, &mut cursor);
        (26..80).for_each(|number| recent.push(unit(number, number % 25 == 0, 100)));
        assert!(matches!(recent.take(&mut cursor), Taken::Skipped { units: 49 }));
        assert_eq!(take_all(&recent, &mut cursor)[0], (75, 4));
    }

    #[test]
    fn a_viewer_that_is_late_without_a_newer_key_frame_goes_on_where_it_is() {
        let mut recent = filled(10, 500);
        let mut cursor = recent.join();
        take_all(&recent, &mut cursor);
        (10..200).for_each(|number| recent.push(unit(number, false, 100)));
        assert_eq!(take_all(&recent, &mut cursor).len(), 190);
    }

    #[test]
    fn two_groups_are_kept_whole_and_of_short_ones_two_seconds() {
        assert_eq!(filled(1_000, 100).units.len(), 200);
        assert!((50..=54).contains(&filled(1_000, 2).units.len()));
    }

    #[test]
    fn an_endless_group_is_bounded_and_its_viewers_wait_for_the_next_key_frame() {
        let mut recent = Recent::default();
        (0..2_000).for_each(|number| recent.push(unit(number, number == 0, 32 << 10)));
        assert!(recent.bytes <= MOST_BYTES);
        let mut cursor = recent.join();
        assert_eq!(take_all(&recent, &mut cursor), []);
        recent.push(unit(2_000, true, 1));
        assert_eq!(take_all(&recent, &mut cursor), [(2_000, 0)]);
    }

    proptest! {
        #[test]
        fn units_come_in_order_and_a_viewer_begins_and_resumes_at_a_key_frame(
            steps in proptest::collection::vec((any::<bool>(), 0usize..3 << 20, 0usize..4), 1..80),
        ) {
            let mut recent = Recent::default();
            let mut cursor = recent.join();
            let (mut last, mut needs_entry) = (-1, true);
            for (number, (entry, bytes, takes)) in (0i64..).zip(steps) {
                recent.push(unit(number, entry, bytes));
                for _ in 0..takes {
                    match recent.take(&mut cursor) {
                        Taken::Unit { unit, .. } => {
                            let now = unit.pts_ns / FRAME_NS;
                            prop_assert!(now == last + 1 || (needs_entry && now > last));
                            prop_assert!(!needs_entry || unit.entry);
                            (last, needs_entry) = (now, false);
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
