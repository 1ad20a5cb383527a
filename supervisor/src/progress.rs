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

/// Its inputs are read again this often while they do not move: an idle worker costs little.
const LOOK_AGAIN: Duration = Duration::from_millis(400);

/// Where one worker and its inputs were when it last took something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// [`Health::taken`] as last seen.
    taken: u64,
    inputs: Inputs,
}

/// All its input rings together, as [`heads`] sums them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inputs {
    /// Not read since it took something: one that takes all the time costs no reading at all.
    Unread,
    At {
        heads: u64,
        read: MonoNs,
    },
    /// They only go on, so they need not be read again.
    Ahead {
        since: MonoNs,
    },
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { taken: 0, inputs: Inputs::Unread }
    }

    /// True when it took nothing for too long although there was something to take. `inputs` changes
    /// whenever one of its rings does, and is asked for only when that matters.
    pub(crate) fn is_stalled(
        &mut self,
        now: MonoNs,
        health: &Health,
        inputs: impl FnOnce() -> u64,
    ) -> bool {
        if health.taken != self.taken || health.taken == 0 {
            *self = Self { taken: health.taken, inputs: Inputs::Unread };
            return false;
        }
        match self.inputs {
            Inputs::Unread => self.inputs = Inputs::At { heads: inputs(), read: now },
            Inputs::At { heads, read } => {
                if now.saturating_since(read) < LOOK_AGAIN {
                    return false;
                }
                self.inputs = match inputs() == heads {
                    true => Inputs::At { heads, read: now },
                    false => Inputs::Ahead { since: now },
                };
            }
            Inputs::Ahead { since } => return now.saturating_since(since) >= STALLED_AFTER,
        }
        false
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

    /// Looks every 0.2 s from `from` to `to` at one who has taken `taken`, with the inputs of each moment;
    /// when it was found stalled.
    fn looks(
        progress: &mut Progress,
        (from, to): (u64, u64),
        taken: impl Fn(u64) -> u64,
        inputs: impl Fn(u64) -> u64,
    ) -> Option<u64> {
        (from..=to)
            .step_by(200)
            .find(|&ms| progress.is_stalled(at(ms), &took(taken(ms)), || inputs(ms)))
    }

    #[test]
    fn who_takes_nothing_while_its_inputs_go_on_is_found_within_five_to_six_seconds() {
        let mut progress = Progress::new();
        // It hangs at 10.1 s, at 25 items a second.
        let found = looks(&mut progress, (0, 60_000), |ms| ms.min(10_100) / 40 + 1, |ms| ms / 40);
        let found = found.expect("it hangs");
        assert!((15_100..=16_100).contains(&found), "{found}");
        assert!(!progress.is_stalled(at(found + 200), &took(1_000_000), || 0));
    }

    #[test]
    fn who_has_nothing_to_take_is_not_stalled() {
        let mut progress = Progress::new();
        assert_eq!(looks(&mut progress, (0, 100_000), |_| 10, |_| 10), None);
        // What comes then is due five seconds later, not at once.
        let found = looks(&mut progress, (100_200, 110_000), |_| 10, |_| 11).expect("it hangs");
        assert!((105_200..=105_800).contains(&found), "{found}");
    }

    #[test]
    fn who_has_never_taken_anything_or_is_excused_is_not_judged() {
        let mut progress = Progress::new();
        assert_eq!(looks(&mut progress, (0, 100_000), |_| 0, |ms| ms), None);
        let mut excused = Progress::new();
        for second in 0..50 {
            let span = (second * 4_000, second * 4_000 + 3_800);
            assert_eq!(looks(&mut excused, span, |_| 5, |ms| ms), None);
            excused.excuse();
        }
    }

    #[test]
    fn slow_work_on_one_item_after_another_is_progress() {
        let mut progress = Progress::new();
        assert_eq!(looks(&mut progress, (0, 200_000), |ms| ms / 4_900 + 1, |ms| ms), None);
    }

    #[test]
    fn the_inputs_of_who_takes_all_the_time_are_never_read() {
        let mut progress = Progress::new();
        let unread = |_| panic!("they were read");
        assert_eq!(looks(&mut progress, (0, 10_000), |ms| ms + 1, unread), None);
    }
}
