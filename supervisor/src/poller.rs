//! Waiting for many descriptors at once: epoll behind the loop's own event type.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Most events taken in one turn of the loop; the rest wait for the next.
const TURN: usize = 64;

/// Names one registration for life: never reused, so an event can never reach the wrong owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Token(u64);

/// What epoll saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

#[derive(Debug)]
pub(crate) struct Poller<E> {
    epoll: Epoll,
    events: HashMap<Token, E>,
    next: u64,
}

impl<E: Copy> Poller<E> {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: HashMap::new(),
            next: 0,
        })
    }

    /// `event` is given back whenever `fd` can be read or its other end is gone.
    pub(crate) fn watch(&mut self, fd: impl AsFd, event: E) -> io::Result<Token> {
        let token = Token(self.next);
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token.0))?;
        self.next += 1;
        self.events.insert(token, event);
        Ok(token)
    }

    /// Also tell when `fd` can be written, or no longer.
    pub(crate) fn want_write(&self, fd: impl AsFd, token: Token, wanted: bool) -> io::Result<()> {
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLOUT, wanted);
        let mut event = EpollEvent::new(flags, token.0);
        Ok(self.epoll.modify(fd, &mut event)?)
    }

    /// Tell when `fd` can be read, or only when its other end is gone.
    pub(crate) fn want_read(&self, fd: impl AsFd, token: Token, wanted: bool) -> io::Result<()> {
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, wanted);
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(flags, token.0))?)
    }

    /// To be called before `fd` closes.
    pub(crate) fn forget(&mut self, fd: impl AsFd, token: Token) {
        self.events.remove(&token);
        // It fails only for a descriptor that is not watched, which is what is wanted.
        let _ = self.epoll.delete(fd);
    }

    /// Sleeps until something happens or `timeout` is over.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<Vec<(E, Ready)>> {
        let mut buffer = [EpollEvent::empty(); TURN];
        // Round up, or the loop spins for the last part of a millisecond.
        let timeout_ms = timeout.as_nanos().div_ceil(1_000_000);
        let timeout = EpollTimeout::try_from(timeout_ms).unwrap_or(EpollTimeout::MAX);
        let count = match self.epoll.wait(&mut buffer, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        let event = |seen: &EpollEvent| Some((*self.events.get(&Token(seen.data()))?, ready(seen)));
        Ok(buffer[..count].iter().filter_map(event).collect())
    }
}

fn ready(seen: &EpollEvent) -> Ready {
    let flags = seen.events();
    Ready {
        read: flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR),
        write: flags.contains(EpollFlags::EPOLLOUT),
    }
}
