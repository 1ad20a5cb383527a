//! Whether a publisher keeps to the bit rate that its ring is made for. Pure: time is an argument.

use std::time::Duration;

use protocol::time::MonoNs;
use protocol::units::BitRate;

/// Key frames and the first burst of a program that catches up are over by then.
const WINDOW: Duration = Duration::from_secs(10);
/// A ring that is filled twice as fast as it is made for keeps half as long; beyond that those who
/// record are in danger, and memory bandwidth is somebody else's.
const TIMES: u64 = 2;

/// Counts what comes.
#[derive(Debug)]
pub(crate) struct Meter {
    most: BitRate,
    /// Since when, and the bytes that had come before.
    window: (MonoNs, u64),
}

/// More came than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    pub(crate) bytes: u64,
    pub(crate) within: Duration,
    pub(crate) most: BitRate,
}

impl Meter {
    pub(crate) fn new(most: BitRate, now: MonoNs) -> Self {
        Self { most, window: (now, 0) }
    }

    /// So many bytes have come in all.
    pub(crate) fn look(&mut self, bytes: u64, now: MonoNs) -> Result<(), Excess> {
        let (since, before) = self.window;
        let within = now.saturating_since(since);
        let bytes = bytes.saturating_sub(before);
        // Of a process that was away for longer, what waited in the kernel is little.
        let seconds = within.max(WINDOW).as_secs();
        if bytes > (self.most.0 / 8).saturating_mul(TIMES).saturating_mul(seconds) {
            return Err(Excess { bytes, within, most: self.most });
        }
        if within >= WINDOW {
            self.window = (now, before.saturating_add(bytes));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABIT: BitRate = BitRate(1_000_000);
    const A_SECOND: u64 = 125_000;

    fn after(seconds: u64, bytes_a_second: u64) -> Result<(), Excess> {
        let mut meter = Meter::new(MEGABIT, MonoNs(0));
        (0..=seconds).try_for_each(|second| {
            meter.look(second * bytes_a_second, MonoNs(second * 1_000_000_000))
        })
    }

    #[test]
    fn twice_the_rate_goes_on_for_ever_and_more_does_not() {
        assert_eq!(after(3600, 2 * A_SECOND), Ok(()));
        let excess = after(60, 3 * A_SECOND).unwrap_err();
        assert!(excess.within < WINDOW && excess.bytes > 20 * A_SECOND, "{excess:?}");
    }

    #[test]
    fn a_burst_is_forgiven_and_a_flood_is_seen_at_once() {
        let mut meter = Meter::new(MEGABIT, MonoNs(0));
        assert_eq!(meter.look(20 * A_SECOND, MonoNs(1)), Ok(()));
        assert!(meter.look(20 * A_SECOND + 1, MonoNs(2)).is_err());
    }

    #[test]
    fn what_waited_while_this_process_was_away_came_over_all_that_time() {
        let mut meter = Meter::new(MEGABIT, MonoNs(0));
        assert_eq!(meter.look(100 * A_SECOND, MonoNs(60_000_000_000)), Ok(()));
        // And is not counted again.
        assert_eq!(meter.look(119 * A_SECOND, MonoNs(61_000_000_000)), Ok(()));
    }
}
