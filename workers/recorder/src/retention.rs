//! Which recordings have to go. Pure: a ledger of the files that are there, oldest first in each
//! folder, and what a topology wants to keep.
//!
//! * age: a file goes when its last picture is older, which is when the next file began.
//! * size: files of a folder go until the rest, with the file being written, fits.
//! * free space: the oldest of all folders go until the disk has it again.
//!
//! The two newest files of a folder stay whatever comes: one is being written, and a restart may have
//! to join on to the other. Pinned files are not in the ledger.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::time::UtcNs;

/// Files of a folder that are never removed.
const STAY: usize = 2;

/// A closed recording, or the one being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shelved {
    pub(crate) path: PathBuf,
    /// When its first packet was captured.
    pub(crate) capture: UtcNs,
    pub(crate) bytes: u64,
}

/// What is wanted of every folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) age: Option<Duration>,
    pub(crate) bytes: Option<u64>,
}

/// Why a recording goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Age,
    Size,
    FreeSpace,
}

/// All folders of one recorder.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    folders: BTreeMap<PathBuf, VecDeque<Shelved>>,
}

impl Ledger {
    /// What a folder holds, oldest first; replaces what was known of it.
    pub(crate) fn enter(&mut self, folder: &Path, files: Vec<Shelved>) {
        self.folders.insert(folder.to_owned(), files.into());
    }

    /// The size of the file being written.
    pub(crate) fn grown(&mut self, folder: &Path, bytes: u64) {
        if let Some(newest) = self.folders.get_mut(folder).and_then(VecDeque::back_mut) {
            newest.bytes = bytes;
        }
    }

    /// Takes out of the ledger what a folder must give up for its age or size, oldest first.
    pub(crate) fn outlived(
        &mut self,
        folder: &Path,
        limits: &Limits,
        now: UtcNs,
    ) -> Vec<(Shelved, Reason)> {
        let Some(files) = self.folders.get_mut(folder) else { return Vec::new() };
        let mut total: u64 = files.iter().map(|file| file.bytes).sum();
        let mut gone = Vec::new();
        while let Some(reason) = over(files, limits, total, now) {
            let Some(file) = files.pop_front() else { break };
            total -= file.bytes;
            gone.push((file, reason));
        }
        gone
    }

    /// Takes the oldest recording of all folders out of the ledger, to free space.
    pub(crate) fn oldest(&mut self) -> Option<Shelved> {
        let spare = |files: &&mut VecDeque<Shelved>| files.len() > STAY;
        let folder = self
            .folders
            .values_mut()
            .filter(spare)
            .min_by_key(|files| files.front().map(|file| file.capture))?;
        folder.pop_front()
    }
}

/// Why the oldest file of a folder has to go, if it has to.
fn over(files: &VecDeque<Shelved>, limits: &Limits, total: u64, now: UtcNs) -> Option<Reason> {
    if files.len() <= STAY {
        return None;
    }
    let ended = files.get(1).map_or(now, |next| next.capture);
    let age = Duration::from_nanos(now.0.saturating_sub(ended.0));
    if limits.age.is_some_and(|limit| age > limit) {
        return Some(Reason::Age);
    }
    limits.bytes.is_some_and(|limit| total > limit).then_some(Reason::Size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    fn file(folder: &str, minute: u64, bytes: u64) -> Shelved {
        let path = format!("{folder}/{minute}.mp4").into();
        Shelved { path, capture: UtcNs(minute * MINUTE), bytes }
    }

    fn ledger(folder: &str, minutes: std::ops::Range<u64>) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.enter(Path::new(folder), minutes.map(|minute| file(folder, minute, 100)).collect());
        ledger
    }

    fn names(gone: &[(Shelved, Reason)]) -> Vec<String> {
        gone.iter().map(|(file, _)| file.path.display().to_string()).collect()
    }

    #[test]
    fn a_file_goes_when_its_last_picture_is_too_old() {
        let mut ledger = ledger("a", 0..6);
        let limits = Limits { age: Some(Duration::from_secs(180)), ..Limits::default() };
        // File 0 ended when file 1 began, at minute 1: four minutes and a half ago.
        let now = UtcNs(5 * MINUTE + MINUTE / 2);
        let gone = ledger.outlived(Path::new("a"), &limits, now);
        assert_eq!(names(&gone), ["a/0.mp4", "a/1.mp4"]);
        assert_eq!(gone[0].1, Reason::Age);
        assert_eq!(ledger.outlived(Path::new("a"), &limits, now), []);
    }

    #[test]
    fn files_go_until_the_rest_fits_with_the_one_being_written() {
        let mut ledger = ledger("a", 0..5);
        let limits = Limits { bytes: Some(450), ..Limits::default() };
        assert_eq!(names(&ledger.outlived(Path::new("a"), &limits, UtcNs(0))), ["a/0.mp4"]);
        ledger.grown(Path::new("a"), 200);
        assert_eq!(names(&ledger.outlived(Path::new("a"), &limits, UtcNs(0))), ["a/1.mp4"]);
        assert_eq!(ledger.outlived(Path::new("a"), &limits, UtcNs(0)), []);
    }

    #[test]
    fn the_two_newest_files_stay_whatever_is_wanted() {
        let mut ledger = ledger("a", 0..3);
        let limits = Limits { age: Some(Duration::ZERO), bytes: Some(0) };
        assert_eq!(ledger.outlived(Path::new("a"), &limits, UtcNs(u64::MAX)).len(), 1);
        assert_eq!(ledger.oldest(), None);
    }

    #[test]
    fn space_is_freed_from_the_oldest_of_all_folders() {
        let mut ledger = ledger("a", 3..6);
        ledger.enter(Path::new("b"), (2..6).map(|minute| file("b", minute, 1)).collect());
        let gone: Vec<_> = std::iter::from_fn(|| ledger.oldest()).map(|file| file.path).collect();
        assert_eq!(gone, ["b/2.mp4", "a/3.mp4", "b/3.mp4"].map(PathBuf::from));
    }

    #[test]
    fn a_clock_that_stepped_back_makes_nothing_old() {
        let mut ledger = ledger("a", 10..15);
        let limits = Limits { age: Some(Duration::from_secs(60)), ..Limits::default() };
        assert_eq!(ledger.outlived(Path::new("a"), &limits, UtcNs(0)), []);
    }
}
