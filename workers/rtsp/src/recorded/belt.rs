//! What a reading thread has read ahead, for the thread of the sockets: bounded by bytes. The one waits for
//! room, the other never waits inside.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Read ahead for each who plays: some seconds of most cameras, and the disk's pauses are theirs no more.
pub const AHEAD_BYTES: usize = 2 << 20;

#[derive(Debug)]
struct Belt<T> {
    state: Mutex<State<T>>,
    room: Condvar,
    filled: Notify,
}

/// Invariant: `bytes` is what `items` weigh, and at most [`AHEAD_BYTES`] unless there is one item alone.
#[derive(Debug)]
struct State<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    has_giver: bool,
    has_taker: bool,
}

/// For the thread that reads. Dropping it is the end.
#[derive(Debug)]
pub struct Giver<T>(Arc<Belt<T>>);

/// For who plays. Dropping it ends the thread that reads.
#[derive(Debug)]
pub struct Taker<T>(Arc<Belt<T>>);

/// Nobody takes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// What there is to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given<T> {
    Item(T),
    /// It is still being read.
    NotYet,
    /// That was all.
    Over,
}

pub fn belt<T>() -> (Giver<T>, Taker<T>) {
    let state = State { items: VecDeque::new(), bytes: 0, has_giver: true, has_taker: true };
    let belt = Belt { state: Mutex::new(state), room: Condvar::new(), filled: Notify::new() };
    let belt = Arc::new(belt);
    (Giver(Arc::clone(&belt)), Taker(belt))
}

impl<T> Belt<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing under the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Giver<T> {
    /// Waits until there is room.
    pub fn give(&self, item: T, bytes: usize) -> Result<(), Gone> {
        let is_full = |state: &mut State<T>| {
            state.has_taker && !state.items.is_empty() && state.bytes + bytes > AHEAD_BYTES
        };
        let waited = self.0.room.wait_while(self.0.state(), is_full);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if !state.has_taker {
            return Err(Gone);
        }
        state.items.push_back((item, bytes));
        state.bytes += bytes;
        drop(state);
        self.0.filled.notify_one();
        Ok(())
    }

    pub fn is_wanted(&self) -> bool {
        self.0.state().has_taker
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        self.0.state().has_giver = false;
        self.0.filled.notify_one();
    }
}

impl<T> Taker<T> {
    pub fn take(&self) -> Given<T> {
        let mut state = self.0.state();
        match state.items.pop_front() {
            Some((item, bytes)) => {
                state.bytes -= bytes;
                drop(state);
                self.0.room.notify_one();
                Given::Item(item)
            }
            None if state.has_giver => Given::NotYet,
            None => Given::Over,
        }
    }

    /// Until something came, or the end. May wake for nothing; misses nothing that came meanwhile.
    pub async fn changed(&self) {
        self.0.filled.notified().await;
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.has_taker = false;
        state.items.clear();
        state.bytes = 0;
        drop(state);
        self.0.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_is_given_is_taken_in_order_and_then_it_is_over() {
        let (giver, taker) = belt();
        assert_eq!(taker.take(), Given::<u32>::NotYet);
        giver.give(1, 10).unwrap();
        giver.give(2, 10).unwrap();
        drop(giver);
        let taken = [taker.take(), taker.take(), taker.take()];
        assert_eq!(taken, [Given::Item(1), Given::Item(2), Given::Over]);
    }

    #[test]
    fn who_gives_waits_for_room_and_no_more_than_the_room_is_held() {
        let (giver, taker) = belt();
        let reading =
            thread::spawn(move || (0..100).all(|n| giver.give(n, AHEAD_BYTES / 3).is_ok()));
        let mut taken = 0;
        loop {
            let held = taker.0.state().bytes;
            assert!(held <= AHEAD_BYTES, "{held} bytes");
            match taker.take() {
                Given::Item(number) => {
                    assert_eq!(number, taken);
                    taken += 1;
                }
                Given::NotYet => thread::yield_now(),
                Given::Over => break,
            }
        }
        assert_eq!(taken, 100);
        assert!(reading.join().unwrap());
    }

    #[test]
    fn one_that_is_larger_than_the_room_passes_alone() {
        let (giver, taker) = belt();
        giver.give(1, AHEAD_BYTES * 3).unwrap();
        assert_eq!(taker.take(), Given::Item(1));
    }

    #[test]
    fn who_gives_learns_that_nobody_takes_also_while_it_waits() {
        let (giver, taker) = belt();
        giver.give(1, AHEAD_BYTES).unwrap();
        assert!(giver.is_wanted());
        let waiting = thread::spawn(move || giver.give(2, AHEAD_BYTES));
        drop(taker);
        assert_eq!(waiting.join().unwrap(), Err(Gone));
    }
}
