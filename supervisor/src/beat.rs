//! Is a worker stuck? Pure: readings of its health page go in with their time.
//!
//! The supervisor forgives what happened while it did not look itself: after a gap in its own
//! ticks (suspended, stopped, starved) every beat counts as just seen.

use std::time::Duration;

use protocol::health::Health;
use protocol::time::MonoNs;

/// How often the loop looks. Beats are raised at least every 100 ms.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A ready worker whose beat stands still this long is hung.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// One worker's beat as last seen to move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    count: u64,
    moved: MonoNs,
}

impl Beat {
    pub(crate) fn new(now: MonoNs) -> Self {
        Self { count: 0, moved: now }
    }

    /// True when it stood still for too long. A page that cannot be read does not move.
    pub(crate) fn is_stuck(&mut self, now: MonoNs, health: Option<Health>) -> bool {
        let count = health.map_or(self.count, |health| health.beat);
        if count != self.count {
            *self = Self { count, moved: now };
        }
        now.saturating_since(self.moved) >= STUCK_AFTER
    }

    /// Start counting anew: it has just become ready, or nobody looked.
    pub(crate) fn restart(&mut self, now: MonoNs) {
        self.moved = now;
    }
}

/// The supervisor's own rhythm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    last: MonoNs,
}

impl Rhythm {
    pub(crate) fn new(now: MonoNs) -> Self {
        Self { last: now }
    }

    pub(crate) fn next(&self) -> MonoNs {
        self.last + LOOK_EVERY
    }

    /// `None` before the next look is due, else whether this one is late by more than twice the
    /// interval.
    pub(crate) fn tick(&mut self, now: MonoNs) -> Option<Late> {
        if now < self.next() {
            return None;
        }
        let late = now.saturating_since(self.next()) > 2 * LOOK_EVERY;
        self.last = now;
        Some(Late(late))
    }
}

/// Whether a look came too late to judge anybody by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late(pub bool);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    fn beat(count: u64) -> Option<Health> {
        Some(Health { beat: count, ..Health::default() })
    }

    #[test]
    fn a_beat_that_stands_still_for_two_seconds_is_stuck() {
        let mut seen = Beat::new(at(0));
        assert!(!seen.is_stuck(at(100), beat(1)));
        assert!(!seen.is_stuck(at(2099), beat(1)));
        assert!(seen.is_stuck(at(2100), beat(1)));
        assert!(!seen.is_stuck(at(2200), beat(2)));
    }

    #[test]
    fn an_unreadable_page_is_no_beat() {
        let mut seen = Beat::new(at(0));
        assert!(seen.is_stuck(at(2000), None));
        seen.restart(at(2000));
        assert!(!seen.is_stuck(at(3999), None));
    }

    #[test]
    fn a_late_look_is_told_from_a_timely_one() {
        let mut rhythm = Rhythm::new(at(0));
        assert_eq!(rhythm.tick(at(199)), None);
        assert_eq!(rhythm.tick(at(300)), Some(Late(false)));
        assert_eq!(rhythm.tick(at(30_000)), Some(Late(true)));
        assert_eq!(rhythm.next(), at(30_200));
    }
}
