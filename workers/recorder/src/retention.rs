//! Which recordings have to go. Pure: a ledger of the files that are there, oldest first in each
//! folder, and what a topology wants to keep.
//!
//! * age: a file goes when its last picture is older, which is when the next file began.
//! * size: files of a folder go until the rest, with the file being written, fits.
//! * free space: the oldest of all folders go until the disk has it again.
//!
//! What an event asked for has an age of its own, when the topology says so, and is the last to go for its size or
//! free space.
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
    /// Something in it was asked for by an event, and is kept in its own way.
    pub(crate) event: bool,
}

/// What is wanted of every folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) age: Option<Duration>,
    /// Of what an event asked for; `None`: it is as all else.
    pub(crate) events: Option<Duration>,
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
    /// What had outlived its time and stays all the same, until its folder is entered anew.
    spared: BTreeMap<PathBuf, Vec<Shelved>>,
}

impl Ledger {
    /// What a folder holds, oldest first; replaces what was known of it.
    pub(crate) fn enter(&mut self, folder: &Path, files: Vec<Shelved>) {
        self.spared.remove(folder);
        self.folders.insert(folder.to_owned(), files.into());
    }

    /// These of [`Self::outlived`] are still there: they go for free space alone.
    pub(crate) fn spare(&mut self, folder: &Path, files: Vec<Shelved>) {
        self.spared.entry(folder.to_owned()).or_default().extend(files);
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
        let mut gone: Vec<(Shelved, Reason)> = Vec::new();
        let mut at = 0;
        while at + STAY < files.len() {
            let ended = files.get(at + 1).map_or(now, |next| next.capture);
            if files.get(at).is_some_and(|file| file.is_too_old(ended, limits, now)) {
                gone.extend(files.remove(at).map(|file| (file, Reason::Age)));
            } else {
                at += 1;
            }
        }
        let mut total: u64 = files.iter().map(|file| file.bytes).sum();
        while limits.bytes.is_some_and(|limit| total > limit) {
            let Some(file) = pop(files) else { break };
            total -= file.bytes;
            gone.push((file, Reason::Size));
        }
        gone
    }

    /// An event has asked for a file that is there already.
    pub(crate) fn mark(&mut self, folder: &Path, number: u64) {
        let files = self.folders.get_mut(folder).into_iter().flatten();
        let spared = self.spared.get_mut(folder).into_iter().flatten();
        for file in files.chain(spared).filter(|file| file.number() == Some(number)) {
            file.event = true;
        }
    }

    /// Takes the oldest recording of all folders out of the ledger, to free space.
    pub(crate) fn oldest(&mut self) -> Option<Shelved> {
        let more = |files: &&mut VecDeque<Shelved>| files.len() > STAY;
        let listed = self
            .folders
            .values_mut()
            .filter(more)
            .filter_map(|files| first(files).map(|at| (files[at].order(), files)))
            .min_by_key(|(order, _)| *order);
        let spared = self
            .spared
            .values_mut()
            .filter_map(|files| {
                let (order, at) = files.iter().map(Shelved::order).zip(0..).min()?;
                Some((order, at, files))
            })
            .min_by_key(|(order, ..)| *order);
        match (listed, spared) {
            (Some((order, files)), other) if other.as_ref().is_none_or(|it| order < it.0) => {
                pop(files)
            }
            (_, Some((_, at, files))) => Some(files.swap_remove(at)),
            _ => None,
        }
    }
}

impl Shelved {
    /// `ended`: when its last picture was captured.
    fn is_too_old(&self, ended: UtcNs, limits: &Limits, now: UtcNs) -> bool {
        let age = Duration::from_nanos(now.0.saturating_sub(ended.0));
        let limit = if self.event { limits.events.or(limits.age) } else { limits.age };
        limit.is_some_and(|limit| age > limit)
    }

    /// Who goes first for free space.
    fn order(&self) -> (bool, UtcNs) {
        (self.event, self.capture)
    }

    fn number(&self) -> Option<u64> {
        recordings::FileName::number_in(self.path.file_name()?.to_str()?)
    }
}

/// The oldest of those that nobody asked for, else the oldest; none of those that stay.
fn first(files: &VecDeque<Shelved>) -> Option<usize> {
    let spare = files.len().saturating_sub(STAY);
    let mut may_go = files.iter().take(spare);
    may_go.position(|file| !file.event).or_else(|| (spare > 0).then_some(0))
}

fn pop(files: &mut VecDeque<Shelved>) -> Option<Shelved> {
    files.remove(first(files)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    fn file(folder: &str, minute: u64, bytes: u64) -> Shelved {
        let path = format!("{folder}/{minute}.mp4").into();
        Shelved { path, capture: UtcNs(minute * MINUTE), bytes, event: false }
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
        let limits = Limits { age: Some(Duration::ZERO), bytes: Some(0), ..Limits::default() };
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
    fn what_an_event_asked_for_has_its_own_age_and_goes_last_for_size_and_space() {
        let name = |number: u64| format!("a/20261120T130900.123Z-{number:08}.mp4");
        let make = || {
            let mut ledger = Ledger::default();
            let files = (0..6).map(|n| Shelved { path: name(n).into(), ..file("a", n, 100) });
            ledger.enter(Path::new("a"), files.collect());
            ledger.mark(Path::new("a"), 0);
            ledger.mark(Path::new("a"), 2);
            ledger
        };
        let ages = Limits {
            age: Some(Duration::from_secs(60)),
            events: Some(Duration::from_secs(240)),
            bytes: None,
        };
        let now = UtcNs(5 * MINUTE + MINUTE / 2);
        // File 0 is of four minutes and a half ago, file 2 of two and a half.
        let gone = make().outlived(Path::new("a"), &ages, now);
        assert_eq!(names(&gone), [name(0), name(1), name(3)]);
        let size = Limits { bytes: Some(300), ..Limits::default() };
        let gone = make().outlived(Path::new("a"), &size, now);
        assert_eq!(names(&gone), [name(1), name(3), name(0)]);
        let mut ledger = make();
        let gone: Vec<_> = std::iter::from_fn(|| ledger.oldest()).map(|file| file.path).collect();
        assert_eq!(gone, [name(1), name(3), name(0), name(2)].map(PathBuf::from));
    }

    #[test]
    fn a_clock_that_stepped_back_makes_nothing_old() {
        let mut ledger = ledger("a", 10..15);
        let limits = Limits { age: Some(Duration::from_secs(60)), ..Limits::default() };
        assert_eq!(ledger.outlived(Path::new("a"), &limits, UtcNs(0)), []);
    }
}
