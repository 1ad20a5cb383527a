//! What is wanted of one camera: the fragments of its timeline, and where each one goes.

use std::path::Path;

use fmp4::FoundTrack;
use protocol::stream::Track;
use protocol::time::UtcNs;

use super::clock::{Clock, Sighting};
use super::held::Held;
use crate::error::Error;
use crate::facts::Fragment;
use crate::file::RecordingFile;
use crate::folder::is_written;
use crate::gap::{Gap, GapReason};
use crate::samples::{Sample, Samples};
use crate::timeline::{Range, Timeline};
use crate::unread::Unread;

/// One camera over the time asked for.
#[derive(Debug)]
pub struct Footage {
    pub camera: String,
    pub timeline: Timeline,
    /// Files of the same tracks, in the order of time; a new one where the tracks change.
    pub parts: Vec<Part>,
    pub clock: Clock,
    /// On the camera's timeline, in the order of showing: pictures of the first video track.
    pub shown_ns: Vec<i64>,
    pub missing: Vec<Missing>,
    /// What capture times are.
    pub source: Option<ClockSource>,
    _held: Held,
}

/// What a file is made of.
#[derive(Debug)]
pub struct Part {
    /// `ftyp` and `moov` of the first file.
    pub init: Vec<u8>,
    pub tracks: Vec<FoundTrack>,
    pub streams: Vec<(u32, Track)>,
    pub pieces: Vec<Piece>,
    /// Its time zero on the camera's timeline: the first picture or sound.
    pub zero_ns: i64,
    pub end_ns: i64,
}

/// A fragment to copy.
#[derive(Debug)]
pub struct Piece {
    /// Index into the timeline's files.
    pub file: usize,
    pub fragment: Fragment,
    /// Decode time of the first sample of each track, on the camera's timeline, from there shown.
    pub begins_ns: Vec<(u32, i64)>,
    pub begin_ns: i64,
    pub end_ns: i64,
}

/// A time of which there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    pub from: UtcNs,
    pub to: UtcNs,
    pub why: Why,
    /// Packets that were published and no file holds; `None` when nobody counted.
    pub packets: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Gap(GapReason),
    /// No recording begins or ends nearer.
    NotRecorded,
    /// Pictures without the key frame that they need.
    Undecodable,
}

/// Whose clock the capture times are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSource {
    Arrival,
    Camera,
    /// Some are of the one, some of the other.
    Both,
}

impl Footage {
    /// Reads the headers of all that is wanted, and holds the files. What cannot be read is missing.
    pub fn read(camera: &str, folder: &Path, range: Range) -> Result<Self, Error> {
        let (mut timeline, held) = held_timeline(folder, range)?;
        // Behind what cannot be read times go on by the clock: it is walked anew without.
        let Walked { mut parts, sightings, mut shown_ns } = loop {
            match walked(&timeline) {
                Ok(walked) => break walked,
                Err(error) if timeline.leave_out(&error) => {}
                Err(error) => return Err(error),
            }
        };
        shown_ns.sort_unstable();
        parts.retain(|part| !part.pieces.is_empty());
        let clock = Clock::of(&sightings);
        let source = source_of(&parts);
        let missing = missing(&timeline, &parts, &clock, is_written(folder));
        let camera = camera.to_owned();
        Ok(Self { camera, timeline, parts, clock, shown_ns, missing, source, _held: held })
    }

    /// Of all fragments.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(Part::bytes).sum()
    }

    /// When its pictures were captured.
    pub fn captures(&self) -> Vec<u64> {
        self.shown_ns.iter().map(|pts_ns| self.clock.utc(*pts_ns).0).collect()
    }
}

/// What a walk through a timeline gathers.
struct Walked {
    parts: Vec<Part>,
    sightings: Vec<Sighting>,
    shown_ns: Vec<i64>,
}

fn walked(timeline: &Timeline) -> Result<Walked, Error> {
    let mut walk = Walk::new(timeline);
    let mut samples = timeline.samples();
    while let Some(sample) = samples.next() {
        walk.take(&sample?, &mut samples)?;
    }
    let Walk { parts, sightings, shown_ns, .. } = walk;
    Ok(Walked { parts, sightings, shown_ns })
}

/// The files that are held are those that are read, unless retention was quicker: then once more.
fn held_timeline(folder: &Path, range: Range) -> Result<(Timeline, Held), Error> {
    let timeline = Timeline::read(folder, range)?;
    let held = Held::of(&timeline.files)?;
    if held.is_whole {
        return Ok((timeline, held));
    }
    let timeline = Timeline::read(folder, range)?;
    let held = Held::of(&timeline.files)?;
    Ok((timeline, held))
}

impl Part {
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.fragment.bytes).sum()
    }

    /// Whether a sample of the timeline is in one of its fragments.
    pub fn holds(&self, sample: &Sample) -> bool {
        let at = self.pieces.partition_point(|piece| {
            (piece.file, piece.fragment.at_bytes) <= (sample.file, sample.at_bytes)
        });
        let piece = at.checked_sub(1).map(|at| &self.pieces[at]);
        piece.is_some_and(|piece| {
            let fragment = &piece.fragment;
            piece.file == sample.file && sample.at_bytes < fragment.at_bytes + fragment.bytes
        })
    }
}

/// Gathers samples into fragments, and fragments into parts.
struct Walk<'a> {
    timeline: &'a Timeline,
    /// Index of the fragment that the next sample is in, or a later one.
    next: usize,
    parts: Vec<Part>,
    sightings: Vec<Sighting>,
    shown_ns: Vec<i64>,
    file: Option<usize>,
    /// A picture without a key frame before it came last.
    undecodable: bool,
}

impl<'a> Walk<'a> {
    fn new(timeline: &'a Timeline) -> Self {
        Self {
            timeline,
            next: 0,
            parts: Vec::new(),
            sightings: Vec::new(),
            shown_ns: Vec::new(),
            file: None,
            undecodable: true,
        }
    }

    fn take(&mut self, sample: &Sample, samples: &mut Samples<'_>) -> Result<(), Error> {
        if self.file.replace(sample.file) != Some(sample.file) {
            self.enter(samples.file(sample.file)?)?;
        }
        let is_first = self.find_fragment(sample);
        let Some(part) = self.parts.last_mut() else { return Ok(()) };
        if is_first {
            let place = &self.timeline.fragments[self.next];
            // What a cut begins with has to be decodable.
            self.undecodable &= place.fragment.key.is_none();
            if self.undecodable {
                return Ok(());
            }
            part.begin(place.file, place.fragment, sample);
            let Sample { pts_ns, behind_gap, .. } = *sample;
            self.sightings.push(Sighting { pts_ns, capture: place.fragment.capture, behind_gap });
        }
        if self.undecodable {
            return Ok(());
        }
        part.add(sample);
        let shown = part.tracks.iter().find(|track| track.video).map(|track| track.track);
        if shown == Some(sample.track) {
            self.shown_ns.push(sample.pts_ns);
        }
        Ok(())
    }

    /// Moves on to the fragment of this sample; whether it is its first.
    fn find_fragment(&mut self, sample: &Sample) -> bool {
        let holds = |at: usize| {
            let place = &self.timeline.fragments[at];
            let from = place.fragment.at_bytes;
            place.file == sample.file
                && (from..from + place.fragment.bytes).contains(&sample.at_bytes)
        };
        let before = self.next;
        while self.next + 1 < self.timeline.fragments.len() && !holds(self.next) {
            self.next += 1;
        }
        before != self.next || self.parts.iter().all(|part| part.pieces.is_empty())
    }

    /// A new part, unless the file is of the same tracks as the one before.
    fn enter(&mut self, file: &mut RecordingFile) -> Result<(), Error> {
        let tracks = file.tracks().to_vec();
        let stream = |track: &FoundTrack| Some((track.track, file.stream(track.track)?.clone()));
        let streams: Vec<(u32, Track)> = tracks.iter().filter_map(stream).collect();
        if self.parts.last().is_some_and(|part| part.streams == streams && !streams.is_empty()) {
            return Ok(());
        }
        let init = file.init_segment()?;
        let (zero_ns, end_ns) = (i64::MAX, i64::MIN);
        self.parts.push(Part { init, tracks, streams, pieces: Vec::new(), zero_ns, end_ns });
        Ok(())
    }
}

impl Part {
    fn begin(&mut self, file: usize, fragment: Fragment, first: &Sample) {
        let (begin_ns, end_ns) = (first.pts_ns, first.pts_ns);
        self.pieces.push(Piece { file, fragment, begins_ns: Vec::new(), begin_ns, end_ns });
    }

    fn add(&mut self, sample: &Sample) {
        let is_first = self.pieces.len() == 1;
        let Some(piece) = self.pieces.last_mut() else { return };
        if piece.begins_ns.iter().all(|(track, _)| *track != sample.track) {
            piece.begins_ns.push((sample.track, sample.dts_ns));
        }
        let end_ns = sample.pts_ns.saturating_add(sample.duration_ns);
        piece.begin_ns = piece.begin_ns.min(sample.pts_ns);
        piece.end_ns = piece.end_ns.max(end_ns);
        self.end_ns = self.end_ns.max(end_ns);
        if is_first {
            self.zero_ns = self.zero_ns.min(sample.pts_ns);
        }
    }
}

fn source_of(parts: &[Part]) -> Option<ClockSource> {
    let pieces = parts.iter().flat_map(|part| &part.pieces);
    pieces.fold(None, |before, piece| {
        let own = match piece.fragment.camera_clock {
            true => ClockSource::Camera,
            false => ClockSource::Arrival,
        };
        Some(if before.is_some_and(|before| before != own) { ClockSource::Both } else { own })
    })
}

/// What a recorder has not written yet of a camera that is being recorded: a fragment, and what waits for
/// the disk.
const UNDER_WAY_NS: u64 = 2_000_000_000;

/// Everything of the range that is not there.
fn missing(timeline: &Timeline, parts: &[Part], clock: &Clock, under_way: bool) -> Vec<Missing> {
    let Range { from, to } = timeline.range;
    let pieces = || parts.iter().flat_map(|part| &part.pieces);
    let ends = pieces().next().zip(pieces().next_back());
    // At an end of the range nothing tells how much a file held that cannot be read.
    let why = |from: UtcNs, to: UtcNs, else_why: Why| {
        let touches = |unread: &Unread| Range { from, to }.touches(unread.from, unread.to);
        let is_damaged = timeline.unread.iter().any(touches);
        if is_damaged { Why::Gap(GapReason::Damage) } else { else_why }
    };
    let Some((first, last)) = ends else {
        return vec![Missing { from, to, why: why(from, to, Why::NotRecorded), packets: None }];
    };
    let (begin, end) = (clock.utc(first.begin_ns), clock.utc(last.end_ns));
    let mut all = Vec::new();
    if begin > from {
        let is_there = timeline.fragments.first().map(|of| of.fragment) != Some(first.fragment);
        let else_why = if is_there { Why::Undecodable } else { Why::NotRecorded };
        let why = why(from, begin, else_why);
        all.push(Missing { from, to: begin, why, packets: None });
    }
    // One at an end of the range is told as the one above or below.
    let inner = timeline.gaps.iter().filter(|gap| begin < gap.to && gap.from < end);
    all.extend(inner.map(Missing::of));
    let patience_ns = if under_way { UNDER_WAY_NS } else { 0 };
    if end.0.saturating_add(patience_ns) < to.0 {
        all.push(Missing { from: end, to, why: why(end, to, Why::NotRecorded), packets: None });
    }
    all
}

impl Missing {
    fn of(gap: &Gap) -> Self {
        // What a source that was away did not publish, nobody counted.
        let counted =
            matches!(gap.reason, GapReason::Missing | GapReason::Damage | GapReason::Removed);
        let packets = (counted || gap.missing > 0).then_some(gap.missing);
        Self { from: gap.from, to: gap.to, why: Why::Gap(gap.reason), packets }
    }
}
