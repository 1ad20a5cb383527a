//! Epochs and groups of pictures never repeat, not even after a reboot with a wrong clock.
//! What was used is kept in a small state file on disk, raised ahead in steps so
//! that it is rarely written and never behind.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use protocol::name::{ProjectName, RingKind, RingName};
use protocol::time::UtcNs;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;
/// A source whose every picture is a key frame makes at most 240 groups a second; the file is
/// raised when fewer than `GOP_RESERVE` are left, so a second between two looks is plenty.
const GOP_STEP: u64 = 10_000;
const GOP_RESERVE: u64 = 2_000;
/// Epochs are UTC microseconds unless the clock went back; then each restart adds one.
const EPOCH_STEP: u64 = 1_000;

#[derive(Debug, thiserror::Error)]
pub(crate) enum FloorsError {
    #[error(
        "state file {}: {step}: {source}; let this user write there, or set XDG_STATE_HOME to a \
         folder of its own",
        path.display()
    )]
    Io { path: PathBuf, step: &'static str, source: io::Error },
}

/// The next epoch and the next group of pictures of a ring are above these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Floor {
    pub(crate) epoch: u64,
    pub(crate) gop: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct StateFile {
    version: u32,
    rings: BTreeMap<RingName, Floor>,
}

#[derive(Debug)]
pub(crate) struct Floors {
    path: PathBuf,
    /// As written, or about to be: above everything that may be in use.
    promised: BTreeMap<RingName, Floor>,
    /// What was seen in use during this run.
    seen: BTreeMap<RingName, Floor>,
    unsaved: bool,
    saving: Option<JoinHandle<Result<(), FloorsError>>>,
}

/// `$XDG_STATE_HOME/framevisor/<project>.json`, else below the home directory, else below
/// `/var/lib`.
pub(crate) fn state_file(project: &ProjectName) -> PathBuf {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .unwrap_or_else(|| PathBuf::from("/var/lib"));
    base.join("framevisor").join(format!("{project}.json"))
}

/// Beside the state file: what else outlives a run.
pub(crate) fn state_folder(project: &ProjectName) -> PathBuf {
    state_file(project).with_extension("")
}

/// Items that killed a worker twice, in a folder for each worker.
pub(crate) fn quarantine_folder(project: &ProjectName) -> PathBuf {
    state_folder(project).join("quarantine")
}

impl Floors {
    /// Reads the file and reserves the first step for each of `rings`, on disk, before any starts.
    pub(crate) fn open(path: PathBuf, rings: &[RingName], utc: UtcNs) -> Result<Self, FloorsError> {
        let promised = read(&path)?;
        let mut floors =
            Self { path, promised, seen: BTreeMap::new(), unsaved: true, saving: None };
        floors.reserve(rings, utc);
        floors.save_now()?;
        Ok(floors)
    }

    /// As [`Self::open`], of rings that are in use: none of them jumps.
    pub(crate) fn resume(
        path: PathBuf,
        rings: &[RingName],
        seen: Vec<(RingName, Floor)>,
        utc: UtcNs,
    ) -> Result<Self, FloorsError> {
        let mut floors = Self::open(path, rings, utc)?;
        floors.seen.extend(seen);
        Ok(floors)
    }

    /// What was seen in use.
    pub(crate) fn seen(&self) -> Vec<(RingName, Floor)> {
        self.seen.iter().map(|(ring, floor)| (ring.clone(), *floor)).collect()
    }

    /// Whether the disk is being written to.
    pub(crate) fn is_saving(&self) -> bool {
        self.saving.as_ref().is_some_and(|saving| !saving.is_finished())
    }

    /// Reserves the first step for each of `rings`; those that are known already stay as they are. Their
    /// writers may start when it [is saved](Self::is_saved).
    pub(crate) fn reserve<'a>(
        &mut self,
        rings: impl IntoIterator<Item = &'a RingName>,
        utc: UtcNs,
    ) {
        for ring in rings {
            if self.seen.contains_key(ring) {
                continue;
            }
            let first = || Floor { epoch: 0, gop: utc.0 / 1_000_000 };
            let floor = self.promised.get(ring).copied().unwrap_or_else(first);
            self.observe(ring, floor);
            self.seen.insert(ring.clone(), floor);
            self.unsaved = true;
        }
    }

    /// Whether everything promised is on disk, or cannot be brought there at all.
    pub(crate) fn is_saved(&self) -> bool {
        !self.unsaved && self.saving.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(crate) fn of(&self, ring: &RingName) -> Floor {
        self.seen.get(ring).copied().unwrap_or_default()
    }

    /// The ring was seen at this epoch and group.
    pub(crate) fn observe(&mut self, ring: &RingName, now: Floor) {
        let seen = self.seen.entry(ring.clone()).or_default();
        seen.epoch = seen.epoch.max(now.epoch);
        seen.gop = seen.gop.max(now.gop);
        let promised = self.promised.entry(ring.clone()).or_default();
        if now.epoch >= promised.epoch && now.epoch > 0 {
            promised.epoch = now.epoch + EPOCH_STEP;
            self.unsaved = true;
        }
        if ring.kind() == RingKind::Packets && now.gop + GOP_RESERVE > promised.gop {
            promised.gop = now.gop + GOP_STEP;
            self.unsaved = true;
        }
    }

    /// Writes what is unsaved by a thread of its own: a disk may take seconds.
    pub(crate) fn save_later(&mut self) {
        if self.saving.as_ref().is_some_and(|saving| !saving.is_finished()) {
            return;
        }
        if let Some(Ok(Err(error))) = self.saving.take().map(JoinHandle::join) {
            tracing::warn!(%error, "epochs of this run may repeat after a reboot with a wrong clock");
            self.unsaved = true;
        }
        if !self.unsaved {
            return;
        }
        let (path, text) = (self.path.clone(), self.text());
        let started = std::thread::Builder::new()
            .name("floors".to_owned())
            .spawn(move || write(&path, &text));
        // Without a thread it stays unsaved and is tried again.
        if let Ok(saving) = started {
            self.saving = Some(saving);
            self.unsaved = false;
        }
    }

    /// Writes and waits: at start and at the end.
    pub(crate) fn save_now(&mut self) -> Result<(), FloorsError> {
        if let Some(saving) = self.saving.take() {
            // A writer that failed is repeated right here.
            let _ = saving.join();
        }
        write(&self.path, &self.text())?;
        self.unsaved = false;
        Ok(())
    }

    /// All writers have ended: nothing above what was seen is in use.
    pub(crate) fn settle(&mut self) -> Result<(), FloorsError> {
        for (ring, seen) in &self.seen {
            self.promised.insert(ring.clone(), *seen);
        }
        self.save_now()
    }

    fn text(&self) -> Vec<u8> {
        let file = StateFile { version: VERSION, rings: self.promised.clone() };
        // Names and numbers always have a JSON form.
        serde_json::to_vec_pretty(&file).unwrap_or_default()
    }
}

/// A file that cannot be understood is put aside: the clock then gives the floors, as on a first
/// start.
fn read(path: &Path) -> Result<BTreeMap<RingName, Floor>, FloorsError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(at(path, "read")(error)),
    };
    match serde_json::from_slice::<StateFile>(&text) {
        Ok(file) if file.version == VERSION => Ok(file.rings),
        bad => {
            let aside = path.with_extension("json.damaged");
            let reason = bad.map_or_else(|e| e.to_string(), |f| format!("version {}", f.version));
            tracing::warn!(file = %path.display(), %reason, "state file not understood, put aside");
            fs::rename(path, aside).map_err(at(path, "put aside"))?;
            Ok(BTreeMap::new())
        }
    }
}

/// Whole or not at all, also after a power cut.
fn write(path: &Path, text: &[u8]) -> Result<(), FloorsError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(folder).map_err(at(folder, "create its folder"))?;
    let building = path.with_extension("json.new");
    let mut file = File::create(&building).map_err(at(path, "create"))?;
    file.write_all(text).and_then(|()| file.sync_data()).map_err(at(path, "write"))?;
    fs::rename(&building, path).map_err(at(path, "rename"))?;
    let synced = File::open(folder).and_then(|folder| folder.sync_data());
    synced.map_err(at(folder, "sync its folder"))
}

fn at(path: &Path, step: &'static str) -> impl FnOnce(io::Error) -> FloorsError {
    let path = path.to_owned();
    move |source| FloorsError::Io { path, step, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("fvf-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn open(&self, utc_ms: u64) -> Floors {
            Floors::open(self.file(), &[ring()], UtcNs(utc_ms * 1_000_000)).unwrap()
        }

        fn file(&self) -> PathBuf {
            self.0.join("state/demo.json")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn ring() -> RingName {
        "cam1.packets".parse().unwrap()
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named_with_the_cure() {
        let path = PathBuf::from("/dev/null/framevisor/demo.json");
        let said = Floors::open(path, &[ring()], UtcNs(0)).unwrap_err().to_string();
        assert!(said.contains("/dev/null/framevisor") && said.contains("XDG_STATE_HOME"), "{said}");
    }

    #[test]
    fn without_state_groups_start_at_the_clock() {
        let scratch = Scratch::new("first");
        let floors = scratch.open(1_700_000_000_000);
        let floor = Floor { epoch: 0, gop: 1_700_000_000_000 };
        assert_eq!(floors.of(&ring()), floor);
    }

    #[test]
    fn after_a_crash_the_next_run_is_above_everything_that_was_in_use() {
        let scratch = Scratch::new("crash");
        let mut floors = scratch.open(5_000);
        let mut used = Floor { epoch: 1_000_000, gop: 5_000 };
        for _ in 0..50_000 {
            used.gop += 1;
            floors.observe(&ring(), used);
            floors.save_later();
            // A group lasts longer than a save takes; here each save is waited for instead.
            drop(floors.saving.take().map(JoinHandle::join));
        }
        // The clock went back to 1970 meanwhile, and nobody settled.
        let floor = scratch.open(1).of(&ring());
        assert!(floor.gop >= used.gop && floor.epoch > used.epoch, "{floor:?}");
    }

    #[test]
    fn after_a_clean_end_numbers_go_on_without_a_jump() {
        let scratch = Scratch::new("clean");
        let mut floors = scratch.open(5_000);
        let used = Floor { epoch: 77, gop: 5_100 };
        floors.observe(&ring(), used);
        floors.settle().unwrap();
        assert_eq!(scratch.open(9_999_999).of(&ring()), used);
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_does_not_stop_the_start() {
        let scratch = Scratch::new("damaged");
        fs::create_dir_all(scratch.file().parent().unwrap()).unwrap();
        fs::write(scratch.file(), "{").unwrap();
        assert_eq!(scratch.open(3).of(&ring()).gop, 3);
        assert!(scratch.file().with_extension("json.damaged").exists());
    }
}
