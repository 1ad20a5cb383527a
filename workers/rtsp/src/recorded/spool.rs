//! A recording from an instant on, as units, read by a thread of its own into a belt.
//!
//! Read in parts of some minutes, so that a range of a month holds no more in memory than one of a minute.
//! It begins with the key frame at or before the instant, or behind it where nothing was recorded then.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::stream::Track;
use protocol::time::UtcNs;
use recordings::{Error, Outline, PacketId, Range, Sample, Samples, Timeline};

use super::belt::{Giver, Gone};
use super::range::{Scale, Stretch};
use super::reel::Reel;
use crate::sdp::Presentation;
use crate::unit::Unit;

/// Read at once: the headers of some hundred fragments.
pub const PART_NS: u64 = 600_000_000_000;

/// What is to be played.
#[derive(Debug)]
pub struct Order {
    /// The camera's directory.
    pub folder: PathBuf,
    pub stretch: Stretch,
    pub scale: Scale,
    /// What the client was told: it goes on as long as the tracks are these.
    pub presentation: Arc<Presentation>,
    /// How much is read at once: [`PART_NS`].
    pub part_ns: u64,
}

/// What a thread has read.
#[derive(Debug)]
pub enum Strip {
    Shown(Box<Shown>),
    /// The tracks are others from here on: the client has to describe anew.
    Changed,
}

/// A unit, and when.
#[derive(Debug)]
pub struct Shown {
    pub unit: Unit,
    /// Behind the first unit, as it is played; 0 in front of the instant that was asked for.
    pub due_ns: u64,
    /// When it was captured.
    pub capture: UtcNs,
}

/// Where playing begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    pub id: PacketId,
    pub capture: UtcNs,
    pub streams: Vec<(u32, Track)>,
}

/// When the camera was recorded in this stretch, in order.
pub fn stretches(folder: &Path, stretch: Stretch) -> Result<Vec<(UtcNs, UtcNs)>, Error> {
    let Stretch { from, to } = stretch;
    let outline = Outline::read(folder, Range { from, to })?;
    let within = |(begin, end): (UtcNs, UtcNs)| (begin.max(from), end.min(to));
    Ok(outline.ranges.into_iter().map(within).filter(|(begin, end)| begin < end).collect())
}

/// The newest entry point at or before the instant, or the first behind it up to `to`.
pub fn beginning(folder: &Path, stretch: Stretch) -> Result<Option<Beginning>, Error> {
    for (from, to) in parts(&stretches(folder, stretch)?, PART_NS) {
        let timeline = Timeline::read(folder, Range { from, to })?;
        let mut samples = timeline.samples();
        let mut found: Option<Sample> = None;
        let (mut file, mut streams) = (None, Vec::new());
        while let Some(sample) = samples.next() {
            let Ok(sample) = sample else { continue };
            if found.is_some() && sample.capture > stretch.from {
                break;
            }
            if file.replace(sample.file) != Some(sample.file) {
                streams = streams_of(&mut samples, &sample)?;
            }
            if is_entry(&streams, &sample) {
                found = Some(sample);
            }
        }
        if let Some(sample) = found {
            let streams = streams_of(&mut samples, &sample)?;
            return Ok(Some(Beginning { id: sample.id, capture: sample.capture, streams }));
        }
    }
    Ok(None)
}

/// A key frame of the first video track, or anything where there is none.
fn is_entry(streams: &[(u32, Track)], sample: &Sample) -> bool {
    match streams.iter().find(|(_, track)| track.codec.is_video()) {
        Some((index, _)) => sample.key && sample.track == *index,
        None => true,
    }
}

fn streams_of(samples: &mut Samples<'_>, sample: &Sample) -> Result<Vec<(u32, Track)>, Error> {
    let file = samples.file(sample.file)?;
    let stream = |index: u32| Some((index, file.stream(index)?.clone()));
    Ok(file.tracks().iter().filter_map(|track| stream(track.track)).collect())
}

/// The stretches in parts of at most `part_ns`.
fn parts(stretches: &[(UtcNs, UtcNs)], part_ns: u64) -> impl Iterator<Item = (UtcNs, UtcNs)> {
    let step = usize::try_from(part_ns.max(1)).unwrap_or(usize::MAX);
    stretches.iter().flat_map(move |(from, to)| {
        let end = move |begin: u64| UtcNs(begin.saturating_add(part_ns)).min(*to);
        (from.0..to.0).step_by(step).map(move |begin| (UtcNs(begin), end(begin)))
    })
}

/// Reads until the end of the stretch, or until nobody wants any more.
pub fn run(order: Order, giver: &Giver<Strip>) {
    let folder = order.folder.clone();
    match Spool::new(order, giver).and_then(|spool| spool.map_or(Ok(()), Spool::play)) {
        Ok(()) | Err(Stop::Gone) => {}
        Err(Stop::Unreadable(error)) => {
            tracing::warn!(folder = %folder.display(), %error, "a recording cannot be read on");
        }
    }
}

/// Why it is over before its end.
enum Stop {
    Gone,
    Unreadable(Error),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}

struct Spool<'a> {
    order: Order,
    giver: &'a Giver<Strip>,
    begin: Beginning,
    reel: Reel,
    needs_entry: bool,
    /// Presented time of the first unit, on the reel's clock.
    first_ns: Option<i64>,
    /// Decode time, as played, at the instant asked for.
    due_from_ns: Option<i64>,
    /// Newest capture time played.
    reached: UtcNs,
}

/// Whether there is more to play.
enum Go {
    On,
    Over,
}

impl<'a> Spool<'a> {
    /// `None`: nothing was recorded.
    fn new(order: Order, giver: &'a Giver<Strip>) -> Result<Option<Self>, Stop> {
        let Some(begin) = beginning(&order.folder, order.stretch)? else { return Ok(None) };
        Ok(Some(Self {
            reached: begin.capture,
            order,
            giver,
            begin,
            reel: Reel::default(),
            needs_entry: true,
            first_ns: None,
            due_from_ns: None,
        }))
    }

    fn play(mut self) -> Result<(), Stop> {
        let Stretch { from, to } = self.order.stretch;
        // The key frame may stand before the stretch.
        let from = from.min(self.begin.capture);
        let recorded = stretches(&self.order.folder, Stretch { from, to })?;
        for (from, to) in parts(&recorded, self.order.part_ns) {
            // The last one played is read again: it tells how the clocks of the parts lie.
            let range = Range { from: from.min(self.reached), to };
            match self.part(range) {
                Ok(Go::On) => {}
                Ok(Go::Over) => return Ok(()),
                // Retention was quicker.
                Err(Stop::Unreadable(error)) if error.is_gone() => {}
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    fn part(&mut self, range: Range) -> Result<Go, Stop> {
        let timeline = Timeline::read(&self.order.folder, range)?;
        let mut samples = timeline.samples();
        let mut file = None;
        self.reel.next_part();
        while let Some(sample) = samples.next() {
            if !self.giver.is_wanted() {
                return Err(Stop::Gone);
            }
            let Ok(sample) = sample else {
                self.lose();
                continue;
            };
            if sample.id < self.begin.id {
                continue;
            }
            if sample.capture >= self.order.stretch.to {
                return Ok(Go::Over);
            }
            if file.replace(sample.file) != Some(sample.file) {
                let streams = streams_of(&mut samples, &sample)?;
                if !self.order.presentation.has_tracks_of(&streams) {
                    self.giver.give(Strip::Changed, 0)?;
                    return Ok(Go::Over);
                }
            }
            if let Some(shown) = self.shown(&mut samples, &sample) {
                let bytes = shown.unit.payload.len();
                self.giver.give(Strip::Shown(Box::new(shown)), bytes)?;
            }
        }
        Ok(Go::On)
    }

    /// Something could not be read.
    fn lose(&mut self) {
        self.needs_entry = true;
        self.reel.next_part();
    }

    /// The sample as a unit, unless it was played before, is not played at this scale, or does not decode.
    fn shown(&mut self, samples: &mut Samples<'_>, sample: &Sample) -> Option<Shown> {
        let placed = self.reel.place(sample)?;
        self.reached = self.reached.max(sample.capture);
        self.needs_entry |= placed.behind_gap;
        let presentation = &self.order.presentation;
        let format = &presentation.track(sample.track)?.format;
        let entry = presentation.is_entry(sample.track, sample.key);
        if self.needs_entry && !entry {
            self.reel.pass_over();
            return None;
        }
        if !entry && self.order.scale.is_key_frames_only() && presentation.has_video() {
            return None;
        }
        let Ok(packet) = samples.packet(sample) else {
            self.lose();
            return None;
        };
        let payload = format.wire(packet);
        let pieces = format.cut(&payload);
        if pieces.is_empty() {
            return None;
        }
        self.needs_entry = false;
        let scale = self.order.scale;
        let first_ns = *self.first_ns.get_or_insert(placed.pts_ns);
        let pts_ns = scale.played_ns(placed.pts_ns.saturating_sub(first_ns));
        let due_ns = self.due_ns(scale.played_ns(placed.dts_ns), sample.capture);
        // Counted as it is played, so that a gap and a scale make no client jump.
        let captured = UtcNs(self.begin.capture.0.saturating_add_signed(pts_ns));
        let track = sample.track;
        let unit = Unit { track, entry, pts_ns, captured, pieces, payload };
        Some(Shown { unit, due_ns, capture: sample.capture })
    }

    /// What stands in front of the instant asked for is due at once.
    fn due_ns(&mut self, dts_ns: i64, capture: UtcNs) -> u64 {
        let begun = self.order.stretch.from.max(self.begin.capture);
        let Some(ahead_ns) = capture.0.checked_sub(begun.0).filter(|_| self.due_from_ns.is_none())
        else {
            let from_ns = self.due_from_ns.unwrap_or(dts_ns);
            return u64::try_from(dts_ns.saturating_sub(from_ns)).unwrap_or(0);
        };
        let ahead_ns = self.order.scale.played_ns(i64::try_from(ahead_ns).unwrap_or(0));
        let from_ns = *self.due_from_ns.insert(dts_ns.saturating_sub(ahead_ns));
        u64::try_from(dts_ns.saturating_sub(from_ns)).unwrap_or(0)
    }
}
