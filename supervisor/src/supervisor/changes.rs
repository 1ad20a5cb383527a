//! What happens to a worker, what its life makes of it, and who is told.

use protocol::admin::WorkerState;
use protocol::time::MonoNs;
use shmring::clock;

use super::Supervisor;
use crate::history::{Cause, Change};
use crate::hooks::happening::DIED;
use crate::lifecycle::Input;
use crate::link::Told;
use crate::workers::WorkerId;

/// Among the facts of what happens to a rule: its name.
const RULE: &str = "rule";

impl Supervisor {
    /// Tells a worker's life what happened and carries out what it decides.
    pub(crate) fn tell(&mut self, at: WorkerId, now: MonoNs, input: Input) {
        let before = self.workers[at].life.state();
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let (from, cause) = (self.workers[at].life.state(), Cause::of(&input));
            let action = self.workers[at].life.on(now, input);
            self.record(at, now, from, cause);
            next = action.and_then(|action| self.act(at, now, action));
        }
        let after = self.workers[at].life.state();
        if before != after {
            self.note(at, now, after);
        }
    }

    fn record(&mut self, at: WorkerId, now: MonoNs, from: WorkerState, cause: Cause) {
        let life = &self.workers[at].life;
        if life.state() == from {
            return;
        }
        let (to, reason) = (life.state(), cause.reason(life, now));
        let events = self.events_of(at, from, to, cause);
        // Its hooks were told of the death itself.
        let died = cause == Cause::Died && std::mem::take(&mut self.workers[at].died);
        let names = events.iter().copied().chain(died.then_some(DIED));
        let change = Change {
            time_utc_ns: clock::now().utc,
            worker: self.spec(at).name.clone(),
            from,
            to,
            reason,
            events: names.map(str::to_owned).collect(),
            data: None,
        };
        self.admin.publish_change(&change, &mut self.poller);
        self.hook_change(at, &change, &events);
        self.history.add(change);
        self.will.change();
    }

    /// What a worker told of that is no change of its state.
    pub(super) fn happened(&mut self, at: WorkerId, told: Told) {
        let Told { what, subject, why, data } = told;
        let state = self.workers[at].life.state();
        let rule = data.as_ref().and_then(|facts| facts.word(RULE));
        let event = what.event(rule.as_deref());
        let change = Change {
            time_utc_ns: clock::now().utc,
            worker: self.spec(at).name.clone(),
            from: state,
            to: state,
            reason: format!("{subject}: {why}"),
            events: vec![event.clone()],
            data,
        };
        self.admin.publish_change(&change, &mut self.poller);
        self.hook_change(at, &change, &[event.as_str()]);
        self.history.add(change);
        self.will.change();
    }

    /// One line for people at every change worth one.
    fn note(&self, at: WorkerId, now: MonoNs, state: WorkerState) {
        let worker = &self.spec(at).name;
        let why = self.workers[at].why(now);
        match state {
            WorkerState::Held | WorkerState::Quarantined => {
                tracing::error!(%worker, why, "held; `framevisor restart {worker}` tries again")
            }
            WorkerState::Backoff => tracing::warn!(%worker, why, "waits for its restart"),
            WorkerState::Degraded => tracing::warn!(%worker, why, "degraded"),
            WorkerState::Ready if why.is_empty() => tracing::info!(%worker, "ready"),
            WorkerState::Ready => tracing::info!(%worker, why, "ready, waits"),
            WorkerState::Running => tracing::info!(%worker, "running"),
            WorkerState::Stopped => tracing::info!(%worker, why, "stopped"),
            WorkerState::Draining => tracing::info!(%worker, why, "drains"),
            WorkerState::Starting | WorkerState::Stopping => {
                tracing::debug!(%worker, why, "{}", state.as_str())
            }
        }
    }
}
