//! Waiting for a ring and waking its readers.
//!
//! The writer's side touches only words it owns: FUTEX_WAKE on a word that readers map read-only.
//! A semaphore or eventfd in a reader's hands could block or abort the writer; a read-only futex
//! word cannot. The "count" of the semaphore is derived: head minus cursor.

use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex;

use crate::sync::{AtomicU32, Ordering};

/// Longest single sleep: what a lost wake-up (a writer killed between head and wake) costs at most,
/// and how often a reader looks whether its writer lives.
pub(crate) const SLICE: Duration = Duration::from_millis(250);

/// Rings the bell.
pub(crate) fn ring(bell: &AtomicU32) {
    // PAIR bell: stands after the head or epoch it announces.
    bell.fetch_add(1, Ordering::Release);
    // Waking can only fail for a bad address, which a reference rules out.
    let _ = futex::wake(bell, futex::Flags::empty(), u32::MAX >> 1);
}

/// A reading of both bells, taken before looking at what they announce.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    ring: u32,
    anchor: u32,
}

impl Heard {
    pub(crate) fn now(ring: &AtomicU32, anchor: &AtomicU32) -> Self {
        // PAIR bell
        Self { ring: ring.load(Ordering::Acquire), anchor: anchor.load(Ordering::Acquire) }
    }
}

/// Sleeps until either bell differs from `heard`, a slice passes or `wait` is over.
pub(crate) fn wait(ring: &AtomicU32, anchor: &AtomicU32, heard: Heard, wait: Duration) {
    let until = crate::clock::mono() + wait.min(SLICE);
    let deadline = futex::Timespec {
        tv_sec: i64::try_from(until.0 / protocol::time::NS_PER_S).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(until.0 % protocol::time::NS_PER_S).unwrap_or(0),
    };
    let words = [waiter(ring, heard.ring), waiter(anchor, heard.anchor)];
    let flags = futex::WaitvFlags::empty();
    match futex::waitv(&words, flags, Some(&deadline), futex::ClockId::Monotonic) {
        Ok(_) | Err(Errno::AGAIN | Errno::TIMEDOUT | Errno::INTR) => {}
        Err(_) => wait_on_ring_only(ring, heard, wait),
    }
}

/// For kernels before 5.16, filters without futex_waitv, and want of kernel memory, so that none of
/// them makes a waiting reader spin. A new epoch is then seen a little later.
fn wait_on_ring_only(ring: &AtomicU32, heard: Heard, wait: Duration) {
    let slice = wait.min(Duration::from_millis(20));
    let timeout = futex::Timespec { tv_sec: 0, tv_nsec: i64::from(slice.subsec_nanos()) };
    let _ = futex::wait(ring, futex::Flags::empty(), heard.ring, Some(&timeout));
}

fn waiter(word: &AtomicU32, seen: u32) -> futex::Wait {
    let mut waiter = futex::Wait::new();
    waiter.val = u64::from(seen);
    waiter.uaddr = futex::WaitPtr::new(word.as_ptr().cast());
    // Without PRIVATE: the word is shared between processes.
    waiter.flags = futex::WaitFlags::SIZE_U32;
    waiter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_futex_waitv_a_reader_still_sleeps_and_is_woken() {
        let (ring, anchor) = (AtomicU32::new(7), AtomicU32::new(0));
        let heard = Heard::now(&ring, &anchor);
        let before = crate::clock::mono();
        wait_on_ring_only(&ring, heard, Duration::from_millis(10));
        assert!(crate::clock::mono().saturating_since(before) >= Duration::from_millis(9));
        super::ring(&ring);
        let before = crate::clock::mono();
        for _ in 0..100 {
            wait_on_ring_only(&ring, heard, Duration::from_secs(1));
        }
        assert!(crate::clock::mono().saturating_since(before) < Duration::from_secs(1));
    }

    #[test]
    fn a_wait_ends_with_its_time_and_with_either_bell() {
        let (ring, anchor) = (AtomicU32::new(0), AtomicU32::new(0));
        let heard = Heard::now(&ring, &anchor);
        let before = crate::clock::mono();
        wait(&ring, &anchor, heard, Duration::from_millis(10));
        assert!(crate::clock::mono().saturating_since(before) >= Duration::from_millis(9));
        super::ring(&anchor);
        let before = crate::clock::mono();
        wait(&ring, &anchor, heard, SLICE);
        assert!(crate::clock::mono().saturating_since(before) < SLICE / 2);
    }
}
