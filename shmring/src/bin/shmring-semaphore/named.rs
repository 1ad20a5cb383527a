//! A named POSIX semaphore that this process alone posts.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::ptr::NonNull;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::stat::{Mode, umask};

/// How often a name that another such program removes in the same moment is made anew.
const ATTEMPTS: u32 = 10;

#[derive(Debug)]
pub(crate) struct NamedSemaphore {
    name: CString,
    semaphore: NonNull<libc::sem_t>,
    /// Locked: one program posts it.
    _file: File,
}

impl NamedSemaphore {
    /// Makes the semaphore, or takes over one that nobody posts, and sets it to 0.
    pub(crate) fn take(name: &str, create_mode: u32) -> Result<Self, String> {
        let failed = |what: &str, error: io::Error| format!("semaphore {name}: {what}: {error}");
        let c_name = CString::new(name).map_err(|error| format!("semaphore {name}: {error}"))?;
        // The mode is the one asked for.
        umask(Mode::empty());
        for _ in 0..ATTEMPTS {
            close(open(&c_name, libc::O_CREAT, create_mode).map_err(|e| failed("sem_open", e))?);
            let path = path(name);
            let file = match File::options().read(true).write(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(&path.to_string_lossy(), error)),
            };
            if !try_lock(&file).map_err(|error| failed("its lock", error.into()))? {
                return Err(format!("semaphore {name}: another shmring-semaphore posts it"));
            }
            // Nobody removes the name from here on: only whoever has the lock does.
            if is_linked(&path, &file) {
                let semaphore = open(&c_name, 0, 0).map_err(|e| failed("sem_open", e))?;
                let taken = Self { name: c_name, semaphore, _file: file };
                taken.set_to_zero();
                return Ok(taken);
            }
        }
        Err(format!("semaphore {name}: it is removed again and again"))
    }

    /// Posts it `times`, but not above `max`. Those who wait only lower it meanwhile.
    pub(crate) fn post(&self, times: u64, max: u32) -> io::Result<()> {
        for _ in 0..times.min(u64::from(max)) {
            if self.value()? >= i64::from(max) {
                break;
            }
            // SAFETY: an open semaphore, until `self` is dropped.
            check(unsafe { libc::sem_post(self.semaphore.as_ptr()) })?;
        }
        Ok(())
    }

    fn value(&self) -> io::Result<i64> {
        let mut value = 0;
        // SAFETY: an open semaphore, and a number that is ours.
        check(unsafe { libc::sem_getvalue(self.semaphore.as_ptr(), &raw mut value) })?;
        Ok(i64::from(value))
    }

    /// What a killed program left would count as news.
    fn set_to_zero(&self) {
        // SAFETY: an open semaphore.
        while unsafe { libc::sem_trywait(self.semaphore.as_ptr()) } == 0 {}
    }
}

impl Drop for NamedSemaphore {
    fn drop(&mut self) {
        // SAFETY: a string that ends with zero. Before the lock goes with the file.
        let _ = unsafe { libc::sem_unlink(self.name.as_ptr()) };
        close(self.semaphore);
    }
}

fn open(name: &CString, flags: i32, mode: u32) -> io::Result<NonNull<libc::sem_t>> {
    let value: libc::c_uint = 0;
    // SAFETY: a string that ends with zero, and the arguments that sem_open(3) wants with O_CREAT.
    let semaphore = unsafe { libc::sem_open(name.as_ptr(), flags, mode, value) };
    NonNull::new(semaphore).ok_or_else(io::Error::last_os_error)
}

fn close(semaphore: NonNull<libc::sem_t>) {
    // SAFETY: opened once, and not used after this.
    let _ = unsafe { libc::sem_close(semaphore.as_ptr()) };
}

fn check(answer: i32) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Where it is (sem_overview(7)).
fn path(name: &str) -> PathBuf {
    PathBuf::from(format!("/dev/shm/sem.{}", name.trim_start_matches('/')))
}

fn is_linked(path: &PathBuf, file: &File) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn try_lock(file: &File) -> Result<bool, nix::Error> {
    #[expect(clippy::cast_possible_truncation, reason = "F_WRLCK is 1")]
    let l_type = libc::F_WRLCK as libc::c_short;
    let whole = libc::flock { l_type, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
        Err(other) => Err(other),
    }
}
