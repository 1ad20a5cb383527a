//! A stream's packets in the order in which they were sent. Pure.
//!
//! Over TCP they come in order, and what is missing is lost. Over UDP one that is missing may still come:
//! those behind it wait for a while, some at a time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use protocol::time::{MonoNs, Stamp};

/// Packets that wait; 512 of 1400 bytes are 0.7 MB.
const HELD_MAX: usize = 512;
/// A packet that is this much older than the newest is no late one: the camera counts anew, once the next one
/// follows it (RFC 3550 A.1). A single one is a stray.
const BACK_MAX: i64 = 1000;
/// One that is so much newer neither: more is missing than would be of use.
const AHEAD_MAX: i64 = 20_000;

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) sequence: u16,
    pub(crate) ticks: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Cow<'a, [u8]>,
    pub(crate) arrival: Stamp,
}

impl Packet<'_> {
    fn into_owned(self) -> Packet<'static> {
        Packet { payload: Cow::Owned(self.payload.into_owned()), ..self }
    }
}

/// A packet in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ordered<'a> {
    pub(crate) packet: Packet<'a>,
    /// Packets between this one and the one before that never came.
    pub(crate) lost: u64,
    /// The camera's count began anew: nothing is known of what is between.
    pub(crate) anew: bool,
}

#[derive(Debug)]
pub(crate) struct Order {
    patience: Duration,
    /// Number of the next packet, counted on over the wraps of its 16 bits.
    next: Option<i64>,
    held: BTreeMap<i64, Packet<'static>>,
    /// The packet before this one, when it was far from what was expected.
    stray: Option<Packet<'static>>,
    anew: bool,
    received: u64,
    lost: u64,
}

impl Order {
    /// A missing packet is waited for so long.
    pub(crate) fn new(patience: Duration) -> Self {
        let (next, held, stray) = (None, BTreeMap::new(), None);
        Self { patience, next, held, stray, anew: false, received: 0, lost: 0 }
    }

    /// The same for a stream of which nothing is known of what was before.
    pub(crate) fn anew(patience: Duration) -> Self {
        Self { anew: true, ..Self::new(patience) }
    }

    /// A packet came. One that is next, with nothing before it to wait for, is given back at once, as it lies.
    pub(crate) fn push<'a>(&mut self, packet: Packet<'a>) -> Option<Ordered<'a>> {
        let number = match self.next {
            None => i64::from(packet.sequence),
            Some(next) => {
                let ahead = i64::from(packet.sequence) - next.rem_euclid(1 << 16);
                // The nearest number with these 16 bits.
                next + (ahead + (1 << 15)).rem_euclid(1 << 16) - (1 << 15)
            }
        };
        let next = *self.next.get_or_insert(number);
        let stray = self.stray.take();
        if number < next - BACK_MAX || number > next + AHEAD_MAX {
            self.jump(stray, number, packet.into_owned());
            return None;
        }
        if number < next {
            return None; // twice, or too late
        }
        self.received += 1;
        if number == next && self.held.is_empty() {
            self.next = Some(number + 1);
            return Some(Ordered { packet, lost: 0, anew: std::mem::take(&mut self.anew) });
        }
        self.held.insert(number, packet.into_owned());
        None
    }

    /// A packet far from what was expected, and the one before it, if that was far too. Both count when one
    /// follows the other.
    fn jump(&mut self, stray: Option<Packet<'static>>, number: i64, packet: Packet<'static>) {
        let follows = |stray: &Packet<'_>| stray.sequence.wrapping_add(1) == packet.sequence;
        match stray.filter(follows) {
            Some(first) => {
                self.held = BTreeMap::from([(number - 1, first), (number, packet)]);
                self.next = Some(number - 1);
                self.anew = true;
                self.received += 2;
            }
            None => self.stray = Some(packet),
        }
    }

    /// The next packet, if it is there or not waited for any longer.
    pub(crate) fn pop(&mut self, now: MonoNs) -> Option<Ordered<'static>> {
        let next = self.next?;
        let (number, packet) = self.held.first_key_value()?;
        let waited = now.saturating_since(packet.arrival.mono);
        if *number > next && waited < self.patience && self.held.len() < HELD_MAX {
            return None;
        }
        let (number, packet) = self.held.pop_first()?;
        let lost = u64::try_from(number - next).unwrap_or(0);
        self.lost += lost;
        self.next = Some(number + 1);
        Some(Ordered { packet, lost, anew: std::mem::take(&mut self.anew) })
    }

    /// When [`Self::pop`] has something though nothing came.
    pub(crate) fn due(&self) -> Option<MonoNs> {
        let (_, packet) = self.held.first_key_value()?;
        Some(packet.arrival.mono + self.patience)
    }

    /// Packets that came, and that never did.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.received, self.lost)
    }

    /// The highest number so far, as receiver reports have it.
    pub(crate) fn highest(&self) -> u32 {
        let highest = self.next.map_or(0, |next| next - 1);
        u32::try_from(highest.rem_euclid(1 << 32)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WAIT: Duration = Duration::from_millis(100);

    const PAYLOAD: &[u8] = b"payload";

    fn packet(sequence: u16, at_ms: u64) -> Packet<'static> {
        let arrival = Stamp { mono: MonoNs(at_ms * 1_000_000), ..Stamp::default() };
        Packet { sequence, ticks: 0, marker: false, payload: Cow::Borrowed(PAYLOAD), arrival }
    }

    /// What is handed on when these come; sequence and packets lost before it.
    fn pushed(order: &mut Order, sequences: &[u16], at_ms: u64) -> Vec<(u16, u64)> {
        let at_once = |sequence: &u16| order.push(packet(*sequence, at_ms));
        let mut out: Vec<_> = sequences.iter().filter_map(at_once).map(numbers).collect();
        out.extend(popped(order, at_ms));
        out
    }

    fn popped(order: &mut Order, at_ms: u64) -> Vec<(u16, u64)> {
        std::iter::from_fn(|| order.pop(MonoNs(at_ms * 1_000_000))).map(numbers).collect()
    }

    fn numbers(ordered: Ordered<'_>) -> (u16, u64) {
        assert_eq!(*ordered.packet.payload, *PAYLOAD);
        (ordered.packet.sequence, ordered.lost)
    }

    #[test]
    fn one_that_comes_late_is_waited_for_and_put_in_its_place() {
        let mut order = Order::new(WAIT);
        assert_eq!(pushed(&mut order, &[65_534, 65_535, 1, 2], 0), [(65_534, 0), (65_535, 0)]);
        assert_eq!(popped(&mut order, 50), []);
        assert_eq!(pushed(&mut order, &[0], 60), [(0, 0), (1, 0), (2, 0)]);
        assert_eq!(pushed(&mut order, &[1], 70), []);
    }

    #[test]
    fn one_that_does_not_come_is_counted_when_the_wait_is_over() {
        let mut order = Order::new(WAIT);
        assert_eq!(pushed(&mut order, &[1], 0), [(1, 0)]);
        assert_eq!(pushed(&mut order, &[4], 10), []);
        assert_eq!(popped(&mut order, 109), []);
        assert_eq!(order.due(), Some(MonoNs(110_000_000)));
        assert_eq!(popped(&mut order, 110), [(4, 2)]);
        assert_eq!(order.counts(), (2, 2));
    }

    #[test]
    fn over_tcp_nothing_waits() {
        let mut order = Order::new(Duration::ZERO);
        assert_eq!(pushed(&mut order, &[1, 3], 0), [(1, 0), (3, 1)]);
    }

    #[test]
    fn a_camera_that_counts_anew_is_followed() {
        let mut order = Order::new(WAIT);
        assert_eq!(pushed(&mut order, &[40_000], 0), [(40_000, 0)]);
        assert_eq!(order.push(packet(7, 1)), None);
        assert_eq!(order.push(packet(8, 2)), None);
        let ordered = order.pop(MonoNs(2_000_000)).unwrap();
        assert!(ordered.anew && ordered.lost == 0 && ordered.packet.sequence == 7);
        let ordered = order.pop(MonoNs(2_000_000)).unwrap();
        assert!(!ordered.anew && ordered.packet.sequence == 8);
        assert_eq!((pushed(&mut order, &[9], 3), order.counts()), (vec![(9, 0)], (4, 0)));
    }

    #[test]
    fn a_stray_packet_from_far_away_costs_nothing() {
        let mut order = Order::new(WAIT);
        let sequences = [40_000, 7, 40_001, 8, 40_002, 39_001, 30_000, 40_003];
        let all: Vec<_> = sequences.iter().filter_map(|it| order.push(packet(*it, 0))).collect();
        assert!(all.iter().all(|ordered| !ordered.anew && ordered.lost == 0));
        let all: Vec<_> = all.iter().map(|ordered| ordered.packet.sequence).collect();
        assert_eq!((all, order.counts()), (vec![40_000, 40_001, 40_002, 40_003], (4, 0)));
    }

    proptest! {
        /// Whatever comes, what is handed on rises, and what came once is handed on once at most.
        #[test]
        fn packets_come_out_in_order(shuffle in proptest::collection::vec(0usize..8, 300), drop in 0usize..50) {
            let mut sent: Vec<u16> = (0..300u16).map(|n| n.wrapping_add(65_400)).collect();
            for (at, by) in shuffle.iter().enumerate() {
                let other = (at + by).min(sent.len() - 1);
                sent.swap(at, other);
            }
            let mut order = Order::new(WAIT);
            let (mut out, mut lost) = (Vec::new(), 0);
            for (at, sequence) in (0u64..).zip(sent) {
                if drop > 0 && usize::from(sequence) % (drop + 1) == 7 {
                    continue;
                }
                for (sequence, lost_before) in pushed(&mut order, &[sequence], at) {
                    lost += lost_before;
                    out.push(sequence.wrapping_sub(65_400));
                }
            }
            prop_assert!(out.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", out);
            prop_assert_eq!(order.counts().1, lost);
        }
    }
}
