//! Which rings exist, whose they are, how they do; and sweeping away what the dead left.
//!
//! Everything is read with pread and mapped by nobody: these files can be written, and truncated,
//! by others. What a reader says of itself is shown as such.

mod content;
mod newest;

pub use content::{Content, content};

pub use crate::project::all as projects;

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use nix::sys::uio::pread;
use protocol::admin::{Drops, ReaderStatus, RingStatus};
use protocol::name::{ProjectName, RingKind, RingName};
use protocol::time::MonoNs;

use crate::anchor::PLACES_MAX;
use crate::clock;
use crate::error::Error;
use crate::layout::{anchor, index};
use crate::lease::{self, PageReading};
use crate::lock;
use crate::segments::{self, Named, Part, Segments};

/// All rings of a project, by name.
pub fn rings(project: &ProjectName) -> Vec<RingStatus> {
    let now = clock::mono();
    names(project).iter().map(|name| status(project, name, now)).collect()
}

/// Names of all rings that have an anchor.
pub fn names(project: &ProjectName) -> Vec<RingName> {
    let prefix = segments::prefix(project);
    let ring = |file: String| file.strip_prefix(&prefix)?.parse().ok();
    segments::list().into_iter().filter_map(ring).collect::<BTreeSet<_>>().into_iter().collect()
}

/// One ring; a damaged or vanished one shows as epoch 0.
pub fn status(project: &ProjectName, name: &RingName, now: MonoNs) -> RingStatus {
    match segments::ways(project, name) {
        (_, Some(brokered)) => brokered.status().unwrap_or_else(|| absent(name)),
        (named, None) => status_of_named(&named, name, now),
    }
}

/// As [`status`], for one that has names: a broker is not asked.
pub fn named(project: &ProjectName, name: &RingName, now: MonoNs) -> RingStatus {
    status_of_named(&Named::new(project, name), name, now)
}

fn status_of_named(named: &Named, name: &RingName, now: MonoNs) -> RingStatus {
    let bytes = named.bytes();
    status_of(name, now, bytes, |part| named.open(part).ok()?)
}

/// How far a ring is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// 0 of a ring that is damaged or gone.
    pub epoch: u64,
    pub head: u64,
    pub gop_index: u64,
}

/// As [`named`], of no more than two of the ring's files: for who asks often.
pub fn reach(project: &ProjectName, name: &RingName) -> Reach {
    let named = Named::new(project, name);
    let newest = Newest::of(&|part| named.open(part).ok()?);
    newest.map_or_else(Reach::default, |Newest { epoch, page, .. }| Reach {
        epoch,
        head: page.word(index::AT_HEAD),
        gop_index: page.word(index::AT_GOP),
    })
}

/// The epoch that is written, or was last.
struct Newest {
    anchor: Page,
    epoch: u64,
    /// Of its index.
    file: OwnedFd,
    page: Page,
}

impl Newest {
    fn of(open: &impl Fn(Part) -> Option<OwnedFd>) -> Option<Self> {
        let anchor = Page::read(&open(Part::Anchor)?, anchor::BYTES)?;
        let epoch = anchor.word(anchor::AT_EPOCH);
        let file = open(Part::Index { epoch })?;
        let page = Page::read(&file, index::HEADER)?;
        Some(Self { anchor, epoch, file, page })
    }
}

/// One ring, from its segments as `open` gives them.
pub(crate) fn status_of(
    name: &RingName,
    now: MonoNs,
    bytes: u64,
    open: impl Fn(Part) -> Option<OwnedFd>,
) -> RingStatus {
    let mut status = RingStatus { bytes, ..absent(name) };
    let Some(Newest { anchor: head, epoch, file, page }) = Newest::of(&open) else {
        return status;
    };
    status.epoch = epoch;
    status.head = page.word(index::AT_HEAD);
    status.live = page.lock_held;
    status.writer_pid =
        u32::try_from(head.word(anchor::AT_WRITER_PID)).ok().filter(|_| page.lock_held);
    status.gop_index = page.word(index::AT_GOP);
    status.width = page.half(index::AT_WIDTH);
    status.height = page.half(index::AT_HEIGHT);
    status.gop_overflow = page.word(index::AT_GOP_OVERFLOW);
    let published = page.word(index::AT_PUBLISHED_NS);
    status.age_ms = (published != 0).then(|| now.0.saturating_sub(published) / 1_000_000);
    status.drops = Drops {
        no_slot: page.word(index::AT_DROPPED),
        too_large: page.word(index::AT_TOO_LARGE),
        let_go: page.word(index::AT_LET_GO),
        copied: page.word(index::AT_COPIED),
    };
    let data = || open(Part::Data { epoch, generation: 1 });
    let newest = newest::newest(name.kind(), &page, &file, data);
    status.late_ns = newest.and_then(|newest| newest.late_ns);
    status.late_sequence = newest.map_or(0, |newest| newest.sequence);
    status.published_bytes = match name.kind() {
        RingKind::Frames => newest.map_or(0, |newest| status.head.saturating_mul(newest.bytes)),
        RingKind::Events | RingKind::Packets => page.word(index::AT_HEAD_POSITION),
    };
    let places = page.half(index::AT_PLACES).min(PLACES_MAX);
    status.readers = (0..places)
        .filter_map(|place| lease::read_page(&open(Part::Lease { place })?))
        // One that has a place but has not begun: what comes in between may not be for it.
        .filter(|page| page.epoch != 0)
        .map(|page| reader(page, epoch, status.head, now))
        .collect();
    status
}

/// Why this user may not look at a ring; its [`status`] is then that of one without a writer.
pub fn refusal(project: &ProjectName, name: &RingName) -> Option<Error> {
    let (named, None) = segments::ways(project, name) else { return None };
    named.open(Part::Anchor).err().filter(|error| matches!(error, Error::Denied { .. }))
}

/// A ring that has no writer yet.
pub fn absent(name: &RingName) -> RingStatus {
    RingStatus::absent(name.clone())
}

/// Unlinks the files of the given rings whose writer is gone. Attached readers keep their mappings.
pub fn sweep(project: &ProjectName, rings: &[RingName]) {
    for ring in rings {
        segments::sweep(project, ring);
    }
}

/// Unlinks the files of every ring of the project whose writer is gone.
pub fn sweep_unowned(project: &ProjectName) {
    let prefix = segments::prefix(project);
    let ring_of = |file: String| segments::ring_of(file.strip_prefix(&prefix)?);
    let rings: BTreeSet<RingName> = segments::list().into_iter().filter_map(ring_of).collect();
    sweep(project, &rings.into_iter().collect::<Vec<_>>());
}

fn reader(page: PageReading, epoch: u64, head: u64, now: MonoNs) -> ReaderStatus {
    let every = u64::from(page.every.max(1));
    let taken = if page.epoch == epoch { page.cursor } else { 0 };
    let held = now.0.saturating_sub(page.held_since_ns) / 1_000_000;
    ReaderStatus {
        name: page.name,
        lag: (head / every).saturating_sub(taken / every),
        missed: page.missed,
        pid: page.pid,
        leases: page.leases,
        held_ms: (page.leases > 0 && page.held_since_ns != 0).then_some(held),
        evicted: page.evicted,
        refused: page.refused,
    }
}

/// The first bytes of a file.
struct Page {
    bytes: Vec<u8>,
    lock_held: bool,
}

impl Page {
    fn read(file: &OwnedFd, bytes: usize) -> Option<Self> {
        let mut page = vec![0; bytes];
        let whole = pread(file, &mut page, 0).ok()? == bytes;
        whole.then(|| Self { bytes: page, lock_held: lock::is_held(file) })
    }

    fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap_or_default())
    }

    fn half(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap_or_default())
    }
}
