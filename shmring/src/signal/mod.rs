//! Waiting on a reader's behalf: for many readers at once, from another thread, or through a file
//! descriptor.
//!
//! All of it is derived from words that the writer owns and readers map read-only (pair `bell`): the
//! writer knows nothing of who waits and cannot be held up by it. Nothing can overflow, be stolen or be
//! lost with a process, because nothing is kept: how much there is, is head minus cursor.
//!
//! ```text
//!   FrameReader ─ Signal ─┐ moves on         ┌─ Semaphore      (any thread: sleeps on the bells itself)
//!                         ├─> Shared ─ Outlook ─ wait_any      (the bells of many)
//!   eventfd <─ Helper ────┘                  └─ Pollable       (one thread a process sleeps for all)
//! ```

mod any;
mod helper;
mod outlook;
mod pollable;
mod semaphore;
mod settle;

pub use any::{Waitable, wait_any};
pub use pollable::Pollable;
pub use semaphore::Semaphore;

pub(crate) use any::sealed;
pub(crate) use outlook::{Outlook, Progress};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::name::RingName;
use protocol::time::MonoNs;

use crate::anchor::{AnchorView, IndexView};
use crate::clock;
use crate::error::Error;
use crate::fork::Birth;
use crate::sync::{AtomicBool, Ordering};
use crate::wake::Heard;
use pollable::Event;

/// The reader's end: it says where the reader is, and keeps its pollables true to that.
#[derive(Debug)]
pub(crate) struct Signal {
    shared: Arc<Shared>,
    now: Arc<Outlook>,
}

/// What a reader shares with all that wait for it.
#[derive(Debug)]
pub struct Shared {
    ring: RingName,
    birth: Birth,
    /// `None` once the reader is gone.
    outlook: Mutex<Option<Arc<Outlook>>>,
    events: Mutex<Vec<Arc<Event>>>,
    /// Whether there are any, so that a reader without takes no lock.
    has_events: AtomicBool,
}

impl Signal {
    pub(crate) fn new(
        ring: &RingName,
        anchor: &Arc<AnchorView>,
        index: &Arc<IndexView>,
        progress: Progress,
    ) -> Self {
        let now = Arc::new(Outlook::new(Arc::clone(anchor), Arc::clone(index), progress));
        let shared = Shared {
            ring: ring.clone(),
            birth: Birth::here(),
            outlook: Mutex::new(Some(Arc::clone(&now))),
            events: Mutex::default(),
            has_events: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), now }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// An error in a forked child: page, locks and cursor are its parent's.
    #[inline(always)]
    pub(crate) fn check_process(&self) -> Result<(), Error> {
        self.shared.birth.check()
    }

    pub(crate) fn hear(&self) -> Heard {
        self.now.hear()
    }

    /// Sleeps until something is rung after it was `heard`, a slice passes or `wait` is over.
    pub(crate) fn wait(&self, heard: Heard, wait: Duration) {
        self.now.wait(heard, wait);
    }

    /// The reader goes on in another epoch.
    pub(crate) fn enter(
        &mut self,
        anchor: &Arc<AnchorView>,
        index: &Arc<IndexView>,
        progress: Progress,
    ) {
        self.now = Arc::new(Outlook::new(Arc::clone(anchor), Arc::clone(index), progress));
        *lock(&self.shared.outlook) = Some(Arc::clone(&self.now));
        if self.has_events() {
            helper::kick();
        }
    }

    /// The reader stays in its epoch, perhaps under another anchor.
    pub(crate) fn listen_to(
        &mut self,
        anchor: &Arc<AnchorView>,
        index: &Arc<IndexView>,
        progress: Progress,
    ) {
        if !Arc::ptr_eq(anchor, &self.now.anchor) {
            self.enter(anchor, index, progress);
        }
    }

    #[inline(always)]
    pub(crate) fn set_progress(&self, progress: Progress) {
        self.now.set_progress(progress);
    }

    /// Whether the reader has something to say that is not in the ring.
    pub(crate) fn set_owes(&self, owes: bool) {
        self.now.set_owes(owes);
    }

    /// Until then the reader takes nothing, though something be there.
    pub(crate) fn set_not_before(&self, until: MonoNs) {
        self.now.set_not_before(until);
    }

    /// The reader has told something. There may be more.
    #[inline(always)]
    pub(crate) fn told_something(&self) {
        if self.has_events() {
            self.told_with_events();
        }
    }

    #[cold]
    fn told_with_events(&self) {
        if !self.now.has_news(clock::mono()) {
            self.settle_events();
        }
    }

    /// The reader has looked, after it heard this, and there was nothing; not even something to rest
    /// before.
    pub(crate) fn found_nothing(&self, heard: Heard) {
        self.now.set_found_nothing(heard);
        if self.has_events() {
            self.settle_events();
        }
    }

    /// The reader has looked and takes nothing yet.
    pub(crate) fn rests(&self) {
        if self.has_events() {
            self.settle_events();
        }
    }

    pub(crate) fn told_end(&self, heard: Heard) {
        self.now.set_told_end();
        self.found_nothing(heard);
    }

    /// The reader has told that the ring is gone.
    pub(crate) fn told_gone(&self, heard: Heard) {
        self.now.set_told_gone();
        self.found_nothing(heard);
    }

    #[inline(always)]
    fn has_events(&self) -> bool {
        self.shared.has_events.load(Ordering::Relaxed)
    }

    /// Makes the descriptors say what is.
    #[cold]
    fn settle_events(&self) {
        let events = lock(&self.shared.events);
        settle::settle(
            || events.iter().for_each(|event| event.empty()),
            || self.now.has_news(clock::mono()),
            || events.iter().for_each(|event| event.fill()),
        );
        if self.now.rests_until(clock::mono()).is_some() {
            helper::kick();
        }
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        if !self.shared.birth.is_here() {
            return;
        }
        *lock(&self.shared.outlook) = None;
        let events = std::mem::take(&mut *lock(&self.shared.events));
        if !events.is_empty() {
            helper::forget(|event| events.iter().any(|gone| Arc::ptr_eq(gone, event)));
            events.iter().for_each(|event| event.fill());
        }
    }
}

impl Shared {
    /// `None` when the reader is gone, or another process's.
    pub(crate) fn outlook(&self) -> Option<Arc<Outlook>> {
        // The process first: a lock that was held at a fork is held in the child for ever.
        if self.birth.is_here() { lock(&self.outlook).clone() } else { None }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here panics half way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
