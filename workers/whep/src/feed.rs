//! One camera as its viewers see it: what is served of it, and the newest units. Written by the thread that
//! reads its ring, read by the hub; the lock is held for a few pointer moves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::formats::Lineup;
use crate::recent::{Cursor, Recent, Taken};
use crate::unit::Unit;

/// A camera.
#[derive(Debug)]
pub(crate) struct Feed {
    state: Mutex<State>,
    /// Told of every change.
    hub: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    shown: Shown,
    /// Rises when what is served changes: viewers of an older one cannot go on.
    edition: u64,
    recent: Recent,
    /// Whether its reader has come to the end of what the ring had: before that nobody knows what is live.
    is_current: bool,
}

/// What may be watched.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    /// Nothing has come so far, for this reason.
    Nothing {
        why: String,
    },
    Ready {
        edition: u64,
        lineup: Arc<Lineup>,
    },
    /// It cannot be carried, for this reason.
    Unfit {
        why: String,
    },
}

impl Feed {
    pub(crate) fn new(hub: Arc<Notify>) -> Self {
        let shown = Shown::Nothing { why: "its ring has not been read yet".to_owned() };
        let state = State { shown, edition: 0, recent: Recent::default(), is_current: false };
        Self { state: Mutex::new(state), hub }
    }

    pub(crate) fn shown(&self) -> Shown {
        self.state().shown.clone()
    }

    /// Says why nothing comes, to those for whom nothing has come.
    pub(crate) fn lacks(&self, why: &str) {
        let mut state = self.state();
        if let Shown::Nothing { why: before } = &mut state.shown
            && before.as_str() != why
        {
            why.clone_into(before);
        }
    }

    /// Says what is served from now on. Viewers go on if it is what was served before.
    pub(crate) fn present(&self, lineup: Lineup) {
        let mut state = self.state();
        let continues = match &state.shown {
            Shown::Ready { lineup: before, .. } => lineup.continues(before),
            _ => false,
        };
        if !continues {
            state.edition += 1;
            state.recent = Recent::default();
        }
        let edition = state.edition;
        state.shown = match lineup.unfit() {
            Some(why) => Shown::Unfit { why },
            None => Shown::Ready { edition, lineup: Arc::new(lineup) },
        };
        drop(state);
        self.hub.notify_one();
    }

    /// Says that it cannot be carried after all: nobody can go on.
    pub(crate) fn unfit(&self, why: &str) {
        let mut state = self.state();
        state.edition += 1;
        state.recent = Recent::default();
        state.shown = Shown::Unfit { why: why.to_owned() };
        drop(state);
        self.hub.notify_one();
    }

    pub(crate) fn publish(&self, unit: Unit) {
        self.state().recent.push(Arc::new(unit));
        self.hub.notify_one();
    }

    /// Its reader has read all there is.
    pub(crate) fn is_read(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.is_current, true) {
            drop(state);
            self.hub.notify_one();
        }
    }

    /// From the newest key frame, or from the next one; `None` while older packets of the ring are still read.
    pub(crate) fn join(&self) -> Option<Cursor> {
        let state = self.state();
        state.is_current.then(|| state.recent.join())
    }

    /// From the next key frame.
    pub(crate) fn wait(&self) -> Cursor {
        self.state().recent.wait()
    }

    /// What a viewer of `edition` is given next; `None` when another one is served.
    pub(crate) fn take(&self, edition: u64, cursor: &mut Cursor) -> Option<Taken> {
        let state = self.state();
        (state.edition == edition).then(|| state.recent.take(cursor))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way; a poisoned lock still guards whole data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
