//! Does a worker get anywhere? Its beat says that it runs, this that it works. Pure: readings go in with
//! their time.
//!
//! Judged is only a worker that says that data flows and that has taken something before: who is parked,
//! waits or has told what it lacks may stand still.

use std::time::Duration;

use protocol::health::Health;
use protocol::time::MonoNs;

/// So long its input may go on without it. A beat that stands still is told after two seconds; this
/// one may be a disk that catches its breath.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// Where one worker and its inputs were when it last took something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// [`Health::taken`] as last seen.
    taken: u64,
    /// Of all its input rings together, as [`heads`] sums them.
    inputs: u64,
    /// When the inputs were first seen to be ahead of it.
    behind_since: Option<MonoNs>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { taken: 0, inputs: 0, behind_since: None }
    }

    /// True when it took nothing for too long although there was something to take. `inputs` changes
    /// whenever one of its rings does.
    pub(crate) fn is_stalled(&mut self, now: MonoNs, health: &Health, inputs: u64) -> bool {
        if health.taken != self.taken || health.taken == 0 {
            *self = Self { taken: health.taken, inputs, behind_since: None };
        }
        if inputs == self.inputs {
            return false;
        }
        let since = *self.behind_since.get_or_insert(now);
        now.saturating_since(since) >= STALLED_AFTER
    }

    /// Nobody looked, or it has nothing to prove: count anew.
    pub(crate) fn excuse(&mut self) {
        *self = Self::new();
    }
}

/// One number that differs whenever any of these rings, (epoch, head), has gone on.
pub(crate) fn heads(rings: impl Iterator<Item = (u64, u64)>) -> u64 {
    // Both only grow, so a sum cannot come back to an old value within any time that matters.
    rings.fold(0, |sum, (epoch, head)| sum.wrapping_add(epoch).wrapping_add(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    fn took(taken: u64) -> Health {
        Health { taken, ..Health::default() }
    }

    #[test]
    fn who_takes_nothing_for_five_seconds_while_there_is_something_is_stalled() {
        let mut progress = Progress::new();
        assert!(!progress.is_stalled(at(0), &took(10), 10));
        assert!(!progress.is_stalled(at(1_000), &took(10), 11));
        assert!(!progress.is_stalled(at(5_999), &took(10), 100));
        assert!(progress.is_stalled(at(6_000), &took(10), 101));
        assert!(!progress.is_stalled(at(6_200), &took(11), 110));
    }

    #[test]
    fn who_has_nothing_to_take_is_not_stalled() {
        let mut progress = Progress::new();
        for second in 0..100 {
            assert!(!progress.is_stalled(at(second * 1_000), &took(10), 10));
        }
    }

    #[test]
    fn who_has_never_taken_anything_or_is_excused_is_not_judged() {
        let mut progress = Progress::new();
        for second in 0..100 {
            assert!(!progress.is_stalled(at(second * 1_000), &took(0), second));
        }
        let mut excused = Progress::new();
        for second in 0..100 {
            assert!(!excused.is_stalled(at(second * 1_000), &took(5), second));
            if second % 4 == 0 {
                excused.excuse();
            }
        }
    }

    #[test]
    fn slow_work_on_one_item_after_another_is_progress() {
        let mut progress = Progress::new();
        for number in 0..50 {
            assert!(!progress.is_stalled(at(number * 4_900), &took(number + 1), number * 1_000));
        }
    }
}
