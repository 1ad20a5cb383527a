//! One running process of a worker: what it was given and how it is reached.

mod bond;
mod handed_on;
mod output;
mod pipes;
mod spawner;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgid};
use protocol::health::{Health, PAGE_BYTES};
use protocol::time::MonoNs;
use rustix::process::pidfd_send_signal;
use spawn::{HealthError, StartError};

use crate::beat::Beat;
use crate::cgroup::Cgroup;
use crate::event::Event;
use crate::limits::Enforced;
use crate::link::Link;
use crate::logs::Stream;
use crate::poller::{Poller, Token};
use crate::progress::Progress;
use crate::readiness::Asking;
use crate::workers::WorkerId;

pub(crate) use bond::Bond;
pub(crate) use handed_on::Handed;
pub(crate) use output::Pipe;
pub(crate) use pipes::{Ends, Side, SpareEnds};
pub(crate) use spawner::Spawner;

/// Most reads of its output from one look of the supervisor to the next, 0.2 s later.
const READS_A_LOOK: u32 = 8;

/// One process of one worker. Numbers are never used twice, so what belongs to a dead process can
/// never be taken for its successor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessId {
    pub(crate) worker: WorkerId,
    pub(crate) number: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Health(#[from] HealthError),
    /// Only for a worker whose limits are required.
    #[error("limits that it requires cannot be set: {0}")]
    Limits(String),
    #[error("{step}: {source}")]
    Io { step: &'static str, source: io::Error },
}

impl SpawnError {
    pub(crate) fn pipes(source: io::Error) -> Self {
        Self::Io { step: "pipes to its other side", source }
    }
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    pub(crate) pid: u32,
    pub(crate) link: Link,
    pub(crate) beat: Beat,
    pub(crate) progress: Progress,
    /// Whether it is up is asked only while it lives.
    pub(crate) asking: Asking,
    pub(crate) tmp: PathBuf,
    /// Its end of the control link is closed; unless it dies first, it is killed then.
    pub(crate) closed: Option<MonoNs>,
    /// `None` of one that ends with this supervisor.
    pub(crate) bond: Option<Bond>,
    /// A child of the guard: this supervisor did not start it, and cannot reap it.
    pub(crate) adopted: Option<Adopted>,
    pub(crate) limits: Enforced,
    pub(crate) cgroup: Option<Cgroup>,
    /// The process that its pipes to a command, or to a pipe worker, were made for.
    pub(crate) pair: Option<u64>,
    pidfd: OwnedFd,
    health: Option<File>,
    link_token: Token,
    pipes: Vec<Pipe>,
    /// Reads of its output since the last look.
    reads: u32,
}

/// Of a process that was taken up: how its end is seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adopted {
    pidfd_token: Token,
    /// When it was seen to have ended; the guard tells how.
    pub(crate) ended: Option<MonoNs>,
}

impl Process {
    pub(crate) fn term(&self) {
        self.signal(Signal::SIGTERM, rustix::process::Signal::TERM);
    }

    pub(crate) fn kill(&self) {
        self.signal(Signal::SIGKILL, rustix::process::Signal::KILL);
        if let Some(group) = &self.cgroup {
            group.kill();
        }
    }

    /// It is to stand still without knowing it.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP, rustix::process::Signal::STOP);
    }

    /// To the process, which cannot be mistaken, and to the rest of its group: it leads it, and as
    /// it was not reaped yet the group's number cannot belong to another. One that was adopted may have
    /// been reaped by the guard; as built-in workers do, it has a group of one.
    fn signal(&self, signal: Signal, same: rustix::process::Signal) {
        // ESRCH is a process that has just ended: its death is on the way.
        let pid = as_pid(self.pid);
        let told = self.adopted.is_none() && killpg(pid, signal).is_ok();
        // Once: a handler may take the second for impatience. Who has moved to another group was not told.
        if told && getpgid(Some(pid)) == Ok(pid) {
            return;
        }
        let _ = pidfd_send_signal(&self.pidfd, same);
    }

    /// An adopted process has ended: the guard will tell how.
    pub(crate) fn note_end(&mut self, now: MonoNs, poller: &mut Poller<Event>) {
        if let Some(adopted) = &mut self.adopted {
            adopted.ended.get_or_insert(now);
            // It stays readable.
            poller.forget(&self.pidfd, adopted.pidfd_token);
        }
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// What its health page says. The worker can write anything there; it is believed only as far
    /// as showing and timing go.
    pub(crate) fn health(&self) -> Option<Health> {
        let mut page = [0; PAGE_BYTES];
        self.health.as_ref()?.read_exact_at(&mut page, 0).ok()?;
        Health::parse(&page)
    }

    pub(crate) fn has_health_page(&self) -> bool {
        self.health.is_some()
    }

    /// Waits for room in the link only while something is queued.
    pub(crate) fn update_interest(&self, poller: &Poller<Event>) {
        // It fails only for a link that is not watched any more.
        let _ = poller.want_write(&self.link, self.link_token, self.link.wants_write());
    }

    /// No more is heard over the link.
    pub(crate) fn forget_link(&self, poller: &mut Poller<Event>) {
        poller.forget(&self.link, self.link_token);
    }

    /// Who prints faster than is read waits in its own write; the loop is not kept busy by it.
    pub(crate) fn calm_output(&mut self, poller: &Poller<Event>) {
        self.reads += 1;
        if self.reads == READS_A_LOOK {
            self.hear_output(poller, false);
        }
    }

    pub(crate) fn resume_output(&mut self, poller: &Poller<Event>) {
        if self.reads >= READS_A_LOOK {
            self.hear_output(poller, true);
        }
        self.reads = 0;
    }

    fn hear_output(&self, poller: &Poller<Event>, wanted: bool) {
        for pipe in &self.pipes {
            // It fails only for a pipe that is not watched any more.
            let _ = poller.want_read(&pipe.file, pipe.token, wanted);
        }
    }

    /// Reads what it printed: at most `turns` times a pipe, so that no worker can keep the loop.
    pub(crate) fn read_output(
        &mut self,
        turns: usize,
        poller: &mut Poller<Event>,
    ) -> Vec<(Stream, String)> {
        Pipe::read_all(&mut self.pipes, turns, poller)
    }

    /// It is dead: takes its last words and ends all watching.
    pub(crate) fn bury(mut self, poller: &mut Poller<Event>) -> Vec<(Stream, String)> {
        let lines = Pipe::bury_all(std::mem::take(&mut self.pipes), poller);
        poller.forget(&self.link, self.link_token);
        if let Some(adopted) = self.adopted {
            poller.forget(&self.pidfd, adopted.pidfd_token);
        }
        if let Some(bond) = self.bond {
            // A process that was stopped before it listened has none.
            let _ = fs::remove_file(bond.socket);
        }
        remove_later(self.tmp);
        lines
    }
}

/// A worker may have left gigabytes: the loop does not wait for their removal. What a failure
/// leaves goes with the whole folder when the project ends or starts.
fn remove_later(tmp: PathBuf) {
    let work = move || drop(fs::remove_dir_all(tmp));
    let _ = std::thread::Builder::new().name("remove".to_owned()).spawn(work);
}

fn as_pid(pid: u32) -> Pid {
    // The kernel's pids are positive i32.
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}

fn at(step: &'static str) -> impl FnOnce(io::Error) -> SpawnError {
    move |source| SpawnError::Io { step, source }
}
