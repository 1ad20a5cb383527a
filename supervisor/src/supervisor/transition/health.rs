//! Whether what a change has started is healthy, and what is told when it is not.

use std::time::Duration;

use protocol::admin::{ReplyError, WorkerState};
use protocol::name::WorkerName;
use protocol::time::{MonoNs, UtcNs};

use super::super::Supervisor;
use super::Transition;
use crate::preparing::refusal;
use crate::workers::WorkerId;

/// A command that says nothing of itself must run so long to count as healthy.
const SETTLED: Duration = Duration::from_secs(1);
/// Beyond every start deadline: who waits for others (`after`) longer than this waits in vain.
const UP_WITHIN: Duration = Duration::from_secs(60);
/// Lines of a worker that make a change go back.
const LAST_LINES: usize = 5;

/// One that must be healthy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof {
    pub(super) worker: WorkerId,
    /// More starts than these are deaths.
    pub(super) starts: u64,
    pub(super) since: MonoNs,
}

pub(super) enum Health {
    Well,
    NotYet,
    Ill { worker: WorkerId, why: String },
}

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) worker: WorkerName,
    pub(super) why: String,
    lines: Vec<String>,
}

impl Supervisor {
    pub(super) fn health_of_all(&self, transition: &Transition, now: MonoNs) -> Health {
        let mut all = Health::Well;
        for proof in &transition.proving {
            match self.health_of(*proof, transition.patience, now) {
                Health::Well => {}
                Health::NotYet => all = Health::NotYet,
                ill => return ill,
            }
        }
        all
    }

    fn health_of(&self, proof: Proof, patience: Duration, now: MonoNs) -> Health {
        let Proof { worker: id, starts, since } = proof;
        let Some(worker) = self.workers.get(id) else { return Health::NotYet };
        let (life, given) = (&worker.life, since + patience);
        let ill = |why: String| Health::Ill { worker: id, why };
        let died = || ill(life.last_exit().map_or_else(|| worker.why(now), ToString::to_string));
        match life.state() {
            WorkerState::Held | WorkerState::Quarantined => return died(),
            WorkerState::Stopped if life.has_finished() => return Health::Well,
            // Not started yet: it waits for others.
            WorkerState::Stopped if life.starts() < starts => {}
            WorkerState::Stopped => return ill("it was stopped meanwhile".to_owned()),
            _ if life.starts() > starts && now >= given => return died(),
            WorkerState::Backoff if now >= given => return died(),
            _ => {
                let needed = if life.is_mute() { SETTLED } else { Duration::ZERO };
                if life.up_for(now).is_some_and(|time| time >= needed) {
                    return Health::Well;
                }
            }
        }
        if now >= given + UP_WITHIN {
            return ill(format!("it is not up within {} s", (patience + UP_WITHIN).as_secs()));
        }
        Health::NotYet
    }

    pub(super) fn failure(&self, ill: WorkerId, why: String) -> Failure {
        let worker = &self.workers[ill];
        let lines = worker.log.last(LAST_LINES, UtcNs(0), "");
        let lines = lines.into_iter().map(|line| line.text.clone()).collect();
        Failure { worker: worker.spec.name.clone(), why, lines }
    }
}

impl Failure {
    pub(super) fn told(&self) -> ReplyError {
        let Self { worker, why, lines } = self;
        let said: String = lines.iter().map(|line| format!("\n  {worker} | {line}")).collect();
        let text = format!("worker {worker} did not come up: {why}; everything is as before{said}");
        let hint =
            if lines.is_empty() { "mend it and try again" } else { "\nmend it and try again" };
        refusal("rolled-back", text, hint)
    }
}
