//! Ends a read of FFmpeg's that gives no picture: FFmpeg asks it many times a second while it waits.
//!
//! It watches pictures, not bytes: a camera whose encoder hangs goes on answering keep-alives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use protocol::time::MonoNs;
use shmring::clock;

use crate::rtsp::PATIENCE;

/// For a goodbye to the camera, which frees its session.
const GOODBYE: Duration = Duration::from_millis(300);

/// Shared by a reader and the interrupt it gives to FFmpeg, both on one thread.
#[derive(Clone, Debug)]
pub(crate) struct Watchdog {
    stop: Arc<AtomicBool>,
    leaving: Arc<AtomicBool>,
    deadline_ns: Arc<AtomicU64>,
}

impl Watchdog {
    pub(crate) fn new(stop: Arc<AtomicBool>, now: MonoNs) -> Self {
        let deadline_ns = Arc::new(AtomicU64::new((now + PATIENCE).0));
        Self { stop, leaving: Arc::default(), deadline_ns }
    }

    /// A picture came.
    pub(crate) fn feed(&self, now: MonoNs) {
        self.deadline_ns.store((now + PATIENCE).0, Ordering::Relaxed);
    }

    /// The connection is about to be closed in good order.
    pub(crate) fn leave(&self, now: MonoNs) {
        self.leaving.store(true, Ordering::Relaxed);
        self.deadline_ns.store((now + GOODBYE).0, Ordering::Relaxed);
    }

    /// Whether the silence, not a stop, is why a read ended.
    pub(crate) fn has_expired(&self, now: MonoNs) -> bool {
        now.0 > self.deadline_ns.load(Ordering::Relaxed)
    }

    pub(crate) fn interrupt(&self) -> media::Interrupt {
        let dog = self.clone();
        Box::new(move || {
            let stopped = dog.stop.load(Ordering::Relaxed) && !dog.leaving.load(Ordering::Relaxed);
            stopped || dog.has_expired(clock::mono())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_barks_when_no_picture_came_for_long() {
        let start = MonoNs(5);
        let dog = Watchdog::new(Arc::default(), start);
        assert!(!dog.has_expired(start + PATIENCE));
        assert!(dog.has_expired(start + PATIENCE + Duration::from_nanos(1)));
        dog.feed(start + PATIENCE);
        assert!(!dog.has_expired(start + 2 * PATIENCE));
    }

    #[test]
    fn a_stop_ends_a_read_but_not_the_goodbye() {
        let stop = Arc::new(AtomicBool::new(true));
        let dog = Watchdog::new(stop, clock::mono());
        let mut interrupt = dog.interrupt();
        assert!(interrupt());
        dog.leave(clock::mono());
        assert!(!interrupt());
    }
}
