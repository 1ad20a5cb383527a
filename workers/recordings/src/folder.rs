//! A camera's directory, read: which recordings are there, which of them stay, and who writes it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use protocol::time::UtcNs;

use crate::error::Error;
use crate::file_name::FileName;

/// Held by the recorder that writes the directory.
pub const LOCK_FILE: &str = ".lock";
/// Behind the name of a recording that must stay; the file's text is the reason.
const PIN: &str = "pin";

/// A recording by its name alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub number: u64,
    /// Of its first packet, as its name tells it.
    pub capture: Option<UtcNs>,
    pub path: PathBuf,
}

/// A recording in its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts up for each camera and is never used again.
    pub number: u64,
    /// Of its first packet, as its name tells it.
    pub capture: Option<UtcNs>,
    pub path: PathBuf,
    pub bytes: u64,
    /// When the file was last changed, ns since 1970.
    pub modified_ns: u64,
    /// Why it stays, when it is pinned.
    pub pinned: Option<String>,
}

/// The recordings of a directory, oldest first.
pub fn named(folder: &Path) -> io::Result<Vec<Named>> {
    Ok(names(folder)?.0)
}

/// The recordings of a directory, oldest first. A directory that is not there holds none; files that
/// go meanwhile are left out.
pub fn list(folder: &Path) -> Result<Vec<Entry>, Error> {
    let (named, pins) = match names(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", folder)(error)),
    };
    let mut entries = Vec::with_capacity(named.len());
    for Named { number, capture, path } in named {
        let facts = match fs::metadata(&path) {
            Ok(facts) => facts,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let pin = pins.contains(&pin_of(&path)).then(|| pinned(&path)).flatten();
        let modified_ns = modified_ns(&facts);
        entries.push(Entry { number, capture, path, bytes: facts.len(), modified_ns, pinned: pin });
    }
    Ok(entries)
}

/// 0 when the file system does not say.
pub(crate) fn modified_ns(facts: &fs::Metadata) -> u64 {
    let since = facts.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

/// Recordings, oldest first, and the paths of pins.
fn names(folder: &Path) -> io::Result<(Vec<Named>, HashSet<PathBuf>)> {
    let mut found = Vec::new();
    let mut pins = HashSet::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(number) = FileName::number_in(name) {
            let capture = FileName::capture_in(name);
            found.push(Named { number, capture, path: entry.path() });
        } else if name.ends_with(".mp4.pin") {
            pins.insert(entry.path());
        }
    }
    found.sort_by_key(|recording| recording.number);
    Ok((found, pins))
}

/// Where the pin of a recording is.
pub fn pin_of(recording: &Path) -> PathBuf {
    recording.with_added_extension(PIN)
}

/// Lets a recording stay, whatever retention wants.
pub fn pin(recording: &Path, why: &str) -> Result<(), Error> {
    let path = pin_of(recording);
    fs::write(&path, format!("{why}\n")).map_err(Error::io("write", &path))
}

pub fn is_pinned(recording: &Path) -> bool {
    pin_of(recording).exists()
}

/// Why a recording stays; `None` when it is not pinned.
pub fn pinned(recording: &Path) -> Option<String> {
    fs::read_to_string(pin_of(recording)).ok().map(|why| why.trim().to_owned())
}

/// Whether a recorder writes the directory now.
pub fn is_written(folder: &Path) -> bool {
    let Ok(lock) = File::open(folder.join(LOCK_FILE)) else { return false };
    let mut probe = libc::flock {
        #[expect(clippy::cast_possible_truncation, reason = "F_WRLCK is 1")]
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    let asked = fcntl(&lock, FcntlArg::F_OFD_GETLK(&mut probe));
    asked.is_ok() && i32::from(probe.l_type) != libc::F_UNLCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_listed_by_their_numbers_with_their_pins() {
        let dir = tempfile::tempdir().unwrap();
        let older = "20261120T130900.123Z-00000009.mp4";
        // The clock was set back between the two.
        let newer = "20261120T120000.000Z-00000010.mp4";
        for (name, text) in [(newer, "xy"), (older, "x"), ("notes.txt", ""), (".lock", "")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        fs::write(dir.path().join(format!("{older}.pin")), "storm\n").unwrap();
        let listed = list(dir.path()).unwrap();
        let told: Vec<_> = listed.iter().map(|entry| (entry.number, entry.bytes)).collect();
        assert_eq!(told, [(9, 1), (10, 2)]);
        assert_eq!(listed[0].pinned.as_deref(), Some("storm"));
        assert_eq!(listed[1].pinned, None);
        assert!(listed[0].modified_ns > 0);
        assert!(!is_written(dir.path()));
    }

    #[test]
    fn a_directory_that_is_not_there_holds_nothing() {
        assert_eq!(list(Path::new("/nowhere/at/all")).unwrap(), []);
    }
}
