//! Removes recordings that have to go, for all cameras of one recorder.
//!
//! The ledger is locked for decisions alone; files are removed outside of the lock, so that a disk
//! that hangs under one camera holds up no other.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::SystemTime;

use nix::sys::statvfs::statvfs;
use protocol::config::{FreeSpace, Keep, Until};
use protocol::time::UtcNs;
use recordings::index::Notes;
use recordings::{FileName, Upload, is_pinned};

use crate::folder::Recording;
use crate::retention::{Ledger, Limits, Reason, Shelved};

#[derive(Debug)]
pub struct Keeper {
    limits: Limits,
    min_free: Option<FreeSpace>,
    /// Neither age nor size ends a file that no store has.
    until_uploaded: bool,
    ledger: Mutex<Ledger>,
    uploads: Mutex<Uploads>,
    /// Who has it frees space; what it frees is missing to nobody else.
    freeing: Mutex<()>,
    index: Notes,
}

/// What is said of uploads, as far as it has been read.
type Uploads = BTreeMap<PathBuf, (Stamp, Stored)>;
/// Length and time of what was read.
type Stamp = (u64, Option<SystemTime>);
/// Lengths of what is in a store, by numbers.
type Stored = BTreeMap<u64, Vec<u64>>;

/// Space that could not be freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    pub(crate) free_bytes: u64,
    pub(crate) wanted_bytes: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { free_bytes, wanted_bytes } = self;
        let (free, wanted) = (free_bytes / 1_000_000, wanted_bytes / 1_000_000);
        write!(
            f,
            "the disk has {free} MB free, min_free wants {wanted} MB, and no recording is left to remove"
        )
    }
}

impl Keeper {
    pub fn new(keep: &Keep, min_free: Option<FreeSpace>) -> Self {
        let limits = Limits {
            age: keep.age.map(protocol::units::Span::duration),
            events: keep.events.map(protocol::units::Span::duration),
            bytes: keep.size.map(|size| size.0),
        };
        Self {
            limits,
            min_free,
            until_uploaded: keep.until == Some(Until::Uploaded),
            ledger: Mutex::default(),
            uploads: Mutex::default(),
            freeing: Mutex::default(),
            index: Notes::default(),
        }
    }

    /// Notes there what it has removed.
    pub fn telling(self, index: Notes) -> Self {
        Self { index, ..self }
    }

    /// Keeps everything.
    pub fn of_all() -> Self {
        Self::new(&Keep::default(), None)
    }

    /// What a folder holds now.
    pub(crate) fn enter(&self, folder: &Path, recordings: &[Recording]) {
        if !self.is_idle() {
            let marks = if self.marks() { recordings::marks(folder) } else { Ok(BTreeMap::new()) };
            let marks = marks.unwrap_or_else(|error| {
                tracing::warn!(%error, "what events asked for is not known");
                BTreeMap::new()
            });
            let files = recordings.iter().filter(|file| !is_pinned(&file.path));
            let files = files.filter_map(|file| shelved(file, marks.contains_key(&file.number)));
            self.ledger().enter(folder, files.collect());
        }
    }

    /// Whether files that an event asks for are kept in a way of their own.
    pub(crate) fn marks(&self) -> bool {
        self.limits.events.is_some()
    }

    /// An event has asked for these.
    pub(crate) fn mark(&self, folder: &Path, numbers: &[u64]) {
        let mut ledger = self.ledger();
        numbers.iter().for_each(|number| ledger.mark(folder, *number));
    }

    /// Removes what has to go now that the newest file has `bytes`. Returns what could not be freed of
    /// the space that is to stay free.
    pub(crate) fn make_room(&self, folder: &Path, bytes: u64, now: UtcNs) -> Option<Shortage> {
        if self.is_idle() {
            return None;
        }
        let outlived = {
            let mut ledger = self.ledger();
            ledger.grown(folder, bytes);
            ledger.outlived(folder, &self.limits, now)
        };
        let outlived_files = outlived.len();
        let stay: Vec<Shelved> = outlived
            .into_iter()
            .filter(|(file, reason)| !self.remove(&file.path, *reason))
            .map(|(file, _)| file)
            .collect();
        let removed = stay.len() < outlived_files;
        self.ledger().spare(folder, stay);
        let (freed, shortage) = self.free_space(folder);
        if removed || freed {
            forget_comments(folder);
        }
        shortage
    }

    /// No more than is missing: some file systems tell late of what was freed. Files of all cameras end at the
    /// same time, and one of them does it for all.
    fn free_space(&self, folder: &Path) -> (bool, Option<Shortage>) {
        let mut freed = false;
        let turn = self.freeing.try_lock();
        if matches!(turn, Err(TryLockError::WouldBlock)) {
            return (freed, None);
        }
        let Some((wanted, disk)) = self.min_free.zip(statvfs(folder).ok()) else {
            return (freed, None);
        };
        let free_bytes = disk.blocks_available() * disk.fragment_size();
        let wanted_bytes = wanted.of(disk.blocks() * disk.fragment_size());
        let mut missing_bytes = wanted_bytes.saturating_sub(free_bytes);
        while missing_bytes > 0 {
            let Some(oldest) = self.ledger().oldest() else {
                return (freed, Some(Shortage { free_bytes, wanted_bytes }));
            };
            if self.remove(&oldest.path, Reason::FreeSpace) {
                freed = true;
                missing_bytes = missing_bytes.saturating_sub(oldest.bytes);
            }
        }
        (freed, None)
    }

    /// Who reads the file goes on reading it. One that cannot be removed is tried again when the folder
    /// is looked through the next time. Whether it is gone.
    fn remove(&self, path: &Path, reason: Reason) -> bool {
        // Somebody may be reading it for long: an export.
        let claimed = match recordings::claim(path) {
            Ok(None) => {
                tracing::info!(file = %path.display(), "a recording that has to go is read; it stays");
                return false;
            }
            Ok(Some(file)) => Some(file),
            // Whatever keeps it from being opened, removing it tells.
            Err(_) => None,
        };
        // Who pins a file holds it meanwhile.
        if is_pinned(path) {
            return false;
        }
        if self.until_uploaded && !self.is_uploaded(path) {
            if reason != Reason::FreeSpace {
                return false;
            }
            tracing::error!(file = %path.display(), "a recording goes for free space before it is uploaded");
        }
        let removed = fs::remove_file(path);
        drop(claimed);
        match removed {
            Ok(()) => {
                tracing::info!(file = %path.display(), ?reason, "recording removed");
                self.index.removed(path);
                true
            }
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => {
                not_removed(path, &error);
                false
            }
        }
    }

    /// Whether a store has it as it lies here. What cannot be read is not known to be there.
    fn is_uploaded(&self, path: &Path) -> bool {
        let number = path.file_name().and_then(|name| name.to_str()).and_then(FileName::number_in);
        let (Some(folder), Some(number)) = (path.parent(), number) else { return false };
        let Ok(bytes) = fs::metadata(path).map(|facts| facts.len()) else { return false };
        let Ok(facts) = fs::metadata(recordings::uploads_file(folder)) else { return false };
        let stamp = (facts.len(), facts.modified().ok());
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        if uploads.get(folder).is_none_or(|(read, _)| *read != stamp) {
            let Ok(found) = recordings::uploads(folder) else { return false };
            let lengths = |places: Vec<Upload>| places.iter().map(|upload| upload.bytes).collect();
            let stored = found.into_iter().map(|(number, places)| (number, lengths(places)));
            uploads.insert(folder.to_owned(), (stamp, stored.collect()));
        }
        let stored = uploads.get(folder).and_then(|(_, stored)| stored.get(&number));
        stored.is_some_and(|lengths| lengths.contains(&bytes))
    }

    fn is_idle(&self) -> bool {
        self.limits == Limits::default() && self.min_free.is_none()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` when it is gone meanwhile, or its name tells no time: then it is not ours to remove.
fn shelved(recording: &Recording, event: bool) -> Option<Shelved> {
    let bytes = fs::metadata(&recording.path).ok()?.len();
    Some(Shelved { path: recording.path.clone(), capture: recording.capture?, bytes, event })
}

/// What was said of moments before all recordings that are left: the first may be of a time when the clock was
/// ahead.
fn forget_comments(folder: &Path) {
    let left = recordings::named(folder).ok();
    let oldest = left.and_then(|files| files.iter().filter_map(|file| file.capture).min());
    let Some(oldest) = oldest else { return };
    match recordings::forget_comments(folder, oldest) {
        Ok(0) => {}
        Ok(comments) => {
            tracing::info!(folder = %folder.display(), comments, "comments went with their recordings")
        }
        Err(error) => tracing::warn!(%error, "comments of recordings that are gone stay"),
    }
}

fn not_removed(path: &Path, error: &io::Error) {
    tracing::error!(file = %path.display(), %error, "a recording that has to go cannot be removed");
}

#[cfg(test)]
mod tests {
    use protocol::units::Bytes;

    use super::*;

    #[test]
    fn what_no_store_has_stays_for_its_age_and_goes_for_free_space_alone() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep { until: Some(Until::Uploaded), ..Keep::default() };
        let keeper = Keeper::new(&keep, None);
        let file = |number: u64| {
            let path = dir.path().join(format!("20261120T130900.123Z-{number:08}.mp4"));
            fs::write(&path, b"xyz").unwrap();
            path
        };
        let (first, second, third) = (file(1), file(2), file(3));
        let note = |number, bytes| {
            let url = "s3://b/k".to_owned();
            let upload = Upload::new(number, bytes, String::new(), url, UtcNs(1));
            recordings::add_upload(dir.path(), &upload).unwrap();
        };
        assert!(!keeper.remove(&first, Reason::Age) && first.exists());
        note(1, 3);
        assert!(keeper.remove(&first, Reason::Age) && !first.exists());
        // It was sent before it was repaired.
        note(2, 5);
        assert!(!keeper.remove(&second, Reason::Size) && second.exists());
        assert!(keeper.remove(&third, Reason::FreeSpace) && !third.exists());
    }

    #[test]
    fn what_no_store_has_and_has_outlived_its_age_still_goes_for_free_space() {
        let dir = tempfile::tempdir().unwrap();
        let recordings: Vec<Recording> = (1..=5)
            .map(|number: u64| {
                let path = dir.path().join(format!("20261120T130900.123Z-{number:08}.mp4"));
                fs::write(&path, b"xyz").unwrap();
                Recording { path, number, capture: Some(UtcNs(number)) }
            })
            .collect();
        let left = || recordings.iter().filter(|file| file.path.exists()).count();
        let age = "1s".parse().unwrap();
        let keep = Keep { until: Some(Until::Uploaded), age: Some(age), ..Keep::default() };
        let now = UtcNs(u64::MAX);
        let patient = Keeper::new(&keep, None);
        patient.enter(dir.path(), &recordings);
        assert_eq!((patient.make_room(dir.path(), 3, now), left()), (None, 5));
        // No disk has as much.
        let pressed = Keeper::new(&keep, Some(FreeSpace::Bytes(Bytes(u64::MAX))));
        pressed.enter(dir.path(), &recordings);
        assert!(pressed.make_room(dir.path(), 3, now).is_some());
        assert_eq!(left(), 2, "all but the two newest");
    }

    #[test]
    fn a_recording_of_a_clock_that_was_ahead_takes_no_comments_with_it() {
        let dir = tempfile::tempdir().unwrap();
        for (number, name) in [(1, "20361120T130900.123Z"), (2, "20261120T130900.123Z")] {
            fs::write(dir.path().join(format!("{name}-{number:08}.mp4")), b"x").unwrap();
        }
        let moment = |seconds: u64| recordings::Remark {
            utc_ns: UtcNs(seconds * 1_000_000_000),
            text: "the red car".to_owned(),
            ..recordings::Remark::default()
        };
        // In 2020, and on the day of the second file.
        for remark in [moment(1_600_000_000), moment(1_795_200_000)] {
            recordings::add_comment(dir.path(), &remark, UtcNs(1)).unwrap();
        }
        forget_comments(dir.path());
        assert_eq!(recordings::comments(dir.path()).unwrap().len(), 1);
    }

    #[test]
    fn what_somebody_holds_or_has_pinned_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("20261120T130900.123Z-00000001.mp4");
        fs::write(&path, b"x").unwrap();
        let keeper = Keeper::of_all();
        let held = recordings::hold(&path).unwrap().unwrap();
        keeper.remove(&path, Reason::Age);
        assert!(path.exists());
        drop(held);
        fs::write(recordings::pin_of(&path), "storm").unwrap();
        keeper.remove(&path, Reason::Age);
        assert!(path.exists());
        fs::remove_file(recordings::pin_of(&path)).unwrap();
        keeper.remove(&path, Reason::Age);
        assert!(!path.exists());
    }
}
