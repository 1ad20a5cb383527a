//! Times of pictures that come without any: counted. Pure.

const NS_A_SECOND: u64 = 1_000_000_000;

/// Presentation and duration of the picture with this number, in ns.
pub(crate) fn times(at: u64, fps: u32) -> (i64, i64) {
    let ns = |at: u64| {
        i64::try_from(at.saturating_mul(NS_A_SECOND) / u64::from(fps.max(1))).unwrap_or(i64::MAX)
    };
    (ns(at), ns(at + 1) - ns(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_do_not_drift_at_rates_that_divide_no_second() {
        assert_eq!(times(0, 25), (0, 40_000_000));
        assert_eq!(times(30_000, 30), (1_000_000_000_000, 33_333_333));
    }
}
