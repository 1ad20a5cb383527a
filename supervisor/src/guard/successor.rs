//! Whether a killed supervisor is followed by another. Pure: time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::time::MonoNs;

use super::Ended;

/// One that dies more often than this in `WINDOW` would die for ever, and everything else with it.
const DEATHS_MAX: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Of a Rust program: a mistake of ours, as any signal is.
const PANIC: u8 = 101;

/// The last deaths.
#[derive(Debug, Default)]
pub(super) struct Deaths(VecDeque<MonoNs>);

impl Deaths {
    /// One that ended by itself has ended the project, or could not go on with it.
    pub(super) fn are_followed(&mut self, now: MonoNs, ended: Ended) -> bool {
        if !matches!(ended, Ended::Killed(_) | Ended::Code(PANIC)) {
            return false;
        }
        while self.0.front().is_some_and(|death| now.saturating_since(*death) >= WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        self.0.len() < DEATHS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;

    const KILLED: Ended = Ended::Killed(Signal::SIGKILL);

    fn at(secs: u64) -> MonoNs {
        MonoNs(secs * 1_000_000_000)
    }

    #[test]
    fn the_fifth_death_in_a_minute_is_the_last() {
        let mut deaths = Deaths::default();
        let followed: Vec<bool> =
            (0..5).map(|death| deaths.are_followed(at(death * 10), KILLED)).collect();
        assert_eq!(followed, [true, true, true, true, false]);
    }

    #[test]
    fn one_that_dies_now_and_then_is_followed_for_ever() {
        let mut deaths = Deaths::default();
        assert!((0..100).all(|death| deaths.are_followed(at(death * 16), KILLED)));
    }

    #[test]
    fn one_that_ends_by_itself_is_not_followed_and_one_that_panics_is() {
        let mut deaths = Deaths::default();
        assert!(!deaths.are_followed(at(1), Ended::Code(0)));
        assert!(!deaths.are_followed(at(1), Ended::Code(1)));
        assert!(deaths.are_followed(at(1), Ended::Code(PANIC)));
    }
}
