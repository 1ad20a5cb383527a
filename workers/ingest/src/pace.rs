//! Stream times as wall times, for sources that do not come at their own pace. Pure.

use std::time::Duration;

use protocol::time::{MonoNs, NS_PER_S, Stamp, UtcNs};

/// Further behind than this, the source says so: the machine is too slow for it.
pub(crate) const LATE: Duration = Duration::from_secs(1);

/// When each unit is due. Counted from the first one, so that it never drifts; a late unit is due in
/// the past, which makes the source catch up and skip nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    first: Option<(MonoNs, i64)>,
}

impl Pace {
    /// The first unit is due `now`, every other one as far from it as their stream times are.
    pub(crate) fn due(&mut self, dts_ns: i64, now: MonoNs) -> MonoNs {
        let (start, first_ns) = *self.first.get_or_insert((now, dts_ns));
        let since_ns = u64::try_from(dts_ns.saturating_sub(first_ns)).unwrap_or(0);
        start + Duration::from_nanos(since_ns)
    }
}

/// The stream time of picture `number` at a whole rate, exact to the ns for ever.
pub(crate) fn picture_ns(number: u64, fps: u32) -> i64 {
    let ns = u128::from(number) * u128::from(NS_PER_S) / u128::from(fps.max(1));
    i64::try_from(ns).unwrap_or(i64::MAX)
}

/// `instant` on both clocks, seen from `now`.
pub(crate) fn stamp_at(instant: MonoNs, now: Stamp) -> Stamp {
    let utc_ns = (now.utc.0).saturating_sub(now.mono.0.saturating_sub(instant.0));
    let utc_ns = utc_ns.saturating_add(instant.0.saturating_sub(now.mono.0));
    Stamp { mono: instant, utc: UtcNs(utc_ns) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_late_source_catches_up_and_keeps_its_schedule() {
        let mut pace = Pace::default();
        let start = MonoNs(1_000);
        assert_eq!(pace.due(500, start), start);
        let much_later = MonoNs(9_000_000);
        assert_eq!(pace.due(40_500, much_later), MonoNs(41_000));
        assert_eq!(pace.due(80_500, much_later), MonoNs(81_000));
    }

    #[test]
    fn an_instant_has_the_same_distance_to_now_on_both_clocks() {
        let now = Stamp { mono: MonoNs(1_000), utc: UtcNs(5_000) };
        assert_eq!(stamp_at(MonoNs(400), now).utc, UtcNs(4_400));
        assert_eq!(stamp_at(MonoNs(1_700), now).utc, UtcNs(5_700));
    }

    proptest! {
        #[test]
        fn picture_times_never_drift(number in 0u64..1 << 32, fps in 1u32..=240) {
            let ns = u128::try_from(picture_ns(number * u64::from(fps), fps)).unwrap();
            prop_assert_eq!(ns, u128::from(number) * u128::from(NS_PER_S));
            prop_assert!(picture_ns(number, fps) < picture_ns(number + 1, fps));
        }
    }
}
