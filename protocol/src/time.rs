//! Times with their unit and clock in the type. See `docs/time.md` for the model.

use serde::{Deserialize, Serialize};

/// Nanoseconds per second.
pub const NS_PER_S: u64 = 1_000_000_000;

/// An instant of CLOCK_MONOTONIC, in ns. Comparable between processes of one boot.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MonoNs(pub u64);

impl MonoNs {
    pub fn saturating_since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<std::time::Duration> for MonoNs {
    type Output = Self;
    fn add(self, after: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// An instant of UTC, in ns since 1970.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct UtcNs(pub u64);

/// The same instant on both clocks, read together at the edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub mono: MonoNs,
    pub utc: UtcNs,
}

/// Which clock a capture time comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum ClockSource {
    /// The host's clock when the picture or sound had come.
    #[default]
    Arrival = 0,
    /// The camera's own clock, from RTCP sender reports.
    Camera = 1,
}

/// A rational time base: one tick lasts `num / den` seconds. Both parts are above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeBase {
    pub num: u32,
    pub den: u32,
}

impl TimeBase {
    /// The clock of RTP video and of our MP4 tracks (RFC 6184 section 5.1).
    pub const VIDEO_90K: Self = Self { num: 1, den: 90_000 };
    pub const NANOSECONDS: Self = Self { num: 1, den: 1_000_000_000 };

    /// Ticks to ns, rounded to the nearest.
    pub fn to_ns(self, ticks: i64) -> i64 {
        rescale(ticks, u64::from(self.num) * NS_PER_S, u64::from(self.den))
    }

    /// ns to ticks, rounded to the nearest. `from_ns(to_ns(t)) == t` for any tick of at least 2 ns.
    pub fn from_ns(self, ns: i64) -> i64 {
        rescale(ns, u64::from(self.den), u64::from(self.num) * NS_PER_S)
    }
}

/// `value * mul / div`, rounded half away from zero, saturating.
fn rescale(value: i64, mul: u64, div: u64) -> i64 {
    let div = i128::from(div.max(1));
    let product = i128::from(value) * i128::from(mul);
    let half = if product < 0 { -div / 2 } else { div / 2 };
    let scaled = (product + half) / div;
    i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_second_of_video_ticks_is_one_second() {
        assert_eq!(TimeBase::VIDEO_90K.to_ns(90_000), 1_000_000_000);
        assert_eq!(TimeBase::VIDEO_90K.to_ns(-3_000), -33_333_333);
    }

    proptest! {
        #[test]
        fn a_tick_survives_the_way_through_nanoseconds(
            ticks in -(1i64 << 40)..(1i64 << 40),
            den in prop_oneof![Just(90_000u32), Just(48_000), Just(1_000), Just(12_800)],
        ) {
            let base = TimeBase { num: 1, den };
            prop_assert_eq!(base.from_ns(base.to_ns(ticks)), ticks);
        }
    }
}
