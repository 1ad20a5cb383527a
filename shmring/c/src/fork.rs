//! A forked child gives up its share of every lock of a ring, as soon as it runs.

use std::sync::Once;

use crate::error::quietly;

/// To be called before the first handle is made.
pub(crate) fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // SAFETY: the handler keeps to what a child may do with the C library of this system (see there),
        // and stays in place as long as this library: unloading it takes its handlers away
        // (pthread_atfork is bound to the library that calls it). Without memory for it, a child keeps
        // its share until it ends or execs.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Looks into /proc and allocates: POSIX forbids that to the child of a process with several threads,
/// glibc and musl allow it, their allocators being whole again before these handlers run. Programs that
/// are started with posix_spawn, vfork or system never come here.
extern "C" fn in_child() {
    quietly(shmring::fork::let_go);
}
