//! `gop_index`: counts groups of pictures for ever, across epochs and restarts. Pure.

use protocol::time::UtcNs;

/// Counts the key frames of the first video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GopCounter {
    next: u64,
}

impl GopCounter {
    /// `floor` is the highest index any earlier writer used, 0 when nothing is known of one; then
    /// UTC ms starts it, which no camera's group rate ever overtakes.
    pub(crate) fn new(floor: u64, now: UtcNs) -> Self {
        let next = if floor == 0 { now.0 / 1_000_000 } else { floor + 1 };
        Self { next }
    }

    /// A new group begins.
    pub(crate) fn on_key(&mut self) {
        self.next += 1;
    }

    /// Index of the group that the last key frame began.
    pub(crate) fn current(&self) -> u64 {
        self.next - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_group_is_one_above_the_floor() {
        let mut gop = GopCounter::new(41, UtcNs(9_000_000_000));
        gop.on_key();
        assert_eq!(gop.current(), 42);
        gop.on_key();
        assert_eq!(gop.current(), 43);
    }

    #[test]
    fn without_a_floor_the_first_group_is_the_time_in_ms() {
        let mut gop = GopCounter::new(0, UtcNs(1_795_000_000_123_456_789));
        gop.on_key();
        assert_eq!(gop.current(), 1_795_000_000_123);
    }
}
