//! Who reads a recording for long holds it, and retention lets it be: a shared lock on the file, which goes
//! with the process however that ends. Players need none: an open file reads to its end.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// The file stays as long as this lives.
#[derive(Debug)]
pub struct Hold {
    _file: File,
}

/// Holds a recording; `None` when it is gone, or just going.
pub fn hold(path: &Path) -> io::Result<Option<Hold>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let locked = lock(&file, libc::F_RDLCK)?;
    Ok(locked.then_some(Hold { _file: file }).filter(|_| path.exists()))
}

/// For who removes a recording: `None` when somebody holds it. Nobody can any more until the answer is
/// dropped.
pub fn claim(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    Ok(lock(&file, libc::F_WRLCK)?.then_some(file))
}

/// Whether it could be had. A file system without locks, as some of a network are, goes without them.
fn lock(file: &File, kind: libc::c_int) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(kind))) {
        Ok(_) | Err(Errno::ENOLCK | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        #[expect(clippy::cast_possible_truncation, reason = "kinds of locks are small numbers")]
        l_type: kind as libc::c_short,
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
    fn what_is_held_cannot_be_claimed_and_what_is_claimed_is_as_good_as_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp4");
        assert!(hold(&path).unwrap().is_none());
        std::fs::write(&path, b"x").unwrap();
        let (first, second) = (hold(&path).unwrap().unwrap(), hold(&path).unwrap().unwrap());
        drop(first);
        assert!(claim(&path).unwrap().is_none());
        drop(second);
        let claimed = claim(&path).unwrap().unwrap();
        assert!(hold(&path).unwrap().is_none());
        drop(claimed);
        assert!(hold(&path).unwrap().is_some());
    }
}
