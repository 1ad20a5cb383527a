//! Stream times to RTP times of one track of one viewer. Pure.
//!
//! A player shows pictures by their RTP times. A viewer that begins gets the pictures since the last key frame
//! in one go: with their own times a player would show them at their own pace, and stay as far behind as that
//! key frame was. Squeezed into a part of their time they pass in an instant, and the next one is live:
//!
//! ```text
//!   captured   K . . . . . . . . . L     L + 1 frame
//!   RTP time                  K....L     L + 1 frame
//! ```

use std::time::Duration;

use protocol::time::NS_PER_S;

/// So much of their time is left of pictures that are caught up with: a second is 31 ms, and two pictures at
/// 240 a second are 11 ticks apart.
const SQUEEZE: i64 = 32;
/// Ticks before the first unit, so that one of a little earlier has a time, too.
const MARGIN: u64 = 1 << 32;

/// The RTP clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    hz: u32,
    /// Stream time of the first unit.
    zero_ns: Option<i64>,
    /// RTP time of the first unit: random, as RFC 3550 section 5.1 asks.
    base: u64,
    last: u64,
}

/// The RTP time of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) ticks: u64,
    /// How much later than its own time that is.
    pub(crate) later: Duration,
}

impl Ticks {
    pub(crate) fn new(hz: u32, chance: u32) -> Self {
        Self { hz, zero_ns: None, base: MARGIN + u64::from(chance), last: 0 }
    }

    /// `behind_ns`: how long ago its viewer should have had it. Times only grow, by one tick at least.
    pub(crate) fn place(&mut self, pts_ns: i64, behind_ns: i64) -> Placed {
        let live_ns = pts_ns.saturating_add(behind_ns);
        let zero_ns = *self.zero_ns.get_or_insert(live_ns);
        let own = self.of(pts_ns.saturating_sub(zero_ns));
        let squeezed = self.of(live_ns.saturating_sub(behind_ns / SQUEEZE).saturating_sub(zero_ns));
        let ticks = squeezed.max(self.last + 1);
        self.last = ticks;
        Placed { ticks, later: self.span(ticks.saturating_sub(own)) }
    }

    fn of(&self, ns: i64) -> u64 {
        let ticks = i128::from(ns) * i128::from(self.hz) / i128::from(NS_PER_S);
        u64::try_from(i128::from(self.base) + ticks).unwrap_or(0)
    }

    fn span(&self, ticks: u64) -> Duration {
        let ns = u128::from(ticks) * u128::from(NS_PER_S) / u128::from(self.hz.max(1));
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn live_units_have_their_own_distances() {
        let mut clock = Ticks::new(90_000, 7);
        let ticks = [0, 40, 80, 200].map(|ms| clock.place(5_000 * MS + ms * MS, 0).ticks);
        let first = ticks[0];
        assert_eq!(ticks.map(|it| it - first), [0, 3_600, 7_200, 18_000]);
    }

    #[test]
    fn units_of_the_past_pass_in_an_instant_and_the_next_one_is_live() {
        let mut clock = Ticks::new(90_000, 7);
        let mut last = None;
        for late in (0..25).rev() {
            let placed = clock.place((1_000 - 40 * late) * MS, 40 * late * MS);
            let step = last.map_or(0, |last| placed.ticks - last);
            assert!(step < 200, "{step} ticks");
            last = Some(placed.ticks);
        }
        assert_eq!(clock.place(1_040 * MS, 0).ticks, last.unwrap() + 3_600);
    }

    #[test]
    fn pictures_that_are_sent_again_come_after_those_that_were_sent() {
        let mut clock = Ticks::new(90_000, 7);
        let live = clock.place(1_000 * MS, 0);
        let again = clock.place(0, 1_000 * MS);
        assert_eq!(again.ticks, live.ticks + 1);
        assert_eq!(again.later.as_millis(), 1_000);
        assert!(clock.place(1_040 * MS, 0).ticks > again.ticks);
    }

    proptest! {
        #[test]
        fn times_only_grow(
            hz in prop_oneof![Just(8_000u32), Just(48_000), Just(90_000)],
            units in proptest::collection::vec((any::<i64>(), any::<i64>()), 1..50),
        ) {
            let mut clock = Ticks::new(hz, u32::MAX);
            let mut last = 0;
            for (pts_ns, behind_ns) in units {
                let placed = clock.place(pts_ns, behind_ns.saturating_abs());
                prop_assert!(placed.ticks > last);
                last = placed.ticks;
            }
        }
    }
}
