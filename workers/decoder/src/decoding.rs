//! Packets of one track in, pictures in the frame rings out.

use std::sync::Arc;

use media::{Decoder, NoMemory, PictureAllocator};
use protocol::control::ItemId;
use protocol::health::PictureHealth;
use protocol::stream::Track;
use protocol::time::MonoNs;
use shmring::{Packet, SourceId, clock};
use worker::Turn;

use crate::choice::References;
use crate::engines::Engines;
use crate::health::{GRID, Judge};
use crate::notes::{Note, Notes, Steps};
use crate::outputs::{Outputs, Trouble};
use crate::resync::{Resync, Verdict};
use crate::slots::Slots;

/// Everything between a packet and its picture.
#[derive(Debug)]
pub(crate) struct Decoding {
    outputs: Outputs,
    engines: Engines,
    open: Option<(Track, Decoder)>,
    /// Who decodes now is not to go on: the next key frame is for another one.
    is_given_up: bool,
    resync: Resync,
    references: References,
    notes: Notes,
    /// Something was lost since the last key frame: what follows does not continue what came before.
    torn: bool,
    /// Of the last packet that was decoded.
    newest: Option<SourceId>,
    /// Pictures up to this one were published before a rest.
    shown: Option<SourceId>,
    judge: Judge,
}

/// What became of one packet.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Sequence of the newest picture it brought out.
    pub(crate) made: Option<u64>,
    /// Pictures that are lost, and why.
    pub(crate) missed: u64,
    pub(crate) trouble: Option<Trouble>,
}

impl Decoding {
    pub(crate) fn new(outputs: Outputs, engines: Engines, judge: Judge) -> Self {
        Self {
            outputs,
            engines,
            open: None,
            is_given_up: false,
            resync: Resync::default(),
            references: References::default(),
            notes: Notes::default(),
            torn: true,
            newest: None,
            shown: None,
            judge,
        }
    }

    /// What the pictures look like.
    pub(crate) fn health(&self) -> PictureHealth {
        self.judge.health()
    }

    /// Who reads now, and what that means for the decoder.
    pub(crate) fn look(&mut self, now: MonoNs) -> Turn {
        let was_key_only = self.outputs.is_key_only();
        match self.outputs.look(now) {
            Turn::GoOn if was_key_only && !self.outputs.is_key_only() => {
                // What lies between the newest key frame and now was passed over.
                self.resync.lost();
                self.shown = self.newest;
                Turn::Resume
            }
            Turn::Park => {
                self.rest();
                // Nobody wants pictures, so that none is looked at.
                self.sees_nothing();
                Turn::Park
            }
            turn => turn,
        }
    }

    /// No pictures have come for long: what they looked like says nothing of the next ones.
    pub(crate) fn sees_nothing(&mut self) {
        self.judge.rest();
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.outputs.is_parked()
    }

    /// What a person who asked for hardware must know.
    pub(crate) fn fall_back(&self) -> Option<&str> {
        self.engines.fall_back()
    }

    /// The last packet that was decoded.
    pub(crate) fn newest(&self) -> Option<ItemId> {
        self.newest.map(|SourceId { epoch, sequence }| ItemId { epoch, sequence })
    }

    /// A predecessor has published the pictures up to this one.
    pub(crate) fn has_shown(&mut self, last: Option<ItemId>) {
        self.shown = last.map(|ItemId { epoch, sequence }| SourceId { epoch, sequence });
    }

    /// Packets before the next one are lost.
    pub(crate) fn lost(&mut self) {
        self.torn = true;
        self.resync.lost();
    }

    /// The packets have ended: the pictures still inside come out. Later packets begin anew.
    pub(crate) fn drain(&mut self) -> Tally {
        let mut tally = Tally::default();
        if let Err(error) = self.finish(&mut tally) {
            tally.trouble = Some(error);
        }
        self.rest();
        tally
    }

    /// Gives all memory back. The next packets may repeat some that were decoded already; their
    /// pictures are not published twice.
    pub(crate) fn rest(&mut self) {
        self.lost();
        self.open = None;
        self.shown = self.newest;
    }

    /// Nothing follows: readers are told.
    pub(crate) fn end(&mut self) {
        self.rest();
        self.outputs.finish();
    }

    /// Decodes `packet`, which is of `track`, as far as anybody wants it.
    pub(crate) fn take(&mut self, packet: &Packet, track: &Track, now: MonoNs) -> Tally {
        let mut tally = Tally::default();
        let meta = &packet.meta;
        let key = meta.key;
        self.torn |= meta.discontinuity || meta.corrupt;
        let is_disposable = self.references.is_disposable(track.codec, &packet.payload);
        if self.outputs.is_key_only() && !key {
            // No loss: nobody wants it. What refers to it cannot be decoded from here on.
            self.resync.lost();
            tally.missed += u64::from(meta.corrupt);
            return tally;
        }
        let verdict = self.resync.on_packet(key, meta.discontinuity, meta.corrupt);
        if verdict == Verdict::Skip {
            // What damage costs is counted; what comes before a first key frame was never wanted.
            tally.missed += u64::from(meta.corrupt);
            return tally;
        }
        let steps = self.outputs.steps(key, now);
        let is_wanted = steps != Steps::default();
        if !is_wanted && is_disposable && verdict == Verdict::Continue {
            return tally;
        }
        let ready = match verdict {
            Verdict::Start => self.start(track),
            _ => self.follow(track, key, &mut tally),
        };
        if let Err(error) = ready.and_then(|()| self.decode(packet, steps, &mut tally)) {
            if let Trouble::Media(error) = &error
                && !self.is_given_up
            {
                self.is_given_up = self.engines.failed(track.codec, error);
            }
            tally.missed += 1;
            tally.trouble = Some(error);
            self.lost();
            if verdict == Verdict::Start {
                // Emptying it is not always enough: FFmpeg's VP9 remembers a broken header's size of 0x0 for good.
                self.open = None;
            }
        }
        tally
    }

    fn start(&mut self, track: &Track) -> Result<(), Trouble> {
        if std::mem::take(&mut self.torn) {
            self.outputs.tear();
        }
        match &mut self.open {
            Some((opened, decoder)) if opened == track && !self.is_given_up => decoder.flush(),
            _ => self.open(track)?,
        }
        Ok(())
    }

    /// A key frame of a track described anew needs a new decoder, as one does whose decoder was given up; the
    /// old one is emptied first.
    fn follow(&mut self, track: &Track, key: bool, tally: &mut Tally) -> Result<(), Trouble> {
        let is_of_track = self.open.as_ref().is_some_and(|(opened, _)| opened == track);
        if !key || is_of_track && !self.is_given_up {
            return Ok(());
        }
        self.finish(tally)?;
        self.open(track)
    }

    fn finish(&mut self, tally: &mut Tally) -> Result<(), Trouble> {
        if let Some((_, decoder)) = &mut self.open {
            decoder.finish()?;
        }
        self.publish_ready(tally)
    }

    fn open(&mut self, track: &Track) -> Result<(), Trouble> {
        self.open = None; // its slots come back first
        let slots: Arc<dyn PictureAllocator> = match self.outputs.own() {
            Some((ring, is_read)) => Arc::new(Slots::new(ring, is_read)),
            None => NoMemory::shared(),
        };
        let decoder = self.engines.open(track, &slots)?;
        self.open = Some((track.clone(), decoder));
        self.is_given_up = false;
        Ok(())
    }

    fn decode(&mut self, packet: &Packet, steps: Steps, tally: &mut Tally) -> Result<(), Trouble> {
        let note = Note::of(packet, steps);
        self.newest = Some(note.at);
        let token = self.notes.add(note);
        if let Some((track, decoder)) = &mut self.open {
            decoder.send(&packet.payload, token)?;
            if decoder.is_refused() && !self.is_given_up {
                self.engines.refused(track.codec);
                self.is_given_up = true;
            }
        }
        if !self.outputs.is_key_only() {
            return self.publish_ready(tally);
        }
        // The next one may be long in coming, and this one waits for nothing.
        self.finish(tally)?;
        if let Some((_, decoder)) = &mut self.open {
            decoder.flush();
        }
        self.resync.lost();
        Ok(())
    }

    fn publish_ready(&mut self, tally: &mut Tally) -> Result<(), Trouble> {
        loop {
            let Some((_, decoder)) = &mut self.open else {
                return Ok(());
            };
            let now = clock::mono();
            let is_looked_at = self.judge.is_due(now);
            let may_stay = self.outputs.may_stay() && !is_looked_at;
            let Some(picture) = decoder.receive_where(may_stay)? else {
                return Ok(());
            };
            let Some(note) = self.notes.find(picture.token).filter(|note| !self.was_shown(note))
            else {
                continue;
            };
            if is_looked_at {
                self.judge.look(picture.sampled(GRID.0, GRID.1), now);
            }
            let (made, troubles) = self.outputs.publish(&picture, &note);
            tally.made = made.or(tally.made);
            tally.missed += troubles.len() as u64;
            tally.trouble = troubles.into_iter().next().or_else(|| tally.trouble.take());
        }
    }

    fn was_shown(&self, note: &Note) -> bool {
        self.shown
            .is_some_and(|shown| shown.epoch == note.at.epoch && shown.sequence >= note.at.sequence)
    }
}

#[cfg(test)]
mod tests;
