//! A life that another supervisor goes on with: it keeps its state, its counts and what it died of.

use std::time::Duration;

use protocol::control::Condition;
use protocol::exit::ExitReason;
use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};

use super::{Lifecycle, Phase, Then};
use crate::policy::{Memory, Policy};

/// Everything but what the topology says. Times are of this boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    memory: Memory,
    phase: Phase,
    speaks: bool,
    condition: Option<(Condition, String)>,
    starts: u64,
    started: MonoNs,
    died: Option<MonoNs>,
    last_exit: Option<ExitReason>,
    restart_time: Option<Duration>,
}

impl Lifecycle {
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            memory: self.policy.memory().clone(),
            phase: self.phase.clone(),
            speaks: self.speaks,
            condition: self.condition.clone(),
            starts: self.starts,
            started: self.started,
            died: self.died,
            last_exit: self.last_exit.clone(),
            restart_time: self.restart_time,
        }
    }

    /// Its process ended with the supervisor that had started it: whether it is started again.
    pub(crate) fn ended_with_its_supervisor(&mut self) -> bool {
        let again = match &self.phase {
            Phase::Starting { .. } | Phase::Up { .. } => true,
            Phase::Stopping { then, .. } => *then != Then::Rest,
            Phase::Draining { .. } => false,
            Phase::Stopped { .. } | Phase::Backoff { .. } | Phase::Held { .. } => return false,
        };
        let why = if again { "its supervisor was killed" } else { "asked to" };
        self.phase = Phase::Stopped { why: why.into() };
        again
    }

    /// Goes on as if nothing had happened.
    pub(crate) fn resume(&mut self, snapshot: Snapshot) {
        let Snapshot { memory, phase, speaks, condition, starts, started, .. } = snapshot;
        let Snapshot { died, last_exit, restart_time, .. } = snapshot;
        self.policy = Policy::resumed(self.policy.config(), memory);
        self.phase = phase;
        self.speaks = speaks;
        self.condition = condition;
        (self.starts, self.started, self.died) = (starts, started, died);
        (self.last_exit, self.restart_time) = (last_exit, restart_time);
    }
}
