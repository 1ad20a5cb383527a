//! A reader's semaphore, for other threads.

use std::sync::Arc;

use protocol::time::MonoNs;

use super::any::wait_until;
use super::{Shared, sealed};

/// The count of what a ring holds for one reader, as a semaphore that any thread may wait for while the
/// reader reads in its own.
///
/// Taking is the reader's `next`, and that is what counts it down: the count is head minus cursor, so it
/// can neither overflow nor be taken by somebody else, and whoever is killed while waiting leaves no
/// trace. It follows the reader into each new epoch.
///
/// A wait is over when `next` has something to say: an item, a new epoch, the end, or that the writer was
/// lost (found out within a quarter of a second, as nobody rings a bell for it).
#[derive(Clone, Debug)]
pub struct Semaphore(Arc<Shared>);

impl Semaphore {
    pub(crate) fn of(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }

    /// Items published and not yet taken or told as missed; 0 once the reader is gone.
    pub fn count(&self) -> u64 {
        self.0.outlook().map_or(0, |outlook| outlook.count())
    }

    /// Waits as long as it takes. `false`: the reader was dropped (noticed within a quarter of a second),
    /// or this is a forked child of its process.
    pub fn wait(&self) -> bool {
        self.wait_until(MonoNs(u64::MAX))
    }

    /// Whether there is something now.
    pub fn try_wait(&self) -> bool {
        self.wait_until(MonoNs(0))
    }

    /// As [`Self::wait`]; also `false` when there was nothing until `deadline`.
    pub fn wait_until(&self, deadline: MonoNs) -> bool {
        !wait_until(&[&self.0], deadline).is_empty()
    }
}

impl sealed::Signalling for Semaphore {
    fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}
