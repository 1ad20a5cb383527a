//! The protocol of claiming a slot and taking it back: a reader's half and the writer's half. Atomics
//! only, so that the model checker runs this very file (`tests/model`).

use crate::sync::{AtomicU64, Ordering, fence, spin_loop};

/// Reader: claims a slot under `token`, which `write` puts where the writer reads it, and looks whether its version is still that one. `false`: the
/// slot is no longer that picture's; the claim is to be ended all the same. `looks` is how often a
/// slot that the writer is asking for is looked at again: it may find the claim and put it back.
#[inline(always)]
pub(crate) fn claim(write: impl FnOnce(u64), version: &AtomicU64, token: u64, looks: u32) -> bool {
    if is_asked_for(token) {
        return false;
    }
    write(token);
    // PAIR pin: the writer fences between marking the version and reading hazards.
    fence(Ordering::SeqCst);
    for _ in 0..looks {
        // PAIR version
        let seen = version.load(Ordering::Acquire);
        if seen == token {
            return true;
        }
        if seen != asked_for(token) {
            return false;
        }
        spin_loop();
    }
    false
}

/// Reader: ends a claim, whether it was granted or not.
#[inline]
pub(crate) fn unclaim(write: impl FnOnce(u64)) {
    // PAIR unpin: no read of the slot moves behind this.
    fence(Ordering::Release);
    write(0);
}

/// Writer: takes a slot from readers and makes its version `next`, unless `is_claimed` finds a claim
/// on its present one.
pub(crate) fn reclaim(
    version: &AtomicU64,
    next: u64,
    is_claimed: impl FnOnce(u64) -> bool,
) -> bool {
    let token = version.load(Ordering::Relaxed);
    // A reader that claims from here on fails its second look.
    version.store(asked_for(token), Ordering::Relaxed);
    // PAIR pin
    fence(Ordering::SeqCst);
    if is_claimed(token) {
        version.store(token, Ordering::Release);
        return false;
    }
    // PAIR unpin
    fence(Ordering::Acquire);
    // PAIR version
    version.store(next, Ordering::Release);
    true
}

/// Versions of slots that hold their content are even.
fn asked_for(token: u64) -> u64 {
    token | 1
}

fn is_asked_for(token: u64) -> bool {
    token & 1 == 1
}
