//! Which slot comes next: the writer's private book of its slots. Pure.

use std::collections::VecDeque;

/// One slot of the live generation.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    on_loan: bool,
    /// Sequence of its newest publication; 0 when its content was never published.
    published: u64,
}

/// The book of one generation's slots.
#[derive(Debug)]
pub(crate) struct Pool {
    slots: Vec<Slot>,
    /// How many publications are kept for late readers.
    keep: u64,
    /// Sequences of those, the oldest first.
    newest: VecDeque<u64>,
}

impl Pool {
    pub(crate) fn new(slots: usize, keep: u64) -> Self {
        Self { slots: vec![Slot::default(); slots], keep, newest: VecDeque::new() }
    }

    /// Slots that may be reclaimed when no reader leases them, those published longest ago first. What
    /// is above `had` is kept for readers that have not taken it.
    pub(crate) fn candidates(&self, had: u64) -> Vec<u32> {
        let kept_from = self.kept_from();
        let mut free: Vec<(u64, u32)> = (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| self.is_free(slot, kept_from) && slot.published <= had)
            .map(|(number, slot)| (slot.published, number))
            .collect();
        free.sort_unstable();
        free.into_iter().map(|(_, number)| number).collect()
    }

    /// The oldest picture that is kept for nothing else than that it is above `had`.
    pub(crate) fn oldest_above(&self, had: u64) -> Option<u64> {
        let kept_from = self.kept_from();
        let above = |slot: &&Slot| self.is_free(slot, kept_from) && slot.published > had;
        self.slots.iter().filter(above).map(|slot| slot.published).min()
    }

    fn is_free(&self, slot: &Slot, kept_from: u64) -> bool {
        !slot.on_loan && (slot.published == 0 || slot.published < kept_from)
    }

    /// Sequence of the oldest picture that is kept for late readers. Numbers may be left out, so that it is not
    /// reckoned from the newest one.
    fn kept_from(&self) -> u64 {
        self.newest.front().copied().unwrap_or(u64::MAX)
    }

    pub(crate) fn lend(&mut self, slot: u32) {
        self.slots[slot as usize] = Slot { on_loan: true, published: 0 };
    }

    pub(crate) fn give_back(&mut self, slot: u32) {
        self.slots[slot as usize].on_loan = false;
    }

    pub(crate) fn is_on_loan(&self, slot: u32) -> bool {
        self.slots.get(slot as usize).is_some_and(|slot| slot.on_loan)
    }

    pub(crate) fn published(&mut self, slot: u32, sequence: u64) {
        self.slots[slot as usize].published = sequence;
        self.newest.push_back(sequence);
        if self.newest.len() as u64 > self.keep {
            self.newest.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_published_longest_ago_is_reclaimed_first() {
        let mut pool = Pool::new(3, 1);
        for (slot, sequence) in [(2, 1), (0, 2), (1, 3)] {
            pool.lend(slot);
            pool.published(slot, sequence);
            pool.give_back(slot);
        }
        assert_eq!(pool.candidates(u64::MAX), [2, 0], "slot 1 holds the newest picture");
    }

    #[test]
    fn a_published_slot_on_loan_is_never_a_candidate() {
        let mut pool = Pool::new(2, 0);
        pool.lend(0);
        pool.published(0, 1);
        assert_eq!(pool.candidates(u64::MAX), [1]);
    }

    #[test]
    fn a_slot_given_back_unpublished_is_free_at_once() {
        let mut pool = Pool::new(1, 5);
        pool.lend(0);
        assert!(pool.candidates(u64::MAX).is_empty());
        pool.give_back(0);
        assert_eq!(pool.candidates(u64::MAX), [0]);
    }

    #[test]
    fn what_a_reader_has_not_had_is_kept_until_it_is_let_go_of() {
        let mut pool = Pool::new(4, 1);
        for (slot, sequence) in [(0, 1), (1, 2), (2, 3)] {
            pool.lend(slot);
            pool.published(slot, sequence);
            pool.give_back(slot);
        }
        assert_eq!(pool.candidates(1), [3, 0], "slot 3 was never used");
        assert_eq!(pool.oldest_above(1), Some(2), "the newest is kept anyway");
        assert_eq!(pool.oldest_above(2), None);
    }

    #[test]
    fn numbers_that_are_left_out_make_nothing_older() {
        let mut pool = Pool::new(4, 2);
        for (slot, sequence) in [(0, 5), (1, 10), (2, 15)] {
            pool.lend(slot);
            pool.published(slot, sequence);
            pool.give_back(slot);
        }
        assert_eq!(pool.candidates(u64::MAX), [3, 0], "10 and 15 are kept");
    }
}
