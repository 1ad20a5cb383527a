//! When a dead worker is started again: at once, later, or not before it is asked for. Pure: time
//! and seed are arguments.
//!
//! One for one, never escalating: whatever one worker does, only that worker waits or is held.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::config::RestartConfig;
use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};

/// Good running that earns a clean slate, unless the last delay was longer than half of it.
const RESET_AFTER: Duration = Duration::from_secs(30);
/// A held worker is tried once this often, for faults that went away by themselves.
pub(crate) const RETRY_HELD_AFTER: Duration = Duration::from_secs(300);
/// So many tries in vain, a quarter of an hour, are no fault that goes away by itself.
pub(crate) const TRIES_MAX: u32 = 3;
/// Pauses after a start that failed for want of descriptors, processes or memory: doubling to the last. It
/// is no worker's fault, so neither its own delays nor its limit apply.
const SHORTAGE_DELAY: Duration = Duration::from_millis(250);
const SHORTAGE_DELAY_MAX: Duration = Duration::from_secs(5);
/// Even `{delay: 0s, limit: none}` may not turn a worker that dies at birth into a fork storm: after
/// this many deaths within a second each further restart waits a little.
const STORM_DEATHS: usize = 10;
const STORM_WINDOW: Duration = Duration::from_secs(1);
const STORM_DELAY: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    RestartAfter(Duration),
    /// Hold it; try once more after this long.
    Hold(Duration),
    /// Hold it until a person asks for it.
    Quarantine,
}

/// Decides over one worker's restarts.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    config: RestartConfig,
    memory: Memory,
}

/// Of one worker's deaths.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Newest last; only as many as a rule looks at.
    deaths: VecDeque<MonoNs>,
    /// Restarts since the last clean slate; the first of them is immediate.
    step: u32,
    last_delay: Duration,
    /// It was held and has not proven itself since: one more death holds it again.
    half_open: bool,
    /// Tries of a held worker that ended in its death, since it last proved itself.
    failed_tries: u32,
    /// Starts in a row that failed for want of something.
    #[serde(default)]
    shortages: u32,
    jitter: Jitter,
}

impl Policy {
    pub(crate) fn new(config: RestartConfig, seed: u64) -> Self {
        let memory = Memory {
            deaths: VecDeque::new(),
            step: 0,
            last_delay: Duration::ZERO,
            half_open: false,
            failed_tries: 0,
            shortages: 0,
            jitter: Jitter(seed),
        };
        Self { config, memory }
    }

    /// Goes on with what another supervisor remembered.
    pub(crate) fn resumed(config: RestartConfig, memory: Memory) -> Self {
        Self { config, memory }
    }

    pub(crate) fn config(&self) -> RestartConfig {
        self.config
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// It died at `now` after `good_for` of good running.
    pub(crate) fn on_death(&mut self, now: MonoNs, good_for: Duration) -> Decision {
        if good_for >= RESET_AFTER.max(2 * self.memory.last_delay) {
            self.forgive();
        }
        self.remember(now);
        if self.limit_reached(now) {
            self.memory.failed_tries += u32::from(self.memory.half_open);
            self.memory.half_open = true;
            return if self.memory.failed_tries >= TRIES_MAX {
                Decision::Quarantine
            } else {
                Decision::Hold(RETRY_HELD_AFTER)
            };
        }
        let delay = self.next_delay();
        self.memory.last_delay = delay;
        Decision::RestartAfter(delay.max(self.storm_delay(now)))
    }

    /// It could not be started, for want of something that it has no share in.
    pub(crate) fn on_shortage(&mut self) -> Duration {
        let doublings = self.memory.shortages;
        self.memory.shortages = doublings.saturating_add(1);
        let delay = SHORTAGE_DELAY.saturating_mul(2u32.saturating_pow(doublings));
        self.memory.jitter.spread(delay.min(SHORTAGE_DELAY_MAX))
    }

    /// It could be started.
    pub(crate) fn on_start(&mut self) {
        self.memory.shortages = 0;
    }

    /// A person vouches for it, or it ran well for long enough.
    pub(crate) fn forgive(&mut self) {
        self.memory.deaths.clear();
        self.memory.step = 0;
        self.memory.last_delay = Duration::ZERO;
        self.memory.half_open = false;
        self.memory.failed_tries = 0;
    }

    fn remember(&mut self, now: MonoNs) {
        self.memory.deaths.push_back(now);
        let limit = self.config.limit.unwrap_or(0);
        let kept = usize::try_from(limit).unwrap_or(usize::MAX).max(STORM_DEATHS);
        while self.memory.deaths.len() > kept {
            self.memory.deaths.pop_front();
        }
    }

    fn limit_reached(&self, now: MonoNs) -> bool {
        let Some(limit) = self.config.limit else {
            return false;
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.memory.half_open || self.within(now, self.config.limit_window.duration()) >= limit
    }

    fn within(&self, now: MonoNs, window: Duration) -> usize {
        let recent = |death: &&MonoNs| now.saturating_since(**death) <= window;
        self.memory.deaths.iter().rev().take_while(recent).count()
    }

    /// 0, delay, 2 x delay, ... up to `delay_max`, each but the first spread by a fifth either way
    /// so that workers felled by one cause do not come back in step.
    fn next_delay(&mut self) -> Duration {
        let step = self.memory.step;
        self.memory.step = step.saturating_add(1);
        let Some(doublings) = step.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 2u32.saturating_pow(doublings);
        let delay = self.config.delay.duration().saturating_mul(factor);
        self.memory.jitter.spread(delay.min(self.config.delay_max.duration()))
    }

    fn storm_delay(&self, now: MonoNs) -> Duration {
        if self.within(now, STORM_WINDOW) >= STORM_DEATHS { STORM_DELAY } else { Duration::ZERO }
    }
}

/// splitmix64: spreads restarts, nothing more.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Jitter(u64);

impl Jitter {
    /// `delay` times 0.8 to 1.2.
    fn spread(&mut self, delay: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let permille = 800 + u32::try_from((z >> 33) % 401).unwrap_or(0);
        delay.saturating_mul(permille) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::units::Span;

    const SECOND: Duration = Duration::from_secs(1);
    const BRIEFLY: Duration = Duration::from_millis(10);

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    fn delay_of(decision: Decision) -> Duration {
        match decision {
            Decision::RestartAfter(delay) => delay,
            Decision::Hold(_) | Decision::Quarantine => panic!("held"),
        }
    }

    fn always() -> RestartConfig {
        RestartConfig { delay: Span(0), limit: None, ..RestartConfig::default() }
    }

    #[test]
    fn the_first_restart_is_immediate_and_later_ones_double_within_a_fifth() {
        let config = RestartConfig { limit: None, ..RestartConfig::default() };
        let mut policy = Policy::new(config, 1);
        let mut now = at(0);
        assert_eq!(delay_of(policy.on_death(now, BRIEFLY)), Duration::ZERO);
        for nominal_ms in [250u64, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            now = now + Duration::from_secs(40);
            let delay = delay_of(policy.on_death(now, BRIEFLY));
            let nominal = Duration::from_millis(nominal_ms);
            assert!(
                delay >= nominal * 4 / 5 && delay <= nominal * 6 / 5,
                "{delay:?} for {nominal:?}"
            );
        }
    }

    #[test]
    fn want_of_something_makes_growing_pauses_and_is_no_death() {
        let mut policy = Policy::new(RestartConfig::default(), 3);
        for nominal_ms in [250u64, 500, 1000, 2000, 4000, 5000, 5000] {
            let (delay, nominal) = (policy.on_shortage(), Duration::from_millis(nominal_ms));
            assert!(delay >= nominal * 4 / 5 && delay <= nominal * 6 / 5, "{delay:?} {nominal:?}");
        }
        policy.on_start();
        assert!(policy.on_shortage() <= SHORTAGE_DELAY * 6 / 5);
        assert_eq!(policy.on_death(at(0), BRIEFLY), Decision::RestartAfter(Duration::ZERO));
    }

    #[test]
    fn the_fifth_death_within_a_minute_holds() {
        let mut policy = Policy::new(RestartConfig::default(), 7);
        for death in 1..=4 {
            delay_of(policy.on_death(at(death * 10_000), BRIEFLY));
        }
        assert_eq!(policy.on_death(at(50_000), BRIEFLY), Decision::Hold(RETRY_HELD_AFTER));
    }

    #[test]
    fn five_deaths_spread_over_more_than_a_minute_do_not_hold() {
        let mut policy = Policy::new(RestartConfig::default(), 7);
        for death in 1..=20 {
            delay_of(policy.on_death(at(death * 16_000), BRIEFLY));
        }
    }

    #[test]
    fn a_held_worker_gets_one_try_until_it_proves_itself_or_is_vouched_for() {
        let mut policy = Policy::new(RestartConfig::default(), 7);
        for death in 1..=5 {
            policy.on_death(at(death * 1_000), BRIEFLY);
        }
        let hold = Decision::Hold(RETRY_HELD_AFTER);
        assert_eq!(policy.on_death(at(400_000), BRIEFLY), hold);
        let proven = policy.on_death(at(800_000), 31 * SECOND);
        assert_eq!(delay_of(proven), Duration::ZERO);
        for death in 1..=4 {
            policy.on_death(at(800_000 + death * 1000), BRIEFLY);
        }
        policy.forgive();
        let vouched = policy.on_death(at(810_000), BRIEFLY);
        assert_eq!(delay_of(vouched), Duration::ZERO);
    }

    #[test]
    fn a_held_worker_that_dies_at_three_tries_is_tried_no_more_until_it_is_vouched_for() {
        let mut policy = Policy::new(RestartConfig::default(), 7);
        for death in 1..=4 {
            delay_of(policy.on_death(at(death * 1_000), BRIEFLY));
        }
        let decisions = (0u64..4).map(|t| policy.on_death(at(5_000 + t * 300_000), BRIEFLY));
        let hold = Decision::Hold(RETRY_HELD_AFTER);
        assert_eq!(decisions.collect::<Vec<_>>(), [hold, hold, hold, Decision::Quarantine]);
        policy.forgive();
        assert_eq!(delay_of(policy.on_death(at(2_000_000), BRIEFLY)), Duration::ZERO);
    }

    #[test]
    fn good_running_resets_the_delay_only_when_longer_than_twice_the_last_one() {
        let config = RestartConfig { limit: None, ..RestartConfig::default() };
        let mut policy = Policy::new(config, 3);
        for death in 0..9 {
            policy.on_death(at(death * 100_000), BRIEFLY);
        }
        // The last delay was about 30 s: 31 s of good running are not enough, 80 s are.
        assert!(delay_of(policy.on_death(at(2_000_000), 31 * SECOND)) > 20 * SECOND);
        let rested = policy.on_death(at(3_000_000), 80 * SECOND);
        assert_eq!(delay_of(rested), Duration::ZERO);
    }

    #[test]
    fn without_limit_and_delay_it_restarts_at_once_for_ever_but_never_in_a_storm() {
        let mut policy = Policy::new(always(), 3);
        for death in 0..1000 {
            let delay = delay_of(policy.on_death(at(death * 200), BRIEFLY));
            assert_eq!(delay, Duration::ZERO);
        }
        let mut storm = Policy::new(always(), 3);
        let delays = (0..20).map(|death| delay_of(storm.on_death(at(death), BRIEFLY)));
        assert_eq!(delays.filter(|delay| *delay == STORM_DELAY).count(), 11);
    }
}
