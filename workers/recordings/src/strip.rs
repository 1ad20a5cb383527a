//! Fragments of recordings as the bytes of one file or segment, each moved to its new place while it is
//! read: any part of them can be had without reading what is before it, and one fragment at a time is in
//! memory.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fmp4::{FoundFragment, FoundTrack, Placed};
use protocol::name::RingName;

use crate::cut::{Footage, Part};
use crate::error::Error;
use crate::facts::decode_ns;
use crate::file::RecordingFile;
use crate::file_name::FileName;
use crate::packet_id::PacketId;
use crate::reel::pts_ns;

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strip {
    head: Vec<u8>,
    files: Vec<PathBuf>,
    pieces: Vec<Piece>,
    /// Where each piece ends in the new file.
    ends: Vec<u64>,
}

/// A fragment, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    file: usize,
    at_bytes: u64,
    bytes: u64,
    placed: Placed,
}

/// A picture of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub id: PacketId,
    pub key: bool,
    /// On the clock of the reel.
    pub pts_ns: i64,
    pub duration_ns: i64,
}

/// A file of a recorder, by what its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub file: FileName,
    pub at_bytes: u64,
    pub bytes: u64,
    /// From the times of the file to those of the reel.
    pub shift_ns: i64,
}

impl Strip {
    /// A part of a cut. `None` when there is no such part.
    pub fn of_cut(footage: &Footage, part: usize) -> Result<Option<Self>, fmp4::Error> {
        let Some(part) = footage.parts.get(part) else { return Ok(None) };
        let pieces = pieces_of(part);
        let files = footage.timeline.files.clone();
        Ok(Some(Self::new(part.head(footage)?, files, pieces)))
    }

    /// A segment of a reel of the camera in `folder`.
    pub fn of_segment(folder: &Path, stretch: &Stretch) -> Result<Self, Error> {
        let (path, tracks, fragments) = read(folder, stretch)?;
        let pieces = fragments.iter().map(|found| {
            let (at_bytes, bytes) = (found.at_bytes, found.bytes);
            let placed = placed(found, &tracks, stretch.shift_ns);
            Piece { file: 0, at_bytes, bytes, placed }
        });
        Ok(Self::new(Vec::new(), vec![path], pieces.collect()))
    }

    fn new(head: Vec<u8>, files: Vec<PathBuf>, pieces: Vec<Piece>) -> Self {
        let mut end = head.len() as u64;
        let mut place = |piece: &Piece| {
            end += piece.bytes;
            end
        };
        let ends = pieces.iter().map(&mut place).collect();
        Self { head, files, pieces, ends }
    }

    /// Length of all of it.
    pub fn bytes(&self) -> u64 {
        self.ends.last().copied().unwrap_or(self.head.len() as u64)
    }

    /// Tells it from other cuts, as long as files are what they were.
    pub fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.head.hash(&mut hasher);
        for piece in &self.pieces {
            let place = (&self.files[piece.file], piece.at_bytes, piece.bytes);
            (place, &piece.placed.begins).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The bytes of `range`, some at a time.
    pub fn read(self: &Arc<Self>, range: Range<u64>) -> StripReader {
        StripReader { strip: Arc::clone(self), at: range.start, end: range.end, open: None }
    }
}

/// Pictures of a segment of the camera in `folder`, in the order of decoding.
pub fn pictures(folder: &Path, stretch: &Stretch) -> Result<(Option<RingName>, Vec<Shown>), Error> {
    let (_, tracks, fragments) = read(folder, stretch)?;
    let Some(video) = tracks.iter().find(|track| track.video) else {
        return Ok((None, Vec::new()));
    };
    let mut all = Vec::new();
    for found in &fragments {
        let of_track = |track: &Option<u8>| track.map(u32::from) == Some(video.track);
        let numbered = (found.origin.first..).zip(&found.origin.packets);
        let sequences = numbered.filter(|(_, track)| of_track(track)).map(|(number, _)| number);
        let samples = found.samples.iter().filter(|sample| sample.track == video.track);
        all.extend(sequences.zip(samples).map(|(sequence, sample)| Shown {
            id: PacketId { epoch: found.origin.epoch, sequence },
            key: sample.key,
            pts_ns: pts_ns(sample, &tracks).saturating_add(stretch.shift_ns),
            duration_ns: video.base.to_ns(sample.duration_ticks.into()),
        }));
    }
    Ok((fragments.first().map(|found| found.origin.ring.clone()), all))
}

type Found = (PathBuf, Vec<FoundTrack>, Vec<FoundFragment>);

/// The headers of a segment's fragments.
fn read(folder: &Path, stretch: &Stretch) -> Result<Found, Error> {
    let path = folder.join(stretch.file.to_string());
    let mut file = RecordingFile::open(&path)?;
    let tracks = file.tracks().to_vec();
    let end = stretch.at_bytes.saturating_add(stretch.bytes).min(file.bytes());
    let (mut fragments, mut at_bytes) = (Vec::new(), stretch.at_bytes);
    while at_bytes < end {
        let found = file.fragment(at_bytes)?;
        at_bytes += found.bytes;
        fragments.push(found);
    }
    if at_bytes.checked_sub(stretch.at_bytes) == Some(stretch.bytes) && stretch.bytes > 0 {
        return Ok((path, tracks, fragments));
    }
    // Only a playlist of other files says so.
    Err(Error::io("read a segment of", &path)(std::io::ErrorKind::NotFound.into()))
}

fn placed(found: &FoundFragment, tracks: &[FoundTrack], shift_ns: i64) -> Placed {
    let begin = |track: &FoundTrack| {
        let first = found.samples.iter().find(|sample| sample.track == track.track)?;
        let at_ns = decode_ns(first, tracks)?.saturating_add(shift_ns);
        let lead = i64::try_from(track.lead_ticks).unwrap_or(0);
        let ticks = track.base.from_ns(at_ns).saturating_add(lead);
        Some((track.track, u64::try_from(ticks).unwrap_or(0)))
    };
    // Counts up, which is all that is asked of it.
    let number = u32::try_from(found.origin.first & u64::from(u32::MAX)).unwrap_or(1);
    Placed { number, begins: tracks.iter().filter_map(begin).collect() }
}

fn pieces_of(part: &Part) -> Vec<Piece> {
    let piece = |(at, piece): (usize, &crate::cut::Piece)| {
        let (at_bytes, bytes) = (piece.fragment.at_bytes, piece.fragment.bytes);
        Some(Piece { file: piece.file, at_bytes, bytes, placed: part.placed(at)? })
    };
    part.pieces.iter().enumerate().filter_map(piece).collect()
}

/// Gives the bytes of a strip, at most a fragment at a time.
#[derive(Debug)]
pub struct StripReader {
    strip: Arc<Strip>,
    at: u64,
    end: u64,
    open: Option<(usize, RecordingFile)>,
}

impl StripReader {
    fn piece(&mut self, at: usize) -> Result<Vec<u8>, Error> {
        let piece = &self.strip.pieces[at];
        let path = &self.strip.files[piece.file];
        let file = match self.open.take().filter(|(file, _)| *file == piece.file) {
            Some((_, file)) => file,
            None => RecordingFile::open(path)?,
        };
        let mut bytes = Vec::new();
        file.read(piece.at_bytes, piece.bytes, &mut bytes)?;
        let what = "the fragment is not one of ours any more";
        let damage = fmp4::Damage { at_bytes: piece.at_bytes, what };
        let placed = fmp4::place(&mut bytes, &piece.placed);
        placed.ok_or_else(|| Error::Damaged { path: path.clone(), damage })?;
        self.open = Some((piece.file, file));
        Ok(bytes)
    }

    fn next_bytes(&mut self) -> Result<Vec<u8>, Error> {
        let head = self.strip.head.len() as u64;
        let (begin, bytes) = if self.at < head {
            (0, self.strip.head.clone())
        } else {
            let at = self.strip.ends.partition_point(|end| *end <= self.at);
            (self.strip.ends[at] - self.strip.pieces[at].bytes, self.piece(at)?)
        };
        let upto = self.end.min(begin + bytes.len() as u64);
        let place = |at: u64| usize::try_from(at - begin).unwrap_or(usize::MAX);
        let wanted = place(self.at)..place(upto);
        self.at = upto;
        Ok(if wanted == (0..bytes.len()) { bytes } else { bytes[wanted].to_vec() })
    }
}

impl Iterator for StripReader {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.end = self.end.min(self.strip.bytes());
        if self.at >= self.end {
            return None;
        }
        let bytes = self.next_bytes();
        if bytes.is_err() {
            self.at = self.end;
        }
        Some(bytes)
    }
}

/// When a file of this name began, and its number; `None` when no recorder writes such a name.
pub fn file_name(stem: &str) -> Option<FileName> {
    let name = format!("{stem}.mp4");
    let file =
        FileName { capture: FileName::capture_in(&name)?, number: FileName::number_in(&name)? };
    (file.to_string() == name).then_some(file)
}
