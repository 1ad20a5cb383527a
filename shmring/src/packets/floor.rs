//! The word that says which part of the log may still be read. Atomics only, so that the model checker
//! runs this very file (`tests/model`).

use crate::sync::{AtomicU64, Ordering, fence};

/// Writer: forbids everything below `position`, before any of it is overwritten.
pub(crate) fn raise(floor: &AtomicU64, position: u64) {
    // PAIR floor. The release of the store itself orders it behind the head stored before.
    floor.store(position, Ordering::Release);
    fence(Ordering::Release);
}

/// Reader: where the log begins by now. What was copied before from there or above is whole.
pub(crate) fn after_copy(floor: &AtomicU64) -> u64 {
    // PAIR floor
    fence(Ordering::Acquire);
    floor.load(Ordering::Acquire)
}
