//! How many workers may be started now, when many want to be: so that a boot of a hundred leaves the
//! machine room to bring each of them up in time, and the supervisor room to answer meanwhile. Pure.
//! Restarts take no turns: who died is not made to wait for others.

use std::time::Duration;

use protocol::time::MonoNs;

/// Starting a built-in worker is some 20 ms of processor time: this many keep a small machine busy.
const AT_ONCE: usize = 8;
/// Who takes longer than that to be up waits for something itself, and holds up nobody.
const FRESH: Duration = Duration::from_secs(1);

/// How many may start; `starting` tells since when others have been on their way up.
pub(crate) fn free(now: MonoNs, starting: impl Iterator<Item = MonoNs>) -> usize {
    let fresh = starting.filter(|since| now.saturating_since(*since) < FRESH).count();
    AT_ONCE.saturating_sub(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn eight_start_at_once_and_the_next_when_one_is_up() {
        assert_eq!(free(at(5_000), [].into_iter()), 8);
        assert_eq!(free(at(5_000), vec![at(4_900); 7].into_iter()), 1);
        assert_eq!(free(at(5_000), vec![at(4_900); 8].into_iter()), 0);
    }

    #[test]
    fn who_takes_long_to_come_up_holds_up_nobody() {
        assert_eq!(free(at(5_000), vec![at(4_000); 20].into_iter()), 8);
    }
}
