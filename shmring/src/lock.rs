//! Open-file-description locks: released by the kernel when their holder dies, whatever its pid
//! namespace, and unlike classic POSIX locks not lost when some other descriptor is closed.
//! (fcntl_locking(2), "Open file description locks".)

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// Whether the exclusive lock was taken.
pub(crate) fn try_lock(file: impl AsFd) -> Result<bool, Errno> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(other) => Err(other),
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
