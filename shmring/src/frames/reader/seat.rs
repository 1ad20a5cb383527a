//! A reader's places among the ring's readers, and leasing with them.

use std::sync::Arc;

use super::super::form::Known;
use super::super::frame::{Frame, Origin};
use super::super::hands::Hands;
use super::super::table::{self, read_descriptor, version_word};
use super::super::{DeviceBlock, Token};
use super::FrameOptions;
use crate::anchor::{IndexView, damaged};
use crate::clock;
use crate::error::Error;
use crate::layout::{PAGE, memory};
use crate::lease::{LeasePage, Wish, further_signature};
use crate::segment::{self, Access, Mapping};
use crate::segments::{Part, Segments};

/// What seats stand in.
pub(super) struct House<'a> {
    pub(super) segments: &'a dyn Segments,
    pub(super) index: &'a IndexView,
    pub(super) origin: &'a Arc<Origin>,
    pub(super) was_woken: bool,
}

/// A lease page, and what the frames held with it are made of.
#[derive(Debug)]
struct Seat {
    page: Arc<LeasePage>,
    /// Of the newest generation mapped.
    hands: Option<Hands>,
    /// Where the picture leased last lies.
    newest_slot: u32,
}

/// As many as the frames need that a reader wants to hold at once.
#[derive(Debug)]
pub(super) struct Seats {
    first: Seat,
    /// For most readers none.
    more: Vec<Seat>,
}

impl Seats {
    pub(super) fn claim(
        segments: &dyn Segments,
        index: &IndexView,
        options: &FrameOptions,
    ) -> Result<Self, Error> {
        let first = Seat::claim(segments, index, &options.reader)?;
        let mut seats = Self { first, more: Vec::new() };
        seats.fill_up(segments, index, options)?;
        Ok(seats)
    }

    /// The place by which an essential reader is known.
    pub(super) fn first(&self) -> &LeasePage {
        &self.first.page
    }

    /// Makes them those that the writer of `index` looks at.
    pub(super) fn serve(
        &mut self,
        segments: &dyn Segments,
        index: &IndexView,
        options: &FrameOptions,
    ) -> Result<(), Error> {
        if !self.first.page.serves(segments, index) {
            self.first = Seat::claim(segments, index, &options.reader)?;
        }
        self.more.retain(|seat| seat.page.serves(segments, index));
        self.fill_up(segments, index, options)
    }

    fn fill_up(
        &mut self,
        segments: &dyn Segments,
        index: &IndexView,
        options: &FrameOptions,
    ) -> Result<(), Error> {
        let needed = options.quota.div_ceil(index.quota.max(1)).saturating_sub(1) as usize;
        self.more.truncate(needed);
        // Not the reader's own name: who is essential is known by that, and is behind at one place only.
        let name = further_signature(&options.reader);
        while self.more.len() < needed {
            self.more.push(Seat::claim(segments, index, &name)?);
        }
        Ok(())
    }

    /// From now on they are about the epoch of `index`.
    pub(super) fn enter(&mut self, index: &IndexView, options: &FrameOptions) -> Result<(), Error> {
        let key_only = options.key_only;
        let every = if key_only { 1 } else { options.every };
        let wish = Wish { max_fps: options.max_fps.unwrap_or(0), every, key_only };
        let mut left = options.quota.max(1);
        for seat in std::iter::once(&mut self.first).chain(&mut self.more) {
            seat.hands = None;
            seat.page.set_wish(wish);
            let quota = index.quota.min(left);
            seat.page.enter(index.epoch, quota)?;
            left -= quota;
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn set_cursor(&self, sequence: u64) {
        self.first.page.set_cursor(sequence);
        for seat in &self.more {
            seat.page.set_cursor(sequence);
        }
    }

    pub(super) fn open_slots(&mut self, house: &House<'_>, generation: u32) {
        for seat in std::iter::once(&mut self.first).chain(&mut self.more) {
            let _ = seat.open_generation(house, generation);
        }
    }

    /// Lets the processor fetch what the next picture most likely needs.
    #[inline(always)]
    pub(super) fn fetch_next(&self, map: &Mapping, known: &Known) {
        self.first.fetch_next(map, known.slot_bytes());
    }

    /// Leases the picture of `sequence`; `None` when it was overwritten.
    #[inline(always)]
    pub(super) fn lease(
        &mut self,
        house: &House<'_>,
        sequence: u64,
        known: &mut Known,
    ) -> Result<Option<Frame>, Error> {
        match self.first.page.free() {
            Some(hazard) => self.first.lease(house, hazard, sequence, known),
            None => self.lease_elsewhere(house, sequence, known),
        }
    }

    #[cold]
    fn lease_elsewhere(
        &mut self,
        house: &House<'_>,
        sequence: u64,
        known: &mut Known,
    ) -> Result<Option<Frame>, Error> {
        for seat in &mut self.more {
            if let Some(hazard) = seat.page.free() {
                return seat.lease(house, hazard, sequence, known);
            }
        }
        let held = std::iter::once(&self.first).chain(&self.more);
        let quota = held.map(|seat| seat.page.quota()).sum();
        self.first.page.add_refusal();
        Err(Error::NoLease { ring: house.segments.ring().clone(), quota })
    }
}

impl Seat {
    fn claim(segments: &dyn Segments, index: &IndexView, name: &str) -> Result<Self, Error> {
        let page = LeasePage::claim(segments, index.places, name)?;
        Ok(Self { page: Arc::new(page), hands: None, newest_slot: 0 })
    }

    #[inline(always)]
    fn lease(
        &mut self,
        house: &House<'_>,
        hazard: u32,
        sequence: u64,
        known: &mut Known,
    ) -> Result<Option<Frame>, Error> {
        let map = &house.index.map;
        loop {
            let Some(claim) = table::read_token(map, sequence) else { return Ok(None) };
            let token = Token::unpack(claim);
            let Some(hands) = self.hands.as_mut().filter(|it| it.generation == token.generation)
            else {
                if token.slot < table::SLOTS && self.open_generation(house, token.generation)? {
                    continue;
                }
                return Ok(None);
            };
            if token.slot >= table::SLOTS {
                return Ok(None);
            }
            // Both are needed one after the other, and the claim stands between.
            table::fetch_version(map, token.generation, token.slot);
            let reach = hands.reach;
            let start = slot_start(token.slot, known.slot_bytes(), reach);
            hands.data.fetch_line(start.unwrap_or(0));
            let version = version_word(map, token.generation, token.slot);
            if !self.page.pin(hazard, version, claim)? {
                return Ok(None);
            }
            // SAFETY: `frame` is given to the caller once `hand` was used last; dropped before, it asks it
            // nothing but which claim to end, which is not among what is filled.
            let Some((frame, hand)) = (unsafe { hands.take_up(hazard) }) else {
                self.page.unpin(hazard);
                return Ok(None);
            };
            let described = &mut hand.described;
            let is_read = read_descriptor(map, sequence, known, described);
            let start = slot_start(token.slot, described.slot_bytes, reach);
            hand.start = start.unwrap_or(0);
            if !is_read || described.token != claim || start.is_none() {
                // Dropping the frame ends the claim.
                return Ok(None);
            }
            // Of one that was waited for it is known already.
            let now = if house.was_woken { described.published } else { clock::mono_coarse() };
            self.page.note_since(hazard, now);
            self.newest_slot = token.slot;
            return Ok(Some(frame));
        }
    }

    /// Fetches what the claim of the next picture needs: most likely it lies in the slot behind the newest one,
    /// for a writer takes them in turn.
    #[inline(always)]
    fn fetch_next(&self, map: &Mapping, slot_bytes: u64) {
        self.page.fetch();
        let Some(hands) = &self.hands else { return };
        let slot = (self.newest_slot + 1) % table::SLOTS;
        table::fetch_version(map, hands.generation, slot);
        hands.data.fetch_line(slot_start(slot, slot_bytes, hands.reach).unwrap_or(0));
    }

    /// Maps the slots of a generation; `false` when its name is gone already.
    #[cold]
    fn open_generation(&mut self, house: &House<'_>, generation: u32) -> Result<bool, Error> {
        let epoch = house.index.epoch;
        let part = Part::Data { epoch, generation };
        let Some(file) = house.segments.open(part)? else {
            return Ok(false);
        };
        let path = house.segments.path(part);
        let bytes = segment::size(&path, &file)?;
        if bytes < PAGE {
            return Err(damaged(house.segments, part, "it is smaller than one slot"));
        }
        let data = Arc::new(Mapping::open(&path, &file, bytes, Access::Read)?);
        let (page, origin) = (Arc::clone(&self.page), Arc::clone(house.origin));
        let device = match house.index.memory {
            memory::HOST => None,
            _ => Some(block(house, part, &data, generation)?),
        };
        let of_device =
            |block: &Arc<DeviceBlock>| usize::try_from(block.bytes).unwrap_or(usize::MAX);
        let reach = device.as_ref().map_or_else(|| data.bytes(), of_device);
        let made = Vec::new();
        self.hands = Some(Hands { generation, page, data, device, reach, epoch, origin, made });
        Ok(true)
    }
}

fn block(
    house: &House<'_>,
    part: Part,
    data: &Mapping,
    generation: u32,
) -> Result<Arc<DeviceBlock>, Error> {
    let block = DeviceBlock::read(data, house.index.epoch, generation).map(Arc::new);
    block.ok_or_else(|| damaged(house.segments, part, "it says of no device's memory"))
}

#[inline(always)]
fn slot_start(slot: u32, slot_bytes: u64, data_bytes: usize) -> Option<usize> {
    // Slots begin on pages: elements are aligned for their type.
    let slot_bytes = Some(slot_bytes).filter(|bytes| bytes.is_multiple_of(PAGE as u64))?;
    let end = u64::from(slot + 1).checked_mul(slot_bytes)?;
    (end <= data_bytes as u64).then(|| usize::try_from(end - slot_bytes).ok())?
}
