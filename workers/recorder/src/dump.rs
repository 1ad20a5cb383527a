//! `framevisor dump` of a packet ring: what it still holds, into files, as it is.
//!
//! ```text
//! ring ──> Held (all packets) ──> last::begin ──> Assembler ──> FILE.mp4, FILE-2.mp4 behind a break
//!                                            └──> payloads ───> FILE.h264
//!                                            └──> a line each > FILE.jsonl
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fmp4::scan;
use protocol::name::RingName;
use protocol::stream::{Codec, Track};
use protocol::time::{MonoNs, UtcNs};
use protocol::verb::{Dump, Dumped, DumpedFile, ItemId, gaps};
use serde_json::json;
use shmring::{Next, Packet, PacketOptions, PacketReader, Start, clock};
use worker::verb::{VerbError, answer, arguments};

use crate::assembler::{Assembler, Piece};
use crate::last::{self, Mark};
use crate::open_file::is_entry;

/// Why there is no dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    #[error(
        "ring {ring}: of its {packets} packets none is a key frame to begin with; wait for one, or dump to .jsonl for a list of them"
    )]
    NoKey { ring: RingName, packets: usize },
    #[error("ring {ring}: nothing in it can be in this file: {why}; dump to {instead} instead")]
    Carries { ring: RingName, why: String, instead: String },
    #[error("ring {ring}: nothing was written to it yet; `framevisor rings` shows what flows")]
    Empty { ring: RingName },
    #[error("{}: {seen}; expected .mp4, .h264, .h265, .mjpeg or .jsonl", path.display())]
    Ending { path: PathBuf, seen: &'static str },
    #[error("cannot write {}: {source}{}", path.display(), cure(source))]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Movie(#[from] fmp4::Error),
    #[error(transparent)]
    Ring(#[from] shmring::Error),
}

fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AlreadyExists => "; name another file, or write over it with --force",
        _ => "",
    }
}

impl From<DumpError> for VerbError {
    fn from(error: DumpError) -> Self {
        match error {
            DumpError::Ring(error) => error.into(),
            DumpError::Ending { .. } => Self::usage(error),
            other => Self::failed(other),
        }
    }
}

/// `framevisor-recorder dump`.
pub fn dump_verb(text: &str) -> Result<(), VerbError> {
    answer(&dump(&arguments(text)?)?)
}

/// Writes what was asked for and says what it is.
pub fn dump(wanted: &Dump) -> Result<Dumped, DumpError> {
    let form = Form::of(&wanted.file)?;
    let held = Held::read(wanted)?;
    let packets = held.chosen(form, wanted)?;
    let facts: Vec<Fact> = packets.iter().map(|(_, packet)| Fact::of(packet)).collect();
    let mut files = Files::new(&wanted.file, wanted.force);
    let left_out = match form {
        Form::Movie => write_movie(packets, &held.streams, &mut files, wanted)?,
        Form::Stream(codec) => write_stream(packets, &held.streams, codec, &mut files)?,
        Form::Lines => write_lines(packets, &mut files)?,
    };
    let done = match form {
        Form::Movie => files.read_back(&facts)?,
        Form::Stream(_) | Form::Lines => files.with(&facts),
    };
    let ids = facts.iter().map(|fact| fact.id);
    Ok(Dumped { ring: wanted.ring.clone(), files: done, gaps: gaps(ids), left_out })
}

/// What a file's ending asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Fragmented MP4.
    Movie,
    /// One track's payloads, one behind the other.
    Stream(Codec),
    /// A line of JSON a packet, without its payload.
    Lines,
}

impl Form {
    fn of(path: &Path) -> Result<Self, DumpError> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("mp4" | "m4v") => Ok(Self::Movie),
            Some("h264" | "264") => Ok(Self::Stream(Codec::H264)),
            Some("h265" | "265" | "hevc") => Ok(Self::Stream(Codec::H265)),
            Some("mjpeg" | "mjpg") => Ok(Self::Stream(Codec::Mjpeg)),
            Some("jsonl") => Ok(Self::Lines),
            Some(_) => {
                Err(DumpError::Ending { path: path.to_owned(), seen: "an ending of no known kind" })
            }
            None => {
                Err(DumpError::Ending { path: path.to_owned(), seen: "a name without an ending" })
            }
        }
    }
}

/// Everything a ring holds, and how it described itself meanwhile.
struct Held {
    streams: Vec<Vec<Track>>,
    /// Each with the number of its stream.
    packets: Vec<(usize, Packet)>,
}

impl Held {
    fn read(wanted: &Dump) -> Result<Self, DumpError> {
        let began = clock::mono();
        // Behind nothing at all: the epoch before the live one too, while it is there.
        let start = Start::After { epoch: 0, sequence: 0 };
        let options = PacketOptions { reader: "framevisor dump".to_owned(), start };
        let mut reader = PacketReader::attach(&wanted.project, &wanted.ring, &options)?;
        let mut held = Self { streams: Vec::new(), packets: Vec::new() };
        loop {
            match reader.next(Duration::ZERO)? {
                Next::Item(packet) => {
                    let is_newest = packet.published >= began;
                    held.push(packet, reader.tracks());
                    if is_newest {
                        return Ok(held);
                    }
                }
                Next::Quiet | Next::Ended => return Ok(held),
                // The sequences tell.
                _ => {}
            }
        }
    }

    fn push(&mut self, packet: Packet, tracks: &[Track]) {
        if self.streams.last().is_none_or(|last| last != tracks) {
            self.streams.push(tracks.to_vec());
        }
        self.packets.push((self.streams.len() - 1, packet));
    }

    /// The packets from where the dump begins.
    fn chosen(&self, form: Form, wanted: &Dump) -> Result<Vec<(usize, Packet)>, DumpError> {
        let ring = || wanted.ring.clone();
        let entry = |stream: usize, packet: &Packet| match form {
            Form::Movie => is_entry(&self.streams[stream], &packet.meta),
            Form::Stream(codec) => {
                packet.meta.key && Some(packet.meta.track) == track_of(&self.streams[stream], codec)
            }
            Form::Lines => true,
        };
        let mark = |(stream, packet): &(usize, Packet)| Mark {
            published: packet.published,
            entry: entry(*stream, packet),
        };
        let marks: Vec<Mark> = self.packets.iter().map(mark).collect();
        if marks.is_empty() {
            return Err(DumpError::Empty { ring: ring() });
        }
        if let Form::Stream(codec) = form
            && !self.streams.iter().any(|tracks| track_of(tracks, codec).is_some())
        {
            return Err(self.carries_no(codec, ring()));
        }
        let first = last::begin(&marks, wanted.last.duration());
        let first = first.ok_or_else(|| DumpError::NoKey { ring: ring(), packets: marks.len() })?;
        Ok(self.packets[first..].to_vec())
    }

    fn carries_no(&self, codec: Codec, ring: RingName) -> DumpError {
        let tracks = self.streams.iter().flatten();
        let has: Vec<String> = tracks.clone().map(|track| format!("{:?}", track.codec)).collect();
        let why = format!("it carries {}, not {codec:?}", has.join(" and "));
        let ending = tracks.into_iter().find_map(|track| ending_of(track.codec));
        DumpError::Carries { ring, why, instead: ending.unwrap_or(".jsonl").to_owned() }
    }
}

fn track_of(tracks: &[Track], codec: Codec) -> Option<u32> {
    u32::try_from(tracks.iter().position(|track| track.codec == codec)?).ok()
}

fn ending_of(codec: Codec) -> Option<&'static str> {
    match codec {
        Codec::H264 => Some(".h264"),
        Codec::H265 => Some(".h265"),
        Codec::Mjpeg => Some(".mjpeg"),
        _ => None,
    }
}

/// What is left to say of a packet once its payload is written.
#[derive(Clone, Copy)]
struct Fact {
    id: ItemId,
    capture: UtcNs,
    published: MonoNs,
}

impl Fact {
    fn of(packet: &Packet) -> Self {
        Self {
            id: ItemId { epoch: packet.epoch, sequence: packet.sequence },
            capture: packet.meta.capture.utc,
            published: packet.published,
        }
    }
}

/// A file ends where times or tracks break: what follows is in the next. Says what is in none.
fn write_movie(
    packets: Vec<(usize, Packet)>,
    streams: &[Vec<Track>],
    files: &mut Files,
    wanted: &Dump,
) -> Result<String, DumpError> {
    let mut assembler = Assembler::new(&wanted.ring, Duration::MAX, None);
    let mut refused = String::new();
    let mut left_out = 0;
    let mut append = |piece: Option<Piece>| match piece {
        Some(piece) => files.append(&piece.bytes, piece.begins.is_some()),
        None => Ok(()),
    };
    for (stream, packet) in packets {
        let taken = assembler.take(packet, &streams[stream])?;
        left_out += taken.left_out;
        if refused.is_empty() {
            refused = assembler.refused().to_owned();
        }
        append(taken.piece)?;
    }
    append(assembler.flush()?)?;
    if files.done.is_empty() {
        let codecs = streams.iter().flatten().find_map(|track| ending_of(track.codec));
        let instead = codecs.unwrap_or(".jsonl").to_owned();
        return Err(DumpError::Carries { ring: wanted.ring.clone(), why: refused, instead });
    }
    if left_out > 0 {
        let pictures = format!("{left_out} pictures without a key frame behind a hole");
        refused = [refused, pictures]
            .into_iter()
            .filter(|why| !why.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
    }
    Ok(refused)
}

fn write_stream(
    packets: Vec<(usize, Packet)>,
    streams: &[Vec<Track>],
    codec: Codec,
    files: &mut Files,
) -> Result<String, DumpError> {
    let mut others = 0;
    for (stream, packet) in packets {
        if Some(packet.meta.track) == track_of(&streams[stream], codec) {
            files.append(&packet.payload, false)?;
        } else {
            others += 1;
        }
    }
    Ok(if others > 0 { format!("{others} packets of other tracks") } else { String::new() })
}

fn write_lines(packets: Vec<(usize, Packet)>, files: &mut Files) -> Result<String, DumpError> {
    for (_, packet) in packets {
        let meta = packet.meta;
        let line = json!({
            "epoch": packet.epoch, "sequence": packet.sequence, "track": meta.track,
            "key": meta.key, "discontinuity": meta.discontinuity, "corrupt": meta.corrupt,
            "bytes": packet.payload.len(), "gop_index": meta.gop_index,
            "pts_ns": meta.pts_ns, "dts_ns": meta.dts_ns, "duration_ns": meta.duration_ns,
            "capture_utc_ns": meta.capture.utc, "capture_mono_ns": meta.capture.mono,
            "ingest_ns": meta.ingest, "published_ns": packet.published,
        });
        files.append(format!("{line}\n").as_bytes(), false)?;
    }
    Ok(String::new())
}

/// The files of one dump.
struct Files {
    path: PathBuf,
    force: bool,
    open: Option<File>,
    done: Vec<PathBuf>,
}

impl Files {
    fn new(path: &Path, force: bool) -> Self {
        Self { path: path.to_owned(), force, open: None, done: Vec::new() }
    }

    fn append(&mut self, bytes: &[u8], begins: bool) -> Result<(), DumpError> {
        if begins || self.open.is_none() {
            self.begin()?;
        }
        let path = self.done.last().unwrap_or(&self.path);
        let failed = |source| DumpError::File { path: path.clone(), source };
        self.open.as_mut().map_or(Ok(()), |file| file.write_all(bytes)).map_err(failed)
    }

    fn begin(&mut self) -> Result<(), DumpError> {
        let path = numbered(&self.path, self.done.len() + 1);
        let mut options = OpenOptions::new();
        options.write(true).truncate(self.force).create(self.force).create_new(!self.force);
        let open = options.open(&path);
        let file = open.map_err(|source| DumpError::File { path: path.clone(), source })?;
        self.open = Some(file);
        self.done.push(path);
        Ok(())
    }

    /// All packets are in the one file.
    fn with(self, facts: &[Fact]) -> Vec<DumpedFile> {
        let file = |path: PathBuf| described(path, facts);
        self.done.into_iter().filter_map(file).collect()
    }

    /// What each file really holds, by reading it.
    fn read_back(self, facts: &[Fact]) -> Result<Vec<DumpedFile>, DumpError> {
        let mut files = Vec::new();
        for path in self.done {
            let failed = |source| DumpError::File { path: path.clone(), source };
            let found = File::open(&path).and_then(|mut file| scan(&mut file)).map_err(failed)?;
            let holds = |fact: &&Fact| {
                found.fragments.iter().any(|fragment| {
                    let origin = &fragment.origin;
                    origin.epoch == fact.id.epoch
                        && (origin.first..=origin.last()).contains(&fact.id.sequence)
                })
            };
            let inside: Vec<Fact> = facts.iter().filter(holds).copied().collect();
            files.extend(described(path, &inside));
        }
        Ok(files)
    }
}

/// `clip.mp4`, `clip-2.mp4`, ...
fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{number}.{ending}"))
}

fn described(file: PathBuf, facts: &[Fact]) -> Option<DumpedFile> {
    let (first, last) = (facts.first()?, facts.last()?);
    let bytes = std::fs::metadata(&file).map_or(0, |meta| meta.len());
    let span = last.published.saturating_since(first.published);
    Some(DumpedFile {
        file,
        bytes,
        items: facts.len() as u64,
        epoch: first.id.epoch,
        first: first.id.sequence,
        last: last.id.sequence,
        from_utc_ns: first.capture,
        to_utc_ns: last.capture,
        span_ns: u64::try_from(span.as_nanos()).unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_what_is_written() {
        let of = |name: &str| Form::of(Path::new(name));
        assert_eq!(of("clip.MP4").unwrap(), Form::Movie);
        assert_eq!(of("/tmp/a.b/clip.hevc").unwrap(), Form::Stream(Codec::H265));
        assert_eq!(of("clip.jsonl").unwrap(), Form::Lines);
        let refused = of("clip.avi").unwrap_err().to_string();
        assert!(refused.contains("clip.avi") && refused.contains(".mp4, .h264"), "{refused}");
        assert!(of("clip").unwrap_err().to_string().contains("without an ending"));
    }

    #[test]
    fn further_files_are_numbered_behind_the_first() {
        let names = [1, 2, 11].map(|number| numbered(Path::new("/a/clip.mp4"), number));
        assert_eq!(names, ["/a/clip.mp4", "/a/clip-2.mp4", "/a/clip-11.mp4"].map(PathBuf::from));
    }
}
