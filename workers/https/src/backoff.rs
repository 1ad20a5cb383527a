//! When a server that did not take something is tried again. Pure.

use std::time::Duration;

use protocol::time::MonoNs;

/// After the first failure: most are over by then.
const FIRST: Duration = Duration::from_secs(1);
/// A server that was away for an hour is not kept waiting for longer than this.
const LONGEST: Duration = Duration::from_secs(30);
/// So that many sites do not come back to one server in step.
const JITTER_PERCENT: u64 = 20;

/// Grows with each failure in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    /// Not before then.
    until: MonoNs,
}

impl Backoff {
    /// `random` is any number.
    pub fn failed(&mut self, now: MonoNs, random: u64) {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16));
        let delay = doubled.min(LONGEST);
        let percent = 100 - JITTER_PERCENT + random % (2 * JITTER_PERCENT + 1);
        self.failures = self.failures.saturating_add(1);
        self.until = now + delay * u32::try_from(percent).unwrap_or(100) / 100;
    }

    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The last try failed.
    pub fn is_in_trouble(&self) -> bool {
        self.failures > 0
    }

    pub fn wait(&self, now: MonoNs) -> Duration {
        self.until.saturating_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let now = MonoNs(5);
        assert_eq!((backoff.wait(now), backoff.is_in_trouble()), (Duration::ZERO, false));
        let mut waits = Vec::new();
        for _ in 0..9 {
            backoff.failed(now, JITTER_PERCENT);
            waits.push(backoff.wait(now).as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30, 30]);
        assert_eq!(backoff.wait(now + Duration::from_secs(61)), Duration::ZERO);
        backoff.succeeded();
        backoff.failed(now, JITTER_PERCENT);
        assert_eq!(backoff.wait(now).as_secs(), 1);
    }

    #[test]
    fn no_wait_is_more_than_a_fifth_off() {
        for random in 0..1000 {
            let mut backoff = Backoff::default();
            backoff.failed(MonoNs(0), random);
            let ms = backoff.wait(MonoNs(0)).as_millis();
            assert!((800..=1200).contains(&ms), "{ms}");
        }
    }
}
