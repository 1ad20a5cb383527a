//! Signals as something to poll: handlers only write a byte into a socket pair.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// Becomes readable when one of its signals arrives.
#[derive(Debug)]
pub(crate) struct Signals {
    arrived: UnixStream,
}

impl Signals {
    /// Requests to end: SIGTERM, SIGINT, and the terminal that goes away.
    pub(crate) fn stop() -> io::Result<Self> {
        Self::of(&[SIGTERM, SIGINT, SIGHUP])
    }

    /// A child ended.
    pub(crate) fn child() -> io::Result<Self> {
        Self::of(&[SIGCHLD])
    }

    fn of(signals: &[i32]) -> io::Result<Self> {
        let (arrived, notice) = UnixStream::pair()?;
        arrived.set_nonblocking(true)?;
        for signal in signals {
            pipe::register(*signal, notice.try_clone()?)?;
        }
        Ok(Self { arrived })
    }

    /// Takes what has arrived: how many signals, as far as they were not merged.
    pub(crate) fn drain(&self) -> usize {
        let mut bytes = [0; 64];
        let mut count = 0;
        while let Ok(more @ 1..) = (&self.arrived).read(&mut bytes) {
            count += more;
        }
        count
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.arrived.as_fd()
    }
}
