//! A process that another supervisor goes on with: it notices nothing.

use std::fs::File;
use std::io;

use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};

use super::{Pipe, Process, ProcessId};
use crate::beat::Beat;
use crate::event::Event;
use crate::link::{self, Language, Link};
use crate::logs::{Splitter, Stream};
use crate::manifest::{Leaving, Left, ManifestError};
use crate::place::Place;
use crate::poller::Poller;
use crate::progress::Progress;
use crate::readiness::Asking;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Handed {
    pub(crate) number: u64,
    pid: u32,
    closed: Option<MonoNs>,
    pidfd: Left,
    health: Option<Left>,
    link: link::Handed,
    pipes: Vec<HandedPipe>,
}

#[derive(Debug, Serialize, Deserialize)]
struct HandedPipe {
    stream: Stream,
    file: Left,
    /// Read of a line whose end has not come yet.
    partial: Vec<u8>,
}

impl Process {
    pub(crate) fn hand_on<'a>(&'a self, leaving: &mut Leaving<'a>) -> Handed {
        let mut pipe = |pipe: &'a Pipe| HandedPipe {
            stream: pipe.stream,
            file: leaving.leave(&pipe.file),
            partial: pipe.splitter.partial().to_vec(),
        };
        let pipes = self.pipes.iter().map(&mut pipe).collect();
        Handed {
            number: self.id.number,
            pid: self.pid,
            closed: self.closed,
            pidfd: leaving.leave(&self.pidfd),
            health: self.health.as_ref().map(|page| leaving.leave(page)),
            link: self.link.hand_on(leaving),
            pipes,
        }
    }

    /// What is watched of it is watched anew; its beat and progress count from now.
    pub(crate) fn resume(
        id: ProcessId,
        handed: Handed,
        language: Language,
        place: &Place,
        now: MonoNs,
        poller: &mut Poller<Event>,
    ) -> Result<Self, ManifestError> {
        let failed = |source: io::Error| ManifestError::Io { step: "watch a worker", source };
        let link = Link::resume(handed.link, language)?;
        let link_token = poller.watch(&link, Event::Link(id)).map_err(failed)?;
        let mut pipes = Vec::new();
        for pipe in handed.pipes {
            let file = File::from(pipe.file.take()?);
            let token = poller.watch(&file, Event::Output(id)).map_err(failed)?;
            let splitter = Splitter::resumed(pipe.partial);
            pipes.push(Pipe { stream: pipe.stream, file, splitter, token });
        }
        Ok(Self {
            id,
            pid: handed.pid,
            link,
            beat: Beat::new(now),
            progress: Progress::new(),
            asking: Asking::default(),
            tmp: place.tmp(handed.number),
            closed: handed.closed,
            pidfd: handed.pidfd.take()?,
            health: handed.health.map(|page| page.take().map(File::from)).transpose()?,
            link_token,
            pipes,
            reads: 0,
        })
    }
}
