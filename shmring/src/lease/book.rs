//! Which essential readers the writer keeps what they have not taken yet for, and since when. Pure.
//!
//! ```text
//!             takes in time
//!               +-----+
//!               v     |       behind its deadline, or in the way too long
//!  attached -> KEPT --+---------------------------------------------------> LET GO
//!               ^                                                              |
//!               +--------------------- has caught up --------------------------+
//! ```
//!
//! What a reader says of itself may be anything: it costs the writer at most the depth that the ring
//! was given for it, and, where the writer may wait, one deadline in five.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::time::MonoNs;

/// Marks kept: of two deadlines, at a sixteenth of the shortest each.
const MARKS_MAX: usize = 1024;
/// A reader for which the writer has waited in vain is not waited for again for so many deadlines.
const REST: u32 = 4;

/// What an essential reader says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) place: u32,
    /// Which entry of the contract it goes by.
    pub(crate) entry: usize,
    /// Sequence last taken.
    pub(crate) cursor: u64,
}

/// A reader is let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Eviction {
    pub(crate) head: u64,
    pub(crate) taken: u64,
    pub(crate) deadline: Duration,
    pub(crate) reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Full,
    Late,
    Waited,
}

#[derive(Debug)]
pub(crate) struct Book {
    entries: Vec<Entry>,
    waits: bool,
    readers: BTreeMap<u32, Reader>,
    marks: Marks,
}

#[derive(Debug)]
struct Entry {
    deadline: Duration,
    rests_until: MonoNs,
}

#[derive(Clone, Copy, Debug)]
struct Reader {
    entry: usize,
    cursor: u64,
    is_kept: bool,
}

impl Book {
    /// `waits`: readers are let go of only once they have been waited for.
    pub(crate) fn new(deadlines: &[Duration], waits: bool) -> Self {
        let entry = |deadline: &Duration| Entry { deadline: *deadline, rests_until: MonoNs(0) };
        let shortest = deadlines.iter().min().copied().unwrap_or_default();
        let longest = deadlines.iter().max().copied().unwrap_or_default();
        Self {
            entries: deadlines.iter().map(entry).collect(),
            waits,
            readers: BTreeMap::new(),
            marks: Marks { step: shortest / 16, span: 2 * longest, marks: VecDeque::new() },
        }
    }

    /// An item was published.
    pub(crate) fn published(&mut self, sequence: u64, now: MonoNs) {
        self.marks.add(sequence, now);
    }

    /// Takes what the readers attached now say, and lets go of those that are late.
    pub(crate) fn look(&mut self, seen: &[Seen], head: u64, now: MonoNs) -> Vec<(u32, Eviction)> {
        self.readers.retain(|place, _| seen.iter().any(|seen| seen.place == *place));
        let mut late = Vec::new();
        for seen in seen {
            let Some(entry) = self.entries.get(seen.entry) else { continue };
            // Nobody can have taken what is not there.
            let cursor = seen.cursor.min(head);
            let (deadline, age) = (entry.deadline, self.marks.age(cursor, head, now));
            let known = self.readers.get(&seen.place).filter(|known| known.entry == seen.entry);
            let was_kept = known.is_some_and(|known| known.is_kept);
            let caught_up = now >= entry.rests_until && age <= deadline / 2;
            let is_late = !self.waits && age > deadline;
            if was_kept && is_late {
                let eviction = Eviction { head, taken: cursor, deadline, reason: Reason::Late };
                late.push((seen.place, eviction));
            }
            let is_kept = !is_late && (was_kept || caught_up);
            self.readers.insert(seen.place, Reader { entry: seen.entry, cursor, is_kept });
        }
        late
    }

    /// Whatever is not above this may be overwritten.
    pub(crate) fn had_by_all(&self) -> u64 {
        self.slowest().map_or(u64::MAX, |(_, reader)| reader.cursor)
    }

    /// How long the slowest reader may be waited for.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let (_, reader) = self.slowest().filter(|_| self.waits)?;
        Some(self.entries[reader.entry].deadline)
    }

    /// Lets go of the slowest reader that is in the way of overwriting `sequence`.
    pub(crate) fn let_go(
        &mut self,
        sequence: u64,
        head: u64,
        now: MonoNs,
    ) -> Option<(u32, Eviction)> {
        let (place, reader) = self.slowest().filter(|(_, reader)| reader.cursor < sequence)?;
        let entry = &mut self.entries[reader.entry];
        let deadline = entry.deadline;
        if self.waits {
            entry.rests_until = now + deadline * REST;
        }
        self.readers.insert(place, Reader { is_kept: false, ..reader });
        let reason = if self.waits { Reason::Waited } else { Reason::Full };
        Some((place, Eviction { head, taken: reader.cursor, deadline, reason }))
    }

    fn slowest(&self) -> Option<(u32, Reader)> {
        let kept = self.readers.iter().filter(|(_, reader)| reader.is_kept);
        kept.min_by_key(|(_, reader)| reader.cursor).map(|(place, reader)| (*place, *reader))
    }
}

/// When items were published, to a sixteenth of the shortest deadline.
#[derive(Debug)]
struct Marks {
    step: Duration,
    span: Duration,
    /// Sequences and the times of their publication, both rising.
    marks: VecDeque<(u64, MonoNs)>,
}

impl Marks {
    fn add(&mut self, sequence: u64, now: MonoNs) {
        if self.marks.back().is_some_and(|(_, last)| now.saturating_since(*last) < self.step) {
            return;
        }
        let is_old = |marks: &VecDeque<(u64, MonoNs)>| {
            marks.front().is_some_and(|(_, first)| now.saturating_since(*first) > self.span)
        };
        while self.marks.len() >= MARKS_MAX || is_old(&self.marks) {
            self.marks.pop_front();
        }
        self.marks.push_back((sequence, now));
    }

    /// How long the item behind `cursor` has been there, at least; 0 when there is none.
    fn age(&self, cursor: u64, head: u64, now: MonoNs) -> Duration {
        if cursor >= head {
            return Duration::ZERO;
        }
        let at = self.marks.partition_point(|(sequence, _)| *sequence <= cursor);
        self.marks.get(at).map_or(Duration::ZERO, |(_, published)| now.saturating_since(*published))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    fn seen(cursor: u64) -> [Seen; 1] {
        [Seen { place: 3, entry: 0, cursor }]
    }

    /// 25 items a second, the first at 40 ms, and a reader that has taken all up to `taken`.
    fn reader_stops_at(taken: u64, waits: bool) -> Book {
        let mut book = Book::new(&[SECOND], waits);
        for sequence in 1..=taken {
            book.published(sequence, at(sequence * 40));
            assert_eq!(book.look(&seen(sequence), sequence, at(sequence * 40)), []);
        }
        book
    }

    /// Publishes on while the reader stands; what it was told.
    fn goes_on(book: &mut Book, taken: u64, through: u64) -> Vec<Eviction> {
        let told = (taken + 1..=through).flat_map(|sequence| {
            book.published(sequence, at(sequence * 40));
            book.look(&seen(taken), sequence, at(sequence * 40))
        });
        told.map(|(place, eviction)| {
            assert_eq!(place, 3);
            eviction
        })
        .collect()
    }

    #[test]
    fn a_reader_that_stops_is_let_go_of_after_its_deadline_and_once() {
        let mut book = reader_stops_at(10, false);
        assert_eq!(book.had_by_all(), 10);
        let told = goes_on(&mut book, 10, 200);
        let [Eviction { head, taken: 10, reason: Reason::Late, .. }] = told[..] else {
            panic!("{told:?}")
        };
        // 25 items are a second; marks are 80 ms apart here.
        assert!((37..=39).contains(&head), "at {head}");
        assert_eq!(book.had_by_all(), u64::MAX);
    }

    #[test]
    fn a_reader_that_has_caught_up_is_kept_again() {
        let mut book = reader_stops_at(10, false);
        assert_eq!(goes_on(&mut book, 10, 100).len(), 1);
        assert_eq!(book.look(&seen(80), 100, at(4_000)), []);
        assert_eq!(book.had_by_all(), u64::MAX, "not yet");
        assert_eq!(book.look(&seen(95), 100, at(4_000)), []);
        assert_eq!(book.had_by_all(), 95);
    }

    #[test]
    fn a_reader_that_comes_to_old_items_is_not_kept_before_it_has_caught_up() {
        let mut book = Book::new(&[SECOND], false);
        (1..=100).for_each(|sequence| book.published(sequence, at(sequence * 40)));
        assert_eq!(book.look(&seen(3), 100, at(4_000)), []);
        assert_eq!(book.had_by_all(), u64::MAX);
    }

    #[test]
    fn the_slowest_makes_way_when_the_ring_is_full() {
        let mut book = Book::new(&[SECOND, 2 * SECOND], false);
        book.published(1, at(0));
        let two = [Seen { place: 0, entry: 0, cursor: 9 }, Seen { place: 1, entry: 1, cursor: 5 }];
        book.look(&two, 20, at(10));
        assert_eq!(book.let_go(5, 20, at(10)), None, "nobody is in the way of what all have had");
        let (place, eviction) = book.let_go(6, 20, at(10)).unwrap();
        assert_eq!((place, eviction.taken, eviction.reason), (1, 5, Reason::Full));
        assert_eq!(book.had_by_all(), 9);
    }

    #[test]
    fn a_writer_that_may_wait_lets_nobody_go_for_the_age_of_what_it_has_not_taken() {
        let mut book = reader_stops_at(10, true);
        assert_eq!(goes_on(&mut book, 10, 200), []);
        assert_eq!((book.had_by_all(), book.patience()), (10, Some(SECOND)));
    }

    #[test]
    fn a_reader_waited_for_in_vain_is_not_waited_for_again_soon() {
        let mut book = reader_stops_at(10, true);
        let (_, eviction) = book.let_go(11, 10, at(400)).unwrap();
        assert_eq!(eviction.reason, Reason::Waited);
        book.look(&seen(10), 10, at(4_300));
        assert_eq!(book.patience(), None, "it has taken all there is, and rests");
        book.look(&seen(10), 10, at(4_500));
        assert_eq!(book.patience(), Some(SECOND));
    }

    #[test]
    fn who_is_gone_is_in_nobodys_way() {
        let mut book = reader_stops_at(10, false);
        book.look(&[], 11, at(500));
        assert_eq!(book.had_by_all(), u64::MAX);
    }

    proptest! {
        /// Cursors written by nobody we know: what is kept stays within the head, and whoever is in
        /// the way can be let go of until nobody is.
        #[test]
        fn whatever_the_pages_say_the_way_can_be_cleared(
            pages in proptest::collection::vec((0u32..5, 0usize..4, any::<u64>()), 0..40),
            waits: bool,
        ) {
            let mut book = Book::new(&[SECOND, SECOND / 4], waits);
            for (step, (place, entry, cursor)) in (1u64..).zip(pages) {
                let (head, now) = (step * 10, at(step * 7));
                book.published(head, now);
                book.look(&[Seen { place, entry, cursor }], head, now);
                prop_assert!(book.had_by_all() == u64::MAX || book.had_by_all() <= head);
                if step % 7 == 0 {
                    while book.let_go(head + 1, head, now).is_some() {}
                    prop_assert_eq!(book.had_by_all(), u64::MAX);
                }
            }
            prop_assert!(book.marks.marks.len() <= MARKS_MAX);
        }
    }
}
