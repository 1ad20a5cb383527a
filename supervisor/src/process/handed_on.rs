//! A process that another supervisor goes on with, after an upgrade or a death.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};

use super::{Adopted, Bond, Pipe, Process, ProcessId};
use crate::adoption::Taken;
use crate::beat::Beat;
use crate::cgroup::Cgroup;
use crate::event::Event;
use crate::limits::Enforced;
use crate::link::{self, Language, Link};
use crate::logs::{Splitter, Stream};
use crate::manifest::{Leaving, Left, ManifestError};
use crate::place::Place;
use crate::poller::Poller;
use crate::progress::Progress;
use crate::readiness::Asking;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Handed {
    pub(crate) number: u64,
    pub(crate) pid: u32,
    closed: Option<MonoNs>,
    pub(crate) bond: Option<Bond>,
    is_adopted: bool,
    limits: Enforced,
    cgroup: Option<PathBuf>,
    /// What a release without pipes left has none.
    #[serde(default)]
    pair: Option<u64>,
    /// `None` where nothing could be left open.
    open: Option<Open>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Open {
    pidfd: Left,
    health: Option<Left>,
    link: link::Handed,
    pipes: Vec<HandedPipe>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct HandedPipe {
    stream: Stream,
    file: Left,
    /// Read of a line whose end has not come yet.
    partial: Vec<u8>,
}

impl Process {
    /// For the program that this one becomes.
    pub(crate) fn hand_on<'a>(&'a self, leaving: &mut Leaving<'a>) -> Handed {
        let mut pipe = |pipe: &'a Pipe| HandedPipe {
            stream: pipe.stream,
            file: leaving.leave(&pipe.file),
            partial: pipe.splitter.partial().to_vec(),
        };
        let pipes = self.pipes.iter().map(&mut pipe).collect();
        let open = Open {
            pidfd: leaving.leave(&self.pidfd),
            health: self.health.as_ref().map(|page| leaving.leave(page)),
            link: self.link.hand_on(leaving),
            pipes,
        };
        Handed { open: Some(open), ..self.leave_behind() }
    }

    /// For whoever follows if this supervisor is killed.
    pub(crate) fn leave_behind(&self) -> Handed {
        Handed {
            number: self.id.number,
            pid: self.pid,
            closed: self.closed,
            bond: self.bond.clone(),
            is_adopted: self.adopted.is_some(),
            open: None,
            limits: self.limits.clone(),
            cgroup: self.cgroup.as_ref().map(|group| group.path().to_owned()),
            pair: self.pair,
        }
    }

    /// What was left open is watched anew.
    pub(crate) fn resume(
        id: ProcessId,
        mut handed: Handed,
        language: Language,
        place: &Place,
        now: MonoNs,
        poller: &mut Poller<Event>,
    ) -> Result<Self, ManifestError> {
        let open = handed.open.take();
        let open = open.ok_or(ManifestError::Other { what: "a worker is closed" })?;
        let mut pipes = Vec::new();
        for HandedPipe { stream, file, partial } in open.pipes {
            let splitter = Splitter::resumed(partial);
            pipes.push(watched_pipe(stream, File::from(file.take()?), splitter, id, poller)?);
        }
        let link = Link::resume(open.link, language)?;
        let health = open.health.map(|page| page.take().map(File::from)).transpose()?;
        let reached = Reached { link, pidfd: open.pidfd.take()?, health, pipes };
        Self::taken_over(id, handed, reached, place, now, poller)
    }

    /// One that a killed supervisor left: a child of the guard.
    pub(crate) fn adopt(
        id: ProcessId,
        handed: Handed,
        taken: Taken,
        place: &Place,
        now: MonoNs,
        poller: &mut Poller<Event>,
    ) -> Result<Self, ManifestError> {
        let Taken { link, pidfd, health, stdout, stderr } = taken;
        let mut pipes = Vec::new();
        for (stream, end) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            let splitter = Splitter::default();
            pipes.push(watched_pipe(stream, File::from(end), splitter, id, poller)?);
        }
        let link = Link::of_a_ready_worker(link);
        let reached = Reached { link, pidfd, health: Some(File::from(health)), pipes };
        // Its bond is kept, or it would not live.
        let bond = handed.bond.map(|bond| Bond { is_kept: true, ..bond });
        let handed = Handed { is_adopted: true, closed: None, bond, ..handed };
        Self::taken_over(id, handed, reached, place, now, poller)
    }

    /// Its beat and progress count from now.
    fn taken_over(
        id: ProcessId,
        handed: Handed,
        reached: Reached,
        place: &Place,
        now: MonoNs,
        poller: &mut Poller<Event>,
    ) -> Result<Self, ManifestError> {
        let Reached { link, pidfd, health, pipes } = reached;
        let adopted = if handed.is_adopted { Some(watched(&pidfd, id, poller)?) } else { None };
        Ok(Self {
            id,
            pid: handed.pid,
            link_token: poller.watch(&link, Event::Link(id)).map_err(unwatched)?,
            link,
            beat: Beat::new(now),
            progress: Progress::new(),
            asking: Asking::default(),
            tmp: place.tmp(handed.number),
            closed: handed.closed,
            limits: handed.limits,
            cgroup: handed.cgroup.and_then(Cgroup::resume),
            pair: handed.pair,
            bond: handed.bond,
            adopted,
            pidfd,
            health,
            pipes,
            reads: 0,
        })
    }
}

/// How a process that another supervisor started is reached.
struct Reached {
    link: Link,
    pidfd: OwnedFd,
    health: Option<File>,
    pipes: Vec<Pipe>,
}

fn watched_pipe(
    stream: Stream,
    file: File,
    splitter: Splitter,
    id: ProcessId,
    poller: &mut Poller<Event>,
) -> Result<Pipe, ManifestError> {
    let token = poller.watch(&file, Event::Output(id)).map_err(unwatched)?;
    Ok(Pipe { stream, file, splitter, token })
}

fn watched(
    pidfd: &impl AsFd,
    id: ProcessId,
    poller: &mut Poller<Event>,
) -> Result<Adopted, ManifestError> {
    let pidfd_token = poller.watch(pidfd, Event::AdoptedEnded(id)).map_err(unwatched)?;
    Ok(Adopted { pidfd_token, ended: None })
}

fn unwatched(source: io::Error) -> ManifestError {
    ManifestError::Io { step: "watch a worker", source }
}
