//! Packets of one track in, pictures in the frame ring out.

use std::sync::Arc;

use media::{Decoder, DecoderOptions, MediaError, Picture, PictureHome, PlaneAt};
use protocol::control::ItemId;
use protocol::health::PictureHealth;
use protocol::stream::Track;
use shmring::{Error, FrameMeta, FrameWriter, Packet, PlaneLayout, SlotId, SourceId, clock};

use crate::health::{GRID, Judge};
use crate::notes::{Note, Notes};
use crate::resync::{Resync, Verdict};
use crate::slots::Slots;

/// Everything between a packet and its picture.
#[derive(Debug)]
pub(crate) struct Decoding {
    ring: FrameWriter,
    options: DecoderOptions,
    open: Option<(Track, Decoder)>,
    resync: Resync,
    notes: Notes,
    /// The next picture does not follow the last one.
    joint: bool,
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

/// Why pictures are lost.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error(transparent)]
    Ring(#[from] Error),
}

impl Decoding {
    pub(crate) fn new(ring: FrameWriter, options: DecoderOptions, judge: Judge) -> Self {
        Self {
            ring,
            options,
            open: None,
            resync: Resync::default(),
            notes: Notes::default(),
            joint: true,
            newest: None,
            shown: None,
            judge,
        }
    }

    /// Nobody wants pictures, so that none is looked at.
    pub(crate) fn look_away(&mut self) {
        self.judge.rest();
    }

    /// What the pictures look like.
    pub(crate) fn health(&self) -> PictureHealth {
        self.judge.health()
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

    /// Decodes `packet`, which is of `track`.
    pub(crate) fn take(&mut self, packet: &Packet, track: &Track) -> Tally {
        let mut tally = Tally::default();
        let meta = &packet.meta;
        let key = meta.key;
        let verdict = self.resync.on_packet(key, meta.discontinuity, meta.corrupt);
        let ready = match verdict {
            Verdict::Skip => {
                // What damage costs is counted; what comes before a first key frame was never wanted.
                tally.missed += u64::from(meta.corrupt);
                return tally;
            }
            Verdict::Continue => self.follow(track, key, &mut tally),
            Verdict::Start => self.start(track),
        };
        if let Err(error) = ready.and_then(|()| self.decode(packet, &mut tally)) {
            tally.missed += 1;
            tally.trouble = Some(error);
            self.lost();
        }
        tally
    }

    fn start(&mut self, track: &Track) -> Result<(), Trouble> {
        self.joint = true;
        match &mut self.open {
            Some((opened, decoder)) if opened == track => decoder.flush(),
            _ => self.open(track)?,
        }
        Ok(())
    }

    /// A key frame of a track described anew needs a new decoder; the old one is emptied first.
    fn follow(&mut self, track: &Track, key: bool, tally: &mut Tally) -> Result<(), Trouble> {
        if !key || self.open.as_ref().is_some_and(|(opened, _)| opened == track) {
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
        let slots = Arc::new(Slots::new(&self.ring));
        let decoder = Decoder::open(track, &self.options, slots)?;
        self.open = Some((track.clone(), decoder));
        Ok(())
    }

    fn decode(&mut self, packet: &Packet, tally: &mut Tally) -> Result<(), Trouble> {
        let note = Note::from(packet);
        self.newest = Some(note.at);
        let token = self.notes.add(note);
        if let Some((_, decoder)) = &mut self.open {
            decoder.send(&packet.payload, token)?;
        }
        self.publish_ready(tally)
    }

    fn publish_ready(&mut self, tally: &mut Tally) -> Result<(), Trouble> {
        loop {
            let Some((_, decoder)) = &mut self.open else {
                return Ok(());
            };
            let Some(picture) = decoder.receive()? else {
                return Ok(());
            };
            let Some(note) = self.notes.find(picture.token).filter(|note| !self.was_shown(note))
            else {
                continue;
            };
            let now = clock::mono();
            if self.judge.is_due(now) {
                self.judge.look(picture.sampled(GRID.0, GRID.1), now);
            }
            match publish(&self.ring, &picture, &note, self.joint) {
                Ok(sequence) => {
                    tally.made = Some(sequence);
                    self.joint = false;
                }
                // The picture is lost, the stream is not.
                Err(error) => {
                    self.ring.count_dropped();
                    tally.missed += 1;
                    tally.trouble = Some(error.into());
                }
            }
        }
    }

    fn was_shown(&self, note: &Note) -> bool {
        self.shown
            .is_some_and(|shown| shown.epoch == note.at.epoch && shown.sequence >= note.at.sequence)
    }
}

/// Shows `picture` where it lies, or copies it into a slot when it lies on the heap.
fn publish(
    ring: &FrameWriter,
    picture: &Picture,
    note: &Note,
    discontinuity: bool,
) -> Result<u64, Error> {
    match picture.home {
        PictureHome::Lent { tag, planes } => {
            let meta = FrameMeta { discontinuity, ..meta_of(picture, note, planes) };
            ring.publish(SlotId::from_bits(tag), &meta)
        }
        PictureHome::Heap => {
            // The decoder holds none of the ring's slots for this one.
            let mut loan = ring.loan(picture.tight_layout().bytes, 1)?;
            let layout = picture.copy_to(loan.bytes_mut()).unwrap_or_default();
            let meta = meta_of(picture, note, layout.planes);
            ring.publish(loan.slot(), &FrameMeta { discontinuity, copied: true, ..meta })
        }
    }
}

fn meta_of(picture: &Picture, note: &Note, planes: [PlaneAt; 4]) -> FrameMeta {
    // A slot is far below 4 GiB; what does not fit is refused by the ring as leaving its slot.
    let narrow = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let content = shmring::Picture {
        width: picture.width,
        height: picture.height,
        format: picture.format,
        colour: picture.colour,
        planes: planes.map(|plane| PlaneLayout {
            offset: narrow(plane.offset_bytes),
            linesize: narrow(plane.linesize_bytes),
        }),
    };
    FrameMeta {
        pts_ns: note.pts_ns,
        duration_ns: note.duration_ns,
        capture: note.capture,
        clock: note.clock,
        ingest: note.ingest,
        decoded: clock::mono(),
        source: Some(note.source),
        key: picture.key,
        corrupt: picture.corrupt || note.corrupt,
        gop_index: note.gop_index,
        ..FrameMeta::of(content)
    }
}

#[cfg(test)]
mod tests;
