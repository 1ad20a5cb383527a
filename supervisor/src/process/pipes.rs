//! The pipes between a command and its pipe worker. Both ends of each are made when the first of the two
//! starts; what the second needs is kept until it does, and nothing is kept while both run.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use protocol::config::PipeConfig;

use super::ProcessId;
use crate::workers::WorkerId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Command,
    Pipe,
}

/// What one side holds.
#[derive(Debug)]
pub(crate) struct Ends {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    /// Number of the process that was to start then.
    pub(crate) made_for: u64,
}

/// Ends that wait for their side to start.
#[derive(Debug, Default)]
pub(crate) struct SpareEnds {
    kept: BTreeMap<WorkerId, Ends>,
}

impl Ends {
    pub(crate) fn stdin(&self) -> Option<BorrowedFd<'_>> {
        self.stdin.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn stdout(&self) -> Option<BorrowedFd<'_>> {
        self.stdout.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.stdin().into_iter().chain(self.stdout())
    }
}

impl SpareEnds {
    /// Nothing is kept for workers that are gone.
    pub(crate) fn retain(&mut self, is_there: impl Fn(WorkerId) -> bool) {
        self.kept.retain(|worker, _| is_there(*worker));
    }

    /// For the process `id` that is about to start: what `other` has left for it, if that runs in the process
    /// `partner`; else new ones, of which the other side's are kept.
    pub(crate) fn take(
        &mut self,
        (id, side): (ProcessId, Side),
        (other, partner): (WorkerId, Option<u64>),
        config: &PipeConfig,
    ) -> io::Result<Ends> {
        let left = self.kept.remove(&id.worker);
        if let Some(ends) = left.filter(|ends| Some(ends.made_for) == partner) {
            return Ok(ends);
        }
        let (commands, workers) = pair(config, id.number)?;
        let (mine, theirs) = match side {
            Side::Command => (commands, workers),
            Side::Pipe => (workers, commands),
        };
        self.kept.insert(other, theirs);
        Ok(mine)
    }
}

/// The command's ends and the pipe worker's; all close on exec.
fn pair(config: &PipeConfig, made_for: u64) -> io::Result<(Ends, Ends)> {
    let (reads, writes) = split(config.feeds.then(io::pipe).transpose()?);
    let (takes, prints) = split(config.makes.map(|_| io::pipe()).transpose()?);
    let commands = Ends { stdin: reads, stdout: prints, made_for };
    let workers = Ends { stdin: writes, stdout: takes, made_for };
    Ok((commands, workers))
}

fn split(pipe: Option<(io::PipeReader, io::PipeWriter)>) -> (Option<OwnedFd>, Option<OwnedFd>) {
    pipe.map_or((None, None), |(reader, writer)| (Some(reader.into()), Some(writer.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::config::ReadPolicy;
    use std::fs::File;
    use std::io::{Read, Write};

    fn config() -> PipeConfig {
        PipeConfig {
            command: "a/command".parse().unwrap(),
            feeds: true,
            policy: ReadPolicy::Latest,
            makes: None,
        }
    }

    fn id(worker: u64, number: u64) -> ProcessId {
        ProcessId { worker: WorkerId::numbered(worker), number }
    }

    fn take(spare: &mut SpareEnds, side: Side, number: u64, partner: Option<u64>) -> Ends {
        let (mine, other) = if side == Side::Command { (0, 1) } else { (1, 0) };
        let them = (WorkerId::numbered(other), partner);
        spare.take((id(mine, number), side), them, &config()).unwrap()
    }

    #[test]
    fn what_the_pipe_worker_writes_comes_to_the_command() {
        let mut spare = SpareEnds::default();
        let command = take(&mut spare, Side::Command, 7, None);
        let worker = take(&mut spare, Side::Pipe, 8, Some(7));
        assert!(spare.kept.is_empty() && command.made_for == worker.made_for);
        File::from(worker.stdin.unwrap()).write_all(b"picture").unwrap();
        // Not to its end: a child that another test is starting may have a copy of the writing end.
        let mut text = [0; 7];
        File::from(command.stdin.unwrap()).read_exact(&mut text).unwrap();
        assert_eq!((&text, command.stdout.is_none()), (b"picture", true));
    }

    #[test]
    fn what_was_made_for_a_dead_process_is_given_to_nobody() {
        let mut spare = SpareEnds::default();
        take(&mut spare, Side::Command, 7, None);
        for partner in [None, Some(9)] {
            assert_eq!(take(&mut spare, Side::Pipe, 8, partner).made_for, 8);
        }
        let command = take(&mut spare, Side::Command, 10, Some(8));
        assert_eq!(command.made_for, 8);
    }
}
