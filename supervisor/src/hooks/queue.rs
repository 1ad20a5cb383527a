//! Which hook runs next: each one event after the other, some of them at once, none without bound.
//! Pure.

use std::collections::{BTreeSet, VecDeque};

/// A hook that is so far behind tells of a time that is over.
const WAITING_MAX: usize = 64;
/// Of all hooks together: they are not what the machine is for.
const RUNNING_MAX: usize = 4;

/// Events that wait for their hooks, each with the number of its hook.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: VecDeque<(usize, T)>,
    running: BTreeSet<usize>,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::new(), running: BTreeSet::new() }
    }

    /// False when it was dropped: too many wait for this hook.
    pub(crate) fn offer(&mut self, hook: usize, item: T) -> bool {
        let fits = self.waiting(hook) < WAITING_MAX;
        if fits {
            self.waiting.push_back((hook, item));
        }
        fits
    }

    /// How many wait for this hook.
    pub(crate) fn waiting(&self, hook: usize) -> usize {
        self.waiting.iter().filter(|(other, _)| *other == hook).count()
    }

    /// What is to be started now; its hook runs until [`Self::ended`].
    pub(crate) fn next(&mut self) -> Option<(usize, T)> {
        if self.running.len() >= RUNNING_MAX {
            return None;
        }
        let free = |(hook, _): &(usize, T)| !self.running.contains(hook);
        let at = self.waiting.iter().position(free)?;
        let (hook, item) = self.waiting.remove(at)?;
        self.running.insert(hook);
        Some((hook, item))
    }

    pub(crate) fn ended(&mut self, hook: usize) {
        self.running.remove(&hook);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Nothing waits for this hook any more.
    pub(crate) fn drop_waiting(&mut self, hook: usize) {
        self.waiting.retain(|(other, _)| *other != hook);
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_gets_its_events_in_turn_and_one_that_hangs_holds_up_no_other() {
        let mut queue = Queue::new();
        for (hook, item) in [(0, 'a'), (0, 'b'), (1, 'c')] {
            assert!(queue.offer(hook, item));
        }
        assert_eq!(queue.next(), Some((0, 'a')));
        assert_eq!(queue.next(), Some((1, 'c')), "hook 0 is busy");
        assert_eq!(queue.next(), None);
        queue.ended(0);
        assert_eq!(queue.next(), Some((0, 'b')));
        queue.ended(0);
        queue.ended(1);
        assert!(queue.is_idle());
    }

    #[test]
    fn no_more_than_a_few_run_at_once_and_no_more_than_some_wait() {
        let mut queue = Queue::new();
        for hook in 0..10 {
            queue.offer(hook, ());
        }
        let started = std::iter::from_fn(|| queue.next()).count();
        assert_eq!(started, RUNNING_MAX);
        let taken = (0..2 * WAITING_MAX).filter(|_| queue.offer(0, ())).count();
        assert_eq!(taken, WAITING_MAX);
        assert!(queue.offer(99, ()), "another hook has room of its own");
    }
}
