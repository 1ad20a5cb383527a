//! The reading end of a frame ring.

use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;
use protocol::name::{ProjectName, RingKind, RingName};
use protocol::stream::FrameId;
use protocol::time::MonoNs;

use super::descriptor::{self, Described};
use super::writer::{SHAPE, descriptor_at, version_word};
use super::{FrameMeta, Token};
use crate::Next;
use crate::anchor::{AnchorView, IndexView, damaged};
use crate::clock;
use crate::error::Error;
use crate::files::{self, Files};
use crate::layout::{descriptor as layout, index};
use crate::lease::LeasePage;
use crate::segment::{Access, Mapping};
use crate::stream;
use crate::sync::{Ordering, fence};
use crate::wake::{self, Heard};

/// Which pictures a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The newest one each time; what came between is skipped, not missed.
    Latest,
    /// Every one in turn; those overwritten meanwhile are told as an overrun.
    Sequential,
}

/// How to attach.
#[derive(Clone, Debug)]
pub struct FrameOptions {
    /// Shown by `framevisor rings`.
    pub reader: String,
    pub policy: Policy,
    /// Frames held at once, at most the ring's own quota.
    pub quota: u32,
    /// Pictures a second wanted; `None` is all.
    pub max_fps: Option<u32>,
}

impl FrameOptions {
    /// The newest picture each time, under this name.
    pub fn named(reader: &str) -> Self {
        Self {
            reader: reader.to_owned(),
            policy: Policy::Latest,
            quota: super::writer::QUOTA,
            max_fps: None,
        }
    }
}

/// How often a pin that meets a slot being reclaimed looks again: the writer may put it back.
const PIN_RETRIES: u32 = 200;

/// A reader with its own cursor and leases.
#[derive(Debug)]
pub struct FrameReader {
    files: Files,
    anchor: AnchorView,
    index: Arc<IndexView>,
    page: Arc<LeasePage>,
    /// The newest generation mapped, and its number.
    data: Option<(u32, Arc<Mapping>)>,
    options: FrameOptions,
    cursor: u64,
    source: Option<RingName>,
    /// With `max_fps`: nothing is taken before this.
    not_before: MonoNs,
}

impl FrameReader {
    /// Attaches by name; size, format and colour come with each frame.
    pub fn attach(
        project: &ProjectName,
        ring: &RingName,
        options: &FrameOptions,
    ) -> Result<Self, Error> {
        if ring.kind() != RingKind::Frames {
            return Err(Error::WrongKind {
                ring: ring.clone(),
                seen: ring.kind().as_str(),
                expected: "frames",
            });
        }
        let files = Files::new(project, ring);
        let anchor = AnchorView::open(&files)?;
        let index = open_live(&files, &anchor)?;
        let page = claim(&files, &index, options)?;
        page.enter(index.epoch);
        let mut reader = Self {
            files,
            anchor,
            index: Arc::new(index),
            page: Arc::new(page),
            data: None,
            options: options.clone(),
            cursor: 0,
            source: None,
            not_before: MonoNs(0),
        };
        reader.begin();
        Ok(reader)
    }

    pub fn epoch(&self) -> u64 {
        self.index.epoch
    }

    /// The packet ring the pictures are decoded from.
    pub fn source_ring(&self) -> Option<&RingName> {
        self.source.as_ref()
    }

    /// Pictures published and not yet taken: the count of the ring's semaphore for this reader.
    pub fn lag(&self) -> u64 {
        self.index.head().saturating_sub(self.cursor)
    }

    /// Whether the writer of the epoch being read lives.
    pub fn writer_lives(&self) -> bool {
        self.index.is_live()
    }

    /// The next picture by this reader's policy, or what there is instead; sleeps at most `wait`.
    pub fn next(&mut self, wait: Duration) -> Result<Next<Frame>, Error> {
        let deadline = clock::mono() + wait;
        loop {
            let heard = Heard::now(self.index.bell(), self.anchor.bell());
            let now = clock::mono();
            if now >= self.not_before
                && let Some(next) = self.take_next(now)?
            {
                return Ok(next);
            }
            if let Some(next) = self.follow_epoch()? {
                return Ok(next);
            }
            if self.index.has_ended() && self.cursor >= self.index.head() {
                return Ok(Next::Ended);
            }
            if now >= deadline {
                return Ok(Next::Quiet);
            }
            self.sleep(heard, now, deadline);
        }
    }

    fn sleep(&self, heard: Heard, now: MonoNs, deadline: MonoNs) {
        if now < self.not_before {
            // Resting between pictures: bells do not matter, so do not be on the futex at all.
            std::thread::sleep(self.not_before.min(deadline).saturating_since(now));
        } else {
            wake::wait(
                self.index.bell(),
                self.anchor.bell(),
                heard,
                deadline.saturating_since(now),
            );
        }
    }

    /// Tries the pictures this reader has not had, by its policy.
    fn take_next(&mut self, now: MonoNs) -> Result<Option<Next<Frame>>, Error> {
        let head = self.index.head();
        if head <= self.cursor {
            return Ok(None);
        }
        let oldest = head.saturating_sub(u64::from(SHAPE.1) - 1).max(1);
        let first = match self.options.policy {
            Policy::Latest => head,
            Policy::Sequential => (self.cursor + 1).max(oldest),
        };
        for sequence in first..=head {
            if let Some(frame) = self.lease(sequence)? {
                return Ok(Some(self.took(sequence, frame, now)));
            }
        }
        Ok((self.options.policy == Policy::Sequential).then(|| self.overrun(head)))
    }

    fn took(&mut self, sequence: u64, frame: Frame, now: MonoNs) -> Next<Frame> {
        if self.options.policy == Policy::Sequential && sequence > self.cursor + 1 {
            // Told first; the frame itself is leased again by the next call.
            drop(frame);
            return self.overrun(sequence - 1);
        }
        self.cursor = sequence;
        self.page.set_cursor(sequence);
        if let Some(fps) = self.options.max_fps.filter(|fps| *fps > 0) {
            self.not_before = now + Duration::from_secs(1) / fps;
        }
        Next::Item(frame)
    }

    fn overrun(&mut self, through: u64) -> Next<Frame> {
        let missed = through - self.cursor;
        self.cursor = through;
        self.page.add_missed(missed);
        self.page.set_cursor(through);
        Next::Overrun { missed }
    }

    /// Leases the picture of `sequence`; `None` when it was overwritten.
    fn lease(&mut self, sequence: u64) -> Result<Option<Frame>, Error> {
        let Some(described) = self.read_descriptor(sequence) else {
            return Ok(None);
        };
        let token = Token::unpack(described.token);
        if token.slot >= SHAPE.0 {
            return Ok(None);
        }
        let Some(data) = self.data_of(token.generation, described.slot_bytes)? else {
            return Ok(None);
        };
        let Some(start) = slot_start(token.slot, described.slot_bytes, data.bytes()) else {
            return Ok(None);
        };
        let hazard = self.page.reserve()?;
        self.page.pin(hazard, described.token);
        if !self.is_pinned(&token, described.token) {
            self.page.unpin(hazard);
            return Ok(None);
        }
        Ok(Some(Frame {
            lease: Lease { page: Arc::clone(&self.page), hazard },
            data,
            start,
            described,
            epoch: self.index.epoch,
            ring: self.files.ring().clone(),
            source: self.source.clone(),
        }))
    }

    /// The re-check of the pin protocol: our claim stands when the version is still the claimed one.
    fn is_pinned(&self, token: &Token, claimed: u64) -> bool {
        let word = version_word(&self.index.map, token.generation, token.slot);
        for _ in 0..PIN_RETRIES {
            // PAIR version
            let seen = word.load(Ordering::Acquire);
            if seen == claimed {
                return true;
            }
            // Odd and one above ours: the writer is asking; it may find our claim and put it back.
            if seen != claimed + 1 {
                return false;
            }
            std::hint::spin_loop();
        }
        false
    }

    fn read_descriptor(&self, sequence: u64) -> Option<Described> {
        let map = &self.index.map;
        let at = descriptor_at(sequence);
        // PAIR descriptor
        if map.word(at + layout::AT_SEQUENCE).load(Ordering::Acquire) != sequence {
            return None;
        }
        let mut bytes = [0; layout::BYTES];
        map.copy_out(at, &mut bytes);
        fence(Ordering::Acquire);
        if map.word(at + layout::AT_SEQUENCE).load(Ordering::Relaxed) != sequence {
            return None;
        }
        descriptor::decode(&bytes).filter(Described::fits)
    }

    /// The mapping of a generation; `None` when its name is gone already.
    fn data_of(&mut self, generation: u32, slot_bytes: u64) -> Result<Option<Arc<Mapping>>, Error> {
        if let Some((number, data)) = &self.data
            && *number == generation
        {
            return Ok(Some(Arc::clone(data)));
        }
        let name = self.files.data(self.index.epoch, generation);
        let Some(file) = files::open_if_there(&name, OFlag::O_RDONLY)? else {
            return Ok(None);
        };
        let bytes = files::size(&name, &file)?;
        if slot_bytes == 0 || (bytes as u64) < slot_bytes {
            return Err(damaged(&self.files, &name, "it is smaller than one slot"));
        }
        let data = Arc::new(Mapping::open(&name, &file, bytes, Access::Read)?);
        self.data = Some((generation, Arc::clone(&data)));
        Ok(Some(data))
    }

    /// Goes on to the live epoch. What is left of the old one can be leased no more, because its
    /// writer is gone or has yielded; frames already held stay valid.
    fn follow_epoch(&mut self) -> Result<Option<Next<Frame>>, Error> {
        let live = self.anchor.epoch();
        if live == self.epoch() {
            if !self.index.is_live() && !self.anchor.is_current() {
                self.anchor = AnchorView::open(&self.files)?;
            }
            return Ok(None);
        }
        let Some(index) = IndexView::open(&self.files, live)? else {
            return Ok(None);
        };
        check_shape(&self.files, &index)?;
        if self.page.place >= index.places {
            self.page = Arc::new(claim(&self.files, &index, &self.options)?);
        }
        self.page.enter(index.epoch);
        self.index = Arc::new(index);
        self.data = None;
        self.begin();
        self.cursor = 0;
        Ok(Some(Next::NewEpoch { epoch: self.epoch() }))
    }

    /// Places the cursor of a fresh epoch: a new reader begins with the newest picture there is.
    fn begin(&mut self) {
        self.cursor = self.index.head().saturating_sub(1);
        self.page.set_cursor(self.cursor);
        self.source = stream::read(&self.index.map).and_then(|block| block.source);
    }
}

fn claim(files: &Files, index: &IndexView, options: &FrameOptions) -> Result<LeasePage, Error> {
    let page = LeasePage::claim(
        files,
        index.places,
        index.quota.min(options.quota.max(1)),
        &options.reader,
    )?;
    page.set_max_fps(options.max_fps.unwrap_or(0));
    Ok(page)
}

fn open_live(files: &Files, anchor: &AnchorView) -> Result<IndexView, Error> {
    // The epoch may change between reading its number and opening its files.
    for _ in 0..100 {
        let epoch = anchor.epoch();
        if epoch == 0 {
            break;
        }
        if let Some(index) = IndexView::open(files, epoch)? {
            check_shape(files, &index)?;
            return Ok(index);
        }
        std::thread::yield_now();
    }
    Err(Error::NoSuchRing { ring: files.ring().clone() })
}

fn check_shape(files: &Files, index_view: &IndexView) -> Result<(), Error> {
    let half = |at| index_view.map.half(at).load(Ordering::Relaxed);
    let shape = (half(index::AT_SLOTS), half(index::AT_DESCRIPTORS));
    let needed = descriptor_at(u64::from(SHAPE.1) - 1) + layout::BYTES;
    if shape != SHAPE || index_view.map.bytes() < needed {
        return Err(damaged(
            files,
            &files.index(index_view.epoch),
            "its slot table has another shape",
        ));
    }
    Ok(())
}

fn slot_start(slot: u32, slot_bytes: u64, data_bytes: usize) -> Option<usize> {
    let end = u64::from(slot + 1).checked_mul(slot_bytes)?;
    (end <= data_bytes as u64).then(|| usize::try_from(end - slot_bytes).ok())?
}

/// One claim; dropping it ends it.
#[derive(Debug)]
struct Lease {
    page: Arc<LeasePage>,
    hazard: u32,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.page.unpin(self.hazard);
    }
}

/// A leased picture: while it lives its bytes do not change, whatever the writer does. Nothing was
/// copied. Holding it costs the ring one slot and nobody any time.
#[derive(Debug)]
pub struct Frame {
    lease: Lease,
    data: Arc<Mapping>,
    start: usize,
    described: Described,
    epoch: u64,
    ring: RingName,
    source: Option<RingName>,
}

impl Frame {
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Counted from 1 in each epoch.
    pub fn sequence(&self) -> u64 {
        self.described.sequence
    }

    pub fn meta(&self) -> &FrameMeta {
        &self.described.meta
    }

    pub fn published(&self) -> MonoNs {
        self.described.published
    }

    /// The picture's identity: the packet it came from, or its place in this ring.
    pub fn frame_id(&self) -> FrameId {
        match (&self.source, self.described.meta.source) {
            (Some(ring), Some(id)) => {
                FrameId { ring: ring.clone(), epoch: id.epoch, sequence: id.sequence }
            }
            _ => FrameId { ring: self.ring.clone(), epoch: self.epoch, sequence: self.sequence() },
        }
    }

    /// The visible part of a plane; `None` when the format has no such plane.
    pub fn plane(&self, number: usize) -> Option<Plane<'_>> {
        let meta = &self.described.meta;
        if number >= meta.format.planes() {
            return None;
        }
        let extent = meta.format.plane_extent(number, meta.width, meta.height);
        let layout = meta.planes[number];
        Some(Plane {
            frame: self,
            start: self.start + layout.offset as usize,
            linesize: layout.linesize as usize,
            row_bytes: extent.row_bytes as usize,
            rows: extent.rows as usize,
        })
    }

    /// Which hazard of its page the lease uses; for tests and tools.
    pub fn lease_number(&self) -> u32 {
        self.lease.hazard
    }
}

/// The visible part of one plane of a leased frame.
#[derive(Debug)]
pub struct Plane<'a> {
    frame: &'a Frame,
    start: usize,
    linesize: usize,
    row_bytes: usize,
    rows: usize,
}

impl Plane<'_> {
    /// Visible bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes from one row to the next in memory.
    pub fn linesize(&self) -> usize {
        self.linesize
    }

    /// Address of the first visible sample, in this process's read-only mapping. It is valid, for
    /// [`Self::linesize`] x rows, while the frame lives.
    pub fn as_ptr(&self) -> *const u8 {
        self.frame.data.range(self.start, self.row_bytes).as_ptr()
    }

    /// Copies row `y`, or as much of it as `into` holds.
    ///
    /// # Panics
    /// When the plane has no such row.
    pub fn copy_row(&self, y: usize, into: &mut [u8]) {
        assert!(y < self.rows, "row {y} of a plane of {}", self.rows);
        let bytes = self.row_bytes.min(into.len());
        let from = self.frame.data.range(self.start + y * self.linesize, bytes);
        // SAFETY: the range is inside the mapping; the lease keeps the writer from changing it; the
        // target is a Rust slice of at least `bytes`, so the two cannot overlap.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), into.as_mut_ptr(), bytes) }
    }

    /// Appends the visible rows, tightly packed.
    pub fn copy_to(&self, into: &mut Vec<u8>) {
        let begin = into.len();
        into.resize(begin + self.row_bytes * self.rows, 0);
        for (y, row) in into[begin..].chunks_exact_mut(self.row_bytes).enumerate() {
            self.copy_row(y, row);
        }
    }
}
