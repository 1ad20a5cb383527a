//! Datagrams of one viewer that wait for their turn. Pure.
//!
//! A key frame, or the pictures since the last one, are hundreds of datagrams at once: more than the buffers of
//! a viewer's socket hold. They go out at a rate that buffers stand and that no camera reaches.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// 100 Mbit/s.
const BYTES_PER_S: u64 = 12_500_000;
/// So much may go at once: 50 datagrams, half of what Linux gives a socket by itself; and so late may a timer be
/// without a loss of rate.
const BURST: Duration = Duration::from_millis(5);
/// With more than this waiting no further unit is cut.
const ENOUGH_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

impl Datagram {
    /// Checks of the connection and handshakes are small, and others wait for them (RFC 7983 section 7: media
    /// begins at 128).
    fn is_media(&self) -> bool {
        self.bytes.first().is_some_and(|first| *first >= 128)
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    urgent: VecDeque<Datagram>,
    media: VecDeque<Datagram>,
    media_bytes: usize,
    /// When the next one of media may go; `None` before the first.
    free: Option<Instant>,
}

impl Pace {
    pub(crate) fn push(&mut self, datagram: Datagram) {
        if datagram.is_media() {
            self.media_bytes += datagram.bytes.len();
            self.media.push_back(datagram);
        } else {
            self.urgent.push_back(datagram);
        }
    }

    /// Whether another unit may be cut.
    pub(crate) fn has_room(&self) -> bool {
        self.media_bytes < ENOUGH_BYTES
    }

    /// When the next one may go; `None` when none waits.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        if !self.urgent.is_empty() {
            return Some(now);
        }
        self.media.front().map(|_| self.free.unwrap_or(now))
    }

    /// The datagram whose turn it is. It stays until it is [sent](Self::sent).
    pub(crate) fn front(&self, now: Instant) -> Option<&Datagram> {
        let is_due = self.due(now).is_some_and(|due| due <= now);
        self.urgent.front().or_else(|| self.media.front()).filter(|_| is_due)
    }

    /// The front went out.
    pub(crate) fn sent(&mut self, now: Instant) {
        if self.urgent.pop_front().is_some() {
            return;
        }
        let Some(datagram) = self.media.pop_front() else { return };
        self.media_bytes -= datagram.bytes.len();
        let credit = now.checked_sub(BURST).unwrap_or(now);
        let bytes = u64::try_from(datagram.bytes.len()).unwrap_or(u64::MAX);
        let cost = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / BYTES_PER_S);
        self.free = Some(self.free.map_or(credit, |free| free.max(credit)) + cost);
    }

    /// All that waits, at the end.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Datagram> {
        self.media_bytes = 0;
        self.urgent.drain(..).chain(self.media.drain(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Clock;

    fn datagram(first: u8, bytes: usize) -> Datagram {
        let mut content = vec![0; bytes];
        content[0] = first;
        Datagram { to: SocketAddr::from(([127, 0, 0, 1], 9)), bytes: content }
    }

    fn sent_by(pace: &mut Pace, now: Instant) -> usize {
        let mut count = 0;
        while pace.front(now).is_some() {
            pace.sent(now);
            count += 1;
        }
        count
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_its_rate() {
        let now = Clock::begin().now().instant;
        let mut pace = Pace::default();
        (0..1_000).for_each(|_| pace.push(datagram(128, 1_250)));
        let at_once = sent_by(&mut pace, now);
        assert!((49..=52).contains(&at_once), "{at_once}");
        let after = |ms| now + Duration::from_millis(ms);
        let later: usize = (1..=50).map(|ms| sent_by(&mut pace, after(ms))).sum();
        assert!((495..=505).contains(&later), "{later} in 50 ms");
        assert!(pace.due(now).is_some_and(|due| due > after(50)));
    }

    #[test]
    fn checks_of_the_connection_do_not_wait_for_media() {
        let now = Clock::begin().now().instant;
        let mut pace = Pace::default();
        (0..100).for_each(|_| pace.push(datagram(128, 1_250)));
        sent_by(&mut pace, now);
        pace.push(datagram(1, 100));
        assert_eq!(pace.front(now).map(|it| it.bytes.len()), Some(100));
        pace.sent(now);
        assert!(pace.front(now).is_none());
    }

    #[test]
    fn with_enough_waiting_no_more_is_cut() {
        let mut pace = Pace::default();
        assert!(pace.has_room());
        (0..60).for_each(|_| pace.push(datagram(128, 1_250)));
        assert!(!pace.has_room());
        assert_eq!(pace.drain().count(), 60);
        assert!(pace.has_room());
    }
}
