//! The reading end of a packet ring.

use std::sync::Arc;
use std::time::Duration;

use protocol::name::{ProjectName, RingKind, RingName};
use protocol::stream::Track;

use super::Packet;
use super::cursor::{EpochCursor, Step};
use super::log::Damage;
use crate::Next;
use crate::anchor::{ATTEMPTS, AnchorView, IndexView, damaged};
use crate::clock;
use crate::error::Error;
use crate::lease::{EvictionWatch, LeasePage};
use crate::segments::{self, Part, Segments};
use crate::signal::{Pollable, Semaphore, Shared, Signal, sealed};
use crate::stream;
use crate::wake::Heard;

/// Where a new reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Behind a packet already had: the next thing read is its successor, in this epoch or the
    /// previous one while that is still there.
    After { epoch: u64, sequence: u64 },
    /// With the next packet published.
    Newest,
    /// With the newest key packet, or the oldest packet when there is none.
    NewestKey,
    /// With the oldest packet still there.
    Oldest,
}

/// How to attach.
#[derive(Clone, Debug)]
pub struct PacketOptions {
    /// Shown by `framevisor rings`.
    pub reader: String,
    pub start: Start,
}

/// A reader with its own cursor. It cannot slow the writer; when it is too slow, it is told.
#[derive(Debug)]
pub struct PacketReader {
    segments: Arc<dyn Segments>,
    anchor: Arc<AnchorView>,
    signal: Signal,
    page: LeasePage,
    at: EpochCursor,
    /// To be told before anything that is read: a hole of unknown size, then a new epoch.
    evictions: EvictionWatch,
    untold: Untold,
    start: Start,
    tracks: Vec<Track>,
    source: Option<RingName>,
    stream_version: u64,
    reader: String,
}

#[derive(Clone, Copy, Debug, Default)]
struct Untold {
    lost_epochs: bool,
    new_epoch: bool,
    /// Behind an eviction.
    missed: u64,
}

impl PacketReader {
    /// Attaches by name; shape and codecs come from the ring.
    pub fn attach(
        project: &ProjectName,
        ring: &RingName,
        options: &PacketOptions,
    ) -> Result<Self, Error> {
        if ring.kind() == RingKind::Frames {
            return Err(Error::WrongKind {
                ring: ring.clone(),
                seen: "frames",
                expected: "packets or events",
            });
        }
        let segments = segments::find(project, ring);
        let anchor = Arc::new(AnchorView::open(&segments)?);
        let mut at = open_first(&segments, &anchor, options.start)?;
        let page = LeasePage::claim(&*segments, at.index().places, &options.reader)?;
        let evictions = EvictionWatch::begin(at.index(), page.place());
        at.begin(options.start);
        let lost_epochs =
            matches!(options.start, Start::After { epoch, .. } if epoch != at.index().epoch);
        let signal = Signal::new(ring, &anchor, at.index(), at.progress());
        let mut reader = Self {
            segments,
            anchor,
            signal,
            page,
            at,
            evictions,
            untold: Untold { lost_epochs, ..Untold::default() },
            start: options.start,
            tracks: Vec::new(),
            source: None,
            stream_version: 0,
            reader: options.reader.clone(),
        };
        reader.settle()?;
        Ok(reader)
    }

    /// What flows in the ring, as of the last packet read.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The ring whose packets these are made from, as of the last packet read: a
    /// [`super::PacketMeta::source`] is a place in it, or without one in this ring.
    pub fn source_ring(&self) -> Option<&RingName> {
        self.source.as_ref()
    }

    pub fn epoch(&self) -> u64 {
        self.at.index().epoch
    }

    /// Packets published and not yet read: the count of the ring's semaphore for this reader.
    pub fn lag(&self) -> u64 {
        self.at.index().head().saturating_sub(self.at.sequence())
    }

    /// Whether the writer of the epoch being read lives.
    pub fn writer_lives(&self) -> bool {
        self.at.index().is_live()
    }

    /// The count of [`Self::lag`] as a semaphore that another thread may wait for.
    pub fn semaphore(&self) -> Semaphore {
        Semaphore::of(self.signal.shared())
    }

    /// A descriptor that is readable while [`Self::next`] has something to say.
    pub fn pollable(&self) -> Result<Pollable, Error> {
        Pollable::of(self.signal.shared())
    }

    /// The next packet, or what there is instead; sleeps at most `wait`.
    pub fn next(&mut self, wait: Duration) -> Result<Next<Packet>, Error> {
        self.signal.check_process()?;
        let deadline = clock::mono() + wait;
        loop {
            let heard = self.signal.hear();
            if let Some(next) = self.take_next(heard)? {
                self.signal.told_something();
                return Ok(next);
            }
            let now = clock::mono();
            if self.at.index().has_ended() && self.at.is_drained() {
                self.signal.told_end(heard);
                return Ok(Next::Ended);
            }
            self.signal.found_nothing(heard);
            if now >= deadline {
                return Ok(Next::Quiet);
            }
            self.signal.wait(heard, deadline.saturating_since(now));
        }
    }

    fn take_next(&mut self, heard: Heard) -> Result<Option<Next<Packet>>, Error> {
        if let Some(next) = self.tell() {
            return Ok(Some(next));
        }
        let step = self.at.step(self.start);
        self.signal.set_progress(self.at.progress());
        match step {
            Ok(Step::Packet(packet)) => return Ok(Some(self.took(packet))),
            Ok(Step::Missed(missed)) => {
                // An eviction that came just now is why.
                let Some(evicted) = self.evicted() else {
                    return Ok(Some(self.missed(missed)));
                };
                self.untold.missed = missed;
                self.signal.set_owes(true);
                return Ok(Some(evicted));
            }
            Ok(Step::Empty) => {}
            Ok(Step::Refused(error)) => return Err(error),
            Err(Damage(what)) => {
                self.at.recover();
                self.signal.set_progress(self.at.progress());
                let part = Part::Data { epoch: self.epoch(), generation: 1 };
                return Err(damaged(&*self.segments, part, what));
            }
        }
        self.follow(heard)
    }

    fn tell(&mut self) -> Option<Next<Packet>> {
        if let missed @ 1.. = std::mem::take(&mut self.untold.missed) {
            self.signal.set_owes(false);
            return Some(self.missed(missed));
        }
        let Untold { lost_epochs, new_epoch, .. } = self.untold;
        if !lost_epochs && !new_epoch {
            return self.evicted();
        }
        let new_epoch = lost_epochs && new_epoch;
        self.untold = Untold { new_epoch, ..Untold::default() };
        self.signal.set_owes(self.untold.new_epoch);
        Some(if lost_epochs {
            Next::Overrun { missed: 0 }
        } else {
            Next::NewEpoch { epoch: self.epoch() }
        })
    }

    fn evicted(&mut self) -> Option<Next<Packet>> {
        let reason = self.evictions.news(self.at.index(), self.segments.ring())?;
        self.page.add_eviction();
        Some(Next::Evicted { reason })
    }

    fn took(&mut self, packet: Packet) -> Next<Packet> {
        if stream::version(&self.at.index().map) != self.stream_version {
            self.refresh_tracks();
        }
        self.page.set_cursor(packet.sequence);
        Next::Item(packet)
    }

    fn missed(&mut self, missed: u64) -> Next<Packet> {
        self.page.add_missed(missed);
        self.page.set_cursor(self.at.sequence());
        Next::Overrun { missed }
    }

    /// Goes on to the next epoch there is, once this one is drained and the last of it is told.
    fn follow(&mut self, heard: Heard) -> Result<Option<Next<Packet>>, Error> {
        let own = self.epoch();
        // The one before the live one first, while it is there and this reader was in an older one.
        let later = |epoch: u64| if epoch > own { epoch } else { 0 };
        let epochs = |anchor: &AnchorView| [later(anchor.previous()), anchor.epoch()];
        let next = self.anchor.follow(self.at.index(), epochs);
        let next = next.inspect_err(|_| self.signal.told_gone(heard))?;
        self.signal.listen_to(&self.anchor, self.at.index(), self.at.progress());
        let is_final = next.is_some() || self.at.index().has_ended();
        // Looked at last: the writer may have published between our look at the log and at the anchor.
        if !self.at.is_drained() {
            return Ok(None);
        }
        if is_final && let Some(missed) = self.at.take_untold() {
            self.signal.set_progress(self.at.progress());
            return Ok(Some(self.missed(missed)));
        }
        match next {
            Some(index) => self.enter(index),
            None => Ok(None),
        }
    }

    fn enter(&mut self, index: IndexView) -> Result<Option<Next<Packet>>, Error> {
        // A ring made anew has none before its first.
        let lost_epochs = index.before != self.epoch() && index.before != 0;
        let Some(mut at) = EpochCursor::open(&self.segments, index)? else {
            return Ok(None);
        };
        at.begin_at_first();
        if !self.page.serves(&*self.segments, at.index()) {
            self.page = LeasePage::claim(&*self.segments, at.index().places, &self.reader)?;
        }
        self.at = at;
        self.evictions = EvictionWatch::begin(self.at.index(), self.page.place());
        self.untold = Untold { lost_epochs, new_epoch: true, missed: 0 };
        self.signal.enter(&self.anchor, self.at.index(), self.at.progress());
        self.settle()?;
        Ok(self.tell())
    }

    fn settle(&mut self) -> Result<(), Error> {
        // Packets are copied, not leased.
        let leases = 0;
        self.signal.set_owes(self.untold.lost_epochs || self.untold.new_epoch);
        self.page.enter(self.epoch(), leases)?;
        self.page.set_cursor(self.at.sequence());
        self.refresh_tracks();
        Ok(())
    }

    fn refresh_tracks(&mut self) {
        self.stream_version = stream::version(&self.at.index().map);
        if let Some(block) = stream::read(&self.at.index().map) {
            (self.tracks, self.source) = (block.tracks, block.source);
        }
    }
}

impl sealed::Signalling for PacketReader {
    fn shared(&self) -> &Arc<Shared> {
        self.signal.shared()
    }
}

/// The epoch a new reader begins in: the live one, or the one before it when the reader was in that or
/// in an earlier one.
fn open_first(
    segments: &Arc<dyn Segments>,
    anchor: &AnchorView,
    start: Start,
) -> Result<EpochCursor, Error> {
    // Epochs come and go while they are opened.
    for _ in 0..ATTEMPTS {
        let previous = anchor.previous();
        let index = match start {
            Start::After { epoch, .. } if epoch <= previous => {
                IndexView::open(&**segments, previous)?
            }
            _ => None,
        };
        let index = match index {
            Some(index) => index,
            None => IndexView::open_live(&**segments, anchor)?,
        };
        if let Some(at) = EpochCursor::open(segments, index)? {
            return Ok(at);
        }
    }
    Err(segments.absent())
}
