//! When something that failed is tried again. Pure.

use std::time::Duration;

/// How far a wait may be off, so that those who failed together do not all come back at once.
const JITTER_PERCENT: u64 = 20;

/// The wait after so many failures in a row before this one: `first`, doubled each time up to `longest`,
/// and a fifth more or less. `random` is any number that differs from call to call.
pub fn wait(first: Duration, longest: Duration, failures: u32, random: u64) -> Duration {
    let doubled = first.saturating_mul(1 << failures.min(16)).min(longest);
    let percent = 100 - JITTER_PERCENT + random % (2 * JITTER_PERCENT + 1);
    doubled * u32::try_from(percent).unwrap_or(100) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(30));
        let waits: Vec<u64> =
            (0..7).map(|failures| wait(first, longest, failures, 20).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(wait(first, longest, u32::MAX, 20), longest);
    }

    #[test]
    fn no_wait_is_more_than_a_fifth_off() {
        let second = Duration::from_secs(1);
        let waits: Vec<u128> = (0..500).map(|it| wait(second, second, 3, it).as_millis()).collect();
        assert_eq!((waits.iter().min(), waits.iter().max()), (Some(&800), Some(&1200)));
    }
}
