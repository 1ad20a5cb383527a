//! What is under a project's prefix although nobody may need it any more, and removing that.
//!
//! Only the holder of a ring's lock unlinks its files (rule I9), and only files of this user and of
//! this layout are touched. Everything else is named, with the reason, for a person to decide.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::uio::pread;
use nix::unistd::geteuid;
use protocol::name::{ProjectName, RingName};

use crate::layout::{self, anchor, index};
use crate::lock;
use crate::segments::{self, Names, Part, Role};

/// Files that belong together: one ring's, or one that is no ring's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    pub project: ProjectName,
    /// `None` for a file under the prefix that no ring has.
    pub ring: Option<RingName>,
    /// Names in /dev/shm.
    pub files: Vec<String>,
    pub bytes: u64,
    pub state: State,
}

/// Whether it may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody holds its lock.
    Dead,
    /// A writer holds it; its pid where /proc shows it.
    Live { pid: Option<u32> },
    /// Another user's.
    Foreign { uid: u32 },
    /// Written by a layout that this program does not know.
    Layout { major: u32, minor: u32 },
    /// Not one of a ring's files, or without a header of ours.
    Stray,
}

/// Everything under the project's prefix, by ring.
pub fn of(project: &ProjectName) -> Vec<Leftover> {
    let prefix = segments::prefix(project);
    let mut rings: BTreeMap<Option<RingName>, BTreeSet<String>> = BTreeMap::new();
    for name in segments::list().into_iter().filter(|name| name.starts_with(&prefix)) {
        let ring = segments::ring_of(&name[prefix.len()..]);
        let ring = ring.filter(|ring| Names::new(project, ring).role(&name).is_some());
        rings.entry(ring).or_default().insert(name);
    }
    let strays = rings.remove(&None).unwrap_or_default();
    let mut found: Vec<Leftover> =
        rings.into_keys().flatten().map(|ring| look(project, &ring)).collect();
    found.extend(strays.into_iter().map(|name| stray(project, &name)));
    found
}

/// Removes a dead ring's files and says what it was. Anything else is left, and says why.
pub fn remove(project: &ProjectName, ring: &RingName) -> Leftover {
    let found = look(project, ring);
    if found.state != State::Dead || found.files.is_empty() {
        return found;
    }
    let names = Names::new(project, ring);
    let Some(sweeper) = segments::Sweeper::take(&names) else {
        return Leftover { state: State::Live { pid: holder(&names.lock()) }, ..found };
    };
    // Under the lock: a writer may have come and gone since.
    let found = look_at_files(project, ring);
    if found.state == State::Dead {
        sweeper.sweep();
    }
    found
}

fn look(project: &ProjectName, ring: &RingName) -> Leftover {
    let found = look_at_files(project, ring);
    let lock = Names::new(project, ring).lock();
    if found.state == State::Dead && is_held(&lock) {
        return Leftover { state: State::Live { pid: holder(&lock) }, ..found };
    }
    found
}

/// Everything but the ownership lock, which may be our own.
fn look_at_files(project: &ProjectName, ring: &RingName) -> Leftover {
    let files = Names::new(project, ring).existing();
    let states = files.iter().map(|(role, path)| state_of(*role, path));
    let state = states.into_iter().find(|state| *state != State::Dead);
    let paths = files.iter().map(|(_, path)| path.clone()).collect();
    leftover(project, Some(ring.clone()), paths, state.unwrap_or(State::Dead))
}

fn stray(project: &ProjectName, name: &str) -> Leftover {
    let path = segments::in_dir(name);
    let state = match owner(&path) {
        Some(uid) if uid != geteuid().as_raw() => State::Foreign { uid },
        _ => State::Stray,
    };
    leftover(project, None, vec![path], state)
}

fn leftover(
    project: &ProjectName,
    ring: Option<RingName>,
    paths: Vec<PathBuf>,
    state: State,
) -> Leftover {
    let sizes = paths.iter().filter_map(|path| fs::symlink_metadata(path).ok());
    let bytes = sizes.map(|meta| meta.len()).sum();
    let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
    let mut files: Vec<String> = paths.iter().filter_map(name).collect();
    files.sort();
    Leftover { project: project.clone(), ring, files, bytes, state }
}

/// What one file says of its ring.
fn state_of(role: Role, path: &Path) -> State {
    let Some(uid) = owner(path) else {
        return State::Dead; // gone meanwhile
    };
    if uid != geteuid().as_raw() {
        return State::Foreign { uid };
    }
    if !fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file()) {
        return State::Stray;
    }
    match role {
        // The lock of an epoch's index is held for the life of its writer.
        Role::Part(Part::Index { .. }) if is_held(path) => State::Live { pid: holder(path) },
        Role::Part(Part::Index { .. }) => header(path, index::MAGIC),
        Role::Part(Part::Anchor) => header(path, anchor::MAGIC),
        Role::Part(_) | Role::Lock | Role::Temporary => State::Dead,
    }
}

fn header(path: &Path, magic: u64) -> State {
    let mut bytes = [0; 16];
    let read = segments::open_if_there(path, OFlag::O_RDONLY).ok().flatten();
    let whole = read.is_some_and(|file| pread(&file, &mut bytes, 0) == Ok(bytes.len()));
    let half = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
    let (major, minor) = (half(anchor::AT_MAJOR), half(anchor::AT_MINOR));
    if !whole || bytes[..8] != magic.to_le_bytes() {
        State::Stray
    } else if major == layout::MAJOR || major == index::DEVICE_MAJOR {
        State::Dead
    } else {
        State::Layout { major, minor }
    }
}

fn owner(path: &Path) -> Option<u32> {
    fs::symlink_metadata(path).ok().map(|meta| meta.uid())
}

fn is_held(path: &Path) -> bool {
    match segments::open_if_there(path, OFlag::O_RDONLY) {
        Ok(Some(file)) => lock::is_held(&file),
        Ok(None) => false,
        // Reclaiming needs proof.
        Err(_) => true,
    }
}

/// The process that holds the write lock of a file, as /proc shows it: that of another user, or of
/// another pid namespace, stays unknown.
fn holder(path: &Path) -> Option<u32> {
    let file = fs::symlink_metadata(path).ok()?;
    let pids = fs::read_dir("/proc").ok()?;
    let mut pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| holds(*pid, (file.dev(), file.ino())))
}

fn holds(pid: u32, file: (u64, u64)) -> bool {
    let Ok(links) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    // By its number: a file keeps the name it was built under. Only our folder's are looked into.
    let leads_here = |link: &fs::DirEntry| {
        fs::read_link(link.path()).is_ok_and(|to| to.starts_with(segments::DIR))
            && fs::metadata(link.path()).is_ok_and(|meta| (meta.dev(), meta.ino()) == file)
    };
    let locks = |link: fs::DirEntry| {
        let number = link.file_name();
        let info = format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy());
        // A lock is listed with the descriptor that holds it (proc(5)).
        let text = fs::read_to_string(info).unwrap_or_default();
        text.lines().any(|line| line.starts_with("lock:") && line.contains("WRITE"))
    };
    links.flatten().filter(leads_here).any(locks)
}
