//! The writer's hold on a ring: its lock, its anchor, and the birth of an epoch.
//!
//! Order of a birth, each step safe to die after:
//! 1. the ring is held (one writer a ring) and what dead writers left half done cleared away;
//! 2. anchor and lease pages exist;
//! 3. the index is built and locked unseen, then linked;
//! 4. the anchor names the epoch, its bell rings;
//! 5. epochs before the previous one are unlinked.
//!
//! A dead writer's memory is never written again: its successor starts a new epoch in new files.

use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::time::MonoNs;

use crate::anchor::{PLACES_MAX, write_header};
use crate::clock;
use crate::error::{Error, io};
use crate::fork::Birth;
use crate::layout::{index, memory};
use crate::lease;
use crate::lock::Locked;
use crate::segment::Mapping;
use crate::segments::{self, Epochs, Hold, Part};
use crate::sync::{AtomicU32, Ordering};
use crate::wake;

/// How long the epoch before stays findable, so that a restarting recorder can finish it.
const PREVIOUS_STAYS: Duration = Duration::from_secs(30);

/// What the index of an epoch must hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexShape {
    /// Bytes of the index file, without a table of evictions.
    pub(crate) bytes: usize,
    pub(crate) quota: u32,
    pub(crate) slots: u32,
    pub(crate) descriptors: u32,
    pub(crate) log_bytes: u64,
    /// `layout::memory`.
    pub(crate) memory: u32,
}

/// How often readers of the epoch before are called: at once, and with the first items, for one of them may
/// have been between its last look and its sleep.
const CALLS: u32 = 5;

/// The epoch before this one, as those sleep on it who read it.
#[derive(Debug)]
struct Called {
    index: Mapping,
    /// Not 0.
    left: u32,
}

/// A ring held for writing, with one epoch of it begun but not yet announced.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) hold: Arc<dyn Hold>,
    pub(crate) epoch: u64,
    pub(crate) index: Mapping,
    pub(crate) places: u32,
    announced: bool,
    previous: Option<(u64, MonoNs)>,
    drop_previous_at_once: bool,
    /// While its readers may not have heard yet that it is over.
    called: Option<Called>,
    birth: Birth,
    /// Held for its lock.
    _epoch_lock: Locked,
}

impl Owner {
    /// Takes the ring and builds a new epoch's index. Readers see nothing before [`Self::announce`].
    pub(crate) fn begin(
        project: &ProjectName,
        contract: &RingContract,
        shape: IndexShape,
    ) -> Result<Self, Error> {
        if contract.places > PLACES_MAX {
            let (ring, places) = (contract.name.clone(), contract.places);
            return Err(Error::TooManyReaders { ring, places, limit: PLACES_MAX });
        }
        let hold = segments::hold(project, contract)?;
        let Epochs { live: before, previous } = hold.epochs();
        unlink_epochs(&*hold, |epoch| epoch != before && epoch != previous);
        let epoch = next_epoch(before, contract.epoch_floor);
        let evictions = if contract.essential.is_empty() { 0 } else { contract.places };
        let (index, epoch_lock) =
            build_index(&*hold, epoch, before, contract.places, evictions, shape)?;
        Ok(Self {
            hold,
            epoch,
            index,
            places: contract.places,
            announced: false,
            previous: (before != 0).then(|| (before, clock::mono() + PREVIOUS_STAYS)),
            drop_previous_at_once: shape.log_bytes == 0,
            called: None,
            birth: Birth::here(),
            _epoch_lock: epoch_lock,
        })
    }

    /// Makes the epoch the live one and tells every waiting reader.
    pub(crate) fn announce(&mut self) -> Result<(), Error> {
        let previous = self.previous.map_or(0, |(epoch, _)| epoch);
        let before = self.previous.and_then(|(epoch, _)| self.hold.index_of(epoch));
        self.called = before.map(|index| Called { index, left: CALLS });
        self.hold.announce(Epochs { live: self.epoch, previous })?;
        self.announced = true;
        self.call_again();
        let keep = if self.drop_previous_at_once { 0 } else { previous };
        unlink_epochs(&*self.hold, |epoch| epoch != self.epoch && epoch != keep);
        Ok(())
    }

    /// Forgets the previous epoch once it has stayed long enough.
    pub(crate) fn tidy(&mut self, now: MonoNs) {
        if self.previous.is_some_and(|(_, until)| now >= until) {
            self.previous = None;
            unlink_epochs(&*self.hold, |epoch| epoch != self.epoch);
        }
    }

    /// An error in a forked child: the ring is its parent's.
    pub(crate) fn check_process(&self) -> Result<(), Error> {
        self.birth.check()
    }

    /// Says that nothing follows.
    pub(crate) fn end(&mut self) {
        if !self.birth.is_here() {
            return;
        }
        self.index.half(index::AT_ENDED).store(1, Ordering::Release);
        self.ring_bell();
        self.hold.ring_bell();
    }

    pub(crate) fn ring_bell(&mut self) {
        wake::ring(self.bell());
        if self.called.is_some() {
            self.call_again();
        }
    }

    #[cold]
    fn call_again(&mut self) {
        let Some(called) = &mut self.called else { return };
        wake::call(called.index.half(index::AT_BELL));
        called.left -= 1;
        if called.left == 0 {
            self.called = None;
        }
    }

    fn bell(&self) -> &AtomicU32 {
        self.index.half(index::AT_BELL)
    }

    pub(crate) fn ring(&self) -> &RingName {
        self.hold.ring()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // A birth that failed half way, say for want of memory, must not add to that want.
        if !self.announced && self.birth.is_here() {
            unlink_epochs(&*self.hold, |epoch| epoch == self.epoch);
        }
    }
}

fn unlink_epochs(hold: &dyn Hold, is_gone: impl Fn(u64) -> bool) {
    let gone = |part: &Part| part.epoch().is_some_and(&is_gone);
    hold.list().into_iter().filter(gone).for_each(|part| hold.unlink(part));
}

/// Never repeats after a crash, a reboot or a stepped clock (docs/time.md, UTC).
fn next_epoch(before: u64, floor: u64) -> u64 {
    let utc_us = clock::now().utc.0 / 1_000;
    utc_us.max(before.saturating_add(1)).max(floor.saturating_add(1))
}

fn build_index(
    hold: &dyn Hold,
    epoch: u64,
    before: u64,
    places: u32,
    evictions: u32,
    shape: IndexShape,
) -> Result<(Mapping, Locked), Error> {
    let part = Part::Index { epoch };
    let draft = hold.create(part, shape.bytes + lease::table_bytes(evictions))?;
    let map = &draft.mapping;
    write_header(map, index::MAGIC, hold.ring().kind());
    let half = |at, value| map.half(at).store(value, Ordering::Relaxed);
    if shape.memory != memory::HOST {
        half(index::AT_MAJOR, index::DEVICE_MAJOR);
    }
    half(index::AT_MEMORY, shape.memory);
    half(index::AT_PLACES, places);
    half(index::AT_QUOTA, shape.quota);
    half(index::AT_SLOTS, shape.slots);
    half(index::AT_DESCRIPTORS, shape.descriptors);
    map.word(index::AT_EPOCH).store(epoch, Ordering::Relaxed);
    map.word(index::AT_BEFORE).store(before, Ordering::Relaxed);
    map.word(index::AT_LOG_BYTES).store(shape.log_bytes, Ordering::Relaxed);
    map.word(index::AT_LAST_KEY).store(index::NO_POSITION, Ordering::Relaxed);
    if evictions > 0 {
        map.word(index::AT_EVICTIONS).store(shape.bytes as u64, Ordering::Relaxed);
    }
    // Before it is shown, so no reader can ever hold this lock first.
    let path = hold.path(part);
    if !draft.file.try_lock().map_err(|source| io(&path, source))? {
        return Err(io(&path, Errno::EAGAIN));
    }
    hold.link(part, draft)
}
