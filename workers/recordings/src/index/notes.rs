//! What the threads of cameras tell the one that fills the index: little, and without ever waiting for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Identity;
use crate::file_name::FileName;

/// More files than this of one camera at a time are not noted one by one: the directory is looked
/// through instead.
const FILES_MAX: usize = 4096;

/// Where notes are left. Cloned for each thread; the default is nobody's.
#[derive(Clone, Debug, Default)]
pub struct Notes(Option<Arc<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    folders: BTreeMap<PathBuf, Noted>,
    ended: bool,
}

/// What is new in one camera's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// The directory is settled after a start: all of it may have changed.
    pub(super) opened: Option<Opened>,
    pub(super) files: BTreeMap<u64, Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// The directory above, where the index is.
    pub(super) root: Option<Identity>,
    /// Files up to this number are complete.
    pub(super) settled: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Name of the file.
    pub(super) file: String,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Gone,
    /// It is durable so far. `again`: what the index has of it is no more.
    Durable {
        upto_bytes: u64,
        again: bool,
    },
}

impl Notes {
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// A directory was opened for writing and put in order. Files up to this number are complete.
    pub fn opened(&self, folder: &Path, settled: u64) {
        let root = folder.parent().and_then(|root| Identity::of(root).ok());
        self.note(folder, |noted| noted.open(root, settled));
    }

    /// That many bytes of the file being written are safe.
    pub fn durable(&self, recording: &Path, bytes: u64) {
        let what = What::Durable { upto_bytes: bytes, again: false };
        self.note_file(recording, what);
    }

    /// A file that is not being written has changed.
    pub fn changed(&self, recording: &Path) {
        let what = What::Durable { upto_bytes: u64::MAX, again: true };
        self.note_file(recording, what);
    }

    pub fn removed(&self, recording: &Path) {
        self.note_file(recording, What::Gone);
    }

    /// All that was noted since the last call.
    pub fn take(&self) -> Vec<(PathBuf, Noted)> {
        let Some(shared) = &self.0 else { return Vec::new() };
        std::mem::take(&mut shared.state().folders).into_iter().collect()
    }

    /// No more notes will come.
    pub fn end(&self) {
        if let Some(shared) = &self.0 {
            shared.state().ended = true;
            shared.ended.notify_all();
        }
    }

    /// Waits that long, or until [`Self::end`]; whether that has come.
    pub fn wait(&self, time: Duration) -> bool {
        let Some(shared) = &self.0 else { return true };
        let state = shared.state();
        let waited = shared.ended.wait_timeout_while(state, time, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    fn note_file(&self, recording: &Path, what: What) {
        let name = recording.file_name().and_then(|name| name.to_str());
        let number = name.and_then(FileName::number_in);
        if let (Some(folder), Some(name), Some(number)) = (recording.parent(), name, number) {
            self.note(folder, |noted| noted.add(number, name, what));
        }
    }

    fn note(&self, folder: &Path, add: impl FnOnce(&mut Noted)) {
        if let Some(shared) = &self.0 {
            let mut state = shared.state();
            if let Some(noted) = state.folders.get_mut(folder) {
                add(noted);
            } else {
                add(state.folders.entry(folder.to_owned()).or_default());
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn open(&mut self, root: Option<Identity>, settled: u64) {
        self.opened = Some(Opened { root, settled });
        self.files.clear();
    }

    fn add(&mut self, number: u64, file: &str, what: What) {
        if self.files.len() >= FILES_MAX {
            let settled = self.files.last_key_value().map_or(0, |(last, _)| last.saturating_sub(1));
            let root = self.opened.and_then(|opened| opened.root);
            self.open(root, settled);
        }
        let before = self.files.get(&number).map(|change| change.what);
        let what = before.map_or(what, |before| before.then(what));
        self.files.insert(number, Change { file: file.to_owned(), what });
    }
}

impl What {
    /// Both, one after the other.
    pub(super) fn then(self, later: Self) -> Self {
        match (self, later) {
            (Self::Durable { again: true, .. }, Self::Durable { upto_bytes, .. }) => {
                Self::Durable { upto_bytes, again: true }
            }
            _ => later,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: u64) -> PathBuf {
        format!("/r/cam1/20261120T130900.123Z-{number:08}.mp4").into()
    }

    fn whats(noted: &Noted) -> Vec<(u64, What)> {
        noted.files.iter().map(|(number, change)| (*number, change.what)).collect()
    }

    #[test]
    fn of_each_file_the_last_word_counts() {
        let notes = Notes::new();
        notes.durable(&file(1), 100);
        notes.durable(&file(1), 200);
        notes.changed(&file(2));
        notes.durable(&file(2), 50);
        notes.removed(&file(3));
        notes.durable(Path::new("/r/cam1/holiday.mp4"), 1);
        let [(folder, noted)] = &notes.take()[..] else { panic!("one folder") };
        assert_eq!(folder, Path::new("/r/cam1"));
        let expected = [
            (1, What::Durable { upto_bytes: 200, again: false }),
            (2, What::Durable { upto_bytes: 50, again: true }),
            (3, What::Gone),
        ];
        assert_eq!(whats(noted), expected);
        assert!(notes.take().is_empty());
    }

    #[test]
    fn too_many_files_are_a_directory_to_look_through() {
        let notes = Notes::new();
        let files = FILES_MAX as u64;
        (1..=files + 1).for_each(|number| notes.removed(&file(number)));
        let (_, noted) = notes.take().pop().unwrap();
        assert_eq!(noted.opened.map(|opened| opened.settled), Some(files - 1));
        assert_eq!(whats(&noted), [(files + 1, What::Gone)]);
    }

    #[test]
    fn nobodys_notes_are_not_kept_and_not_waited_for() {
        let notes = Notes::default();
        notes.durable(&file(1), 100);
        assert!(notes.take().is_empty());
        assert!(notes.wait(Duration::MAX));
    }

    #[test]
    fn the_end_is_seen_by_who_waits() {
        let notes = Notes::new();
        assert!(!notes.wait(Duration::ZERO));
        let other = notes.clone();
        let waiting = std::thread::spawn(move || other.wait(Duration::from_secs(60)));
        notes.end();
        assert!(waiting.join().unwrap());
    }
}
