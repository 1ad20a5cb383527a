//! Descriptors that stay open when this process becomes another program.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde::{Deserialize, Serialize};

use super::ManifestError;

/// The number of a descriptor that was left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Left(RawFd);

/// Those that a manifest names.
#[derive(Debug, Default)]
pub(crate) struct Leaving<'a>(Vec<BorrowedFd<'a>>);

impl Left {
    /// In the next program, once.
    pub(crate) fn take(self) -> Result<OwnedFd, ManifestError> {
        Ok(spawn::take_inherited_number("its manifest", self.0)?)
    }
}

impl<'a> Leaving<'a> {
    pub(crate) fn leave(&mut self, fd: &'a impl AsFd) -> Left {
        let fd = fd.as_fd();
        self.0.push(fd);
        Left(fd.as_raw_fd())
    }

    /// From now on exec leaves them open, or closes them as it does all others.
    pub(crate) fn set_open(&self, stays: bool) -> io::Result<()> {
        let flags = if stays { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
        for fd in &self.0 {
            fcntl(fd, FcntlArg::F_SETFD(flags))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_left_open_is_taken_and_only_once() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let mut leaving = Leaving::default();
        let left = leaving.leave(&file);
        assert!(left.take().is_err(), "it still closes at exec");
        leaving.set_open(true).unwrap();
        std::mem::forget(left.take().unwrap());
        assert!(left.take().is_err(), "it was taken before");
    }
}
