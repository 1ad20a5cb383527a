//! What a process prints: its pipes, read line by line until their end.

use std::fs::File;
use std::io::{self, Read};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use spawn::Running;

use crate::event::Event;
use crate::logs::{Splitter, Stream};
use crate::poller::{Poller, Token};

const READ_BYTES: usize = 16 * 1024;
/// A dead worker's pipe holds at most 64 KiB, but an orphan of it may still be filling it.
const LAST_WORDS_TURNS: usize = 64;

/// One of its output pipes, until its end.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) stream: Stream,
    pub(crate) file: File,
    pub(crate) splitter: Splitter,
    pub(super) token: Token,
}

impl Pipe {
    /// Of a process just started: `event` is given whenever it has printed something.
    pub(crate) fn watch_both(
        running: Running,
        event: Event,
        poller: &mut Poller<Event>,
    ) -> io::Result<Vec<Self>> {
        let ends = [(Stream::Stdout, running.stdout), (Stream::Stderr, running.stderr)];
        let mut pipes = Vec::new();
        for (stream, end) in ends {
            let Some(end) = end else { continue };
            let file = File::from(end);
            fcntl(&file, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            let token = poller.watch(&file, event)?;
            pipes.push(Self { stream, file, splitter: Splitter::default(), token });
        }
        Ok(pipes)
    }

    /// At most `turns` reads each; those at their end are let go.
    pub(crate) fn read_all(
        pipes: &mut Vec<Self>,
        turns: usize,
        poller: &mut Poller<Event>,
    ) -> Vec<(Stream, String)> {
        let mut lines = Vec::new();
        pipes.retain_mut(|pipe| {
            let open = pipe.read(turns, &mut lines);
            if !open {
                poller.forget(&pipe.file, pipe.token);
            }
            open
        });
        lines
    }

    /// The last words of a process that is dead.
    pub(crate) fn bury_all(
        mut pipes: Vec<Self>,
        poller: &mut Poller<Event>,
    ) -> Vec<(Stream, String)> {
        let mut lines = Self::read_all(&mut pipes, LAST_WORDS_TURNS, poller);
        for mut pipe in pipes {
            poller.forget(&pipe.file, pipe.token);
            lines.extend(pipe.splitter.rest().map(|rest| (pipe.stream, rest)));
        }
        lines
    }

    /// False at its end.
    fn read(&mut self, turns: usize, lines: &mut Vec<(Stream, String)>) -> bool {
        let mut buffer = [0; READ_BYTES];
        for _ in 0..turns {
            let count = match (&self.file).read(&mut buffer) {
                Ok(count @ 1..) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => {
                    lines.extend(self.splitter.rest().map(|rest| (self.stream, rest)));
                    return false;
                }
            };
            let new = self.splitter.feed(&buffer[..count]);
            lines.extend(new.into_iter().map(|line| (self.stream, line)));
        }
        true
    }
}
