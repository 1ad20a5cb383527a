//! The one place that reads the clocks.

use nix::time::{ClockId, clock_gettime};
use protocol::time::{MonoNs, NS_PER_S, Stamp, UtcNs};

/// Now, on both clocks.
pub fn now() -> Stamp {
    Stamp { mono: mono(), utc: UtcNs(read(ClockId::CLOCK_REALTIME)) }
}

/// Now, on CLOCK_MONOTONIC.
pub fn mono() -> MonoNs {
    MonoNs(read(ClockId::CLOCK_MONOTONIC))
}

/// As [`mono`], as of the kernel's last tick, up to 10 ms ago: for figures, at a part of the cost.
pub(crate) fn mono_coarse() -> MonoNs {
    MonoNs(read(ClockId::CLOCK_MONOTONIC_COARSE))
}

fn read(clock: ClockId) -> u64 {
    // clock_gettime fails only for an unknown clock or a bad pointer; zero keeps this total.
    let Ok(time) = clock_gettime(clock) else {
        return 0;
    };
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(time.tv_sec()) * NS_PER_S + part(time.tv_nsec())
}
