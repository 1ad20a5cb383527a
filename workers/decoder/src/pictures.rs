//! Pictures out of any ring, the newest each time, in ordinary memory: for people, not for the
//! pipeline. A spare place, at most one lease, and that only while the picture is copied.

use std::collections::VecDeque;
use std::time::Duration;

use media::{Decoder, DecoderOptions, MediaError, NoMemory, Still};
use protocol::name::{ProjectName, RingKind, RingName};
use protocol::stream::Track;
use protocol::time::{MonoNs, Stamp};
use shmring::{
    Frame, FrameOptions, FrameReader, Next, Packet, PacketOptions, PacketReader, Start, clock,
};
use worker::verb::VerbError;

const READER: &str = "framevisor tap";
/// As many as a decoder may hold back.
const CAPTURES_KEPT: usize = 64;
/// A 16k picture; more is a stream error.
const MAX_PIXELS: u32 = 16_384 * 16_384;

/// A picture and what is known of it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) still: Still,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    pub(crate) capture: Stamp,
}

pub(crate) enum Pictures {
    Frames(Box<FrameReader>),
    Packets(Box<Decoded>),
}

impl Pictures {
    pub(crate) fn attach(project: &ProjectName, ring: &RingName) -> Result<Self, VerbError> {
        if ring.kind() == RingKind::Frames {
            let options = FrameOptions { quota: 1, ..FrameOptions::named(READER) };
            return Ok(Self::Frames(Box::new(FrameReader::attach(project, ring, &options)?)));
        }
        let options = PacketOptions { reader: READER.to_owned(), start: Start::NewestKey };
        let reader = PacketReader::attach(project, ring, &options)?;
        Ok(Self::Packets(Box::new(Decoded::new(reader))))
    }

    /// The newest picture that was not given yet; `None` when none comes within `wait`. When it is
    /// the `last` one asked for, a decoder also gives what it holds back.
    pub(crate) fn newest(
        &mut self,
        wait: Duration,
        last: bool,
    ) -> Result<Option<Shown>, VerbError> {
        match self {
            Self::Frames(reader) => newest_frame(reader, wait),
            Self::Packets(decoded) => decoded.newest(wait, last),
        }
    }
}

fn newest_frame(reader: &mut FrameReader, wait: Duration) -> Result<Option<Shown>, VerbError> {
    let deadline = clock::mono() + wait;
    loop {
        let rest = deadline.saturating_since(clock::mono());
        match reader.next(rest)? {
            Next::Item(frame) => return shown(&frame).map(Some),
            Next::Quiet => return Ok(None),
            Next::Ended => {
                // Answered at once for as long as there is no successor.
                std::thread::sleep(rest);
                return Ok(None);
            }
            // What was missed does not matter to who wants the newest.
            _ => {}
        }
    }
}

fn shown(frame: &Frame) -> Result<Shown, VerbError> {
    Ok(Shown {
        still: still_of(frame)?,
        epoch: frame.epoch(),
        sequence: frame.sequence(),
        capture: frame.meta().capture,
    })
}

/// The picture, copied out of its slot.
pub(crate) fn still_of(frame: &Frame) -> Result<Still, VerbError> {
    let Some(picture) = frame.meta().picture() else {
        return Err(VerbError::failed(format!(
            "ring {}: it holds tensors, expected pictures; read it with shmring",
            frame.ring()
        )));
    };
    let mut samples = Vec::new();
    (0..).map_while(|number| frame.plane(number)).for_each(|plane| plane.copy_to(&mut samples));
    Ok(Still {
        format: picture.format,
        width: picture.width,
        height: picture.height,
        colour: picture.colour,
        samples,
    })
}

/// A packet ring from its newest key frame on, decoded.
pub(crate) struct Decoded {
    reader: PacketReader,
    open: Option<(Track, Decoder)>,
    /// From a key frame on, without a hole.
    synced: bool,
    captures: VecDeque<(u64, Stamp)>,
    newest: Option<Shown>,
    trouble: Option<MediaError>,
}

impl Decoded {
    fn new(reader: PacketReader) -> Self {
        Self {
            reader,
            open: None,
            synced: false,
            captures: VecDeque::new(),
            newest: None,
            trouble: None,
        }
    }

    fn newest(&mut self, wait: Duration, last: bool) -> Result<Option<Shown>, VerbError> {
        let deadline = clock::mono() + wait;
        loop {
            self.catch_up(deadline)?;
            if last {
                self.finish();
            }
            if let Some(shown) = self.newest.take() {
                return Ok(Some(shown));
            }
            let rest = deadline.saturating_since(clock::mono());
            if rest.is_zero() || self.step(rest)? {
                return self.trouble.take().map_or(Ok(None), |error| Err(VerbError::failed(error)));
            }
        }
    }

    /// Decodes what is there. A stream too large to keep up with is shown as far as it got.
    fn catch_up(&mut self, deadline: MonoNs) -> Result<(), VerbError> {
        while !self.step(Duration::ZERO)? {
            if self.newest.is_some() && clock::mono() > deadline {
                break;
            }
        }
        Ok(())
    }

    /// Takes the next packet; whether there was none.
    fn step(&mut self, wait: Duration) -> Result<bool, VerbError> {
        match self.reader.next(wait)? {
            Next::Item(packet) => {
                if let Err(error) = self.take(&packet) {
                    // Whole again at the next key frame.
                    self.synced = false;
                    self.trouble = Some(error);
                }
                Ok(false)
            }
            Next::Quiet => Ok(true),
            Next::Ended => {
                std::thread::sleep(wait);
                Ok(true)
            }
            _ => {
                self.synced = false;
                Ok(false)
            }
        }
    }

    fn take(&mut self, packet: &Packet) -> Result<(), MediaError> {
        let tracks = self.reader.tracks();
        let video = (0..).zip(tracks).find(|(_, track)| track.codec.is_video());
        let Some((number, track)) = video else {
            return Ok(());
        };
        if packet.meta.track != number {
            return Ok(());
        }
        if packet.meta.key
            && (!self.synced || self.open.as_ref().is_none_or(|(open, _)| open != track))
        {
            let options = DecoderOptions { threads: 1, max_pixels: MAX_PIXELS };
            self.open = Some((track.clone(), Decoder::open(track, &options, NoMemory::shared())?));
            self.synced = true;
        }
        let Some((_, decoder)) = self.open.as_mut().filter(|_| self.synced) else {
            return Ok(());
        };
        self.captures.push_back((packet.sequence, packet.meta.capture));
        if self.captures.len() > CAPTURES_KEPT {
            self.captures.pop_front();
        }
        decoder.send(&packet.payload, packet.sequence)?;
        self.receive(packet.epoch)
    }

    /// What the decoder holds back comes out; the next packet must be a key frame.
    fn finish(&mut self) {
        if let Some((_, decoder)) = self.open.as_mut().filter(|_| self.synced)
            && decoder.finish().is_ok()
            && let Err(error) = self.receive(self.reader.epoch())
        {
            self.trouble = Some(error);
        }
        self.synced = false;
    }

    fn receive(&mut self, epoch: u64) -> Result<(), MediaError> {
        let Some((_, decoder)) = &mut self.open else {
            return Ok(());
        };
        let mut newest = None;
        while let Some(picture) = decoder.receive()? {
            newest = Some(picture);
        }
        if let Some(picture) = newest {
            let of = |(sequence, _): &&(u64, Stamp)| *sequence == picture.token;
            let capture = self.captures.iter().find(of).map(|(_, capture)| *capture);
            self.newest = Some(Shown {
                still: Still::from(&picture),
                epoch,
                sequence: picture.token,
                capture: capture.unwrap_or_default(),
            });
        }
        Ok(())
    }
}
