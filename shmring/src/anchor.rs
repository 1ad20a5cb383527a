//! A reader's view of the anchor and of an epoch's index: opened and checked once.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use protocol::name::RingKind;

use crate::error::Error;
use crate::layout::{self, anchor, index};
use crate::lock;
use crate::segment::{self, Access, Mapping};
use crate::segments::{Leads, Part, Segments};
use crate::sync::{AtomicBool, AtomicU32, Ordering};

/// The kind code of the layout.
pub(crate) fn kind_code(kind: RingKind) -> u32 {
    match kind {
        RingKind::Frames => layout::kind::FRAMES,
        RingKind::Packets => layout::kind::PACKETS,
        RingKind::Events => layout::kind::EVENTS,
    }
}

/// What every segment begins with. The magic comes last.
pub(crate) fn write_header(map: &Mapping, magic: u64, kind: RingKind) {
    map.half(anchor::AT_MAJOR).store(layout::MAJOR, Ordering::Relaxed);
    map.half(anchor::AT_MINOR).store(layout::MINOR, Ordering::Relaxed);
    map.half(anchor::AT_KIND).store(kind_code(kind), Ordering::Relaxed);
    map.word(anchor::AT_MAGIC).store(magic, Ordering::Release);
}

/// The anchor, mapped read-only.
#[derive(Debug)]
pub(crate) struct AnchorView {
    segments: Arc<dyn Segments>,
    successor_calls: bool,
    map: Mapping,
    file: OwnedFd,
}

impl AnchorView {
    pub(crate) fn open(segments: &Arc<dyn Segments>) -> Result<Self, Error> {
        let file = segments.open(Part::Anchor)?.ok_or_else(|| segments.absent())?;
        let map = map_checked(&**segments, Part::Anchor, &file, anchor::BYTES)?;
        check_header(&**segments, Part::Anchor, &map, anchor::MAGIC)?;
        let successor_calls = segments.successor_calls();
        Ok(Self { segments: Arc::clone(segments), successor_calls, map, file })
    }

    /// The live epoch; 0 before the first.
    pub(crate) fn epoch(&self) -> u64 {
        // PAIR epoch
        self.map.word(anchor::AT_EPOCH).load(Ordering::Acquire)
    }

    pub(crate) fn previous(&self) -> u64 {
        self.map.word(anchor::AT_PREVIOUS).load(Ordering::Acquire)
    }

    #[inline(always)]
    pub(crate) fn bell(&self) -> &AtomicU32 {
        self.map.half(anchor::AT_BELL)
    }

    /// Whether who sleeps on the bell of an epoch is called by the writer of the next one.
    pub(crate) fn successor_calls(&self) -> bool {
        self.successor_calls
    }

    /// Where the ring's name leads by now.
    pub(crate) fn name_leads(&self) -> Leads {
        self.segments.leads(Part::Anchor, &self.file)
    }

    /// The index to go on to from `index` when `epochs`, tried in turn, have one. When that writer is
    /// gone and the ring's name leads to another anchor, as after `down` and `up`, this becomes a view
    /// of that one; with no anchor at all it is [`Error::NoSuchRing`].
    pub(crate) fn follow(
        self: &mut Arc<Self>,
        index: &IndexView,
        epochs: impl Fn(&Self) -> [u64; 2],
    ) -> Result<Option<IndexView>, Error> {
        loop {
            for epoch in epochs(self) {
                if epoch != index.epoch
                    && epoch != 0
                    && let Some(next) = IndexView::open(&*self.segments, epoch)?
                {
                    return Ok(Some(next));
                }
            }
            let leads_here = || self.segments.leads(Part::Anchor, &self.file) == Leads::Here;
            if index.look_whether_live() || leads_here() {
                return Ok(None);
            }
            *self = Arc::new(Self::open(&self.segments)?);
        }
    }
}

/// The index of one epoch, mapped read-only.
#[derive(Debug)]
pub(crate) struct IndexView {
    pub(crate) map: Mapping,
    pub(crate) epoch: u64,
    /// The epoch that was live before; 0 when there was none.
    pub(crate) before: u64,
    pub(crate) places: u32,
    pub(crate) quota: u32,
    /// Where its pictures lie: `layout::memory`.
    pub(crate) memory: u32,
    /// Its reader has found the writer gone.
    known_dead: AtomicBool,
    file: OwnedFd,
}

impl IndexView {
    /// The live epoch of `anchor`.
    pub(crate) fn open_live(segments: &dyn Segments, anchor: &AnchorView) -> Result<Self, Error> {
        // The epoch may change between reading its number and opening its file.
        for _ in 0..ATTEMPTS {
            let epoch = anchor.epoch();
            if epoch == 0 {
                break;
            }
            if let Some(index) = Self::open(segments, epoch)? {
                return Ok(index);
            }
            std::thread::yield_now();
        }
        Err(segments.absent())
    }

    /// `None` when that epoch is gone.
    pub(crate) fn open(segments: &dyn Segments, epoch: u64) -> Result<Option<Self>, Error> {
        let part = Part::Index { epoch };
        let Some(file) = segments.open(part)? else {
            return Ok(None);
        };
        let bytes = segment::size(&segments.path(part), &file)?;
        let map = map_checked(segments, part, &file, bytes.max(index::AT_VERSIONS))?;
        check_header(segments, part, &map, index::MAGIC)?;
        let half = |at| map.half(at).load(Ordering::Relaxed);
        let (places, quota) = (half(index::AT_PLACES), half(index::AT_QUOTA));
        let before = map.word(index::AT_BEFORE).load(Ordering::Relaxed);
        let (memory, known_dead) = (half(index::AT_MEMORY), AtomicBool::new(false));
        let view = Self { epoch, before, places, quota, memory, known_dead, map, file };
        view.check_counts(segments, part)?;
        Ok(Some(view))
    }

    fn check_counts(&self, segments: &dyn Segments, part: Part) -> Result<(), Error> {
        let damaged = |what| Err(damaged(segments, part, what));
        if self.map.word(index::AT_EPOCH).load(Ordering::Relaxed) != self.epoch {
            return damaged("its epoch is not the one of its name");
        }
        if self.places > PLACES_MAX || self.quota as usize > layout::lease::HAZARDS {
            return damaged("its places or quota are out of range");
        }
        let major = self.map.half(index::AT_MAJOR).load(Ordering::Relaxed);
        if (major == index::DEVICE_MAJOR) != (self.memory != layout::memory::HOST) {
            return damaged("its layout and its memory contradict each other");
        }
        Ok(())
    }

    /// Where the eviction of the reader in `place` is told; `None` in a ring that lets go of nobody.
    pub(crate) fn evictions(&self, place: u32) -> Option<usize> {
        let table = usize::try_from(self.map.word(index::AT_EVICTIONS).load(Ordering::Relaxed));
        let table = table.ok().filter(|at| *at >= index::AT_VERSIONS && at.is_multiple_of(8))?;
        let entry = table.checked_add(place as usize * layout::eviction::BYTES)?;
        let end = entry.checked_add(layout::eviction::BYTES)?;
        (place < self.places && end <= self.map.bytes()).then_some(entry)
    }

    /// Whether the writer of this epoch lives.
    pub(crate) fn is_live(&self) -> bool {
        lock::is_held(&self.file)
    }

    /// As [`Self::is_live`], by the reader itself.
    fn look_whether_live(&self) -> bool {
        let is_live = self.is_live();
        self.known_dead.store(!is_live, Ordering::Relaxed);
        is_live
    }

    pub(crate) fn is_known_dead(&self) -> bool {
        self.known_dead.load(Ordering::Relaxed)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.map.half(index::AT_ENDED).load(Ordering::Acquire) != 0
    }

    #[inline(always)]
    pub(crate) fn bell(&self) -> &AtomicU32 {
        self.map.half(index::AT_BELL)
    }

    #[inline(always)]
    pub(crate) fn head(&self) -> u64 {
        // PAIR head
        self.map.word(index::AT_HEAD).load(Ordering::Acquire)
    }
}

/// How often an epoch that was replaced while it was opened is looked for again.
pub(crate) const ATTEMPTS: u32 = 100;

/// Most reader places of a ring: far above any use, low enough to scan.
pub(crate) const PLACES_MAX: u32 = 256;

fn map_checked(
    segments: &dyn Segments,
    part: Part,
    file: &OwnedFd,
    bytes: usize,
) -> Result<Mapping, Error> {
    let path = segments.path(part);
    if segment::size(&path, file)? < bytes {
        return Err(damaged(segments, part, "it is too short"));
    }
    Mapping::open(&path, file, bytes, Access::Read)
}

fn check_header(
    segments: &dyn Segments,
    part: Part,
    map: &Mapping,
    magic: u64,
) -> Result<(), Error> {
    if map.word(0).load(Ordering::Relaxed) != magic {
        return Err(damaged(segments, part, "its magic is wrong"));
    }
    let half = |at| map.half(at).load(Ordering::Relaxed);
    let (major, minor) = (half(anchor::AT_MAJOR), half(anchor::AT_MINOR));
    let is_of_device = matches!(part, Part::Index { .. })
        && segments.ring().kind() == RingKind::Frames
        && major == index::DEVICE_MAJOR;
    if major != layout::MAJOR && !is_of_device {
        let ring = segments.ring().clone();
        return Err(Error::Layout { ring, seen_major: major, seen_minor: minor });
    }
    if half(anchor::AT_KIND) != kind_code(segments.ring().kind()) {
        return Err(damaged(segments, part, "its kind is not the one of its name"));
    }
    Ok(())
}

pub(crate) fn damaged(segments: &dyn Segments, part: Part, what: &'static str) -> Error {
    Error::Damaged { ring: segments.ring().clone(), file: segments.path(part), what }
}
