//! `framevisor recordings`: what the directories of cameras hold, told from the files themselves, and
//! what a person wants to become of it. A recorder may run meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fmp4::{FoundFragment, Scan, is_intact, scan};
use protocol::time::UtcNs;
use protocol::verb::{Recording, Recordings, RecordingsWork};
use worker::verb::{VerbError, answer, arguments};

use crate::folder::{self, Folder};
use crate::keeper::pin_of;

/// Files of a folder that its recorder may still change: the one it writes, and the one it joins.
const IN_HAND: usize = 2;

/// Behind the name of a repaired file: what was cut off it.
const REST: &str = "rest";

/// Why nothing, or not all, was done.
#[derive(Debug, thiserror::Error)]
pub enum RecordingsError {
    #[error("cannot {doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{}: no recording; `framevisor recordings ls` lists them", .0.display())]
    Foreign(PathBuf),
    #[error("{}: a recorder writes it; stop the recorder first", .0.display())]
    InHand(PathBuf),
    #[error("{}: pinned ({why}); `framevisor recordings unpin` it first", file.display())]
    Pinned { file: PathBuf, why: String },
}

impl From<RecordingsError> for VerbError {
    fn from(error: RecordingsError) -> Self {
        Self::failed(error)
    }
}

/// `framevisor-recorder recordings`.
pub fn recordings_verb(text: &str) -> Result<(), VerbError> {
    answer(&recordings(&arguments(text)?)?)
}

/// Does what was asked for, and tells of the files it was done to.
pub fn recordings(wanted: &Recordings) -> Result<Vec<Recording>, RecordingsError> {
    match &wanted.work {
        RecordingsWork::List => of_all(wanted, false),
        RecordingsWork::Verify => of_all(wanted, true),
        RecordingsWork::Pin { files, why } => each(wanted, files, |file| pin(file, why)),
        RecordingsWork::Unpin { files } => each(wanted, files, unpin),
        RecordingsWork::Remove { files } => remove(wanted, files),
        RecordingsWork::Repair => repair(wanted),
    }
}

fn of_all(wanted: &Recordings, every_byte: bool) -> Result<Vec<Recording>, RecordingsError> {
    let mut all = Vec::new();
    for folder in &wanted.folders {
        all.extend(of_folder(folder, every_byte)?);
    }
    Ok(all)
}

/// A folder's files, oldest first.
fn of_folder(folder: &Path, every_byte: bool) -> Result<Vec<Recording>, RecordingsError> {
    let files = match folder::recordings_in(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed("list", folder)(source)),
    };
    let locked = Folder::is_locked(folder);
    let count = files.len();
    let mut before: Option<FoundFragment> = None;
    let mut told = Vec::with_capacity(count);
    for (at, file) in files.into_iter().enumerate() {
        let open = locked && at + 1 == count;
        match told_of(folder, &file, open, every_byte, &mut before) {
            Ok(recording) => told.push(recording),
            // Retention took it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed("read", &file.path)(source)),
        }
    }
    Ok(told)
}

fn told_of(
    folder: &Path,
    recording: &folder::Recording,
    open: bool,
    every_byte: bool,
    before: &mut Option<FoundFragment>,
) -> io::Result<Recording> {
    let mut file = File::open(&recording.path)?;
    let bytes = file.metadata()?.len();
    let found = scan(&mut file)?;
    let mut damage = found.damage.map(|damage| damage.to_string());
    if every_byte && damage.is_none() {
        damage = first_damaged(&mut file, &found)?;
    }
    let (mut missing, mut interrupted) = (0, false);
    for fragment in &found.fragments {
        missing += before.as_ref().map_or(0, |before| missing_between(before, fragment));
        interrupted |= before.is_some() && fragment.origin.flags.discontinuity;
        *before = Some(fragment.clone());
    }
    let packets = found.fragments.iter().map(|fragment| fragment.origin.recorded().count() as u64);
    Ok(Recording {
        camera: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        file: recording.path.clone(),
        number: recording.number,
        from_utc_ns: found.fragments.first().map(|fragment| fragment.origin.capture),
        to_utc_ns: found.fragments.last().map(|fragment| end_of(&found, fragment)),
        packets: packets.sum(),
        bytes,
        missing,
        interrupted,
        pinned: pinned(&recording.path),
        damage,
        open,
    })
}

fn first_damaged(file: &mut File, found: &Scan) -> io::Result<Option<String>> {
    for fragment in &found.fragments {
        if !is_intact(file, fragment)? {
            return Ok(Some(format!("byte {}: checksum differs", fragment.at_bytes)));
        }
    }
    Ok(None)
}

/// Packets of one epoch that neither holds; those of an epoch that ended between them are unknown.
fn missing_between(before: &FoundFragment, next: &FoundFragment) -> u64 {
    let (before, next) = (&before.origin, &next.origin);
    if before.epoch == next.epoch {
        return next.first.saturating_sub(before.last() + 1);
    }
    next.first.saturating_sub(1)
}

/// Its first packet's capture time and what its longest track lasts.
fn end_of(found: &Scan, fragment: &FoundFragment) -> UtcNs {
    let lasts_ns = found.tracks.iter().map(|track| {
        let own = fragment.samples.iter().filter(|sample| sample.track == track.track);
        let ticks: u64 = own.map(|sample| u64::from(sample.duration_ticks)).sum();
        track.base.to_ns(i64::try_from(ticks).unwrap_or(i64::MAX))
    });
    let longest_ns = lasts_ns.max().unwrap_or(0);
    UtcNs(fragment.origin.capture.0.saturating_add_signed(longest_ns))
}

fn pinned(path: &Path) -> Option<String> {
    fs::read_to_string(pin_of(path)).ok().map(|why| why.trim().to_owned())
}

/// Changes each of these files, all of which have to be recordings.
fn each(
    wanted: &Recordings,
    files: &[PathBuf],
    change: impl Fn(&Path) -> Result<(), RecordingsError>,
) -> Result<Vec<Recording>, RecordingsError> {
    let meant = meant(wanted, files)?;
    for recording in &meant {
        change(&recording.file)?;
    }
    let again = |recording: Recording| Recording { pinned: pinned(&recording.file), ..recording };
    Ok(meant.into_iter().map(again).collect())
}

/// The recordings of these paths, in the order of the paths.
fn meant(wanted: &Recordings, files: &[PathBuf]) -> Result<Vec<Recording>, RecordingsError> {
    let all = of_all(wanted, false)?;
    let find = |file: &PathBuf| {
        let found = all.iter().find(|recording| recording.file == *file);
        found.cloned().ok_or_else(|| RecordingsError::Foreign(file.clone()))
    };
    files.iter().map(find).collect()
}

fn pin(file: &Path, why: &str) -> Result<(), RecordingsError> {
    let path = pin_of(file);
    fs::write(&path, format!("{why}\n")).map_err(failed("write", &path))
}

fn unpin(file: &Path) -> Result<(), RecordingsError> {
    let path = pin_of(file);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", &path)(source))
        }
        _ => Ok(()),
    }
}

/// All of them, or none when one has to stay.
fn remove(wanted: &Recordings, files: &[PathBuf]) -> Result<Vec<Recording>, RecordingsError> {
    let meant = meant(wanted, files)?;
    for recording in &meant {
        let file = recording.file.clone();
        if recording.open {
            return Err(RecordingsError::InHand(file));
        }
        if let Some(why) = recording.pinned.clone() {
            return Err(RecordingsError::Pinned { file, why });
        }
    }
    for recording in &meant {
        fs::remove_file(&recording.file).map_err(failed("remove", &recording.file))?;
    }
    Ok(meant)
}

fn repair(wanted: &Recordings) -> Result<Vec<Recording>, RecordingsError> {
    let mut repaired = Vec::new();
    for folder in &wanted.folders {
        let mut files = of_folder(folder, false)?;
        if Folder::is_locked(folder) {
            files.truncate(files.len().saturating_sub(IN_HAND));
        }
        for recording in files.into_iter().filter(|file| file.damage.is_some()) {
            cut_torn_end(&recording.file)?;
            repaired.push(recording);
        }
    }
    Ok(repaired)
}

/// A file of which nothing is whole is left alone: a person may know better.
fn cut_torn_end(path: &Path) -> Result<(), RecordingsError> {
    let open = OpenOptions::new().read(true).write(true).open(path);
    let mut file = open.map_err(failed("open", path))?;
    let found = scan(&mut file).map_err(failed("read", path))?;
    if found.fragments.is_empty() {
        return Ok(());
    }
    keep_rest(&mut file, path, found.whole_bytes)?;
    file.set_len(found.whole_bytes).map_err(failed("cut", path))?;
    file.sync_data().map_err(failed("sync", path))
}

/// What is cut off stays beside it: damage in the middle may have something whole behind it.
fn keep_rest(file: &mut File, path: &Path, from_bytes: u64) -> Result<(), RecordingsError> {
    let rest = path.with_added_extension(REST);
    let mut kept = File::create(&rest).map_err(failed("create", &rest))?;
    file.seek(SeekFrom::Start(from_bytes)).map_err(failed("read", path))?;
    io::copy(file, &mut kept).map_err(failed("write", &rest))?;
    kept.sync_all().map_err(failed("sync", &rest))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecordingsError + use<> {
    let path = path.to_owned();
    move |source| RecordingsError::File { doing, path, source }
}
