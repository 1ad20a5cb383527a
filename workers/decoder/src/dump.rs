//! `framevisor dump` of a frame ring: the pictures its history still holds, as Y4M or as PNG files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use media::Still;
use protocol::name::RingKind;
use protocol::time::{MonoNs, UtcNs};
use protocol::verb::{Dump, Dumped, DumpedFile, ItemId, gaps};
use shmring::{Frame, FrameOptions, FrameReader, FrameStart, Next, Policy, census, clock};
use worker::verb::{VerbError, answer, arguments};

use crate::pictures::still_of;
use crate::y4m;

pub(crate) fn verb(text: &str) -> Result<(), VerbError> {
    answer(&dump(&arguments(text)?)?)
}

fn dump(wanted: &Dump) -> Result<Dumped, VerbError> {
    if wanted.ring.kind() != RingKind::Frames {
        return Err(VerbError::usage(format!(
            "ring {}: is a ring of {}; this program dumps frames",
            wanted.ring,
            wanted.ring.kind()
        )));
    }
    let mut sink = Sink::of(wanted)?;
    let mut reader = attach(wanted)?;
    let (began, from) = (clock::mono(), from(wanted));
    loop {
        match reader.next(Duration::ZERO)? {
            Next::Item(frame) => {
                let published = frame.published();
                if published >= from {
                    sink.take(&frame)?;
                }
                if published >= began {
                    break;
                }
            }
            Next::Quiet | Next::Ended => break,
            // The sequences tell.
            _ => {}
        }
    }
    sink.finish(wanted)
}

fn attach(wanted: &Dump) -> Result<FrameReader, VerbError> {
    let options = FrameOptions {
        policy: Policy::Sequential,
        start: FrameStart::Oldest,
        quota: 1,
        ..FrameOptions::named("framevisor dump")
    };
    Ok(FrameReader::attach(&wanted.project, &wanted.ring, &options)?)
}

/// Published before this is too old.
fn from(wanted: &Dump) -> MonoNs {
    let now = clock::mono();
    let age = census::status(&wanted.project, &wanted.ring, now).age_ms.unwrap_or(0);
    let newest = now.0.saturating_sub(age.saturating_mul(1_000_000));
    MonoNs(newest.saturating_sub(wanted.last.0))
}

/// Where the pictures go.
enum Sink {
    Y4m(Y4m),
    Folder(Folder),
}

impl Sink {
    fn of(wanted: &Dump) -> Result<Self, VerbError> {
        let path = &wanted.file;
        let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir();
        if is_folder {
            return Folder::open(path, wanted.force).map(Self::Folder);
        }
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("y4m")) {
            let file = path.clone();
            return Ok(Self::Y4m(Y4m { file, force: wanted.force, parts: Vec::new(), open: None }));
        }
        Err(VerbError::usage(format!(
            "{}: expected a name that ends in .y4m, or a folder for PNG files with / behind it",
            path.display()
        )))
    }

    fn take(&mut self, frame: &Frame) -> Result<(), VerbError> {
        let still = still_of(frame)?;
        match self {
            Self::Y4m(y4m) => y4m.take(&still, frame),
            Self::Folder(folder) => folder.take(&still, frame),
        }
    }

    fn finish(self, wanted: &Dump) -> Result<Dumped, VerbError> {
        let parts = match self {
            Self::Y4m(y4m) => y4m.parts,
            Self::Folder(folder) => folder.part.into_iter().collect(),
        };
        if parts.is_empty() {
            return Err(VerbError::failed(format!(
                "ring {}: it holds no picture; a parked decoder gives its memory back, attach a reader first",
                wanted.ring
            )));
        }
        let ids = parts.iter().flat_map(|part| part.ids.iter().copied());
        Ok(Dumped {
            ring: wanted.ring.clone(),
            gaps: gaps(ids),
            files: parts.iter().filter_map(Part::described).collect(),
            left_out: String::new(),
        })
    }
}

/// One file or folder, and what is in it.
struct Part {
    path: PathBuf,
    bytes: u64,
    ids: Vec<ItemId>,
    captured: Vec<UtcNs>,
    published: Vec<MonoNs>,
}

impl Part {
    fn at(path: PathBuf) -> Self {
        Self { path, bytes: 0, ids: Vec::new(), captured: Vec::new(), published: Vec::new() }
    }

    fn add(&mut self, frame: &Frame, bytes: usize) {
        self.bytes += bytes as u64;
        self.ids.push(ItemId { epoch: frame.epoch(), sequence: frame.sequence() });
        self.captured.push(frame.meta().capture.utc);
        self.published.push(frame.published());
    }

    fn described(&self) -> Option<DumpedFile> {
        let (first, last) = (self.ids.first()?, self.ids.last()?);
        let span = self.published.last()?.saturating_since(*self.published.first()?);
        Some(DumpedFile {
            file: self.path.clone(),
            bytes: self.bytes,
            items: self.ids.len() as u64,
            epoch: first.epoch,
            first: first.sequence,
            last: last.sequence,
            from_utc_ns: *self.captured.first()?,
            to_utc_ns: *self.captured.last()?,
            span_ns: u64::try_from(span.as_nanos()).unwrap_or(u64::MAX),
        })
    }
}

/// One stream of pictures of one size and format; others begin a further file.
struct Y4m {
    file: PathBuf,
    force: bool,
    parts: Vec<Part>,
    open: Option<(File, String)>,
}

impl Y4m {
    fn take(&mut self, still: &Still, frame: &Frame) -> Result<(), VerbError> {
        let form = y4m::form(still.format);
        let still = if form == still.format {
            still.clone()
        } else {
            still.converted(form, still.width, still.height).map_err(VerbError::failed)?
        };
        let header = y4m::header(&still, frame.meta().duration_ns);
        if self.open.as_ref().is_none_or(|(_, open)| *open != header) {
            self.begin(header)?;
        }
        let (Some((file, _)), Some(part)) = (&mut self.open, self.parts.last_mut()) else {
            return Ok(());
        };
        file.write_all(y4m::FRAME)
            .and_then(|()| file.write_all(&still.samples))
            .map_err(|error| cannot_write(&part.path, &error))?;
        part.add(frame, y4m::FRAME.len() + still.samples.len());
        Ok(())
    }

    fn begin(&mut self, header: String) -> Result<(), VerbError> {
        let path = match self.parts.len() {
            0 => self.file.clone(),
            more => {
                let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
                self.file.with_file_name(format!("{stem}-{}.y4m", more + 1))
            }
        };
        let mut file = create(&path, self.force)?;
        file.write_all(header.as_bytes()).map_err(|error| cannot_write(&path, &error))?;
        let mut part = Part::at(path);
        part.bytes = header.len() as u64;
        self.parts.push(part);
        self.open = Some((file, header));
        Ok(())
    }
}

/// A PNG file a picture, by epoch and sequence.
struct Folder {
    path: PathBuf,
    force: bool,
    part: Option<Part>,
}

impl Folder {
    fn open(path: &Path, force: bool) -> Result<Self, VerbError> {
        fs::create_dir_all(path).map_err(|error| cannot_write(path, &error))?;
        Ok(Self { path: path.to_owned(), force, part: None })
    }

    fn take(&mut self, still: &Still, frame: &Frame) -> Result<(), VerbError> {
        let path = self.path.join(format!("{}-{:08}.png", frame.epoch(), frame.sequence()));
        let png = still.png().map_err(VerbError::failed)?;
        let mut file = create(&path, self.force)?;
        file.write_all(&png).map_err(|error| cannot_write(&path, &error))?;
        self.part.get_or_insert_with(|| Part::at(self.path.clone())).add(frame, png.len());
        Ok(())
    }
}

fn create(path: &Path, force: bool) -> Result<File, VerbError> {
    let mut options = OpenOptions::new();
    options.write(true).create(force).truncate(force).create_new(!force);
    options.open(path).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> VerbError {
    let cure = match error.kind() {
        io::ErrorKind::AlreadyExists => "; name another place, or write over it with --force",
        _ => "",
    };
    VerbError::failed(format!("cannot write {}: {error}{cure}", path.display()))
}
