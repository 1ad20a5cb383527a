//! How long a disk takes for what it is asked: a write or a sync that hangs is told while it hangs, by
//! a thread that does not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::time::MonoNs;
use shmring::clock;

/// A disk that takes longer is slow. Spinning disks need a tenth of it for all that a camera wants.
const SLOW: Duration = Duration::from_secs(2);
/// So long it stays slow: one that is slow again and again is not told of each time.
const STAYS: Duration = Duration::from_secs(10);

/// One thread's dealings with the disk.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When what is under way began; 0 while nothing is.
    began_ns: AtomicU64,
    /// The last that was slow.
    last: Mutex<Option<Took>>,
}

/// Something is under way until this is dropped.
pub(crate) struct Busy<'a>(&'a Pace);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Took {
    time: Duration,
    ended: MonoNs,
}

/// What a slow disk took, or has taken so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slow {
    pub(crate) time: Duration,
    pub(crate) under_way: bool,
}

impl Pace {
    pub(crate) fn begin(&self) -> Busy<'_> {
        self.began_ns.store(clock::mono().0, Ordering::Relaxed);
        Busy(self)
    }

    pub(crate) fn slow(&self, now: MonoNs) -> Option<Slow> {
        let began = self.began_ns.load(Ordering::Relaxed);
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        look((began != 0).then_some(MonoNs(began)), last, now)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let ended = clock::mono();
        let began = MonoNs(self.0.began_ns.swap(0, Ordering::Relaxed));
        let time = ended.saturating_since(began);
        if time >= SLOW {
            let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(Took { time, ended });
        }
    }
}

fn look(began: Option<MonoNs>, last: Option<Took>, now: MonoNs) -> Option<Slow> {
    let so_far = began.map(|began| now.saturating_since(began)).filter(|time| *time >= SLOW);
    if let Some(time) = so_far {
        return Some(Slow { time, under_way: true });
    }
    let recent = last.filter(|took| now.saturating_since(took.ended) < STAYS);
    recent.map(|took| Slow { time: took.time, under_way: false })
}

/// 1, 2, 5, 10, 20, 50, ...: the highest that is not above. A figure that changes rarely can be told
/// whenever it does.
pub(crate) fn coarse(value: u64) -> u64 {
    let Some(digits) = value.checked_ilog10() else { return 0 };
    let step = 10_u64.pow(digits);
    match value / step {
        5.. => step * 5,
        2.. => step * 2,
        _ => step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> MonoNs {
        MonoNs(seconds * SECOND)
    }

    #[test]
    fn what_hangs_is_slow_before_it_ends_and_a_while_after() {
        assert_eq!(look(None, None, at(100)), None);
        assert_eq!(look(Some(at(100)), None, at(101)), None);
        let under_way = Some(Slow { time: Duration::from_secs(3), under_way: true });
        assert_eq!(look(Some(at(100)), None, at(103)), under_way);
        let took = Some(Took { time: Duration::from_secs(4), ended: at(104) });
        let over = Some(Slow { time: Duration::from_secs(4), under_way: false });
        assert_eq!(look(None, took, at(113)), over);
        assert_eq!(look(Some(at(113)), took, at(113)), over);
        assert_eq!(look(None, took, at(114)), None);
    }

    #[test]
    fn figures_for_people_change_rarely() {
        let all = [0, 1, 2, 4, 5, 9, 10, 19, 20, 49, 50, 99, 100, 12_345];
        let told = [0, 1, 2, 2, 5, 5, 10, 10, 20, 20, 50, 50, 100, 10_000];
        assert_eq!(all.map(coarse), told);
    }
}
