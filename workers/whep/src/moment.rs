//! The one place that reads the clocks. The WebRTC stack counts in `Instant`, everything else here in
//! CLOCK_MONOTONIC, which is what an `Instant` is made of.

use std::time::{Duration, Instant};

use protocol::time::{MonoNs, Stamp, UtcNs};
use shmring::clock;

/// A date further from now than this is of a clock that is wrong: it says nothing about when.
const PLAUSIBLE: Duration = Duration::from_secs(60);

/// Ties the clocks together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    instant: Instant,
    mono: MonoNs,
}

/// Now, on all clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    pub(crate) stamp: Stamp,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the WebRTC stack takes no other clock")]
    pub(crate) fn begin() -> Self {
        Self { instant: Instant::now(), mono: clock::mono() }
    }

    pub(crate) fn now(&self) -> Moment {
        let stamp = clock::now();
        Moment { instant: self.instant + stamp.mono.saturating_since(self.mono), stamp }
    }
}

impl Moment {
    /// The instant that `captured` is, and never one to come: a sender report maps the RTP clock to UTC by it,
    /// so that its UTC is the one of the capture clock.
    pub(crate) fn when(&self, captured: Stamp) -> Instant {
        let ago = self.by_utc(captured.utc).or_else(|| self.by_host(captured.mono));
        let ago = ago.unwrap_or_default();
        self.instant.checked_sub(ago).unwrap_or(self.instant)
    }

    fn by_utc(&self, utc: UtcNs) -> Option<Duration> {
        let ago = Duration::from_nanos(self.stamp.utc.0.checked_sub(utc.0)?);
        (ago < PLAUSIBLE).then_some(ago)
    }

    fn by_host(&self, mono: MonoNs) -> Option<Duration> {
        let ago = Duration::from_nanos(self.stamp.mono.0.checked_sub(mono.0)?);
        (ago < PLAUSIBLE).then_some(ago)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn noon() -> Moment {
        let stamp = Stamp { mono: MonoNs(100_000 * MS), utc: UtcNs(1_800_000_000_000 * MS) };
        Moment { stamp, ..Clock::begin().now() }
    }

    fn ago_ms(captured: Stamp) -> u128 {
        let noon = noon();
        noon.instant.duration_since(noon.when(captured)).as_millis()
    }

    #[test]
    fn a_camera_that_dates_its_pictures_is_believed() {
        let Moment { stamp, .. } = noon();
        let captured = Stamp { utc: UtcNs(stamp.utc.0 - 80 * MS), mono: stamp.mono };
        assert_eq!(ago_ms(captured), 80);
    }

    #[test]
    fn a_camera_whose_clock_is_wrong_is_dated_by_the_host() {
        let Moment { stamp, .. } = noon();
        let mono = MonoNs(stamp.mono.0 - 30 * MS);
        for utc in [0, stamp.utc.0 + 3_600_000 * MS] {
            assert_eq!(ago_ms(Stamp { utc: UtcNs(utc), mono }), 30);
        }
    }

    #[test]
    fn what_nobody_dated_is_of_now() {
        assert_eq!(ago_ms(Stamp::default()), 0);
    }
}
