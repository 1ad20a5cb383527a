//! When to try a camera again. Pure.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// A connection that gave pictures this long was a good one: the next failure starts afresh.
pub(crate) const GOOD_AFTER: Duration = Duration::from_secs(10);

/// Doubling waits with jitter, so that a site's cameras do not all come back in the same second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The wait before the next try; `random` is any number that differs from call to call.
    pub(crate) fn after_failure(&mut self, random: u64) -> Duration {
        let wait = self.next;
        self.next = (self.next * 2).min(LONGEST);
        jittered(wait, random)
    }

    /// As [`Self::after_failure`], when the camera refused the password: many lock an account after
    /// a handful of tries.
    pub(crate) fn after_refused_password(&mut self, random: u64) -> Duration {
        self.next = LONGEST;
        jittered(LONGEST, random)
    }

    pub(crate) fn after_good_connection(&mut self) {
        *self = Self::default();
    }
}

/// 80 % to 120 % of `wait`.
fn jittered(wait: Duration, random: u64) -> Duration {
    let percent = 80 + u32::try_from(random % 41).unwrap_or(0);
    wait * percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_one_to_thirty_seconds() {
        let mut backoff = Backoff::default();
        let no_jitter = 20;
        let waits: Vec<u64> = (0..7).map(|_| backoff.after_failure(no_jitter).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        backoff.after_good_connection();
        assert_eq!(backoff.after_failure(no_jitter), FIRST);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        for random in 0..200 {
            let wait = Backoff::default().after_failure(random);
            assert!((Duration::from_millis(800)..=Duration::from_millis(1200)).contains(&wait));
        }
    }

    #[test]
    fn a_refused_password_is_not_tried_often() {
        let wait = Backoff::default().after_refused_password(20);
        assert_eq!(wait, LONGEST);
    }
}
