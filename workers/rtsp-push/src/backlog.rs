//! What waits to be sent: always from a picture on that needs none before it. Pure.
//!
//! ```text
//! not connected:  the newest group of pictures alone          a new one begins: the old one is forgotten
//! connected:      what the server has not taken yet           too long or too much: the newest group alone
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use protocol::stream::Track;
use protocol::time::MonoNs;
use shmring::Packet;

/// A server that has not caught up for so long gets the newest pictures instead of late ones.
const BEHIND_MAX: Duration = Duration::from_secs(5);
/// Sixteen seconds at the 8 Mbit/s that a ring has by default. A group that is larger is not sent.
const BYTES_MAX: usize = 16 << 20;

/// One packet of the ring, and what the ring was then.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) packet: Packet,
    pub(crate) tracks: Arc<[Track]>,
    /// It needs none before it.
    pub(crate) begins: bool,
}

/// Invariants: without a connection its first unit begins a group; `bytes` is the sum of all payloads and at
/// most [`BYTES_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    units: VecDeque<Unit>,
    bytes: usize,
    connected: bool,
    /// Since when a connected server has not had everything.
    behind_since: Option<MonoNs>,
    /// Something is missing: nothing is taken until a group begins.
    closed: bool,
    /// The server is why.
    too_slow: bool,
    /// Left out because the server was too slow.
    dropped: u64,
}

impl Backlog {
    pub(crate) fn push(&mut self, unit: Unit, now: MonoNs) {
        if self.closed && !unit.begins {
            self.dropped += u64::from(self.too_slow);
            return;
        }
        (self.closed, self.too_slow) = (false, false);
        if unit.begins && !self.connected {
            self.forget();
        }
        if !unit.begins && !self.connected && self.units.is_empty() {
            return;
        }
        self.bytes += unit.packet.payload.len();
        self.units.push_back(unit);
        if self.connected {
            self.behind_since.get_or_insert(now);
        }
        let is_late = |since: MonoNs| now.saturating_since(since) > BEHIND_MAX;
        if self.bytes > BYTES_MAX || self.behind_since.is_some_and(is_late) {
            self.skip(now);
        }
    }

    /// The next one to send.
    pub(crate) fn pop(&mut self) -> Option<Unit> {
        let unit = self.units.pop_front()?;
        self.bytes -= unit.packet.payload.len();
        if self.units.is_empty() {
            self.behind_since = None;
        }
        Some(unit)
    }

    /// What a connection would begin with.
    pub(crate) fn first(&self) -> Option<&Unit> {
        self.units.front()
    }

    /// It was not sent after all.
    pub(crate) fn give_back(&mut self, unit: Unit) {
        self.bytes += unit.packet.payload.len();
        self.units.push_front(unit);
    }

    /// Packets are missing before the next one.
    pub(crate) fn hole(&mut self) {
        self.closed = true;
    }

    pub(crate) fn connect(&mut self, now: MonoNs) {
        self.connected = true;
        self.behind_since = (!self.units.is_empty()).then_some(now);
    }

    /// What is left of a group cannot begin the next connection.
    pub(crate) fn disconnect(&mut self) {
        self.connected = false;
        self.behind_since = None;
        match self.units.iter().rposition(|unit| unit.begins) {
            Some(begin) => self.forget_first(begin),
            None => {
                self.forget();
                (self.closed, self.too_slow) = (true, false);
            }
        }
    }

    /// How many were left out because the server was too slow.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.bytes
    }

    /// To the newest group, or to the one that is yet to begin.
    fn skip(&mut self, now: MonoNs) {
        let before = self.units.len();
        match self.units.iter().rposition(|unit| unit.begins).filter(|begin| *begin > 0) {
            Some(begin) => self.forget_first(begin),
            None => self.forget(),
        }
        if self.bytes > BYTES_MAX {
            self.forget();
        }
        self.closed |= self.units.is_empty();
        let forgotten = u64::try_from(before - self.units.len()).unwrap_or(0);
        if self.connected {
            self.too_slow = self.closed;
            self.dropped += forgotten;
            self.behind_since = (!self.units.is_empty()).then_some(now);
        }
    }

    fn forget_first(&mut self, count: usize) {
        let bytes: usize = self.units.drain(..count).map(|unit| unit.packet.payload.len()).sum();
        self.bytes -= bytes;
    }

    fn forget(&mut self) {
        self.units.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use shmring::PacketMeta;

    use super::*;

    fn unit(sequence: u64, begins: bool) -> Unit {
        sized(sequence, begins, 10)
    }

    fn sized(sequence: u64, begins: bool, bytes: usize) -> Unit {
        let packet = Packet {
            epoch: 1,
            sequence,
            meta: PacketMeta { key: begins, ..PacketMeta::default() },
            published: MonoNs(0),
            payload: vec![0; bytes],
        };
        Unit { packet, tracks: Arc::new([]), begins }
    }

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    /// Groups of five, one unit each 100 ms.
    fn fill(backlog: &mut Backlog, sequences: std::ops::Range<u64>) {
        for sequence in sequences {
            backlog.push(unit(sequence, sequence.is_multiple_of(5)), at(sequence * 100));
        }
    }

    fn rest(backlog: &mut Backlog) -> Vec<u64> {
        std::iter::from_fn(|| backlog.pop()).map(|unit| unit.packet.sequence).collect()
    }

    #[test]
    fn without_a_connection_the_newest_group_alone_is_kept() {
        let mut backlog = Backlog::default();
        fill(&mut backlog, 3..18);
        assert_eq!(backlog.first().map(|unit| unit.packet.sequence), Some(15));
        backlog.connect(at(1_800));
        fill(&mut backlog, 18..22);
        assert_eq!(rest(&mut backlog), (15..22).collect::<Vec<_>>());
        assert_eq!((backlog.dropped(), backlog.bytes()), (0, 0));
    }

    #[test]
    fn nothing_is_taken_behind_a_hole_until_a_group_begins() {
        let mut backlog = Backlog::default();
        backlog.connect(at(0));
        fill(&mut backlog, 5..8);
        backlog.hole();
        fill(&mut backlog, 9..12);
        assert_eq!(rest(&mut backlog), [5, 6, 7, 10, 11]);
    }

    #[test]
    fn a_server_that_is_too_slow_gets_the_newest_group_and_what_it_missed_is_counted() {
        let mut backlog = Backlog::default();
        backlog.connect(at(0));
        // It takes one of two and never catches up.
        let mut sent = Vec::new();
        for sequence in 0..200 {
            fill(&mut backlog, sequence..sequence + 1);
            if sequence % 2 == 0 && sequence > 1 {
                sent.extend(backlog.pop().map(|unit| unit.packet.sequence));
            }
        }
        sent.extend(rest(&mut backlog));
        let holes: Vec<_> = sent.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
        assert!(
            !holes.is_empty() && holes.iter().all(|pair| pair[1].is_multiple_of(5)),
            "{sent:?}"
        );
        assert_eq!(backlog.dropped() + u64::try_from(sent.len()).unwrap(), 200);
    }

    #[test]
    fn a_burst_at_the_begin_is_given_its_time() {
        let mut backlog = Backlog::default();
        for sequence in 0..90 {
            backlog.push(unit(sequence, sequence == 0), at(sequence * 100));
        }
        backlog.connect(at(9_000));
        backlog.push(unit(90, false), at(9_100));
        assert_eq!((rest(&mut backlog).len(), backlog.dropped()), (91, 0));
    }

    #[test]
    fn what_is_kept_is_bounded_and_a_group_that_is_too_large_is_passed_over() {
        for connected in [false, true] {
            let mut backlog = Backlog::default();
            if connected {
                backlog.connect(at(0));
            }
            for sequence in 0..100 {
                backlog.push(sized(sequence, sequence == 0, 1 << 20), at(0));
                assert!(backlog.bytes() <= BYTES_MAX);
            }
            assert_eq!(backlog.first().map(|unit| unit.packet.sequence), None);
            assert_eq!(backlog.dropped(), if connected { 100 } else { 0 });
            backlog.push(unit(100, true), at(0));
            assert_eq!(rest(&mut backlog), [100]);
        }
    }

    #[test]
    fn the_next_connection_begins_with_a_group() {
        let mut backlog = Backlog::default();
        backlog.connect(at(0));
        fill(&mut backlog, 0..8);
        assert_eq!(backlog.pop().map(|unit| unit.packet.sequence), Some(0));
        backlog.disconnect();
        assert_eq!(backlog.first().map(|unit| unit.packet.sequence), Some(5));
        backlog.connect(at(0));
        assert_eq!(rest(&mut backlog), [5, 6, 7]);
        fill(&mut backlog, 8..9);
        backlog.disconnect();
        fill(&mut backlog, 9..10);
        assert!(backlog.first().is_none(), "the rest of a group begins nothing");
        fill(&mut backlog, 10..12);
        assert_eq!(rest(&mut backlog), [10, 11]);
    }

    #[test]
    fn what_was_given_back_is_the_next_again() {
        let mut backlog = Backlog::default();
        backlog.connect(at(0));
        fill(&mut backlog, 0..3);
        let first = backlog.pop().unwrap();
        backlog.give_back(first);
        backlog.disconnect();
        assert_eq!(rest(&mut backlog), [0, 1, 2]);
        assert_eq!(backlog.bytes(), 0);
    }
}
