//! The guard: the supervisor's parent. One thread, parses nothing, holds what must survive the
//! supervisor, and ends everything the supervisor leaves behind.
//!
//! ```text
//! guard --starts--> supervisor --starts--> workers (each dies with the supervisor: SIGKILL)
//!   ^                  |                      |
//!   |  listening       |                      +--> their own children: become the supervisor's
//!   +--sockets, lock---+                           when a worker dies, the guard's when it dies
//! ```

pub(crate) mod link;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use protocol::time::MonoNs;
use shmring::clock;
use spawn::{Command, FIRST_INHERITED, Output, StartError};

use crate::orphans;
use crate::signals::Signals;
use link::Meaning;

/// What is not dead a second after SIGKILL is stuck in the kernel, and waiting does not help.
const CLEANUP: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub(crate) enum GuardError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("guard: {step}: {source}")]
    Io { step: &'static str, source: io::Error },
}

/// How the supervisor ended; everything it left is ended too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Code(u8),
    Killed(Signal),
}

/// Starts this program again with `args` as the supervisor, and lives as long as it does.
pub(crate) fn run(args: &[OsString]) -> Result<Ended, GuardError> {
    set_child_subreaper(true).map_err(|errno| at("subreaper")(errno.into()))?;
    let stop = Signals::stop().map_err(at("signals"))?;
    let child = Signals::child().map_err(at("signals"))?;
    let (link, theirs) = link::pair().map_err(at("link"))?;
    let supervisor = start(args, theirs)?;
    let mut guard = Guard { stop, child, link: Some(link), supervisor, held: Vec::new() };
    let ended = guard.watch()?;
    end_everything();
    Ok(ended)
}

fn start(args: &[OsString], link: OwnedFd) -> Result<Pid, GuardError> {
    let program = std::env::current_exe().map_err(at("find this program"))?;
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let mut env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    env.push((link::GUARD_FD.into(), FIRST_INHERITED.to_string().into()));
    let command = Command {
        program: &program,
        args,
        cwd: &cwd,
        env: &env,
        inherit: &[link.as_fd()],
        output: Output::Inherited,
        // It then ends everything itself.
        death_signal: Signal::SIGTERM,
    };
    let running = command.start()?;
    Ok(Pid::from_raw(i32::try_from(running.pid).unwrap_or(i32::MAX)))
}

struct Guard {
    stop: Signals,
    child: Signals,
    link: Option<OwnedFd>,
    supervisor: Pid,
    held: Vec<OwnedFd>,
}

impl Guard {
    /// Until the supervisor has ended: how.
    fn watch(&mut self) -> Result<Ended, GuardError> {
        loop {
            self.sleep()?;
            if self.stop.drain() > 0 {
                // It is our child and not reaped, so the number is its own.
                let _ = kill(self.supervisor, Signal::SIGTERM);
            }
            self.listen();
            self.child.drain();
            if let Some(ended) = self.reap()? {
                return Ok(ended);
            }
        }
    }

    fn sleep(&self) -> Result<(), GuardError> {
        let watched = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![watched(self.stop.as_fd()), watched(self.child.as_fd())];
        fds.extend(self.link.as_ref().map(|link| watched(link.as_fd())));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(at("wait")(errno.into())),
        }
    }

    fn listen(&mut self) {
        let Some(link) = &self.link else { return };
        match link::receive(link) {
            Ok(Some((Meaning::Hold, fds))) => self.held.extend(fds),
            Ok(Some((Meaning::Log, fds))) => fds.into_iter().for_each(print_to),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Its end shows as a child that died; without a link it is only guarded.
            Ok(None) | Err(_) => self.link = None,
        }
    }

    /// Takes whatever has died; the supervisor's end is the end.
    fn reap(&self) -> Result<Option<Ended>, GuardError> {
        loop {
            match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
                Ok(ended) if ended.pid() == Some(self.supervisor) => return Ok(Some(how(ended))),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(at("reap")(errno.into())),
            }
        }
    }
}

/// Detached: the terminal it was started from is not ours any more.
fn print_to(log: OwnedFd) {
    let log = File::from(log);
    // Without the log there is nowhere to tell; what was said stays on the old stderr.
    let _ = rustix::stdio::dup2_stdout(&log);
    let _ = rustix::stdio::dup2_stderr(&log);
}

/// Kills all children, and what thereby becomes a child, until none is left.
pub(crate) fn end_everything() {
    let deadline = clock::mono() + CLEANUP;
    while any_left() && clock::mono() < deadline {
        for pid in orphans::children().unwrap_or_default() {
            orphans::kill_child(pid);
        }
        std::thread::sleep(pause(deadline));
    }
}

/// A killed process needs about a millisecond to become a zombie.
fn pause(deadline: MonoNs) -> Duration {
    Duration::from_millis(1).min(deadline.saturating_since(clock::mono()))
}

fn any_left() -> bool {
    loop {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Ok(WaitStatus::StillAlive) => return true,
            Err(Errno::EINTR) | Ok(_) => {}
            Err(_) => return false,
        }
    }
}

fn how(ended: WaitStatus) -> Ended {
    match ended {
        WaitStatus::Signaled(_, signal, _) => Ended::Killed(signal),
        WaitStatus::Exited(_, code) => Ended::Code(u8::try_from(code).unwrap_or(1)),
        _ => Ended::Code(1),
    }
}

fn at(step: &'static str) -> impl FnOnce(io::Error) -> GuardError {
    move |source| GuardError::Io { step, source }
}
