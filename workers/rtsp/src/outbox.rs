//! Bytes on their way to a client, and how long it has not taken any. Sans-IO.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::time::MonoNs;

/// What a client that takes nothing is given before it is ended.
const STUCK: Duration = Duration::from_secs(10);
/// More is added up to here: enough for a socket to be busy until we are called again. Requests are
/// read no further either, so that a client which sends many and reads no response only fills its
/// own connection.
const ROOM_BYTES: usize = 256 << 10;
/// As [`ROOM_BYTES`], of a client that plays nothing: some dozens of answers.
const ANSWERS_BYTES: usize = 16 << 10;
/// The largest memory that is lent again: an ordinary key frame.
const KEPT_BYTES: usize = 1 << 20;
/// One after the other is filled and sent, so that few are needed at a time.
const SPARES: usize = 4;

/// Memory that outboxes lend each other: the one that was used last first, as a processor still has it at hand. Of
/// hundreds of viewers each with its own, every copy would begin with memory that is far away.
#[derive(Clone, Debug, Default)]
pub struct Spares(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spares {
    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < SPARES && bytes.capacity() <= KEPT_BYTES {
            spares.push(bytes);
        }
    }
}

/// Invariant: `sent <= bytes.len()`.
#[derive(Debug)]
pub struct Outbox {
    /// Without memory of its own while nothing waits.
    bytes: Vec<u8>,
    sent: usize,
    /// When the client last took something, or had taken everything.
    progress: MonoNs,
    room: usize,
    spares: Spares,
}

impl Outbox {
    pub fn new(now: MonoNs, spares: Spares) -> Self {
        Self { bytes: Vec::new(), sent: 0, progress: now, room: ANSWERS_BYTES, spares }
    }

    /// Pictures follow.
    pub fn widen(&mut self) {
        self.room = ROOM_BYTES;
    }

    /// Where to append whole messages.
    pub fn append(&mut self, now: MonoNs) -> &mut Vec<u8> {
        if self.waiting().is_empty() {
            self.progress = now;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = self.spares.take();
        }
        &mut self.bytes
    }

    /// What the client has not taken yet.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub fn took(&mut self, bytes: usize, now: MonoNs) {
        self.sent += bytes;
        self.progress = now;
        if self.waiting().is_empty() {
            self.sent = 0;
            return self.spares.give(std::mem::take(&mut self.bytes));
        }
        // Not only when all is taken: of a viewer that is never quite up to date everything would be
        // kept. Moving less than was sent costs each byte one copy at most.
        if self.sent >= self.waiting().len() {
            self.bytes.drain(..self.sent);
            self.bytes.shrink_to(KEPT_BYTES);
            self.sent = 0;
        }
    }

    pub fn has_room(&self) -> bool {
        self.waiting().len() < self.room
    }

    /// When the client will have been stuck for too long; `None` while nothing waits.
    pub fn stuck_at(&self) -> Option<MonoNs> {
        (!self.waiting().is_empty()).then_some(self.progress + STUCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MonoNs {
        MonoNs(seconds * 1_000_000_000)
    }

    #[test]
    fn a_client_is_stuck_ten_seconds_after_it_last_took_something() {
        let mut outbox = Outbox::new(at(0), Spares::default());
        assert_eq!(outbox.stuck_at(), None);
        outbox.append(at(100)).extend([0; 10]);
        assert_eq!(outbox.stuck_at(), Some(at(110)));
        outbox.append(at(105)).extend([0; 10]);
        assert_eq!(outbox.stuck_at(), Some(at(110)), "more to send is no progress");
        outbox.took(1, at(109));
        assert_eq!(outbox.stuck_at(), Some(at(119)));
        outbox.took(19, at(110));
        assert_eq!(outbox.stuck_at(), None);
    }

    #[test]
    fn a_client_that_never_takes_everything_costs_no_more_than_what_waits() {
        let mut outbox = Outbox::new(at(0), Spares::default());
        outbox.append(at(0)).extend([0; 1000]);
        for round in 0..1000 {
            outbox.append(at(round)).extend([1; 100_000]);
            outbox.took(100_000, at(round));
            assert_eq!(outbox.waiting().len(), 1000);
        }
        assert!(outbox.bytes.capacity() <= KEPT_BYTES, "{} bytes", outbox.bytes.capacity());
    }

    #[test]
    fn the_memory_of_a_large_picture_is_given_back() {
        let spares = Spares::default();
        let mut outbox = Outbox::new(at(0), spares.clone());
        outbox.append(at(0)).resize(8 << 20, 0);
        assert!(!outbox.has_room());
        outbox.took(8 << 20, at(1));
        assert!(outbox.has_room());
        assert_eq!((outbox.bytes.capacity(), spares.take().capacity()), (0, 0));
    }

    #[test]
    fn what_was_sent_leaves_its_memory_to_the_next_viewer_and_what_waits_keeps_it() {
        let spares = Spares::default();
        let [mut first, mut second] = [(); 2].map(|()| Outbox::new(at(0), spares.clone()));
        first.append(at(0)).extend([1; 5000]);
        let memory = first.waiting().as_ptr();
        first.took(4000, at(0));
        second.append(at(0)).extend([2; 5000]);
        assert_ne!(second.waiting().as_ptr(), memory);
        first.took(1000, at(0));
        let mut third = Outbox::new(at(0), spares);
        third.append(at(0)).extend([3; 10]);
        assert_eq!((third.waiting().as_ptr(), third.waiting()), (memory, &[3; 10][..]));
        assert_eq!(second.waiting(), [2; 5000]);
    }

    #[test]
    fn no_more_memory_is_kept_than_is_of_use() {
        let spares = Spares::default();
        let mut crowd: Vec<Outbox> = (0..100).map(|_| Outbox::new(at(0), spares.clone())).collect();
        crowd.iter_mut().for_each(|outbox| outbox.append(at(0)).extend([0; 100]));
        crowd.iter_mut().for_each(|outbox| outbox.took(100, at(0)));
        assert_eq!(spares.0.lock().unwrap().len(), SPARES);
    }
}
