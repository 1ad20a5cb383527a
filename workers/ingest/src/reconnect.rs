//! When to try a camera again. Pure.

use std::time::Duration;

use worker::retry;

use crate::rtsp::Cause;

/// A camera that is not there costs nothing to ask, and is wanted back within a second.
const ABSENT_FIRST: Duration = Duration::from_millis(250);
const ABSENT_LONGEST: Duration = Duration::from_millis(700);
/// One that is there and says no is left in peace.
const REFUSING_FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// A connection that gave pictures this long was a good one: the next failure starts afresh.
pub(crate) const GOOD_AFTER: Duration = Duration::from_secs(10);

/// Doubling waits with jitter, so that a site's cameras do not all come back in the same second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// In a row, of one cause.
    failures: u32,
    cause: Option<Cause>,
}

impl Backoff {
    /// The wait before the next try; `random` is any number that differs from call to call.
    pub(crate) fn after(&mut self, cause: Cause, random: u64) -> Duration {
        if self.cause.replace(cause) != Some(cause) {
            self.failures = 0;
        }
        let (first, longest) = match cause {
            Cause::Absent => (ABSENT_FIRST, ABSENT_LONGEST),
            Cause::Refusing => (REFUSING_FIRST, LONGEST),
            Cause::Password => (LONGEST, LONGEST),
        };
        let wait = retry::wait(first, longest, self.failures, random);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    pub(crate) fn after_good_connection(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_JITTER: u64 = 20;

    fn waits_ms(cause: Cause) -> Vec<u128> {
        let mut backoff = Backoff::default();
        (0..7).map(|_| backoff.after(cause, NO_JITTER).as_millis()).collect()
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        assert_eq!(waits_ms(Cause::Absent), [250, 500, 700, 700, 700, 700, 700]);
        assert_eq!(waits_ms(Cause::Refusing), [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        let mut backoff = Backoff { failures: 90, cause: Some(Cause::Absent) };
        backoff.after(Cause::Absent, 0);
        backoff.after_good_connection();
        assert_eq!(backoff, Backoff::default());
    }

    #[test]
    fn a_camera_that_was_away_long_and_then_says_no_is_asked_again_soon() {
        let mut backoff = Backoff::default();
        for _ in 0..20 {
            backoff.after(Cause::Absent, NO_JITTER);
        }
        let waits = [0; 3].map(|_| backoff.after(Cause::Refusing, NO_JITTER).as_secs());
        assert_eq!(waits, [1, 2, 4]);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        for random in 0..200 {
            let wait = Backoff::default().after(Cause::Refusing, random);
            assert!((Duration::from_millis(800)..=Duration::from_millis(1200)).contains(&wait));
        }
    }

    #[test]
    fn a_camera_that_was_away_is_asked_within_a_second_and_a_password_rarely() {
        for random in 0..200 {
            let mut backoff = Backoff { failures: 9, cause: Some(Cause::Absent) };
            assert!(backoff.after(Cause::Absent, random) < Duration::from_millis(900));
            assert!(Backoff::default().after(Cause::Password, random) > Duration::from_secs(20));
        }
    }
}
