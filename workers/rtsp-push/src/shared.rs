//! What the worker's loop and the sender both hold. Nobody holds it while waiting for a server.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::stream::Track;
use shmring::clock;

use crate::backlog::{Backlog, Unit};
use crate::choice::Choice;
use crate::state::{State, Told};

#[derive(Debug, Default)]
pub(crate) struct Shared {
    held: Mutex<Held>,
    /// A unit came.
    came: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    backlog: Backlog,
    told: Told,
}

/// What a connection would begin with.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) tracks: Arc<[Track]>,
    pub(crate) payload: Vec<u8>,
}

impl Shared {
    pub(crate) fn push(&self, unit: Unit) {
        let now = clock::mono();
        let mut held = self.hold();
        held.backlog.push(unit, now);
        let dropped = held.backlog.dropped();
        held.told.has_dropped(dropped, now);
        drop(held);
        self.came.notify_one();
    }

    /// Packets are missing before the next one.
    pub(crate) fn hole(&self) {
        self.hold().backlog.hole();
    }

    /// Waits at most so long for something to begin with.
    pub(crate) fn begin(&self, wait: Duration) -> Option<Begin> {
        let held = self.wait(wait);
        let first = held.backlog.first()?;
        let (tracks, payload) = (Arc::clone(&first.tracks), first.packet.payload.clone());
        Some(Begin { tracks, payload })
    }

    /// Waits at most so long for the next unit.
    pub(crate) fn take(&self, wait: Duration) -> Option<Unit> {
        self.wait(wait).backlog.pop()
    }

    pub(crate) fn give_back(&self, unit: Unit) {
        self.hold().backlog.give_back(unit);
    }

    pub(crate) fn connected(&self, choice: &Choice) {
        let since = clock::mono();
        let mut held = self.hold();
        held.backlog.connect(since);
        held.told.state = State::Connected { since };
        held.told.left_out.clone_from(&choice.left_out);
        held.told.connections += 1;
    }

    pub(crate) fn disconnected(&self) {
        let mut held = self.hold();
        held.backlog.disconnect();
        held.told.state = State::Begun;
    }

    pub(crate) fn is(&self, state: State) {
        self.hold().told.state = state;
    }

    pub(crate) fn sent(&self, bytes: usize) {
        let mut held = self.hold();
        held.told.packets += 1;
        held.told.bytes += u64::try_from(bytes).unwrap_or(0);
    }

    pub(crate) fn told(&self) -> Told {
        self.hold().told.clone()
    }

    /// Whether a connection has not had everything yet.
    #[cfg(test)]
    pub(crate) fn is_behind(&self) -> bool {
        let held = self.hold();
        matches!(held.told.state, State::Connected { .. }) && held.backlog.first().is_some()
    }

    fn wait(&self, wait: Duration) -> MutexGuard<'_, Held> {
        let held = self.hold();
        if held.backlog.first().is_some() {
            return held;
        }
        let woken = self.came.wait_timeout(held, wait);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    fn hold(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
