//! How fast datagrams leave. Pure; time is an argument.
//!
//! Nothing holds a sender of datagrams back, and what arrives faster than it is read is lost: a client's socket holds
//! some ninety packets by default (net.core.rmem_default counts each at over 2 KiB), and a switch before a slower
//! link holds fewer. So a late viewer's group of pictures and large key frames are spread: a short burst at once, the
//! rest at what a link of 100 Mbit/s carries.

use std::time::Duration;

use protocol::time::{MonoNs, NS_PER_S};

/// At once: an ordinary picture of a camera leaves whole.
const BURST_BYTES: u64 = 64 << 10;
/// From then on.
const BYTES_PER_S: u64 = 12_000_000;

/// A bucket that fills with time. Invariant: `bytes <= BURST_BYTES`.
#[derive(Debug)]
pub struct Pace {
    bytes: u64,
    filled: MonoNs,
}

impl Pace {
    pub fn new(now: MonoNs) -> Self {
        Self { bytes: BURST_BYTES, filled: now }
    }

    /// Whether the next datagram may leave.
    pub fn may_send(&mut self, now: MonoNs) -> bool {
        self.fill(now);
        self.bytes > 0
    }

    /// A datagram of so many bytes has left.
    pub fn sent(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }

    /// When enough has come together again for a few of them, so that not every packet has a timer of its own.
    pub fn next(&self) -> MonoNs {
        self.filled + STEP
    }

    fn fill(&mut self, now: MonoNs) {
        let elapsed =
            u64::try_from(now.saturating_since(self.filled).as_nanos()).unwrap_or(u64::MAX);
        let bytes = elapsed.min(NS_PER_S) * BYTES_PER_S / NS_PER_S;
        if bytes > 0 {
            self.bytes = (self.bytes + bytes).min(BURST_BYTES);
            self.filled = now;
        }
    }
}

/// The shortest that timers here wait.
const STEP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1_400;

    /// How many packets leave in the given milliseconds, asked every millisecond.
    fn leave(pace: &mut Pace, from_ms: u64, to_ms: u64) -> usize {
        let mut packets = 0;
        for ms in from_ms..to_ms {
            while pace.may_send(MonoNs(ms * 1_000_000)) {
                pace.sent(PACKET);
                packets += 1;
            }
        }
        packets
    }

    #[test]
    fn a_picture_leaves_at_once_and_a_long_one_at_the_pace_of_a_link() {
        let mut pace = Pace::new(MonoNs(0));
        assert_eq!(leave(&mut pace, 0, 1), 47);
        let packets = leave(&mut pace, 1, 1_001);
        let expected = usize::try_from(BYTES_PER_S).unwrap() / PACKET;
        // One may leave on the last byte of the bucket, each millisecond.
        assert!((expected..expected + 1_000).contains(&packets), "{packets}");
    }

    #[test]
    fn a_rest_saves_up_no_more_than_one_burst() {
        let mut pace = Pace::new(MonoNs(0));
        leave(&mut pace, 0, 1);
        assert_eq!(leave(&mut pace, 60_000, 60_001), 47);
    }

    #[test]
    fn a_clock_that_stands_still_lets_nothing_more_out() {
        let mut pace = Pace::new(MonoNs(5));
        while pace.may_send(MonoNs(5)) {
            pace.sent(PACKET);
        }
        assert!(!pace.may_send(MonoNs(5)));
        assert!(pace.next() > MonoNs(5));
    }
}
