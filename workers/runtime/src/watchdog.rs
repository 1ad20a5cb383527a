//! Ends a call that waits too long for somebody elsewhere: who waits asks it many times a second.
//!
//! It watches what is wanted, not bytes: a camera whose encoder hangs goes on answering keep-alives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use protocol::time::MonoNs;
use shmring::clock;

/// Shared by who calls and the interrupt of its calls, both on one thread.
#[derive(Clone, Debug)]
pub struct Watchdog {
    stop: Arc<AtomicBool>,
    patience_ns: Arc<AtomicU64>,
    leaving: Arc<AtomicBool>,
    deadline_ns: Arc<AtomicU64>,
}

impl Watchdog {
    /// `stop` ends all waits but a goodbye.
    pub fn new(stop: Arc<AtomicBool>, patience: Duration, now: MonoNs) -> Self {
        let (patience_ns, deadline_ns) = (Arc::default(), Arc::default());
        let dog = Self { stop, patience_ns, leaving: Arc::default(), deadline_ns };
        dog.be_patient(patience, now);
        dog
    }

    /// From `now` on each wait may take so long.
    pub fn be_patient(&self, patience: Duration, now: MonoNs) {
        let ns = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        self.patience_ns.store(ns, Ordering::Relaxed);
        self.feed(now);
    }

    /// How long each wait may take now.
    pub fn patience(&self) -> Duration {
        Duration::from_nanos(self.patience_ns.load(Ordering::Relaxed))
    }

    /// What is watched has happened; the next time may take as long.
    pub fn feed(&self, now: MonoNs) {
        self.deadline_ns.store((now + self.patience()).0, Ordering::Relaxed);
    }

    /// The connection is about to be closed in good order.
    pub fn leave(&self, now: MonoNs, goodbye: Duration) {
        self.leaving.store(true, Ordering::Relaxed);
        self.deadline_ns.store((now + goodbye).0, Ordering::Relaxed);
    }

    /// Whether the silence, not a stop, is why a call ended.
    pub fn has_expired(&self, now: MonoNs) -> bool {
        now.0 > self.deadline_ns.load(Ordering::Relaxed)
    }

    /// True once the wait is to end.
    pub fn interrupt(&self) -> Box<dyn FnMut() -> bool + Send> {
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

    const PATIENCE: Duration = Duration::from_secs(9);

    #[test]
    fn it_barks_when_nothing_has_happened_for_long() {
        let start = MonoNs(5);
        let dog = Watchdog::new(Arc::default(), PATIENCE, start);
        assert!(!dog.has_expired(start + PATIENCE));
        assert!(dog.has_expired(start + PATIENCE + Duration::from_nanos(1)));
        dog.feed(start + PATIENCE);
        assert!(!dog.has_expired(start + 2 * PATIENCE));
    }

    #[test]
    fn a_stop_ends_a_call_but_not_the_goodbye() {
        let stop = Arc::new(AtomicBool::new(true));
        let dog = Watchdog::new(stop, PATIENCE, clock::mono());
        let mut interrupt = dog.interrupt();
        assert!(interrupt());
        dog.leave(clock::mono(), PATIENCE);
        assert!(!interrupt());
    }
}
