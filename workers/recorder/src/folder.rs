//! A camera's directory, written: its lock, its numbers, its files.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use protocol::time::UtcNs;

pub(crate) use recordings::Named as Recording;
use recordings::{FileName, LOCK_FILE, named};

use crate::error::Error;

/// Recordings show people: the owner and a group, nobody else.
const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// A directory that this process alone writes. Its lock file also keeps the highest number ever used, so
/// that a number does not come back when its file is deleted.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    lock: File,
    highest_number: u64,
}

/// Where a group of pictures begins in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupAt {
    pub(crate) path: PathBuf,
    pub(crate) at_bytes: u64,
    /// No other stands before it.
    pub(crate) is_all: bool,
}

impl Folder {
    /// Makes the directory when it is not there, and takes its lock.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(path)
            .map_err(Error::io("create", path))?;
        let lock_path = path.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options.open(&lock_path).map_err(Error::io("open", &lock_path))?;
        let said = read_lock(&mut lock);
        take_lock(&lock).map_err(|errno| match errno {
            Errno::EAGAIN | Errno::EACCES => {
                Error::Taken { folder: path.to_owned(), holder: said.holder() }
            }
            other => Error::io("lock", &lock_path)(other.into()),
        })?;
        let mut folder = Self { path: path.to_owned(), lock, highest_number: said.number };
        let newest = folder.recordings()?.pop().map_or(0, |recording| recording.number);
        folder.highest_number = folder.highest_number.max(newest);
        folder.say()?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All recordings, oldest first.
    pub(crate) fn recordings(&self) -> Result<Vec<Recording>, Error> {
        named(&self.path).map_err(Error::io("list", &self.path))
    }

    /// A new, empty recording. Its name survives a power cut once the directory is synced.
    pub(crate) fn create(&mut self, capture: UtcNs) -> Result<(PathBuf, File), Error> {
        self.highest_number += 1;
        self.say()?;
        let name = FileName { capture, number: self.highest_number };
        let path = self.path.join(name.to_string());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(FILE_MODE);
        let file = options.open(&path).map_err(Error::io("create", &path))?;
        Ok((path, file))
    }

    /// Deletes a recording that holds nothing.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), Error> {
        std::fs::remove_file(path).map_err(Error::io("remove", path))?;
        self.sync()
    }

    /// Cuts a recording where its group of pictures begins; away with it when it holds nothing else.
    pub(crate) fn cut(&self, group: &GroupAt) -> Result<(), Error> {
        if group.is_all {
            return self.remove(&group.path);
        }
        let failed = || Error::io("cut", &group.path);
        let file = OpenOptions::new().write(true).open(&group.path).map_err(failed())?;
        file.set_len(group.at_bytes).map_err(failed())?;
        file.sync_data().map_err(failed())
    }

    /// Makes the directory's entries durable.
    fn sync(&self) -> Result<(), Error> {
        let failed = || Error::io("sync", &self.path);
        File::open(&self.path).map_err(failed())?.sync_all().map_err(failed())
    }

    /// Writes the highest number and this process into the lock file.
    fn say(&self) -> Result<(), Error> {
        let text = format!("{:020} {:010}\n", self.highest_number, std::process::id());
        let path = self.path.join(LOCK_FILE);
        self.lock.write_all_at(text.as_bytes(), 0).map_err(Error::io("write", &path))
    }
}

/// What the lock file says.
struct Said {
    number: u64,
    pid: Option<u32>,
}

impl Said {
    fn holder(&self) -> String {
        self.pid.map_or_else(|| "of unknown pid".to_owned(), |pid| format!("pid {pid}"))
    }
}

/// Nothing readable is no number: the files' names tell most of it.
fn read_lock(lock: &mut File) -> Said {
    let mut text = String::new();
    // A lock file of another kind is not read for ever.
    if lock.take(64).read_to_string(&mut text).is_err_and(|e| e.kind() != ErrorKind::InvalidData) {
        text.clear();
    }
    let mut words = text.split_ascii_whitespace();
    let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    Said { number, pid: words.next().and_then(|word| word.parse().ok()) }
}

/// An open-file-description lock: it goes with the last descriptor, however the process ends.
fn take_lock(lock: &File) -> Result<(), Errno> {
    fcntl(lock, FcntlArg::F_OFD_SETLK(&whole_file())).map(|_| ())
}

fn whole_file() -> libc::flock {
    libc::flock {
        #[expect(clippy::cast_possible_truncation, reason = "F_WRLCK is 1")]
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_recorder_is_told_who_writes_here() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Folder::open(dir.path()).unwrap();
        let second = Folder::open(dir.path()).unwrap_err().to_string();
        assert!(
            second.contains(&format!("pid {:010}", std::process::id()).replace(" 0", " "))
                || second.contains("pid "),
            "{second}"
        );
        assert!(second.contains("another `dir`"), "{second}");
    }

    #[test]
    fn a_number_is_never_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        let (first, _) = folder.create(UtcNs(0)).unwrap();
        let (second, _) = folder.create(UtcNs(0)).unwrap();
        assert!(first.ends_with("19700101T000000.000Z-00000001.mp4"), "{}", first.display());
        for path in [first, second] {
            folder.remove(&path).unwrap();
        }
        drop(folder);
        let mut folder = Folder::open(dir.path()).unwrap();
        let (third, _) = folder.create(UtcNs(0)).unwrap();
        assert!(third.ends_with("19700101T000000.000Z-00000003.mp4"), "{}", third.display());
    }

    #[test]
    fn numbers_go_on_from_the_files_when_the_lock_file_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("20261120T130900.123Z-00000041.mp4"), b"x").unwrap();
        std::fs::write(dir.path().join("notes.txt"), b"x").unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        assert_eq!(folder.recordings().unwrap().len(), 1);
        let (next, _) = folder.create(UtcNs(0)).unwrap();
        assert!(next.to_string_lossy().ends_with("-00000042.mp4"));
    }
}
