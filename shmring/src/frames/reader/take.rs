//! Taking pictures, by a reader's policy.

use protocol::time::MonoNs;

use super::super::choice::Policy;
use super::super::frame::Frame;
use super::super::table::{self, oldest_described};
use super::FrameReader;
use super::seat::House;
use crate::Next;
use crate::anchor::damaged;
use crate::clock;
use crate::error::Error;
use crate::segments::Part;
use crate::signal::Progress;

impl FrameReader {
    /// As [`Self::take_next`], without asking for the time where it does not matter.
    #[inline(always)]
    pub(super) fn take_due(&mut self) -> Result<Option<Next<Frame>>, Error> {
        let now = if self.pace.is_limited() { clock::mono() } else { MonoNs(0) };
        if now < self.pace.due() { Ok(None) } else { self.take_next(now) }
    }

    /// Tries the pictures this reader has not had, by its policy.
    #[inline(always)]
    pub(super) fn take_next(&mut self, now: MonoNs) -> Result<Option<Next<Frame>>, Error> {
        if std::mem::take(&mut self.lost_epochs) {
            self.signal.set_owes(false);
            return Ok(Some(Next::Overrun { missed: 0 }));
        }
        if let Some(evicted) = self.evicted() {
            return Ok(Some(evicted));
        }
        let head = self.index.head();
        if head < self.cursor {
            return Err(self.went_back_to(head));
        }
        if self.every.between(self.cursor, head) == 0 {
            return Ok(None);
        }
        if self.options.key_only {
            return self.take_key(head, now);
        }
        match self.options.policy {
            Policy::Latest => self.take_newest(head, now),
            Policy::Sequential => self.take_in_turn(head, now),
        }
    }

    #[cold]
    fn went_back_to(&mut self, head: u64) -> Error {
        self.set_cursor(head);
        let part = Part::Index { epoch: self.epoch() };
        damaged(&*self.segments, part, "its head goes back")
    }

    /// As [`Self::take_next`], where haste is over.
    #[cold]
    pub(super) fn take_at(&mut self, now: MonoNs) -> Result<Option<Next<Frame>>, Error> {
        self.take_next(now)
    }

    #[inline(always)]
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

    #[inline(never)]
    fn take_in_turn(&mut self, head: u64, now: MonoNs) -> Result<Option<Next<Frame>>, Error> {
        let mut next = self.every.following(self.cursor);
        let mut wanted = next.max(self.every.following(oldest_described(head) - 1));
        while let Some(sequence) = wanted.filter(|wanted| *wanted <= head) {
            if let Some(frame) = self.lease(sequence)? {
                if wanted == next {
                    return Ok(Some(self.took(sequence, frame, now)));
                }
                // Told first; the picture itself is leased again by the next call.
                return Ok(Some(self.overrun(sequence - 1)));
            }
            let is_next = wanted == next;
            wanted = self.every.following(sequence);
            if is_next && table::was_left_out(&self.index.map, sequence, head) {
                // A number that nobody wanted, and no picture.
                self.set_cursor(sequence);
                next = wanted;
            }
        }
        let is_overrun = next.is_some_and(|next| next <= head);
        Ok(is_overrun.then(|| self.overrun(head)))
    }

    /// The newest key picture, or the next one; others are passed over.
    #[cold]
    fn take_key(&mut self, head: u64, now: MonoNs) -> Result<Option<Next<Frame>>, Error> {
        let map = &self.index.map;
        let mut new = (self.cursor + 1).max(oldest_described(head))..=head;
        let is_key = |sequence: &u64| table::is_key(map, *sequence);
        let key = match self.options.policy {
            Policy::Latest => new.rfind(is_key),
            Policy::Sequential => new.find(is_key),
        };
        let Some(key) = key else {
            self.set_cursor(head);
            return Ok(None);
        };
        if let Some(frame) = self.lease(key)? {
            return Ok(Some(self.took(key, frame, now)));
        }
        self.set_cursor(key - 1);
        match self.options.policy {
            Policy::Sequential => Ok(Some(self.overrun(key))),
            Policy::Latest => {
                self.set_cursor(key);
                Ok(None)
            }
        }
    }

    #[inline(always)]
    fn took(&mut self, sequence: u64, frame: Frame, now: MonoNs) -> Next<Frame> {
        self.set_cursor(sequence);
        self.known.took();
        if self.pace.is_limited() {
            self.pace.took(now, frame.published());
            self.signal.set_not_before(self.pace.due());
        }
        Next::Item(frame)
    }

    /// Nearly no ring lets go of anybody.
    #[inline(always)]
    fn evicted(&mut self) -> Option<Next<Frame>> {
        if self.evictions.is_idle() { None } else { self.look_for_eviction() }
    }

    #[cold]
    fn look_for_eviction(&mut self) -> Option<Next<Frame>> {
        let reason = self.evictions.news(&self.index, self.segments.ring())?;
        self.seats.first().add_eviction();
        Some(Next::Evicted { reason })
    }

    fn overrun(&mut self, through: u64) -> Next<Frame> {
        // One that came just now is why.
        if let Some(evicted) = self.evicted() {
            return evicted;
        }
        let missed = self.every.between(self.cursor, through);
        self.seats.first().add_missed(missed);
        self.set_cursor(through);
        Next::Overrun { missed }
    }

    #[inline(always)]
    pub(super) fn set_cursor(&mut self, sequence: u64) {
        self.cursor = sequence;
        self.seats.set_cursor(sequence);
        self.signal.set_progress(self.progress());
    }

    #[inline(always)]
    pub(super) fn progress(&self) -> Progress {
        Progress::at(self.cursor, self.every.number())
    }

    /// Leases the picture of `sequence`; `None` when it was overwritten. One function, so that the way from
    /// waking to a picture is one stretch of code.
    #[inline(never)]
    fn lease(&mut self, sequence: u64) -> Result<Option<Frame>, Error> {
        let Self { seats, segments, index, origin, known, was_woken, .. } = self;
        let house = House { segments: &**segments, index, origin, was_woken: *was_woken };
        seats.lease(&house, sequence, known)
    }
}
