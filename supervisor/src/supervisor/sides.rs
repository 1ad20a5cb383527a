//! A command and its pipe worker: they start on the same pipes, and end together.

use std::io;

use protocol::config::{PipeConfig, WorkerConfig};
use protocol::time::MonoNs;

use super::Supervisor;
use crate::lifecycle::Input;
use crate::process::{Ends, ProcessId, Side};
use crate::topology::Launch;
use crate::workers::WorkerId;

impl Supervisor {
    /// `None` for a worker without such pipes.
    pub(super) fn ends_for(&mut self, id: ProcessId) -> io::Result<Option<Ends>> {
        let Some((side, other, config)) = self.joined(id.worker) else { return Ok(None) };
        let partner = self.workers[other].process.as_ref().map(|process| process.id.number);
        let config = config.clone();
        let workers = &self.workers;
        self.spare_ends.retain(|worker| workers.get(worker).is_some());
        self.spare_ends.take((id, side), (other, partner), &config).map(Some)
    }

    /// It has started: the other side cannot go on with pipes whose other ends are gone.
    pub(super) fn join(&mut self, at: WorkerId, now: MonoNs) {
        let pair = self.pair_of(at);
        if let Some((_, other, _)) = self.joined(at) {
            self.part(other, now, |theirs| theirs != pair);
        }
    }

    /// A process on the pipes of `pair` has died: the other side's is started again.
    pub(super) fn part_from(&mut self, at: WorkerId, now: MonoNs, pair: Option<u64>) {
        if let Some((_, other, _)) = self.joined(at) {
            self.part(other, now, |theirs| theirs == pair);
        }
    }

    /// The process that its pipes were made for.
    pub(super) fn pair_of(&self, at: WorkerId) -> Option<u64> {
        self.workers[at].process.as_ref()?.pair
    }

    fn part(&mut self, other: WorkerId, now: MonoNs, is_lost: impl Fn(Option<u64>) -> bool) {
        let worker = &self.workers[other];
        let lost = worker.process.as_ref().is_some_and(|process| is_lost(process.pair));
        // One that is being ended has its orders already.
        if lost && worker.life.runs() && self.shutdown.is_none() && !self.leaving.contains(&other) {
            self.tell(other, now, Input::Follow);
        }
    }

    fn joined(&self, at: WorkerId) -> Option<(Side, WorkerId, &PipeConfig)> {
        // A worker that was removed meanwhile has nobody.
        let spec = &self.workers.get(at)?.spec;
        if let Launch::Use(WorkerConfig::Pipe(config)) = &spec.launch {
            return Some((Side::Pipe, self.workers.named(&config.command)?, config));
        }
        // Only what framevisor adds has an owner.
        spec.name.owner()?;
        self.workers.iter().find_map(|(other, worker)| match &worker.spec.launch {
            Launch::Use(WorkerConfig::Pipe(config)) if config.command == spec.name => {
                Some((Side::Command, other, config))
            }
            _ => None,
        })
    }
}
