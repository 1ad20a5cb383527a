//! The word by which a reader notices that it was let go of. Atomics only, so that the model checker
//! runs this very file (`tests/model`).

use crate::seqlock;
use crate::sync::{AtomicU64, Ordering, fence};

/// Writer: `entry` writes what the reader is to be told.
pub(crate) fn tell(lock: &AtomicU64, entry: impl FnOnce()) {
    let even = lock.load(Ordering::Relaxed) & !1;
    seqlock::write(lock, even + 1, even + 2, entry);
    // PAIR evicted: stands before the floor or version that takes anything away.
    fence(Ordering::Release);
}

/// Reader: changes with each eviction. Looked at after the floor or version.
pub(crate) fn count(lock: &AtomicU64) -> u64 {
    // PAIR evicted
    lock.load(Ordering::Acquire)
}
