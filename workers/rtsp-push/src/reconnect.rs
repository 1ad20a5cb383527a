//! When to try a server again. Pure.

use std::time::Duration;

use media::PublishError;
use worker::retry;

/// How soon to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nobody is there, or it went away: it may be back at any time.
    Absent,
    /// It is there and says no.
    Refusing,
    /// A wrong password: many servers lock the account after a handful of tries.
    Password,
}

impl Cause {
    pub(crate) fn of(error: &PublishError) -> Self {
        match error {
            PublishError::Unauthorized { .. } | PublishError::NoEntry { .. } => Self::Password,
            PublishError::Missing { .. }
            | PublishError::NotTheProtocol { .. }
            | PublishError::Other { .. }
            | PublishError::Rejected { .. } => Self::Refusing,
            PublishError::Closed { .. }
            | PublishError::Interrupted { .. }
            | PublishError::Refused { .. }
            | PublishError::Resolve { .. }
            | PublishError::Timeout { .. }
            | PublishError::Unreachable { .. } => Self::Absent,
        }
    }

    /// The first wait, and the longest.
    fn waits(self) -> (Duration, Duration) {
        let (first_ms, longest_s) = match self {
            // Asking costs it nothing, and viewers want it back.
            Self::Absent => (250, 5),
            Self::Refusing => (1_000, 30),
            // A fifth less is still more than ten seconds.
            Self::Password => (15_000, 60),
        };
        (Duration::from_millis(first_ms), Duration::from_secs(longest_s))
    }
}

/// A connection that was taken for so long was a good one: the next failure starts afresh.
pub(crate) const GOOD_AFTER: Duration = Duration::from_secs(10);

/// Grows with each failure of one cause in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    failures: u32,
    cause: Option<Cause>,
}

impl Backoff {
    /// The wait before the next try; `random` is any number that differs from call to call.
    pub(crate) fn after(&mut self, cause: Cause, random: u64) -> Duration {
        if self.cause.replace(cause) != Some(cause) {
            self.failures = 0;
        }
        let (first, longest) = cause.waits();
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
    fn waits_grow_to_a_bound_of_their_cause() {
        assert_eq!(waits_ms(Cause::Absent), [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(waits_ms(Cause::Refusing)[4..], [16_000, 30_000, 30_000]);
        assert_eq!(waits_ms(Cause::Password)[..3], [15_000, 30_000, 60_000]);
    }

    #[test]
    fn a_wrong_password_is_never_tried_within_ten_seconds() {
        for random in 0..200 {
            let wait = Backoff::default().after(Cause::Password, random);
            assert!(wait > Duration::from_secs(10), "{wait:?}");
        }
    }

    #[test]
    fn another_cause_and_a_good_connection_begin_anew() {
        let mut backoff = Backoff::default();
        for _ in 0..9 {
            backoff.after(Cause::Absent, NO_JITTER);
        }
        assert_eq!(backoff.after(Cause::Refusing, NO_JITTER).as_secs(), 1);
        backoff.after(Cause::Refusing, NO_JITTER);
        backoff.after_good_connection();
        assert_eq!(backoff.after(Cause::Refusing, NO_JITTER).as_secs(), 1);
    }
}
