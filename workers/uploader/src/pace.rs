//! No more than so much a second, on average. Pure.

use std::time::Duration;

use protocol::time::MonoNs;
use protocol::units::BitRate;

/// What goes out one after the other at a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    rate: Option<BitRate>,
    /// What was let out so far is out then.
    busy_until: MonoNs,
}

impl Pace {
    pub(crate) fn new(rate: Option<BitRate>) -> Self {
        Self { rate, busy_until: MonoNs(0) }
    }

    /// How long so many bytes have to wait; they count as sent.
    pub(crate) fn wait(&mut self, bytes: u64, now: MonoNs) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let begins = self.busy_until.max(now);
        let lasts_ns = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(rate.0.max(1));
        let lasts = Duration::from_nanos(u64::try_from(lasts_ns).unwrap_or(u64::MAX));
        self.busy_until = begins + lasts;
        begins.saturating_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_makes_what_follows_wait_and_idle_time_is_not_saved_up() {
        let mut pace = Pace::new(Some(BitRate(8_000_000)));
        let at = |seconds: u64| MonoNs(seconds * 1_000_000_000);
        assert_eq!(pace.wait(2_000_000, at(100)), Duration::ZERO);
        assert_eq!(pace.wait(1_000_000, at(100)), Duration::from_secs(2));
        assert_eq!(pace.wait(1_000_000, at(102)), Duration::from_secs(1));
        assert_eq!(pace.wait(1_000_000, at(200)), Duration::ZERO);
        assert_eq!(pace.wait(1_000_000, at(200)), Duration::from_secs(1));
        assert_eq!(Pace::new(None).wait(u64::MAX, at(0)), Duration::ZERO);
    }
}
