//! `framevisor recordings`: what the directories of cameras hold, told from the files themselves, and
//! what a person wants to become of it. A recorder may run meanwhile.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use protocol::verb::{Recording, Recordings, RecordingsWork};
use recordings::index::{self, Index};
use recordings::{
    Entry, Error, Facts, Fragment, Gap, GapReason, RecordingFile, Upload, claim, hold, is_written,
    list, named, pin_of, pinned, uploads,
};
use worker::verb::{VerbError, answer, arguments};

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
    #[error(transparent)]
    Read(#[from] Error),
    #[error("{}: pinned ({why}); `framevisor recordings unpin` it first", file.display())]
    Pinned { file: PathBuf, why: String },
    #[error("{}: it has gone meanwhile: retention, or somebody else, removed it", .0.display())]
    Gone(PathBuf),
    #[error("{}: an export or a download reads it; remove it when that is done", .0.display())]
    Held(PathBuf),
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

/// The last fragment of a camera's files so far, and whether its file is damaged behind it.
type Before = Option<(Fragment, bool)>;

/// A folder's files, oldest first. What the index knows of a file is not read again, unless every byte is.
fn of_folder(folder: &Path, every_byte: bool) -> Result<Vec<Recording>, RecordingsError> {
    let index = folder.parent().filter(|_| !every_byte).and_then(Index::read);
    let entries = list(folder)?;
    let uploads = uploads(folder)?;
    let locked = is_written(folder);
    let count = entries.len();
    let mut before = None;
    let mut told = Vec::with_capacity(count);
    for (at, entry) in entries.into_iter().enumerate() {
        let open = locked && at + 1 == count;
        match told_of(folder, index.as_ref(), &entry, open, every_byte, &mut before) {
            Ok(recording) => told.push(placed(recording, &uploads)),
            // Retention took it meanwhile.
            Err(error) if error.is_gone() => {}
            // The others can be read.
            Err(error) => {
                before = before.map(|(last, _)| (last, true));
                let damage = Some(error.to_string());
                told.push(Recording { damage, ..unread(folder, &entry, open) });
            }
        }
    }
    Ok(told)
}

/// What is known of a file without reading it.
fn unread(folder: &Path, entry: &Entry, open: bool) -> Recording {
    Recording {
        camera: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        file: entry.path.clone(),
        number: entry.number,
        from_utc_ns: entry.capture,
        to_utc_ns: None,
        packets: 0,
        bytes: entry.bytes,
        missing: 0,
        interrupted: false,
        paused: false,
        pinned: entry.pinned.clone(),
        uploaded: Vec::new(),
        damage: None,
        open,
    }
}

fn told_of(
    folder: &Path,
    index: Option<&Index>,
    entry: &Entry,
    open: bool,
    every_byte: bool,
    before: &mut Before,
) -> Result<Recording, Error> {
    let camera = folder.file_name().unwrap_or_default().to_string_lossy();
    let facts = index::facts(index, &camera, entry)?;
    let mut damage = facts.damage.clone();
    if every_byte && damage.is_none() {
        damage = first_damaged(&entry.path, open)?;
    }
    let Holes { missing, interrupted, paused } = holes(&facts, before);
    Ok(Recording {
        from_utc_ns: facts.fragments.first().map(|fragment| fragment.capture),
        to_utc_ns: facts.fragments.last().map(|fragment| fragment.end),
        packets: facts.fragments.iter().map(|fragment| fragment.recorded).sum(),
        bytes: facts.bytes,
        missing,
        interrupted,
        paused,
        damage,
        ..unread(folder, entry, open)
    })
}

/// With where else it is, as it lies here.
fn placed(recording: Recording, uploads: &BTreeMap<u64, Vec<Upload>>) -> Recording {
    let places = uploads.get(&recording.number).into_iter().flatten();
    let same = places.filter(|upload| upload.bytes == recording.bytes);
    Recording { uploaded: same.map(|upload| upload.url.clone()).collect(), ..recording }
}

/// What is missing in front of a file and inside it.
#[derive(Clone, Copy, Debug, Default)]
struct Holes {
    /// Packets.
    missing: u64,
    /// Its source was.
    interrupted: bool,
    paused: bool,
}

fn holes(facts: &Facts, before: &mut Before) -> Holes {
    let mut holes = Holes::default();
    for fragment in &facts.fragments {
        let gap = before.as_ref().and_then(|(last, torn)| Gap::between(last, *torn, fragment));
        if let Some(gap) = gap {
            holes.missing += gap.missing;
            let breaks = fragment.discontinuity || gap.reason == GapReason::SourceRestart;
            holes.paused |= gap.reason == GapReason::Paused;
            holes.interrupted |= breaks && gap.reason != GapReason::Paused;
        }
        *before = Some((*fragment, false));
    }
    if let Some((_, torn)) = before {
        *torn |= facts.damage.is_some();
    }
    holes
}

/// Of a file that is being written the last fragment may come just now.
fn first_damaged(path: &Path, open: bool) -> Result<Option<String>, Error> {
    let mut file = RecordingFile::open(path)?;
    let mut at_bytes = file.init_bytes();
    while at_bytes < file.bytes() {
        let fragment = match file.fragment(at_bytes) {
            Err(Error::Damaged { .. }) if open => return Ok(None),
            found => found?,
        };
        if !file.is_intact(&fragment)? {
            return Ok(Some(format!("byte {at_bytes}: checksum differs")));
        }
        at_bytes += fragment.bytes;
    }
    Ok(None)
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

/// Held meanwhile, so that retention has no look at it between the pin and its file.
fn pin(file: &Path, why: &str) -> Result<(), RecordingsError> {
    let held = hold(file).map_err(failed("hold", file))?;
    let _held = held.ok_or_else(|| RecordingsError::Gone(file.to_owned()))?;
    recordings::pin(file, why).map_err(RecordingsError::from)
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
        if is_in_hand(&file) {
            return Err(RecordingsError::InHand(file));
        }
        if let Some(why) = recording.pinned.clone() {
            return Err(RecordingsError::Pinned { file, why });
        }
    }
    let claim = |recording: &Recording| match claim(&recording.file) {
        Ok(None) => Err(RecordingsError::Held(recording.file.clone())),
        Ok(claimed) => Ok(claimed),
        // Whatever keeps it from being opened, removing it tells.
        Err(_) => Ok(None),
    };
    let _claimed: Vec<Option<File>> = meant.iter().map(claim).collect::<Result<_, _>>()?;
    for recording in &meant {
        fs::remove_file(&recording.file).map_err(failed("remove", &recording.file))?;
    }
    Ok(meant)
}

/// Whether a recorder runs that writes it, or may still cut it.
fn is_in_hand(file: &Path) -> bool {
    let Some(folder) = file.parent().filter(|folder| is_written(folder)) else { return false };
    let files = named(folder).unwrap_or_default();
    files.iter().rev().take(IN_HAND).any(|named| named.path == file)
}

fn repair(wanted: &Recordings) -> Result<Vec<Recording>, RecordingsError> {
    let mut repaired = Vec::new();
    for folder in &wanted.folders {
        let mut files = of_folder(folder, false)?;
        if is_written(folder) {
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
    let found = Facts::read(path)?;
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

#[cfg(test)]
mod tests {
    use protocol::time::UtcNs;
    use recordings::Fragment;

    use super::*;

    #[test]
    fn what_was_not_to_be_recorded_before_a_file_is_told_and_is_neither_missing_nor_interrupted() {
        let fragment = |first, paused| Fragment {
            at_bytes: 0,
            bytes: 1,
            epoch: 7,
            first,
            last: first + 9,
            recorded: 10,
            capture: UtcNs(first),
            end: UtcNs(first + 10),
            key: Some(first),
            discontinuity: paused,
            camera_clock: false,
            paused,
        };
        let facts = |fragments| Facts {
            ring: None,
            fragments,
            bytes: 1,
            modified_ns: 0,
            whole_bytes: 1,
            damage: None,
        };
        let mut before = None;
        let first = holes(&facts(vec![fragment(1, false)]), &mut before);
        assert_eq!((first.paused, first.missing), (false, 0));
        let second = holes(&facts(vec![fragment(101, true)]), &mut before);
        assert_eq!((second.paused, second.missing, second.interrupted), (true, 0, false));
        let third = holes(&facts(vec![fragment(151, false)]), &mut before);
        assert_eq!((third.paused, third.missing), (false, 40));
    }
}
