//! Where a reader begins, and how it goes on in the next epoch.

use std::sync::Arc;

use super::super::Token;
use super::super::choice::{FrameStart, Policy};
use super::super::descriptor::Described;
use super::super::form::Known;
use super::super::frame::{Frame, Origin};
use super::super::table::{self, oldest_described, read_descriptor, version_word};
use super::seat::House;
use super::{FrameOptions, FrameReader};
use crate::Next;
use crate::anchor::{AnchorView, IndexView, damaged};
use crate::error::Error;
use crate::layout::{index, memory};
use crate::lease::EvictionWatch;
use crate::segments::{Part, Segments};
use crate::stream;
use crate::sync::Ordering;
use crate::wake::Heard;

impl FrameReader {
    /// Goes on to the live epoch. What is left of the old one can be leased no more, because its
    /// writer is gone or has yielded; frames already held stay valid.
    pub(super) fn follow(&mut self, heard: Heard) -> Result<Option<Next<Frame>>, Error> {
        let live = |anchor: &AnchorView| [anchor.epoch(), 0];
        let followed = self.anchor.follow(&self.index, live);
        let followed = followed.inspect_err(|_| self.signal.told_gone(heard))?;
        let Some(index) = followed else {
            self.signal.listen_to(&self.anchor, &self.index, self.progress());
            return Ok(None);
        };
        check_shape(&*self.segments, &index, &self.options)?;
        self.seats.serve(&*self.segments, &index, &self.options)?;
        self.evictions = EvictionWatch::begin(&index, self.seats.first().place());
        // First: a claim in a page that names another epoch holds nothing.
        self.seats.enter(&index, &self.options)?;
        self.index = Arc::new(index);
        self.cursor = 0;
        self.signal.enter(&self.anchor, &self.index, self.progress());
        self.settle(0)?;
        Ok(Some(Next::NewEpoch { epoch: self.epoch() }))
    }

    /// Places a new reader.
    pub(super) fn begin(&mut self, start: FrameStart) -> Result<(), Error> {
        let head = self.index.head();
        let cursor = match start {
            FrameStart::After { epoch, sequence } if epoch == self.epoch() => sequence.min(head),
            FrameStart::After { .. } => 0,
            FrameStart::Newest if self.options.key_only => self.newest_key_held(head) - 1,
            FrameStart::Newest => self.every.newest(head).saturating_sub(1),
            FrameStart::Oldest => self.oldest_held(head).saturating_sub(1),
        };
        let elsewhere = matches!(start, FrameStart::After { epoch, .. } if epoch != self.epoch());
        self.lost_epochs = elsewhere && self.options.policy == Policy::Sequential;
        self.seats.enter(&self.index, &self.options)?;
        self.settle(cursor)
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

    /// The newest key picture that is still there; what comes next when there is none.
    fn newest_key_held(&self, head: u64) -> u64 {
        let is_key = |sequence: &u64| table::is_key(&self.index.map, *sequence);
        (self.oldest_held(head).max(1)..=head).rfind(is_key).unwrap_or(head + 1)
    }

    /// Makes oneself at home in the epoch, behind `cursor`.
    fn settle(&mut self, cursor: u64) -> Result<(), Error> {
        self.set_cursor(cursor);
        self.signal.set_owes(self.lost_epochs);
        self.signal.set_not_before(self.pace.due());
        let source = stream::read(&self.index.map).and_then(|block| block.source);
        let index = (self.index.memory != memory::HOST).then(|| Arc::clone(&self.index));
        self.origin = Arc::new(Origin { ring: self.ring().clone(), source, index });
        self.open_slots();
        Ok(())
    }

    /// Those there are, before a picture needs them: whoever hands out a ring's segments may be gone by
    /// then, and must not be missed. What goes wrong here is told when a picture needs them.
    fn open_slots(&mut self) {
        let generation = self.index.map.half(index::AT_GENERATION).load(Ordering::Acquire);
        if generation != 0 {
            let Self { seats, segments, index, origin, .. } = self;
            let house = House { segments: &**segments, index, origin, was_woken: false };
            seats.open_slots(&house, generation);
        }
    }
}

pub(super) fn check_shape(
    segments: &dyn Segments,
    index_view: &IndexView,
    options: &FrameOptions,
) -> Result<(), Error> {
    if index_view.memory != memory::HOST && !options.on_device {
        return Err(Error::OnDevice { ring: segments.ring().clone() });
    }
    let half = |at| index_view.map.half(at).load(Ordering::Relaxed);
    let shape = (half(index::AT_SLOTS), half(index::AT_DESCRIPTORS));
    let is_ours = shape == (table::SLOTS, table::DESCRIPTORS);
    if is_ours && index_view.map.bytes() >= table::INDEX_BYTES {
        return Ok(());
    }
    let part = Part::Index { epoch: index_view.epoch };
    Err(damaged(segments, part, "its slot table has another shape"))
}
