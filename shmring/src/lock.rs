//! Open-file-description locks: released by the kernel when their holder dies, whatever its pid
//! namespace, and unlike classic POSIX locks not lost when some other descriptor is closed.
//! (fcntl_locking(2), "Open file description locks".)

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::fork::Unshared;

/// Whether the exclusive lock was taken.
pub(crate) fn try_lock(file: impl AsFd) -> Result<bool, Errno> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(other) => Err(other),
    }
}

/// A file for its lock, which this process holds, or may yet come to hold, until this is dropped. Forked
/// children do not share it.
#[derive(Debug)]
pub(crate) struct Locked {
    /// Dropped before the descriptor is closed.
    _unshared: Unshared,
    file: OwnedFd,
    owner_pid: u32,
}

impl Locked {
    /// To be made before the lock is taken, or within a [`crate::fork::Stretch`] without a fork.
    pub(crate) fn new(file: OwnedFd) -> Self {
        let _unshared = Unshared::descriptor(&file);
        Self { _unshared, file, owner_pid: std::process::id() }
    }

    pub(crate) fn try_lock(&self) -> Result<bool, Errno> {
        try_lock(&self.file)
    }

    pub(crate) fn file(&self) -> &OwnedFd {
        &self.file
    }
}

impl AsFd for Locked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Not by closing alone: a child forked between the next two steps would keep it. And asked of
        // the kernel, because a child that no handler has seen has the lock of its parent.
        if std::process::id() == self.owner_pid {
            let _ = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_UNLCK)));
        }
    }
}

/// Whether somebody else holds the exclusive lock. Works on a read-only descriptor, because it asks
/// as a reader. An error counts as held: reclaiming needs proof.
pub(crate) fn is_held(file: impl AsFd) -> bool {
    let mut probe = whole_file(libc::F_RDLCK);
    match fcntl(file, FcntlArg::F_OFD_GETLK(&mut probe)) {
        Ok(_) => i32::from(probe.l_type) != libc::F_UNLCK,
        Err(_) => true,
    }
}

/// Whether somebody else holds any lock, a shared one too: nobody can take the exclusive one then.
pub(crate) fn is_locked(file: &impl AsFd) -> bool {
    let mut probe = whole_file(libc::F_WRLCK);
    match fcntl(file, FcntlArg::F_OFD_GETLK(&mut probe)) {
        Ok(_) => i32::from(probe.l_type) != libc::F_UNLCK,
        Err(_) => true,
    }
}

fn whole_file(kind: i32) -> libc::flock {
    libc::flock {
        #[expect(clippy::cast_possible_truncation, reason = "F_RDLCK and F_WRLCK are 0 and 1")]
        l_type: kind as libc::c_short,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
