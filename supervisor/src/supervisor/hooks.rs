//! What happens, told to the hooks; what they print, kept as lines.

use protocol::admin::WorkerState;
use protocol::exit::ExitReason;
use protocol::name::WorkerName;
use protocol::time::MonoNs;
use shmring::clock;

use super::Supervisor;
use crate::history::{Cause, Change};
use crate::hooks::happening::{Happening, events_of};
use crate::hooks::{HookRun, Row, Said, Setting};
use crate::logs::LogBook;
use crate::topology::Launch;
use crate::workers::WorkerId;

impl Supervisor {
    /// Each with its lines.
    pub(crate) fn hooks(&self) -> impl Iterator<Item = (&WorkerName, &LogBook)> {
        self.hooks.all().map(|hook| (&hook.spec.name, &hook.log))
    }

    pub(crate) fn hook_rows(&self) -> Vec<Row<'_>> {
        self.hooks.rows()
    }

    pub(super) fn hook_project(&mut self, event: &'static str) {
        let project = &self.spawner.topology.project;
        self.hooks.happened(&Happening::of_project(event, clock::now().utc, project));
    }

    /// What a change of a worker's state is called.
    pub(super) fn events_of(
        &self,
        at: WorkerId,
        from: WorkerState,
        to: WorkerState,
        cause: Cause,
    ) -> Vec<&'static str> {
        let kind = match &self.workers[at].spec.launch {
            Launch::Run { .. } => None,
            Launch::Use(config) => Some(config.kind()),
        };
        let asked = cause == Cause::Asked || self.shutdown.is_some();
        events_of(kind, from, to, asked)
    }

    pub(super) fn hook_change(&mut self, at: WorkerId, change: &Change, events: &[&str]) {
        let spec = &self.workers[at].spec;
        for event in events.iter().copied() {
            let project = &self.spawner.topology.project;
            self.hooks.happened(&Happening::of_change(event, change, spec.kind_name(), project));
        }
    }

    pub(super) fn hook_death(&mut self, at: WorkerId, reason: &ExitReason) {
        let (spec, project) = (&self.workers[at].spec, &self.spawner.topology.project);
        let (utc, reason) = (clock::now().utc, reason.to_string());
        let happening = Happening::of_death(&spec.name, spec.kind_name(), &reason, utc, project);
        self.hooks.happened(&happening);
    }

    pub(super) fn advance_hooks(&mut self, now: MonoNs) {
        let setting = Setting {
            folder: self.spawner.topology.folder(),
            runtime_dir: self.spawner.place.path(),
            env: self.spawner.launcher.passed_on(),
            limits: &self.spawner.hook_limits(),
        };
        for said in self.hooks.advance(now, &setting, &mut self.poller) {
            self.hook_said(said);
        }
    }

    pub(super) fn hook_output(&mut self, run: HookRun) {
        if let Some(said) = self.hooks.read(run, &mut self.poller) {
            self.hook_said(said);
        }
    }

    pub(super) fn hook_reaped(&mut self, pid: u32, reason: &ExitReason) {
        if let Some(said) = self.hooks.reaped(pid, reason, &mut self.poller) {
            self.hook_said(said);
        }
    }

    fn hook_said(&mut self, (hook, lines): Said) {
        let now = clock::now();
        for (stream, text) in lines {
            let Some(log) = self.hooks.log_of(hook) else { return };
            for line in log.add(now.mono, now.utc, stream, text) {
                self.show(&line);
                self.admin.publish_line(&line, &mut self.poller);
            }
        }
    }

    /// All workers have stopped; hooks get a moment for what they were told last.
    pub(super) fn is_over(&mut self, now: MonoNs) -> bool {
        let Some(shutdown) = self.shutdown else { return false };
        let stopped = |worker: &crate::worker::Worker| worker.life.state() == WorkerState::Stopped;
        self.workers.values().all(stopped) && self.hooks.is_over(now, shutdown.kills_all(now))
    }
}
