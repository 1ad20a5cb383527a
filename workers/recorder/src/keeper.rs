//! Removes recordings that have to go, for all cameras of one recorder.
//!
//! The ledger is locked for decisions alone; files are removed outside of the lock, so that a disk
//! that hangs under one camera holds up no other.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::statvfs::statvfs;
use protocol::config::{FreeSpace, Keep};
use protocol::time::UtcNs;
use recordings::index::Notes;
use recordings::is_pinned;

use crate::folder::Recording;
use crate::retention::{Ledger, Limits, Reason, Shelved};

#[derive(Debug)]
pub struct Keeper {
    limits: Limits,
    min_free: Option<FreeSpace>,
    ledger: Mutex<Ledger>,
    index: Notes,
}

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
            bytes: keep.size.map(|size| size.0),
        };
        Self { limits, min_free, ledger: Mutex::default(), index: Notes::default() }
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
            let files = recordings.iter().filter(|file| !is_pinned(&file.path));
            let files = files.filter_map(shelved).collect();
            self.ledger().enter(folder, files);
        }
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
        for (file, reason) in outlived {
            self.remove(&file.path, reason);
        }
        self.free_space(folder)
    }

    /// No more than is missing: some file systems tell late of what was freed.
    fn free_space(&self, folder: &Path) -> Option<Shortage> {
        let wanted = self.min_free?;
        let disk = statvfs(folder).ok()?;
        let free_bytes = disk.blocks_available() * disk.fragment_size();
        let wanted_bytes = wanted.of(disk.blocks() * disk.fragment_size());
        let mut missing_bytes = wanted_bytes.saturating_sub(free_bytes);
        while missing_bytes > 0 {
            let Some(oldest) = self.ledger().oldest() else {
                return Some(Shortage { free_bytes, wanted_bytes });
            };
            self.remove(&oldest.path, Reason::FreeSpace);
            missing_bytes = missing_bytes.saturating_sub(oldest.bytes);
        }
        None
    }

    /// Who reads the file goes on reading it. One that cannot be removed is tried again when the folder
    /// is looked through the next time.
    fn remove(&self, path: &Path, reason: Reason) {
        if is_pinned(path) {
            return;
        }
        // Somebody may be reading it for long: an export.
        let claimed = match recordings::claim(path) {
            Ok(None) => {
                tracing::info!(file = %path.display(), "a recording that has to go is read; it stays");
                return;
            }
            Ok(Some(file)) => Some(file),
            // Whatever keeps it from being opened, removing it tells.
            Err(_) => None,
        };
        let removed = fs::remove_file(path);
        drop(claimed);
        match removed {
            Ok(()) => {
                tracing::info!(file = %path.display(), ?reason, "recording removed");
                self.index.removed(path);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => not_removed(path, &error),
        }
    }

    fn is_idle(&self) -> bool {
        self.limits == Limits::default() && self.min_free.is_none()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` when it is gone meanwhile, or its name tells no time: then it is not ours to remove.
fn shelved(recording: &Recording) -> Option<Shelved> {
    let bytes = fs::metadata(&recording.path).ok()?.len();
    Some(Shelved { path: recording.path.clone(), capture: recording.capture?, bytes })
}

fn not_removed(path: &Path, error: &io::Error) {
    tracing::error!(file = %path.display(), %error, "a recording that has to go cannot be removed");
}

#[cfg(test)]
mod tests {
    use super::*;

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
