//! The reading end of a frame ring.

use std::sync::Arc;
use std::time::Duration;

use protocol::name::{ProjectName, RingKind, RingName};
use protocol::time::MonoNs;

use super::Token;
use super::choice::{Every, FrameStart, Pace, Policy};
use super::descriptor::Described;
use super::form::Known;
use super::frame::{Frame, Origin};
use super::hands::Hands;
use super::table::{self, oldest_described, read_descriptor, version_word};
use crate::Next;
use crate::anchor::{AnchorView, IndexView, damaged};
use crate::clock;
use crate::error::Error;
use crate::layout::{PAGE, index};
use crate::lease::{EvictionWatch, LeasePage};
use crate::segment::{self, Access, Mapping};
use crate::segments::{self, Part, Segments};
use crate::signal::{Pollable, Progress, Semaphore, Shared, Signal, sealed};
use crate::stream;
use crate::sync::Ordering;
use crate::wake::{self, Heard};

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
    /// Each so manyth picture is wanted, by its sequence; the others are skipped, not missed. 1 is all.
    pub every: u32,
    pub start: FrameStart,
}

impl FrameOptions {
    /// The newest picture each time, under this name.
    pub fn named(reader: &str) -> Self {
        Self {
            reader: reader.to_owned(),
            policy: Policy::Latest,
            quota: super::QUOTA,
            max_fps: None,
            every: 1,
            start: FrameStart::Newest,
        }
    }
}

/// A reader with its own cursor and leases.
#[derive(Debug)]
pub struct FrameReader {
    segments: Arc<dyn Segments>,
    anchor: Arc<AnchorView>,
    index: Arc<IndexView>,
    signal: Signal,
    page: Arc<LeasePage>,
    /// Of the newest generation mapped.
    hands: Option<Hands>,
    options: FrameOptions,
    cursor: u64,
    origin: Arc<Origin>,
    every: Every,
    pace: Pace,
    /// To be told before any picture: a hole of unknown size.
    lost_epochs: bool,
    evictions: EvictionWatch,
    known: Known,
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
        let segments = segments::find(project, ring);
        let anchor = Arc::new(AnchorView::open(&segments)?);
        let index = Arc::new(IndexView::open_live(&*segments, &anchor)?);
        check_shape(&*segments, &index)?;
        let every = Every::new(options.every);
        let signal = Signal::new(ring, &anchor, &index, Progress::at(0, every.number()));
        let page = LeasePage::claim(&*segments, index.places, &options.reader)?;
        let evictions = EvictionWatch::begin(&index, page.place());
        let mut reader = Self {
            segments,
            anchor,
            index,
            signal,
            page: Arc::new(page),
            hands: None,
            options: options.clone(),
            cursor: 0,
            origin: Arc::new(Origin { ring: ring.clone(), source: None }),
            every,
            pace: Pace::new(options.max_fps),
            lost_epochs: false,
            evictions,
            known: Known::default(),
        };
        reader.begin(options.start)?;
        Ok(reader)
    }

    pub fn ring(&self) -> &RingName {
        self.segments.ring()
    }

    pub fn epoch(&self) -> u64 {
        self.index.epoch
    }

    /// The packet ring the pictures are decoded from.
    pub fn source_ring(&self) -> Option<&RingName> {
        self.origin.source.as_ref()
    }

    /// Pictures published, wanted and not yet taken: the count of the ring's semaphore for this reader.
    pub fn lag(&self) -> u64 {
        self.every.between(self.cursor, self.index.head())
    }

    /// Whether the writer of the epoch being read lives.
    pub fn writer_lives(&self) -> bool {
        self.index.is_live()
    }

    /// The count of [`Self::lag`] as a semaphore that another thread may wait for.
    pub fn semaphore(&self) -> Semaphore {
        Semaphore::of(self.signal.shared())
    }

    /// A descriptor that is readable while [`Self::next`] has something to say.
    pub fn pollable(&self) -> Result<Pollable, Error> {
        Pollable::of(self.signal.shared())
    }

    /// The next picture by this reader's policy, or what there is instead; sleeps at most `wait`.
    pub fn next(&mut self, wait: Duration) -> Result<Next<Frame>, Error> {
        self.signal.check_process()?;
        let mut deadline = None;
        loop {
            // Bells, and the clock, are for those who find nothing: on the way from waking to a picture
            // each of them is a line of memory that has gone cold.
            if let Some(next) = self.take_due()? {
                self.signal.told_something();
                return Ok(next);
            }
            let heard = self.signal.hear();
            let now = clock::mono();
            let deadline = *deadline.get_or_insert(now + wait);
            if now >= self.pace.due()
                && let Some(next) = self.take_next(now)?
            {
                self.signal.told_something();
                return Ok(next);
            }
            if let Some(next) = self.follow(heard)? {
                self.signal.told_something();
                return Ok(next);
            }
            if self.index.has_ended() && self.lag() == 0 {
                self.signal.told_end(heard);
                return Ok(Next::Ended);
            }
            if now < self.pace.due() {
                self.signal.rests();
            } else {
                self.signal.found_nothing(heard);
            }
            if now >= deadline {
                return Ok(Next::Quiet);
            }
            self.sleep(heard, now, deadline);
        }
    }

    fn sleep(&self, heard: Heard, now: MonoNs, deadline: MonoNs) {
        if now < self.pace.due() {
            // Resting between pictures: bells do not matter, so do not be on the futex at all.
            std::thread::sleep(self.pace.due().min(deadline).saturating_since(now));
        } else {
            wake::wait(
                self.index.bell(),
                self.anchor.bell(),
                heard,
                deadline.saturating_since(now),
            );
            // Most likely it is the next picture, and what its writer has just written is nowhere near:
            // head and description are fetched at the same time instead of one for the other.
            table::fetch_descriptor(&self.index.map, self.cursor.wrapping_add(1));
        }
    }

    /// As [`Self::take_next`], without asking for the time where it does not matter.
    fn take_due(&mut self) -> Result<Option<Next<Frame>>, Error> {
        let now = if self.pace.is_limited() { clock::mono() } else { MonoNs(0) };
        if now < self.pace.due() { Ok(None) } else { self.take_next(now) }
    }

    /// Tries the pictures this reader has not had, by its policy.
    fn take_next(&mut self, now: MonoNs) -> Result<Option<Next<Frame>>, Error> {
        if std::mem::take(&mut self.lost_epochs) {
            self.signal.set_owes(false);
            return Ok(Some(Next::Overrun { missed: 0 }));
        }
        if let Some(evicted) = self.evicted() {
            return Ok(Some(evicted));
        }
        let head = self.index.head();
        if head < self.cursor {
            self.set_cursor(head);
            let part = Part::Index { epoch: self.epoch() };
            return Err(damaged(&*self.segments, part, "its head goes back"));
        }
        if self.every.between(self.cursor, head) == 0 {
            return Ok(None);
        }
        match self.options.policy {
            Policy::Latest => self.take_newest(head, now),
            Policy::Sequential => self.take_in_turn(head, now).map(Some),
        }
    }

    fn take_newest(&mut self, head: u64, now: MonoNs) -> Result<Option<Next<Frame>>, Error> {
        let newest = self.every.newest(head);
        if let Some(frame) = self.lease(newest)? {
            return Ok(Some(self.took(newest, frame, now)));
        }
        if newest < head {
            // Gone for good, unlike the head itself, which may just be moving on.
            self.set_cursor(newest);
        }
        Ok(None)
    }

    fn take_in_turn(&mut self, head: u64, now: MonoNs) -> Result<Next<Frame>, Error> {
        let next = self.every.following(self.cursor);
        let mut wanted = next.max(self.every.following(oldest_described(head) - 1));
        while let Some(sequence) = wanted.filter(|wanted| *wanted <= head) {
            if let Some(frame) = self.lease(sequence)? {
                if wanted == next {
                    return Ok(self.took(sequence, frame, now));
                }
                // Told first; the picture itself is leased again by the next call.
                return Ok(self.overrun(sequence - 1));
            }
            wanted = self.every.following(sequence);
        }
        Ok(self.overrun(head))
    }

    fn took(&mut self, sequence: u64, frame: Frame, now: MonoNs) -> Next<Frame> {
        self.set_cursor(sequence);
        self.known.took();
        if self.pace.is_limited() {
            self.pace.took(now);
            self.signal.set_not_before(self.pace.due());
        }
        Next::Item(frame)
    }

    fn evicted(&mut self) -> Option<Next<Frame>> {
        let reason = self.evictions.news(&self.index, self.segments.ring())?;
        self.page.add_eviction();
        Some(Next::Evicted { reason })
    }

    fn overrun(&mut self, through: u64) -> Next<Frame> {
        // One that came just now is why.
        if let Some(evicted) = self.evicted() {
            return evicted;
        }
        let missed = self.every.between(self.cursor, through);
        self.page.add_missed(missed);
        self.set_cursor(through);
        Next::Overrun { missed }
    }

    fn set_cursor(&mut self, sequence: u64) {
        self.cursor = sequence;
        self.page.set_cursor(sequence);
        self.signal.set_progress(self.progress());
    }

    fn progress(&self) -> Progress {
        Progress::at(self.cursor, self.every.number())
    }

    /// Leases the picture of `sequence`; `None` when it was overwritten.
    fn lease(&mut self, sequence: u64) -> Result<Option<Frame>, Error> {
        let hazard = self.page.free()?;
        let Some(claim) = table::read_token(&self.index.map, sequence) else {
            return Ok(None);
        };
        let token = Token::unpack(claim);
        if token.slot >= table::SLOTS {
            return Ok(None);
        }
        if self.hands.as_ref().is_none_or(|hands| hands.generation != token.generation)
            && !self.open_generation(token.generation)?
        {
            return Ok(None);
        }
        let Some(hands) = &mut self.hands else { return Ok(None) };
        let map = &self.index.map;
        // Both are needed one after the other, and the claim stands between.
        table::fetch_version(map, token.generation, token.slot);
        let start = slot_start(token.slot, self.known.slot_bytes(), hands.data.bytes());
        hands.data.fetch(start.unwrap_or(0), 1);
        let version = version_word(map, token.generation, token.slot);
        if !self.page.pin(hazard, version, claim)? {
            return Ok(None);
        }
        let frame = hands.take_up(hazard, |hand| {
            let described = &mut hand.described;
            let is_read = read_descriptor(map, sequence, &mut self.known, described);
            let start = slot_start(token.slot, described.slot_bytes, hand.data.bytes());
            hand.start = start.unwrap_or(0);
            is_read && described.token == claim && start.is_some()
        });
        if frame.is_none() {
            self.page.unpin(hazard);
        }
        Ok(frame)
    }

    /// Those there are, before a picture needs them: whoever hands out a ring's segments may be gone by
    /// then, and must not be missed. What goes wrong here is told when a picture needs them.
    fn open_slots(&mut self) {
        let generation = self.index.map.half(index::AT_GENERATION).load(Ordering::Acquire);
        if generation != 0 {
            let _ = self.open_generation(generation);
        }
    }

    /// Maps the slots of a generation; `false` when its name is gone already.
    #[cold]
    fn open_generation(&mut self, generation: u32) -> Result<bool, Error> {
        let epoch = self.index.epoch;
        let part = Part::Data { epoch, generation };
        let Some(file) = self.segments.open(part)? else {
            return Ok(false);
        };
        let path = self.segments.path(part);
        let bytes = segment::size(&path, &file)?;
        if bytes < PAGE {
            return Err(damaged(&*self.segments, part, "it is smaller than one slot"));
        }
        let data = Arc::new(Mapping::open(&path, &file, bytes, Access::Read)?);
        let (page, origin) = (Arc::clone(&self.page), Arc::clone(&self.origin));
        self.hands = Some(Hands { generation, page, data, epoch, origin, made: Vec::new() });
        Ok(true)
    }

    /// Goes on to the live epoch. What is left of the old one can be leased no more, because its
    /// writer is gone or has yielded; frames already held stay valid.
    fn follow(&mut self, heard: Heard) -> Result<Option<Next<Frame>>, Error> {
        let live = |anchor: &AnchorView| [anchor.epoch(), 0];
        let followed = self.anchor.follow(&self.index, live);
        let followed = followed.inspect_err(|_| self.signal.told_gone(heard))?;
        let Some(index) = followed else {
            self.signal.listen_to(&self.anchor, &self.index, self.progress());
            return Ok(None);
        };
        check_shape(&*self.segments, &index)?;
        if !self.page.serves(&*self.segments, &index) {
            let page = LeasePage::claim(&*self.segments, index.places, &self.options.reader)?;
            self.page = Arc::new(page);
        }
        self.evictions = EvictionWatch::begin(&index, self.page.place());
        // First: a claim in a page that names another epoch holds nothing.
        self.enter_page(&index)?;
        self.index = Arc::new(index);
        self.hands = None;
        self.cursor = 0;
        self.signal.enter(&self.anchor, &self.index, self.progress());
        self.settle(0)?;
        Ok(Some(Next::NewEpoch { epoch: self.epoch() }))
    }

    /// Places a new reader.
    fn begin(&mut self, start: FrameStart) -> Result<(), Error> {
        let head = self.index.head();
        let cursor = match start {
            FrameStart::After { epoch, sequence } if epoch == self.epoch() => sequence.min(head),
            FrameStart::After { .. } => 0,
            FrameStart::Newest => self.every.newest(head).saturating_sub(1),
            FrameStart::Oldest => self.oldest_held(head).saturating_sub(1),
        };
        let elsewhere = matches!(start, FrameStart::After { epoch, .. } if epoch != self.epoch());
        self.lost_epochs = elsewhere && self.options.policy == Policy::Sequential;
        self.enter_page(&self.index)?;
        self.settle(cursor)
    }

    fn enter_page(&self, index: &IndexView) -> Result<(), Error> {
        self.page.set_wish(self.options.max_fps.unwrap_or(0), self.options.every);
        self.page.enter(index.epoch, index.quota.min(self.options.quota.max(1)))
    }

    /// The oldest picture whose slot has not been taken back.
    fn oldest_held(&self, head: u64) -> u64 {
        let map = &self.index.map;
        let is_held = |sequence: &u64| {
            let mut described = Described::blank();
            if !read_descriptor(map, *sequence, &mut Known::default(), &mut described) {
                return false;
            }
            let Token { generation, slot, .. } = Token::unpack(described.token);
            let held = || version_word(map, generation, slot).load(Ordering::Acquire);
            slot < table::SLOTS && held() == described.token
        };
        (oldest_described(head)..head).find(is_held).unwrap_or(head)
    }

    /// Makes oneself at home in the epoch, behind `cursor`.
    fn settle(&mut self, cursor: u64) -> Result<(), Error> {
        self.set_cursor(cursor);
        self.signal.set_owes(self.lost_epochs);
        self.signal.set_not_before(self.pace.due());
        let source = stream::read(&self.index.map).and_then(|block| block.source);
        self.origin = Arc::new(Origin { ring: self.ring().clone(), source });
        self.open_slots();
        Ok(())
    }
}

impl sealed::Signalling for FrameReader {
    fn shared(&self) -> &Arc<Shared> {
        self.signal.shared()
    }
}

fn check_shape(segments: &dyn Segments, index_view: &IndexView) -> Result<(), Error> {
    let half = |at| index_view.map.half(at).load(Ordering::Relaxed);
    let shape = (half(index::AT_SLOTS), half(index::AT_DESCRIPTORS));
    let is_ours = shape == (table::SLOTS, table::DESCRIPTORS);
    if is_ours && index_view.map.bytes() >= table::INDEX_BYTES {
        return Ok(());
    }
    let part = Part::Index { epoch: index_view.epoch };
    Err(damaged(segments, part, "its slot table has another shape"))
}

fn slot_start(slot: u32, slot_bytes: u64, data_bytes: usize) -> Option<usize> {
    // Slots begin on pages: elements are aligned for their type.
    let slot_bytes = Some(slot_bytes).filter(|bytes| bytes.is_multiple_of(PAGE as u64))?;
    let end = u64::from(slot + 1).checked_mul(slot_bytes)?;
    (end <= data_bytes as u64).then(|| usize::try_from(end - slot_bytes).ok())?
}
