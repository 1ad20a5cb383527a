//! The reading end of a frame ring.

mod epoch;
mod seat;
mod take;

use std::sync::Arc;
use std::time::Duration;

use protocol::name::{ProjectName, RingKind, RingName};
use protocol::time::MonoNs;

use super::choice::{Every, FrameStart, Pace, Policy};
use super::form::Known;
use super::frame::{Frame, Origin};
use super::table;
use crate::Next;
use crate::anchor::{AnchorView, IndexView};
use crate::clock;
use crate::error::Error;
use crate::lease::EvictionWatch;
use crate::segments::{self, Segments};
use crate::signal::{Pollable, Progress, Semaphore, Shared, Signal, sealed};
use crate::wake::Heard;
use epoch::check_shape;
use seat::Seats;

/// How to attach.
#[derive(Clone, Debug)]
pub struct FrameOptions {
    /// Shown by `framevisor rings`.
    pub reader: String,
    pub policy: Policy,
    /// Frames held at once. A place among the ring's readers is good for two; whoever wants more takes so
    /// many places more, and is refused when they are not free. 0 is 1.
    pub quota: u32,
    /// Pictures a second wanted; `None` is all.
    pub max_fps: Option<u32>,
    /// Each so manyth picture is wanted, by its sequence; the others are skipped, not missed. 1 is all.
    pub every: u32,
    /// Only pictures that need no other one are wanted: a decoder decodes no others while all its readers say
    /// so. The others are skipped, not missed; `every` counts for nothing then.
    pub key_only: bool,
    pub start: FrameStart,
    /// Frames in a device's memory are welcome ([`Frame::device`]). Else a ring of such is refused.
    pub on_device: bool,
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
            key_only: false,
            start: FrameStart::Newest,
            on_device: false,
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
    seats: Seats,
    options: FrameOptions,
    cursor: u64,
    origin: Arc<Origin>,
    every: Every,
    pace: Pace,
    /// To be told before any picture: a hole of unknown size.
    lost_epochs: bool,
    evictions: EvictionWatch,
    known: Known,
    /// It has slept since it was asked, so what it finds was published just now.
    was_woken: bool,
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
        check_shape(&*segments, &index, options)?;
        let every = Every::new(if options.key_only { 1 } else { options.every });
        let signal = Signal::new(ring, &anchor, &index, Progress::at(0, every.number()));
        let seats = Seats::claim(&*segments, &index, options)?;
        let evictions = EvictionWatch::begin(&index, seats.first().place());
        let mut reader = Self {
            segments,
            anchor,
            index,
            signal,
            seats,
            options: options.clone(),
            cursor: 0,
            origin: Arc::new(Origin { ring: ring.clone(), source: None, index: None }),
            every,
            pace: Pace::new(options.max_fps),
            lost_epochs: false,
            evictions,
            known: Known::default(),
            was_woken: false,
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
        self.was_woken = false;
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
                && let Some(next) = self.take_at(now)?
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

    fn sleep(&mut self, heard: Heard, now: MonoNs, deadline: MonoNs) {
        if now < self.pace.due() {
            // Resting between pictures: bells do not matter, so do not be on the futex at all.
            std::thread::sleep(self.pace.due().min(deadline).saturating_since(now));
        } else {
            self.signal.wait(heard, deadline.saturating_since(now));
            self.was_woken = true;
            // Most likely it is the next picture, and what its writer has just written is nowhere near:
            // head and description are fetched at the same time instead of one for the other.
            table::fetch_descriptor(&self.index.map, self.cursor.wrapping_add(1));
            self.seats.fetch_next(&self.index.map, &self.known);
        }
    }
}

impl sealed::Signalling for FrameReader {
    fn shared(&self) -> &Arc<Shared> {
        self.signal.shared()
    }
}
