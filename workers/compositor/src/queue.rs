//! Which picture of an input belongs to a tick: the newest that was taken by then. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::time::MonoNs;

/// A picture that says it was taken so long before it came, or after, says nothing: as in docs/time.md.
const BEFORE_MAX: Duration = Duration::from_secs(5);
const AFTER_MAX: Duration = Duration::from_secs(1);

/// When a picture that came at `came` was taken.
pub(crate) fn taken(capture: MonoNs, came: MonoNs) -> MonoNs {
    let is_odd =
        came.saturating_since(capture) > BEFORE_MAX || capture.saturating_since(came) > AFTER_MAX;
    if is_odd { came } else { capture }
}

/// Pictures of one input, in the order of their times.
#[derive(Debug)]
pub(crate) struct Queue<P> {
    pictures: VecDeque<(MonoNs, P)>,
    most: usize,
}

impl<P> Queue<P> {
    pub(crate) fn new(most: usize) -> Self {
        Self { pictures: VecDeque::new(), most: most.max(2) }
    }

    /// What came last is right: of a clock that went back, later times are none any more.
    pub(crate) fn put(&mut self, taken: MonoNs, picture: P) {
        while self.pictures.back().is_some_and(|(before, _)| *before >= taken) {
            self.pictures.pop_back();
        }
        if self.pictures.len() >= self.most {
            // The one before may be what is shown now.
            self.pictures.remove(1);
        }
        self.pictures.push_back((taken, picture));
    }

    /// The picture of a tick. Those before it are let go of: ticks only rise.
    pub(crate) fn at(&mut self, tick: MonoNs) -> Option<&P> {
        while self.pictures.get(1).is_some_and(|(taken, _)| *taken <= tick) {
            self.pictures.pop_front();
        }
        self.pictures.front().filter(|(taken, _)| *taken <= tick).map(|(_, picture)| picture)
    }

    pub(crate) fn clear(&mut self) {
        self.pictures.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn two_inputs_show_what_was_taken_together_whenever_it_came() {
        let (mut near, mut far) = (Queue::new(9), Queue::new(9));
        // The far one's pictures come three later.
        for n in 0..10 {
            near.put(at(n * 40), n);
            if n >= 3 {
                far.put(at((n - 3) * 40), n - 3);
            }
        }
        assert_eq!((near.at(at(245)), far.at(at(245))), (Some(&6), Some(&6)));
    }

    #[test]
    fn without_a_newer_one_the_last_picture_stays() {
        let mut queue = Queue::new(9);
        queue.put(at(40), 'a');
        assert_eq!(queue.at(at(39)), None);
        for tick in [40, 80, 5_000] {
            assert_eq!(queue.at(at(tick)), Some(&'a'));
        }
        queue.put(at(5_010), 'b');
        assert_eq!(queue.at(at(5_005)), Some(&'a'));
        assert_eq!(queue.at(at(5_045)), Some(&'b'));
    }

    #[test]
    fn pictures_that_lie_ahead_do_not_push_out_what_is_shown() {
        let mut queue = Queue::new(4);
        (0..20).for_each(|n| queue.put(at(n * 40), n));
        assert_eq!(queue.at(at(30)), Some(&0));
        assert_eq!(queue.at(at(19 * 40)), Some(&19));
    }

    #[test]
    fn after_a_clock_went_back_the_newest_picture_is_shown_all_the_same() {
        let mut queue = Queue::new(9);
        queue.put(at(9_000), "of a wrong clock");
        queue.put(at(1_000), "right");
        assert_eq!(queue.at(at(1_040)), Some(&"right"));
    }

    #[test]
    fn a_time_that_cannot_be_is_not_believed() {
        let came = at(60_000);
        for (capture, expected) in
            [(59_900, 59_900), (60_500, 60_500), (0, 60_000), (54_999, 60_000), (61_001, 60_000)]
        {
            assert_eq!(taken(at(capture), came), at(expected), "{capture}");
        }
    }

    proptest! {
        #[test]
        fn a_tick_has_the_newest_picture_of_those_taken_by_then(
            steps in proptest::collection::vec(1u64..120, 1..60), fps in 5u64..60,
        ) {
            let mut queue = Queue::new(1_000);
            let taken: Vec<u64> =
                steps.iter().scan(0, |at, step| { *at += step; Some(*at) }).collect();
            taken.iter().for_each(|ms| queue.put(at(*ms), *ms));
            for tick in (0..taken[taken.len() - 1] + 500).step_by(usize::try_from(1_000 / fps).unwrap()) {
                let expected = taken.iter().rev().find(|ms| **ms <= tick);
                prop_assert_eq!(queue.at(at(tick)), expected);
            }
        }
    }
}
