//! When which part of the mix is made. Pure.
//!
//! Samples of the mix are numbered by the machine's monotonic clock, 48000 a second since it began to count:
//! sources are aligned by that, and a mixer that is started again goes on in the same grid.

use std::time::Duration;

use protocol::time::MonoNs;
use protocol::units::Span;

/// Of every mix.
pub(crate) const RATE_HZ: u32 = 48_000;
/// 48 samples last as long as 1000000 ns.
const SAMPLES: i128 = 48;
const NS: i128 = 1_000_000;
/// Farther behind, as long as anything is kept of a source, it was stopped or asleep.
const BEHIND_MAX: Duration = Duration::from_secs(10);

/// The sample that is nearest to an instant.
pub(crate) fn sample_at(ns: i64) -> i64 {
    let scaled = i128::from(ns) * SAMPLES;
    i64::try_from((scaled + NS / 2).div_euclid(NS)).unwrap_or(i64::MAX)
}

/// When a sample is heard.
pub(crate) fn ns_of(sample: i64) -> i64 {
    i64::try_from((i128::from(sample) * NS).div_euclid(SAMPLES)).unwrap_or(i64::MAX)
}

/// Blocks of the mix, one behind the other without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// The first sample of the next block.
    next: i64,
    /// Samples a block.
    block: i64,
    wait: Span,
}

impl Schedule {
    /// Begins with what is heard `now`.
    pub(crate) fn new(now: MonoNs, block: u32, wait: Span) -> Self {
        let next = sample_at(i64::try_from(now.0).unwrap_or(i64::MAX));
        Self { next, block: i64::from(block.max(1)), wait }
    }

    /// The next sample that is not mixed yet.
    pub(crate) fn position(&self) -> i64 {
        self.next
    }

    /// The first sample of a block that is to be mixed by `now`.
    pub(crate) fn take(&mut self, now: MonoNs) -> Option<i64> {
        if now < self.due() {
            return None;
        }
        let first = self.next;
        self.next += self.block;
        Some(first)
    }

    /// Gives up what was due long ago, and goes on with what is heard now. How long it would have sounded:
    /// nothing, unless it is far behind.
    pub(crate) fn skip(&mut self, now: MonoNs) -> Duration {
        if now.saturating_since(self.due()) <= BEHIND_MAX {
            return Duration::ZERO;
        }
        let heard_ns = now.0.saturating_sub(self.wait.0);
        let next = sample_at(i64::try_from(heard_ns).unwrap_or(i64::MAX)).max(self.next);
        let before = std::mem::replace(&mut self.next, next);
        Duration::from_nanos(u64::try_from(ns_of(next - before)).unwrap_or(0))
    }

    /// How long nothing is to be done.
    pub(crate) fn rest(&self, now: MonoNs) -> Duration {
        self.due().saturating_since(now)
    }

    /// A block is mixed when its last sample has had its wait.
    fn due(&self) -> MonoNs {
        let end_ns = u64::try_from(ns_of(self.next.saturating_add(self.block))).unwrap_or(0);
        MonoNs(end_ns.saturating_add(self.wait.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_is_due_when_its_last_sample_has_waited() {
        let wait = Span::from_millis(300);
        let mut schedule = Schedule::new(MonoNs(1_000_000_000), 960, wait);
        assert_eq!(schedule.take(MonoNs(1_319_999_999)), None);
        assert_eq!(schedule.rest(MonoNs(1_310_000_000)), Duration::from_millis(10));
        assert_eq!(schedule.take(MonoNs(1_320_000_000)), Some(48_000));
        assert_eq!(schedule.take(MonoNs(1_320_000_000)), None);
        // Who comes late makes all that was due.
        let late = MonoNs(1_400_000_000);
        let made: Vec<i64> = std::iter::from_fn(|| schedule.take(late)).collect();
        assert_eq!(made, [48_960, 49_920, 50_880, 51_840]);
    }

    #[test]
    fn who_slept_goes_on_with_what_is_heard_now() {
        let mut schedule = Schedule::new(MonoNs(1_000_000_000), 960, Span::from_millis(300));
        assert_eq!(schedule.skip(MonoNs(11_320_000_000)), Duration::ZERO);
        assert_eq!(schedule.position(), 48_000);
        assert_eq!(schedule.skip(MonoNs(61_300_000_000)), Duration::from_secs(60));
        assert_eq!(schedule.take(MonoNs(61_319_999_999)), None);
        assert_eq!(schedule.take(MonoNs(61_320_000_000)), Some(61 * 48_000));
    }

    proptest! {
        #[test]
        fn numbers_and_instants_are_the_same_place(sample in 0i64..1 << 44) {
            prop_assert_eq!(sample_at(ns_of(sample)), sample);
        }
    }
}
