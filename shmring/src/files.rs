//! The names of a ring's files, and opening, linking and unlinking them.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::geteuid;
use protocol::name::{ProjectName, RingName};

use crate::error::Error;

/// Where POSIX shared memory lives on Linux (shm_overview(7)).
pub(crate) const DIR: &str = "/dev/shm";

/// What the name of every file of a ring begins with.
pub(crate) const PREFIX: &str = "fv.";

/// Names of one ring's files.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    ring: RingName,
    /// `fv.<project>.<ring>`.
    stem: String,
}

impl Files {
    pub(crate) fn new(project: &ProjectName, ring: &RingName) -> Self {
        Self { ring: ring.clone(), stem: format!("{}{ring}", prefix(project)) }
    }

    pub(crate) fn ring(&self) -> &RingName {
        &self.ring
    }

    pub(crate) fn anchor(&self) -> String {
        self.stem.clone()
    }

    pub(crate) fn lock(&self) -> String {
        format!("{}.lock", self.stem)
    }

    pub(crate) fn lease(&self, place: u32) -> String {
        format!("{}.l{place}", self.stem)
    }

    pub(crate) fn index(&self, epoch: u64) -> String {
        format!("{}.e{epoch}", self.stem)
    }

    pub(crate) fn data(&self, epoch: u64, generation: u32) -> String {
        format!("{}.e{epoch}.g{generation}", self.stem)
    }

    /// A name nobody looks for; `salt` makes it unlike any other.
    pub(crate) fn temporary(&self, salt: u64) -> String {
        format!("{}{}-{salt:x}", self.temporaries(), std::process::id())
    }

    /// What the names of all files being built begin with.
    pub(crate) fn temporaries(&self) -> String {
        format!("{}.tmp-", self.stem)
    }

    /// All file names of this ring that exist now.
    pub(crate) fn existing(&self) -> Vec<String> {
        list().into_iter().filter(|name| self.has(name)).collect()
    }

    /// Whether a file of this name is this ring's.
    pub(crate) fn has(&self, name: &str) -> bool {
        // `cam1.frames` must not claim the files of a ring whose name merely begins like it:
        // what follows the stem is one of our own suffixes, never a further name part.
        name.strip_prefix(&self.stem).is_some_and(|rest| match rest.strip_prefix('.') {
            Some(rest) => rest == "lock" || rest.starts_with("tmp-") || is_numbered(rest),
            None => rest.is_empty(),
        })
    }
}

/// `l3`, `e17`, `e17.g2`.
fn is_numbered(suffix: &str) -> bool {
    let number = |text: &str, letter: char| {
        text.strip_prefix(letter)
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    match suffix.split_once('.') {
        Some((epoch, generation)) => number(epoch, 'e') && number(generation, 'g'),
        None => number(suffix, 'e') || number(suffix, 'l'),
    }
}

/// What every file of a project begins with.
pub(crate) fn prefix(project: &ProjectName) -> String {
    format!("{PREFIX}{project}.")
}

/// Whose file this is, by its name behind the project's prefix: also of a ring of which only some
/// files are left. The first parts of any file name are its ring.
pub(crate) fn ring_of(file: &str) -> Option<RingName> {
    let ends = [file.len()].into_iter().chain(file.rmatch_indices('.').map(|(at, _)| at));
    ends.filter_map(|end| file[..end].parse::<RingName>().ok()).next()
}

/// All names in the shared memory folder.
pub(crate) fn list() -> Vec<String> {
    let Ok(entries) = fs::read_dir(DIR) else {
        return Vec::new();
    };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

pub(crate) fn io(name: &str, source: Errno) -> Error {
    let file = path(name);
    match source {
        Errno::EACCES | Errno::EPERM => Error::Denied { owner: owner_of(&file), file },
        source => Error::Io { file, source },
    }
}

fn owner_of(file: &Path) -> String {
    match fs::metadata(file) {
        Ok(meta) => {
            format!("user {} and group {} (mode {:o})", meta.uid(), meta.gid(), meta.mode() & 0o777)
        }
        Err(_) => "another user".to_owned(),
    }
}

/// Opens an existing file; never follows a link, never inherits.
pub(crate) fn open_existing(name: &str, access: OFlag) -> Result<OwnedFd, Error> {
    open(&path(name), access | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty())
        .map_err(|source| io(name, source))
}

/// As [`open_existing`], with `None` for a name that is not there.
pub(crate) fn open_if_there(name: &str, access: OFlag) -> Result<Option<OwnedFd>, Error> {
    match open_existing(name, access) {
        Err(Error::Io { source: Errno::ENOENT, .. }) => Ok(None),
        other => other.map(Some),
    }
}

/// Opens the ownership lock's file, creating it for this user alone.
pub(crate) fn open_lock(name: &str) -> Result<OwnedFd, Error> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    open(&path(name), flags, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|source| io(name, source))
}

/// Gives a finished file its public name.
pub(crate) fn link(temporary: &str, name: &str) -> Result<(), Error> {
    fs::hard_link(path(temporary), path(name)).map_err(|error| {
        io(name, Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32)))
    })
}

/// Removes a name; one that is gone already is fine.
pub(crate) fn unlink(name: &str) {
    let _ = fs::remove_file(path(name));
}

/// Bytes of an open file.
pub(crate) fn size(name: &str, file: &OwnedFd) -> Result<usize, Error> {
    let stat = fstat(file).map_err(|source| io(name, source))?;
    Ok(usize::try_from(stat.st_size).unwrap_or(0))
}

/// Whether this user owns the open file. Anybody may make files in /dev/shm, under our names too.
pub(crate) fn is_own(name: &str, file: &OwnedFd) -> Result<bool, Error> {
    let stat = fstat(file).map_err(|source| io(name, source))?;
    Ok(stat.st_uid == geteuid().as_raw())
}

/// Whether `name` still leads to the open file: a lock on an orphaned inode owns nothing.
pub(crate) fn is_linked(name: &str, file: &OwnedFd) -> bool {
    leads(name, file) == Leads::Here
}

/// Where a name leads, seen from an open file that once had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leads {
    Here,
    Elsewhere,
    Nowhere,
}

pub(crate) fn leads(name: &str, file: &OwnedFd) -> Leads {
    match (fstat(file), fs::symlink_metadata(path(name))) {
        (Ok(open), Ok(named)) if (open.st_dev, open.st_ino) == (named.dev(), named.ino()) => {
            Leads::Here
        }
        (_, Ok(_)) => Leads::Elsewhere,
        (_, Err(_)) => Leads::Nowhere,
    }
}
