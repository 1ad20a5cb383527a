//! A descriptor for programs that wait in poll(2), epoll(7) or an event loop built on them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use super::{Shared, helper, lock};
use crate::error::Error;
use crate::fork::Unshared;
use crate::sync::Ordering;

/// A descriptor that is readable while the reader's `next` has something to say: an item, a new epoch, the
/// end, or that the writer was lost. Dropping it ends that.
///
/// It is level-triggered: it stays readable until `next` has taken or told everything, or until
/// [`Self::clear`]. Many publishes make it readable once. It may be readable though nothing is left, when
/// the last item was taken in the same moment; the `next` that then says `Quiet` puts that right, so a loop
/// of poll and `next(Duration::ZERO)` neither misses anything nor spins.
///
/// ```no_run
/// # use std::time::Duration;
/// # use rustix::event::{PollFd, PollFlags, poll};
/// # fn watch(reader: &mut shmring::FrameReader) -> Result<(), Box<dyn std::error::Error>> {
/// let pollable = reader.pollable()?;
/// loop {
///     poll(&mut [PollFd::new(&pollable, PollFlags::IN)], None)?;
///     while let shmring::Next::Item(frame) = reader.next(Duration::ZERO)? {
///         println!("{}", frame.sequence());
///     }
/// }
/// # }
/// ```
///
/// One thread of this process, which lives while there are pollables, sleeps on the bells of all their
/// rings; the descriptor leads nowhere outside the process. Once the reader is dropped it stays readable,
/// as at the end of a file. In a forked child it is never readable: make one of a reader attached there.
#[derive(Debug)]
pub struct Pollable {
    shared: Arc<Shared>,
    event: Arc<Event>,
}

impl Pollable {
    pub(crate) fn of(shared: &Arc<Shared>) -> Result<Self, Error> {
        shared.birth.check()?;
        let event = Arc::new(Event::new(shared)?);
        lock(&shared.events).push(Arc::clone(&event));
        shared.has_events.store(true, Ordering::Relaxed);
        // From here on its drop tidies up.
        let pollable = Self { shared: Arc::clone(shared), event };
        helper::watch(shared, &pollable.event)?;
        Ok(pollable)
    }

    /// Makes it unreadable until something further comes. What is there already is then to be taken until
    /// `next` says `Quiet`; what was forgotten makes it readable again within a quarter of a second.
    pub fn clear(&self) {
        if self.shared.birth.is_here() {
            self.event.empty();
        }
    }
}

impl AsFd for Pollable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.descriptor.as_fd()
    }
}

impl Drop for Pollable {
    fn drop(&mut self) {
        if !self.shared.birth.is_here() {
            return;
        }
        helper::forget(|event| Arc::ptr_eq(event, &self.event));
        let mut events = lock(&self.shared.events);
        events.retain(|event| !Arc::ptr_eq(event, &self.event));
        self.shared.has_events.store(!events.is_empty(), Ordering::Relaxed);
    }
}

/// An eventfd: readable while its count is not 0.
#[derive(Debug)]
pub(super) struct Event {
    _unshared: Unshared,
    descriptor: OwnedFd,
}

impl Event {
    fn new(shared: &Shared) -> Result<Self, Error> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let descriptor = eventfd(0, flags).map_err(|source| Error::NoSignal {
            ring: shared.ring.clone(),
            source: nix::Error::from_raw(source.raw_os_error()),
        })?;
        Ok(Self { _unshared: Unshared::descriptor(&descriptor), descriptor })
    }

    pub(super) fn fill(&self) {
        // PAIR event. Refused only when the count is at its highest: then it is readable.
        let _ = rustix::io::write(&self.descriptor, &1u64.to_ne_bytes());
    }

    pub(super) fn empty(&self) {
        // Refused only when the count is 0.
        let _ = rustix::io::read(&self.descriptor, &mut [0; 8]);
    }
}
