//! The writer's hold on a ring: its lock, its anchor, and the birth of an epoch.
//!
//! Order of a birth, each step safe to die after:
//! 1. lock `.lock` (one writer a ring), clear away what dead writers left half done;
//! 2. lease pages exist;
//! 3. the index is built and locked under a temporary name, then linked;
//! 4. the anchor names the epoch, its bell rings;
//! 5. epochs before the previous one are unlinked.
//!
//! A dead writer's memory is never written again: its successor starts a new epoch in new files.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::time::MonoNs;

use crate::anchor::{PLACES_MAX, kind_code};
use crate::clock;
use crate::error::Error;
use crate::files::{self, Files};
use crate::layout::{self, anchor, index, lease};
use crate::lock;
use crate::segment::{Access, Draft, Mapping};
use crate::sync::{AtomicU32, Ordering};
use crate::wake;

/// How long a new writer waits for the lock of one that is on its way out, or of a sweeper. A killed
/// process has been seen to hold its locks for 120 ms.
const LOCK_PATIENCE: Duration = Duration::from_millis(250);
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// How long the epoch before stays findable, so that a restarting recorder can finish it.
const PREVIOUS_STAYS: Duration = Duration::from_secs(30);

/// Owner and group read; readers never write data.
pub(crate) const READABLE: Mode = Mode::from_bits_truncate(0o640);
/// Owner and group write: lease pages belong to readers.
const WRITABLE: Mode = Mode::from_bits_truncate(0o660);

/// What the index of an epoch must hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexShape {
    /// Bytes of the whole index file.
    pub(crate) bytes: usize,
    pub(crate) quota: u32,
    pub(crate) slots: u32,
    pub(crate) descriptors: u32,
    pub(crate) log_bytes: u64,
}

/// A ring held for writing, with one epoch of it begun but not yet announced.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) files: Files,
    pub(crate) epoch: u64,
    pub(crate) index: Mapping,
    pub(crate) places: u32,
    anchor: Mapping,
    announced: bool,
    previous: Option<(u64, MonoNs)>,
    drop_previous_at_once: bool,
    /// Held for their locks.
    _ring_lock: OwnedFd,
    _epoch_lock: OwnedFd,
}

impl Owner {
    /// Takes the ring and builds a new epoch's index. Readers see nothing before [`Self::announce`].
    pub(crate) fn begin(
        project: &ProjectName,
        contract: &RingContract,
        shape: IndexShape,
    ) -> Result<Self, Error> {
        let files = Files::new(project, &contract.name);
        if contract.places > PLACES_MAX {
            let (ring, places) = (contract.name.clone(), contract.places);
            return Err(Error::TooManyReaders { ring, places, limit: PLACES_MAX });
        }
        let ring_lock = take_lock(&files)?;
        unlink_drafts(&files);
        let anchor = open_or_create_anchor(&files)?;
        // PAIR epoch
        let before = anchor.word(anchor::AT_EPOCH).load(Ordering::Acquire);
        let previous = anchor.word(anchor::AT_PREVIOUS).load(Ordering::Relaxed);
        unlink_epochs(&files, |epoch| epoch != before && epoch != previous);
        let epoch = next_epoch(before, contract.epoch_floor);
        ensure_lease_pages(&files, contract.places)?;
        let (index, epoch_lock) = build_index(&files, epoch, before, contract.places, shape)?;
        Ok(Self {
            files,
            epoch,
            index,
            places: contract.places,
            anchor,
            announced: false,
            previous: (before != 0).then(|| (before, clock::mono() + PREVIOUS_STAYS)),
            drop_previous_at_once: shape.log_bytes == 0,
            _ring_lock: ring_lock,
            _epoch_lock: epoch_lock,
        })
    }

    /// Makes the epoch the live one and tells every waiting reader.
    pub(crate) fn announce(&mut self) {
        let before = self.previous.map_or(0, |(epoch, _)| epoch);
        self.anchor.word(anchor::AT_PREVIOUS).store(before, Ordering::Relaxed);
        self.anchor
            .word(anchor::AT_WRITER_PID)
            .store(u64::from(std::process::id()), Ordering::Relaxed);
        // PAIR epoch: everything the epoch names is linked.
        self.anchor.word(anchor::AT_EPOCH).store(self.epoch, Ordering::Release);
        self.announced = true;
        wake::ring(self.anchor.half(anchor::AT_BELL));
        let keep = if self.drop_previous_at_once { 0 } else { before };
        unlink_epochs(&self.files, |epoch| epoch != self.epoch && epoch != keep);
    }

    /// Forgets the previous epoch once it has stayed long enough.
    pub(crate) fn tidy(&mut self, now: MonoNs) {
        if self.previous.is_some_and(|(_, until)| now >= until) {
            self.previous = None;
            unlink_epochs(&self.files, |epoch| epoch != self.epoch);
        }
    }

    /// Says that nothing follows.
    pub(crate) fn end(&self) {
        self.index.half(index::AT_ENDED).store(1, Ordering::Release);
        self.ring_bell();
        wake::ring(self.anchor.half(anchor::AT_BELL));
    }

    pub(crate) fn ring_bell(&self) {
        wake::ring(self.bell());
    }

    fn bell(&self) -> &AtomicU32 {
        self.index.half(index::AT_BELL)
    }

    pub(crate) fn ring(&self) -> &RingName {
        self.files.ring()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // A birth that failed half way, say for want of memory, must not add to that want.
        if !self.announced {
            unlink_epochs(&self.files, |epoch| epoch == self.epoch);
        }
    }
}

fn unlink_epochs(files: &Files, is_gone: impl Fn(u64) -> bool) {
    let stem = format!("{}.e", files.anchor());
    for name in files.existing() {
        let epoch = name.strip_prefix(&stem).and_then(|rest| rest.split('.').next()?.parse().ok());
        if epoch.is_some_and(&is_gone) {
            files::unlink(&name);
        }
    }
}

/// A writer killed while it built a file leaves its memory under a name that nobody looks for.
fn unlink_drafts(files: &Files) {
    let stem = files.temporaries();
    files.existing().iter().filter(|name| name.starts_with(&stem)).for_each(|name| {
        files::unlink(name);
    });
}

/// Decisions 10: never repeats after a crash, a reboot or a stepped clock.
fn next_epoch(before: u64, floor: u64) -> u64 {
    let utc_us = clock::now().utc.0 / 1_000;
    utc_us.max(before.saturating_add(1)).max(floor.saturating_add(1))
}

/// Locks the ring for this process. A sweeper may unlink a free lock's file between our opening and
/// locking it; such a lock owns nothing, so look again.
fn take_lock(files: &Files) -> Result<OwnedFd, Error> {
    let name = files.lock();
    let until = clock::mono() + LOCK_PATIENCE;
    loop {
        let file = files::open_lock(&name)?;
        let locked = lock::try_lock(&file).map_err(|source| files::io(&name, source))?;
        if locked && files::is_linked(&name, &file) {
            return Ok(file);
        }
        if clock::mono() >= until {
            return Err(Error::HasWriter { ring: files.ring().clone() });
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

fn open_or_create_anchor(files: &Files) -> Result<Mapping, Error> {
    let name = files.anchor();
    if let Some(file) = files::open_if_there(&name, OFlag::O_RDWR)? {
        if let Some(map) = map_own_anchor(&name, &file)? {
            return Ok(map);
        }
        // Left by another layout, user or accident: we hold the lock, so no writer of ours uses it.
        // Its readers notice that the name leads elsewhere and attach again.
        files::unlink(&name);
    }
    let draft = Draft::create(files.temporary(salt()), anchor::BYTES, READABLE)?;
    write_header(&draft.mapping, anchor::MAGIC, kind_code(files.ring().kind()));
    Ok(draft.publish(&name)?.0)
}

/// `None` for an anchor that cannot be gone on with.
fn map_own_anchor(name: &str, file: &OwnedFd) -> Result<Option<Mapping>, Error> {
    if files::size(name, file)? < anchor::BYTES || !files::is_own(name, file)? {
        return Ok(None);
    }
    let map = Mapping::open(name, file, anchor::BYTES, Access::ReadWrite)?;
    let usable = map.word(anchor::AT_MAGIC).load(Ordering::Relaxed) == anchor::MAGIC
        && map.half(anchor::AT_MAJOR).load(Ordering::Relaxed) == layout::MAJOR
        // No epoch could follow: scribbled.
        && map.word(anchor::AT_EPOCH).load(Ordering::Relaxed) != u64::MAX;
    Ok(usable.then_some(map))
}

/// Lease pages outlive epochs, because readers stay attached across them.
fn ensure_lease_pages(files: &Files, places: u32) -> Result<(), Error> {
    for place in 0..places {
        let name = files.lease(place);
        if files::open_if_there(&name, OFlag::O_RDONLY)?.is_some() {
            continue;
        }
        let draft = Draft::create(files.temporary(salt()), lease::BYTES, WRITABLE)?;
        write_header(&draft.mapping, lease::MAGIC, kind_code(files.ring().kind()));
        draft.publish(&name)?;
    }
    Ok(())
}

fn build_index(
    files: &Files,
    epoch: u64,
    before: u64,
    places: u32,
    shape: IndexShape,
) -> Result<(Mapping, OwnedFd), Error> {
    let draft = Draft::create(files.temporary(salt()), shape.bytes, READABLE)?;
    let map = &draft.mapping;
    write_header(map, index::MAGIC, kind_code(files.ring().kind()));
    let half = |at, value| map.half(at).store(value, Ordering::Relaxed);
    half(index::AT_PLACES, places);
    half(index::AT_QUOTA, shape.quota);
    half(index::AT_SLOTS, shape.slots);
    half(index::AT_DESCRIPTORS, shape.descriptors);
    map.word(index::AT_EPOCH).store(epoch, Ordering::Relaxed);
    map.word(index::AT_BEFORE).store(before, Ordering::Relaxed);
    map.word(index::AT_LOG_BYTES).store(shape.log_bytes, Ordering::Relaxed);
    map.word(index::AT_LAST_KEY).store(index::NO_POSITION, Ordering::Relaxed);
    let name = files.index(epoch);
    // Before the file has a name, so no reader can ever hold this lock first.
    if !lock::try_lock(&draft.file).map_err(|source| files::io(&name, source))? {
        return Err(files::io(&name, Errno::EAGAIN));
    }
    draft.publish(&name)
}

fn write_header(map: &Mapping, magic: u64, kind: u32) {
    map.half(anchor::AT_MAJOR).store(layout::MAJOR, Ordering::Relaxed);
    map.half(anchor::AT_MINOR).store(layout::MINOR, Ordering::Relaxed);
    map.half(anchor::AT_KIND).store(kind, Ordering::Relaxed);
    map.word(anchor::AT_MAGIC).store(magic, Ordering::Release);
}

/// Makes temporary names differ within one process; the pid in them does it between processes.
pub(crate) fn salt() -> u64 {
    use crate::sync::AtomicU64;
    static NEXT: AtomicU64 = AtomicU64::new(0);
    clock::mono().0 ^ (NEXT.fetch_add(1, Ordering::Relaxed) << 48)
}
