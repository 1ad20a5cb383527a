//! When the next picture is due, by the clock alone: what inputs do has no say in it. Pure.
//!
//! Tick n is n / fps seconds behind the zero of CLOCK_MONOTONIC, exactly: nothing adds up, and a restarted
//! compositor, or a second one, has the same ticks.

use std::time::Duration;

use protocol::time::{MonoNs, NS_PER_S};

/// Farther behind than this it gives up ticks: the machine was asleep, or is too slow for good.
const BEHIND_MAX: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticks {
    fps: u64,
    wait: Duration,
    /// Number of the next tick.
    next: u64,
}

impl Ticks {
    /// With the first tick at or behind `now`.
    pub(crate) fn starting(fps: u32, wait: Duration, now: MonoNs) -> Self {
        let fps = u64::from(fps.max(1));
        Self { fps, wait, next: first_at(fps, now) }
    }

    /// What the next picture shows.
    pub(crate) fn time(&self) -> MonoNs {
        time(self.fps, self.next)
    }

    /// When it is put together.
    pub(crate) fn due(&self) -> MonoNs {
        self.time() + self.wait
    }

    /// From one picture to the next, to the nanosecond below.
    pub(crate) fn period_ns(&self) -> u64 {
        NS_PER_S / self.fps
    }

    /// The next tick's picture is done. Ticks that are given up, which are none unless it is far behind.
    pub(crate) fn advance(&mut self, now: MonoNs) -> u64 {
        self.next += 1;
        if now.saturating_since(self.due()) <= BEHIND_MAX {
            return 0;
        }
        let late = u64::try_from(self.wait.as_nanos()).unwrap_or(u64::MAX);
        let next = first_at(self.fps, MonoNs(now.0.saturating_sub(late)));
        let given_up = next.saturating_sub(self.next);
        self.next = next;
        given_up
    }

    /// Whether a picture that is followed by another one is ever shown.
    pub(crate) fn any_between(&self, from: MonoNs, until: MonoNs) -> bool {
        time(self.fps, first_at(self.fps, from)) < until
    }
}

fn time(fps: u64, tick: u64) -> MonoNs {
    let ns = u128::from(tick) * u128::from(NS_PER_S) / u128::from(fps);
    MonoNs(u64::try_from(ns).unwrap_or(u64::MAX))
}

fn first_at(fps: u64, now: MonoNs) -> u64 {
    let ticks = u128::from(now.0) * u128::from(fps) / u128::from(NS_PER_S);
    let at = u64::try_from(ticks).unwrap_or(u64::MAX);
    // The one before begins at or before `now`.
    if time(fps, at) >= now { at } else { at + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WAIT: Duration = Duration::from_millis(100);

    #[test]
    fn a_day_of_thirty_a_second_ends_where_it_should() {
        let mut ticks = Ticks::starting(30, WAIT, MonoNs(0));
        for _ in 0..30 * 86_400 {
            assert_eq!(ticks.advance(ticks.due()), 0);
        }
        assert_eq!(ticks.time(), MonoNs(86_400 * NS_PER_S));
    }

    #[test]
    fn who_is_a_little_late_catches_up_and_who_slept_begins_anew() {
        let mut ticks = Ticks::starting(25, WAIT, MonoNs(NS_PER_S));
        let late = ticks.due() + Duration::from_secs(4);
        assert_eq!(ticks.advance(late), 0);
        assert_eq!(ticks.time(), MonoNs(1_040_000_000));
        let slept = ticks.due() + Duration::from_secs(3_600);
        let given_up = ticks.advance(slept);
        assert_eq!(given_up, 3_600 * 25 - 1);
        assert_eq!(ticks.due(), slept);
    }

    #[test]
    fn pictures_between_two_ticks_are_never_shown() {
        let ticks = Ticks::starting(25, WAIT, MonoNs(0));
        let at = |ms: u64| MonoNs(ms * 1_000_000);
        assert!(!ticks.any_between(at(41), at(80)));
        assert!(ticks.any_between(at(40), at(41)));
        assert!(ticks.any_between(at(79), at(81)));
    }

    proptest! {
        #[test]
        fn ticks_are_evenly_spaced_to_the_nanosecond(
            fps in 1u32..=240, now in 0u64..1 << 52, late_ms in 0u64..4_000,
        ) {
            let mut ticks = Ticks::starting(fps, WAIT, MonoNs(now));
            prop_assert!(ticks.time() >= MonoNs(now));
            prop_assert!(ticks.time().0 - now <= ticks.period_ns() + 1);
            for _ in 0..100 {
                let before = ticks.time().0;
                ticks.advance(ticks.due() + Duration::from_millis(late_ms));
                let step = ticks.time().0 - before;
                prop_assert!(step == ticks.period_ns() || step == ticks.period_ns() + 1);
            }
        }
    }
}
