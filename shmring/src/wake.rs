//! Waiting for a ring and waking its readers.
//!
//! The writer's side touches only words it owns: FUTEX_WAKE on a word that readers map read-only.
//! A semaphore or eventfd in a reader's hands could block or abort the writer; a read-only futex
//! word cannot. The "count" of the semaphore is derived: head minus cursor.

use std::time::Duration;

use protocol::time::MonoNs;
use rustix::io::Errno;
use rustix::thread::futex;

use crate::clock;
use crate::sync::{AtomicU32, Ordering};

/// Longest single sleep: what a lost wake-up (a writer killed between head and wake) costs at most,
/// and how often a reader looks whether its writer lives.
pub(crate) const SLICE: Duration = Duration::from_millis(250);

/// Most words one futex_waitv(2) takes (FUTEX_WAITV_MAX): 63 rings with both their bells, and one more.
const WORDS_MAX: usize = 128;
/// How long one part of more words than that is slept on before the caller looks at all of them: what
/// a bell of another part is heard later by, at most. 200 looks a second cost a processor nothing.
const TURN: Duration = Duration::from_millis(5);

/// Rings the bell.
pub(crate) fn ring(bell: &AtomicU32) {
    // PAIR bell: stands after the head or epoch it announces.
    bell.fetch_add(1, Ordering::Release);
    // Waking can only fail for a bad address, which a reference rules out.
    let _ = futex::wake(bell, futex::Flags::empty(), u32::MAX >> 1);
}

/// Wakes who sleeps on the bell of an epoch that is over, and leaves its memory as it is: nobody writes to
/// an epoch but the process that made it.
pub(crate) fn call(bell: &AtomicU32) {
    let _ = futex::wake(bell, futex::Flags::empty(), u32::MAX >> 1);
}

/// A reading of both bells, taken before looking at what they announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) ring: u32,
    pub(crate) anchor: u32,
}

impl Heard {
    pub(crate) fn now(ring: &AtomicU32, anchor: &AtomicU32) -> Self {
        // PAIR bell
        Self { ring: ring.load(Ordering::Acquire), anchor: anchor.load(Ordering::Acquire) }
    }
}

/// Sleeps until either bell differs from `heard`, a slice passes or `wait` is over.
pub(crate) fn wait(ring: &AtomicU32, anchor: &AtomicU32, heard: Heard, wait: Duration) {
    let until = clock::mono() + wait.min(SLICE);
    let words = [waiter(ring, heard.ring), waiter(anchor, heard.anchor)];
    if !sleep_on(&words, until) {
        wait_on_ring_only(ring, heard, wait);
    }
}

/// As [`wait`], where the writer of the next epoch calls who sleeps on this one's bell ([`call`]). One word
/// costs the kernel less than two, at each item.
///
/// A call changes no word, so one that comes after this last look at the anchor and before the kernel's look
/// at the bell is not heard. It is made again with the first items of the new epoch; at worst a slice passes.
pub(crate) fn wait_to_be_called(
    ring: &AtomicU32,
    anchor: &AtomicU32,
    heard: Heard,
    wait: Duration,
) {
    if anchor.load(Ordering::Acquire) == heard.anchor {
        sleep_on_one(ring, heard.ring, wait.min(SLICE));
    }
}

/// A word, and what was read from it before looking at what it announces.
pub(crate) type Word<'a> = (&'a AtomicU32, u32);

/// Sleeps until a word differs from what was read from it, or until `until`. Many words are slept on in
/// turns: it then returns early, and the caller looks at everything and comes again.
pub(crate) fn wait_for_any(words: &[Word<'_>], until: MonoNs) {
    let now = clock::mono();
    if words.is_empty() {
        return std::thread::sleep(until.saturating_since(now));
    }
    let (part, part_until) = turn(words, WORDS_MAX, now, until);
    let waiters: Vec<_> = part.iter().map(|(word, seen)| waiter(word, *seen)).collect();
    if !sleep_on(&waiters, part_until) {
        wait_for_one_of(words, now, until);
    }
}

/// As [`wait_on_ring_only`], for many words.
fn wait_for_one_of(words: &[Word<'_>], now: MonoNs, until: MonoNs) {
    let until = until.min(now + TURN);
    if let (&[(word, seen)], until) = turn(words, 1, now, until) {
        sleep_on_one(word, seen, until.saturating_since(now));
    }
}

/// Which of the words to sleep on now, at most `most` of them, and until when: the clock says whose turn
/// it is.
fn turn<T>(words: &[T], most: usize, now: MonoNs, until: MonoNs) -> (&[T], MonoNs) {
    if words.len() <= most {
        return (words, until);
    }
    let turns = now.0 / u64::try_from(TURN.as_nanos()).unwrap_or(1);
    let parts = words.len().div_ceil(most) as u64;
    let begin = usize::try_from(turns % parts).unwrap_or(0) * most;
    (&words[begin..words.len().min(begin + most)], until.min(now + TURN))
}

/// `false` when this kernel will not sleep on several words.
fn sleep_on(words: &[futex::Wait], until: MonoNs) -> bool {
    let deadline = futex::Timespec {
        tv_sec: i64::try_from(until.0 / protocol::time::NS_PER_S).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(until.0 % protocol::time::NS_PER_S).unwrap_or(0),
    };
    let flags = futex::WaitvFlags::empty();
    let slept = futex::waitv(words, flags, Some(&deadline), futex::ClockId::Monotonic);
    matches!(slept, Ok(_) | Err(Errno::AGAIN | Errno::TIMEDOUT | Errno::INTR))
}

/// For kernels before 5.16, filters without futex_waitv, and want of kernel memory, so that none of
/// them makes a waiting reader spin. A new epoch is then seen a little later.
fn wait_on_ring_only(ring: &AtomicU32, heard: Heard, wait: Duration) {
    sleep_on_one(ring, heard.ring, wait.min(Duration::from_millis(20)));
}

fn sleep_on_one(word: &AtomicU32, seen: u32, wait: Duration) {
    let timeout = futex::Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(wait.subsec_nanos()),
    };
    let _ = futex::wait(word, futex::Flags::empty(), seen, Some(&timeout));
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
        assert!(ends_at_once(|| wait_on_ring_only(&ring, heard, SLICE)));
    }

    #[test]
    fn every_word_of_many_has_its_turn_and_no_turn_is_longer_than_the_wait() {
        let words: Vec<u32> = (0..300).collect();
        let mut slept_on = std::collections::BTreeSet::<u32>::new();
        for turns in 0..3 {
            let now = MonoNs(0) + TURN * turns;
            let (part, until) = turn(&words, WORDS_MAX, now, now + SLICE);
            assert!(part.len() <= WORDS_MAX && until == now + TURN);
            slept_on.extend(part);
        }
        assert_eq!(slept_on.len(), 300);
        let now = MonoNs(7);
        assert_eq!(turn(&words, WORDS_MAX, now, MonoNs(9)).1, MonoNs(9));
        assert_eq!(turn(&words[..128], WORDS_MAX, now, now + SLICE), (&words[..128], now + SLICE));
    }

    #[test]
    fn a_wait_for_many_words_sleeps_its_turn_and_ends_with_any_bell_of_that_turn() {
        let bells: Vec<AtomicU32> = (0..300).map(|_| AtomicU32::new(3)).collect();
        let heard: Vec<Word<'_>> = bells.iter().map(|bell| (bell, 3)).collect();
        for sleep in [wait_for_any, |words: &[Word<'_>], until| {
            wait_for_one_of(words, clock::mono(), until);
        }] {
            let before = clock::mono();
            sleep(&heard, before + SLICE);
            assert!(clock::mono().saturating_since(before) >= TURN - Duration::from_millis(1));
        }
        bells.iter().for_each(super::ring);
        assert!(ends_at_once(|| wait_for_any(&heard, clock::mono() + SLICE)));
    }

    #[test]
    fn a_wait_ends_with_its_time_and_with_either_bell() {
        let (ring, anchor) = (AtomicU32::new(0), AtomicU32::new(0));
        let heard = Heard::now(&ring, &anchor);
        let before = crate::clock::mono();
        wait(&ring, &anchor, heard, Duration::from_millis(10));
        assert!(crate::clock::mono().saturating_since(before) >= Duration::from_millis(9));
        super::ring(&anchor);
        assert!(ends_at_once(|| wait(&ring, &anchor, heard, SLICE)));
    }

    /// A wait that sleeps takes a turn or a slice each time; one that does not may be held up now and then.
    fn ends_at_once(wait: impl Fn()) -> bool {
        (0..20).any(|_| {
            let before = clock::mono();
            wait();
            clock::mono().saturating_since(before) < TURN / 2
        })
    }
}
