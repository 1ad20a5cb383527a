//! Is a recorder's directory still the one that was recorded to? A disk that is not mounted leaves an
//! empty directory of the disk beneath, which would fill up unseen.
//!
//! The directory carries a marker, made at the first use; its id is remembered in the project's state
//! folder. What a marker that is missing or differs means is decided by `judge`, which is pure:
//!
//! | marker | file system | |
//! |---|---|---|
//! | remembered | any | right |
//! | none | remembered | right: emptied by somebody, marked anew |
//! | none | another | the disk is not mounted, or a new one is |
//! | another | any | another disk |
//!
//! A person says that a directory is right by a file in it, which is taken away when it is seen.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use protocol::config::ACCEPT_FILE;

use crate::error::Error;
use crate::memory::{self, Known};

/// Says which directory this is.
pub const MARKER: &str = ".framevisor-recordings";

const FIRST_WORDS: &str = "framevisor-recordings 1 ";
const FOR_PEOPLE: &str = "The recorder knows this directory by this file. Please leave it here.\n";
/// A file of another kind is not read for ever.
const MARKER_MAX_BYTES: u64 = 1024;

/// The directory of a recorder, for all its cameras.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    /// Where its id is remembered; `None`: any directory is right.
    memory: Option<PathBuf>,
    known: Mutex<Option<Known>>,
}

/// What stands at the place of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    marker: Option<String>,
    file_system: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    /// It is from now on, and is marked first when it has no marker.
    Take(Known),
    Wrong(Why),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    NotMounted,
    Swapped { found: String },
}

/// A directory that must not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}: {} is not the directory that was recorded to ({}); mount the right disk, or say that this one is right: framevisor recordings accept", root.display(), why.seen())]
pub(crate) struct Stranger {
    root: PathBuf,
    why: Why,
}

impl Why {
    fn seen(&self) -> String {
        match self {
            Self::NotMounted => format!("its file {MARKER} is missing, on another file system"),
            Self::Swapped { found } => format!("its file {MARKER} says {found}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotMounted => "disk missing",
            Self::Swapped { .. } => "disk swapped",
        })
    }
}

impl Disk {
    /// `memory` is a file that is kept over restarts.
    pub fn new(root: &Path, memory: PathBuf) -> Self {
        Self { root: root.to_owned(), memory: Some(memory), known: Mutex::default() }
    }

    /// Whatever stands there is right.
    pub fn any(root: &Path) -> Self {
        Self { root: root.to_owned(), memory: None, known: Mutex::default() }
    }

    /// Fails when the directory is not the one that was recorded to. Marks one that is new.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = memory::load(memory, &self.root);
        }
        let seen = Seen::at(&self.root)?;
        let accept = self.root.join(ACCEPT_FILE);
        let taken = match judge(known.as_ref(), &seen, new_id) {
            Verdict::Right => return Ok(()),
            Verdict::Take(taken) => taken,
            Verdict::Wrong(why) if !accept.exists() => {
                return Err(Stranger { root: self.root.clone(), why }.into());
            }
            Verdict::Wrong(_) => accepted(known.as_ref(), &seen, new_id),
        };
        if seen.marker.is_none() {
            self.mark(&taken)?;
        }
        memory::store(memory, &self.root, &taken);
        *known = Some(taken);
        match fs::remove_file(&accept) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", &accept)(error))
            }
            _ => Ok(()),
        }
    }

    fn mark(&self, taken: &Known) -> Result<(), Error> {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o750).create(&self.root);
        made.map_err(Error::io("create", &self.root))?;
        let path = self.root.join(MARKER);
        let failed = || Error::io("write", &path);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o640);
        let mut file = options.open(&path).map_err(failed())?;
        let text = format!("{FIRST_WORDS}{}\n{FOR_PEOPLE}", taken.newest());
        file.write_all(text.as_bytes()).map_err(failed())?;
        file.sync_all().map_err(failed())?;
        let folder = File::open(&self.root).map_err(failed())?;
        folder.sync_all().map_err(failed())?;
        tracing::info!(directory = %self.root.display(), id = taken.newest(), "marked as the directory of recordings");
        Ok(())
    }
}

impl Seen {
    fn at(root: &Path) -> Result<Self, Error> {
        // A directory that is not there yet would be made on the file system of the one above it.
        let there = root.ancestors().find(|path| path.exists()).unwrap_or(root);
        let file_system = file_system(there).map_err(Error::io("look at", there))?;
        let marker = root.join(MARKER);
        Ok(Self { marker: read_marker(&marker).map_err(Error::io("read", &marker))?, file_system })
    }
}

/// The same after a reboot where the file system has an id of its own.
fn file_system(path: &Path) -> io::Result<u64> {
    // One in memory begins anew each time: all are the same.
    let kind = statfs(path)?.filesystem_type();
    if kind == TMPFS_MAGIC {
        return Ok(1);
    }
    match statvfs(path)?.filesystem_id() {
        0 => Ok(fs::metadata(path)?.dev()),
        id => Ok(id),
    }
}

/// `None` when there is none, or what there is says nothing: it was torn by a power cut.
fn read_marker(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(MARKER_MAX_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let id = text.lines().next().and_then(|line| line.strip_prefix(FIRST_WORDS));
    let is_id = |id: &&str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok(id.filter(is_id).map(str::to_owned))
}

fn judge(known: Option<&Known>, seen: &Seen, new_id: impl FnOnce() -> String) -> Verdict {
    let Some(known) = known else { return Verdict::Take(accepted(None, seen, new_id)) };
    let same = known.file_system == seen.file_system;
    match &seen.marker {
        Some(id) if !known.ids.contains(id) => Verdict::Wrong(Why::Swapped { found: id.clone() }),
        Some(_) if same => Verdict::Right,
        Some(_) => Verdict::Take(Known { file_system: seen.file_system, ..known.clone() }),
        None if same => Verdict::Take(known.clone()),
        None => Verdict::Wrong(Why::NotMounted),
    }
}

/// Right from now on, beside those that were.
fn accepted(known: Option<&Known>, seen: &Seen, new_id: impl FnOnce() -> String) -> Known {
    let id = seen.marker.clone().unwrap_or_else(new_id);
    let before = known.map(|known| known.ids.clone()).unwrap_or_default();
    let others = before.into_iter().filter(|other| *other != id);
    Known { ids: others.chain([id.clone()]).collect(), file_system: seen.file_system }
}

/// 128 bits of chance as hexadecimal digits.
fn new_id() -> String {
    let mut bytes = [0; 16];
    let drawn = File::open("/dev/urandom").and_then(|mut chance| chance.read_exact(&mut bytes));
    if drawn.is_err() {
        // Only has to differ from the other disks of this machine.
        bytes = shmring::clock::now().utc.0.to_be_bytes().repeat(2).try_into().unwrap_or(bytes);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIG_DISK: u64 = 7;
    const ROOT_DISK: u64 = 8;

    fn known() -> Known {
        Known { ids: vec!["old".into(), "ours".into()], file_system: BIG_DISK }
    }

    fn seen(marker: Option<&str>, file_system: u64) -> Seen {
        Seen { marker: marker.map(str::to_owned), file_system }
    }

    fn judged(known: Option<&Known>, seen: &Seen) -> Verdict {
        judge(known, seen, || "new".to_owned())
    }

    #[test]
    fn the_first_directory_is_right_and_its_marker_counts() {
        let take = |id: &str| Verdict::Take(Known { ids: vec![id.into()], file_system: BIG_DISK });
        assert_eq!(judged(None, &seen(None, BIG_DISK)), take("new"));
        assert_eq!(judged(None, &seen(Some("moved"), BIG_DISK)), take("moved"));
    }

    #[test]
    fn a_directory_without_marker_on_another_file_system_is_not_written() {
        assert_eq!(judged(Some(&known()), &seen(Some("ours"), BIG_DISK)), Verdict::Right);
        let wrong = judged(Some(&known()), &seen(None, ROOT_DISK));
        assert_eq!(wrong, Verdict::Wrong(Why::NotMounted));
    }

    #[test]
    fn a_directory_that_somebody_emptied_is_marked_anew() {
        assert_eq!(judged(Some(&known()), &seen(None, BIG_DISK)), Verdict::Take(known()));
    }

    #[test]
    fn another_disk_is_not_written_and_one_that_was_accepted_is() {
        let other = judged(Some(&known()), &seen(Some("theirs"), ROOT_DISK));
        assert_eq!(other, Verdict::Wrong(Why::Swapped { found: "theirs".into() }));
        let moved = Known { file_system: ROOT_DISK, ..known() };
        assert_eq!(judged(Some(&known()), &seen(Some("old"), ROOT_DISK)), Verdict::Take(moved));
        let both = accepted(Some(&known()), &seen(Some("theirs"), ROOT_DISK), String::new);
        assert_eq!((both.newest(), both.ids.len()), ("theirs", 3));
    }

    #[test]
    fn a_marker_that_says_nothing_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(MARKER);
        assert_eq!(read_marker(&path).unwrap(), None);
        for text in ["", "framevisor-recordings 1 ", "framevisor-recordings 2 00", "\u{0}\u{0}"] {
            fs::write(&path, text).unwrap();
            assert_eq!(read_marker(&path).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn a_directory_is_known_again_and_another_one_at_its_place_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (root, memory) = (dir.path().join("recordings"), dir.path().join("state/rec.json"));
        Disk::new(&root, memory.clone()).check().unwrap();
        let marker = fs::read_to_string(root.join(MARKER)).unwrap();
        Disk::new(&root, memory.clone()).check().unwrap();
        assert_eq!(fs::read_to_string(root.join(MARKER)).unwrap(), marker);
        let other = format!("{FIRST_WORDS}{}\n", new_id());
        fs::write(root.join(MARKER), &other).unwrap();
        let disk = Disk::new(&root, memory);
        let refused = disk.check().unwrap_err().to_string();
        assert!(refused.starts_with("disk swapped: "), "{refused}");
        assert!(refused.contains("framevisor recordings accept"), "{refused}");
        fs::write(root.join(ACCEPT_FILE), "").unwrap();
        disk.check().unwrap();
        assert!(!root.join(ACCEPT_FILE).exists());
        disk.check().unwrap();
    }
}
