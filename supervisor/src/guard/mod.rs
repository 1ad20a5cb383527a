//! The guard: the supervisor's parent. One thread, parses nothing, holds what must survive the
//! supervisor, and ends everything the supervisor leaves behind.
//!
//! ```text
//! guard --starts--> supervisor --starts--> workers (each dies with the supervisor: SIGKILL)
//!   ^                  |                      |
//!   |  listening       |                      +--> their own children: become the supervisor's
//!   +--sockets, lock---+                           when a worker dies, the guard's when it dies
//! ```
//!
//! A supervisor may name a successor and workers that may live on. If it is killed then, the guard ends
//! all others, starts the successor, hands it what it holds, and tells it how those end that became its own
//! children: nobody else can.

pub(crate) mod link;
mod successor;

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use protocol::exit::ExitReason;
use protocol::time::MonoNs;
use shmring::clock;
use spawn::{Command, FIRST_INHERITED, Input, Limits, Output, StartError};

use crate::signals::Signals;
use crate::{cgroup, orphans, startup};
use link::Message;
use successor::Deaths;

/// What is not dead a second after SIGKILL is stuck in the kernel, and waiting does not help.
const CLEANUP: Duration = Duration::from_secs(1);
/// A supervisor that does not read its link just now is told again after this.
const TELL_AGAIN_MS: u8 = 100;

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

/// Starts this program again with `args` as the supervisor, and lives as long as it does, or one of those
/// that follow it. `talk` is for people.
pub(crate) fn run(args: &[OsString], talk: impl Fn(&str)) -> Result<Ended, GuardError> {
    set_child_subreaper(true).map_err(|errno| at("subreaper")(errno.into()))?;
    startup::protect_from_oom();
    let stop = Signals::stop().map_err(at("signals"))?;
    let child = Signals::child().map_err(at("signals"))?;
    let (link, theirs) = link::pair().map_err(at("link"))?;
    let program = std::env::current_exe().map_err(at("find this program"))?;
    let supervisor = start(&program, args, theirs)?;
    let mut guard = Guard {
        stop,
        child,
        link: Some(link),
        supervisor,
        held: Vec::new(),
        follow: Vec::new(),
        kept: BTreeMap::new(),
        untold: VecDeque::new(),
        deaths: Deaths::default(),
        is_stopping: false,
    };
    let ended = guard.live(talk);
    // Whatever has become of the guard itself.
    end_everything();
    cgroup::end_groups_of(std::process::id());
    ended
}

fn start(program: &Path, args: &[OsString], link: OwnedFd) -> Result<Pid, GuardError> {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let mut env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    env.push((link::GUARD_FD.into(), FIRST_INHERITED.to_string().into()));
    let command = Command {
        program,
        args,
        cwd: &cwd,
        env: &env,
        inherit: &[link.as_fd()],
        input: Input::Nothing,
        output: Output::Inherited,
        limits: &Limits::default(),
        cgroup: None,
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
    /// What to start when the supervisor is killed; nothing when everything ends then.
    follow: Vec<OsString>,
    /// Who may live on, and what tells it from another with its number.
    kept: BTreeMap<u32, OwnedFd>,
    /// Ends that no supervisor has been told yet.
    untold: VecDeque<Message>,
    deaths: Deaths,
    is_stopping: bool,
}

impl Guard {
    /// Until a supervisor has ended that is followed by none: how.
    fn live(&mut self, talk: impl Fn(&str)) -> Result<Ended, GuardError> {
        loop {
            let ended = self.watch()?;
            if !self.is_followed(ended) {
                return Ok(ended);
            }
            self.end_all_but_kept()?;
            talk(&self.obituary(ended));
            self.start_next()?;
        }
    }

    /// Until the supervisor has ended: how.
    fn watch(&mut self) -> Result<Ended, GuardError> {
        loop {
            self.sleep()?;
            if self.stop.drain() > 0 {
                self.is_stopping = true;
                // It is our child and not reaped, so the number is its own.
                let _ = kill(self.supervisor, Signal::SIGTERM);
            }
            while self.listen() {}
            self.child.drain();
            let ended = self.reap()?;
            self.tell();
            if let Some(ended) = ended {
                // What it said last counts.
                while self.listen() {}
                return Ok(ended);
            }
        }
    }

    fn sleep(&self) -> Result<(), GuardError> {
        let watched = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![watched(self.stop.as_fd()), watched(self.child.as_fd())];
        fds.extend(self.link.as_ref().map(|link| watched(link.as_fd())));
        let patience = (!self.untold.is_empty()).then_some(TELL_AGAIN_MS);
        match poll(&mut fds, PollTimeout::from(patience)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(at("wait")(errno.into())),
        }
    }

    /// Takes one message; false when there is none.
    fn listen(&mut self) -> bool {
        let Some(link) = &self.link else { return false };
        match link::receive(link) {
            Ok(Some((message, fds))) => self.understand(message, fds),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            // Its end shows as a child that died; without a link it is only guarded.
            Ok(None) | Err(_) => self.link = None,
        }
        true
    }

    fn understand(&mut self, message: Message, fds: Vec<OwnedFd>) {
        match message {
            Message::Follow(command) => self.follow = command,
            Message::Keep(pid) => self.kept.extend(fds.into_iter().next().map(|fd| (pid, fd))),
            Message::Forget(pid) => drop(self.kept.remove(&pid)),
            Message::Hold => self.held.extend(fds),
            Message::Release => self.release(&fds),
            Message::Log => fds.into_iter().for_each(print_to),
            // These are ours to say, and that is nothing we know.
            Message::Begin | Message::Ended(..) | Message::Unknown => {}
        }
    }

    /// Every duplicate of these.
    fn release(&mut self, fds: &[OwnedFd]) {
        let gone: Vec<_> = fds.iter().filter_map(identity).collect();
        self.held.retain(|held| identity(held).is_none_or(|it| !gone.contains(&it)));
    }

    /// Takes whatever has died: how the supervisor did, if it did.
    fn reap(&mut self) -> Result<Option<Ended>, GuardError> {
        let mut supervisors = None;
        loop {
            match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(supervisors),
                Ok(ended) if ended.pid() == Some(self.supervisor) => supervisors = Some(how(ended)),
                Ok(ended) => self.note_end(ended),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(at("reap")(errno.into())),
            }
        }
    }

    fn note_end(&mut self, ended: WaitStatus) {
        let pid = ended.pid().and_then(|pid| u32::try_from(pid.as_raw()).ok());
        if let Some(pid) = pid.filter(|pid| self.kept.remove(pid).is_some()) {
            self.untold.push_back(Message::Ended(pid, reason(ended)));
        }
    }

    fn tell(&mut self) {
        while let (Some(link), Some(message)) = (&self.link, self.untold.front()) {
            if link::send(link, message, &[]).is_err() {
                return;
            }
            self.untold.pop_front();
        }
    }

    fn is_followed(&mut self, ended: Ended) -> bool {
        !self.follow.is_empty()
            && !self.is_stopping
            && self.deaths.are_followed(clock::mono(), ended)
    }

    fn obituary(&self, ended: Ended) -> String {
        let how = match ended {
            Ended::Killed(signal) => format!("was ended by {signal}"),
            Ended::Code(code) => format!("ended with exit code {code}"),
        };
        format!("the supervisor {how}; another one is started, {} workers go on", self.kept.len())
    }

    /// As [`end_everything`], but for those that may live on.
    fn end_all_but_kept(&mut self) -> Result<(), GuardError> {
        let deadline = clock::mono() + CLEANUP;
        loop {
            self.reap()?;
            let mut others = orphans::children().unwrap_or_default();
            others.retain(|pid| !self.kept.get(pid).is_some_and(is_alive));
            if others.is_empty() || clock::mono() >= deadline {
                return Ok(());
            }
            others.into_iter().for_each(orphans::kill_child);
            std::thread::sleep(pause(deadline));
        }
    }

    fn start_next(&mut self) -> Result<(), GuardError> {
        let (link, theirs) = link::pair().map_err(at("link"))?;
        let held: Vec<BorrowedFd<'_>> = self.held.iter().map(AsFd::as_fd).collect();
        link::send(&link, &Message::Hold, &held).map_err(at("hand over"))?;
        link::send(&link, &Message::Begin, &[]).map_err(at("hand over"))?;
        let Some((program, args)) = self.follow.split_first() else { return Ok(()) };
        self.supervisor = start(Path::new(program), args, theirs)?;
        self.link = Some(link);
        Ok(())
    }
}

/// What all duplicates of a descriptor have in common.
fn identity(fd: &OwnedFd) -> Option<(u64, u64)> {
    let stat = rustix::fs::fstat(fd).ok()?;
    Some((stat.st_dev, stat.st_ino))
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

/// One that is dead has left its number to others.
fn is_alive(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO) == Ok(0)
}

fn reason(ended: WaitStatus) -> ExitReason {
    match ended {
        WaitStatus::Exited(_, code) => ExitReason::Code(code),
        WaitStatus::Signaled(_, signal, core) => ExitReason::Signal { number: signal as i32, core },
        _ => ExitReason::Unseen,
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
