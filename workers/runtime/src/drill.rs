//! A drill of the supervisor: this process is to look hung. Its heart beats on, its loop makes no further
//! step and none of its inputs gives anything, in whichever thread it is read; so nobody but the
//! supervisor's watch over progress can find it.

use std::sync::atomic::{AtomicBool, Ordering};

/// Of the process, since threads read inputs without knowing the context. Never lifted: the process ends.
static HANGS: AtomicBool = AtomicBool::new(false);

/// Only the supervisor asks for it, over the control link.
pub(crate) fn hang() {
    tracing::warn!("drill: hangs from now on");
    HANGS.store(true, Ordering::Relaxed);
}

pub(crate) fn hangs() -> bool {
    HANGS.load(Ordering::Relaxed)
}
