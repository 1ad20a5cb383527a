//! One end of a pipe to the command: never waits longer than it is told.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use worker::Fault;

/// A picture of 640x480 in one piece; the kernel may allow less.
pub(crate) const PIPE_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct PipeEnd(OwnedFd);

/// What a read or write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    Bytes(usize),
    /// Nothing within the time.
    Nothing,
    /// The other end is closed.
    Closed,
}

impl PipeEnd {
    pub(crate) fn new(fd: OwnedFd) -> Result<Self, Fault> {
        // The other end has a description of its own: the command's is not touched by this.
        rustix::fs::fcntl_setfl(&fd, OFlags::NONBLOCK).map_err(Fault::failed)?;
        // A smaller pipe is slower, and nothing else.
        let _ = rustix::pipe::fcntl_setpipe_size(&fd, PIPE_BYTES);
        Ok(Self(fd))
    }

    pub(crate) fn write(&self, bytes: &[u8], wait: Duration) -> io::Result<Moved> {
        self.moved(PollFlags::OUT, wait, || match rustix::io::write(&self.0, bytes) {
            Err(Errno::PIPE) => Ok(Moved::Closed),
            other => other.map(Moved::Bytes),
        })
    }

    pub(crate) fn read(&self, bytes: &mut [u8], wait: Duration) -> io::Result<Moved> {
        self.moved(PollFlags::IN, wait, || match rustix::io::read(&self.0, &mut *bytes) {
            Ok(0) => Ok(Moved::Closed),
            other => other.map(Moved::Bytes),
        })
    }

    fn moved(
        &self,
        ready: PollFlags,
        wait: Duration,
        mut act: impl FnMut() -> Result<Moved, Errno>,
    ) -> io::Result<Moved> {
        match act() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
        let limit = Timespec::try_from(wait).unwrap_or_default();
        match poll(&mut [PollFd::new(&self.0, ready)], Some(&limit)) {
            Ok(0) | Err(Errno::INTR) => return Ok(Moved::Nothing),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        match act() {
            Err(Errno::AGAIN | Errno::INTR) => Ok(Moved::Nothing),
            other => Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_full_pipe_and_an_empty_one_wait_no_longer_than_told() {
        let (from, to) = io::pipe().unwrap();
        let (from, to) = (PipeEnd::new(from.into()).unwrap(), PipeEnd::new(to.into()).unwrap());
        assert_eq!(from.read(&mut [0; 8], NOW).unwrap(), Moved::Nothing);
        let block = vec![7; 1 << 16];
        while to.write(&block, NOW).unwrap() != Moved::Nothing {}
        assert!(matches!(from.read(&mut [0; 8], NOW).unwrap(), Moved::Bytes(8)));
        drop(from);
        assert_eq!(to.write(&block, NOW).unwrap(), Moved::Closed);
    }

    #[test]
    fn what_was_written_before_the_end_is_read_before_it() {
        let (from, to) = io::pipe().unwrap();
        let from = PipeEnd::new(from.into()).unwrap();
        PipeEnd::new(to.into()).unwrap().write(b"abc", NOW).unwrap();
        let mut bytes = [0; 8];
        assert_eq!(from.read(&mut bytes, NOW).unwrap(), Moved::Bytes(3));
        assert_eq!(from.read(&mut bytes, NOW).unwrap(), Moved::Closed);
    }
}
