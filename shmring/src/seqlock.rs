//! Bytes under a word that says whether a copy of them is whole. Atomics only, so that the model
//! checker runs this very file (`tests/model`).

use crate::sync::{AtomicU64, Ordering, fence};

/// Writer: `bytes` writes them; meanwhile the word says `meanwhile`, which no reader takes for whole.
#[inline(always)]
pub(crate) fn write(word: &AtomicU64, meanwhile: u64, then: u64, bytes: impl FnOnce()) {
    word.store(meanwhile, Ordering::Relaxed);
    fence(Ordering::Release);
    bytes();
    word.store(then, Ordering::Release);
}

/// Reader: `bytes` copies them. `None` while the word is not one of a whole block, or when it changed
/// during the copy.
#[inline(always)]
pub(crate) fn read<T>(
    word: &AtomicU64,
    is_whole: impl FnOnce(u64) -> bool,
    bytes: impl FnOnce() -> T,
) -> Option<T> {
    let before = word.load(Ordering::Acquire);
    if !is_whole(before) {
        return None;
    }
    let copy = bytes();
    fence(Ordering::Acquire);
    (word.load(Ordering::Relaxed) == before).then_some(copy)
}
