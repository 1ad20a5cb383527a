//! The life of one worker. Pure: what happened goes in with its time, what to do comes out.
//!
//! ```text
//!           Start                 ready, or at once (run:)
//! Stopped ---------> Starting ------------------------------> Up (condition)
//!   ^  ^                |                                      |
//!   |  |                |  start deadline, protocol, beat,     |
//!   |  |                v  a person's stop or restart          v
//!   |  +- asked -- Stopping (asked > termed > killed) <--------+
//!   |                   |                                      |
//!   |                   | died                       died      |
//!   |  finished         v                              |       |
//!   +--------------- policy <--------------------------+-------+
//!                    |    |
//!                    |    +--> Held ----- 5 min, or restart ---> Starting
//!                    |           (after three tries in vain: quarantined, restart only)
//!                    +-------> Backoff -- delay, or restart ---> Starting
//!
//! Up -- its successor is ready --> Draining -- its last client has gone, or time --> Stopped
//! ```

use std::borrow::Cow;
use std::time::Duration;

use protocol::control::Condition;
use protocol::exit::ExitReason;
use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};

use crate::policy::{Decision, Policy};

mod snapshot;
mod view;

pub(crate) use snapshot::Snapshot;

/// From SIGTERM to SIGKILL, after the worker had its grace already.
const TERM_TIME: Duration = Duration::from_millis(500);
/// Why it rests that used up its input.
const FINISHED: &str = "finished: its input ended";
/// SIGKILL cannot be refused; a process stuck in the kernel gets it again this often.
const KILL_AGAIN: Duration = Duration::from_secs(1);

/// What differs between workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    /// From start to ready.
    pub(crate) start_deadline: Duration,
    /// From being asked to stop to SIGTERM.
    pub(crate) grace: Duration,
    /// Built-in: it understands a Stop message from its first moment.
    pub(crate) speaks_at_start: bool,
    /// `run:`: up as soon as it runs, unless it says that it will tell.
    pub(crate) ready_at_start: bool,
    /// Its exit 0 means that its input ended: it is not started again.
    pub(crate) may_finish: bool,
}

/// What happens to a worker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    /// It is not started yet, for this reason.
    Await(String),
    /// Start it for the first time, or after a stop.
    Start,
    /// Its process runs.
    Spawned,
    /// Its process could not be started.
    SpawnFailed(String),
    /// There were no descriptors, processes or memory left to start it with.
    NoRoom(String),
    /// A `run:` worker says that it will tell when it is ready.
    Greeted,
    Ready,
    Condition(Condition, String),
    /// A `run:` worker has closed its control link: it hears no message any more.
    Deaf,
    /// It must be killed: the supervisor saw why.
    Fault(ExitReason),
    /// Its process is gone.
    Died(ExitReason),
    /// Its successor is ready: it may keep its clients for so long.
    Drain(Duration),
    /// A person wants it stopped and started again.
    Restart,
    /// The other side of its pipes is gone: it needs new ones, which says nothing of itself.
    Follow,
    /// The whole project stops.
    Stop,
    /// The whole project stops at once.
    KillNow,
    /// A deadline may have passed.
    Time,
}

/// What to do to its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Spawn,
    /// Send a Stop message.
    Ask {
        grace: Duration,
    },
    /// Tell it that its successor is ready.
    Drain,
    Term,
    Kill,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Phase {
    Stopped {
        why: Cow<'static, str>,
    },
    Starting {
        deadline: MonoNs,
    },
    Up {
        since: MonoNs,
    },
    Draining {
        since: MonoNs,
        until: MonoNs,
    },
    Stopping {
        step: Step,
        deadline: MonoNs,
        /// Why it is being ended; tells more than the signal it then dies of.
        reason: ExitReason,
        then: Then,
        good_for: Duration,
    },
    Backoff {
        until: MonoNs,
    },
    Held {
        /// When it is tried again; `None` when only a person lifts it.
        until: Option<MonoNs>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Asked,
    Termed,
    Killed,
}

/// What follows a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Then {
    /// The policy decides.
    Judge,
    Rest,
    /// A person has asked for it, and so vouches for it.
    Start,
    /// Start it; its deaths so far count on.
    Follow,
}

#[derive(Debug)]
pub(crate) struct Lifecycle {
    traits: Traits,
    policy: Policy,
    phase: Phase,
    /// It understands a Stop message.
    speaks: bool,
    /// Last said by the present process, perhaps before it was ready.
    condition: Option<(Condition, String)>,
    starts: u64,
    started: MonoNs,
    died: Option<MonoNs>,
    last_exit: Option<ExitReason>,
    restart_time: Option<Duration>,
}

impl Lifecycle {
    pub(crate) fn new(traits: Traits, policy: Policy) -> Self {
        Self {
            traits,
            policy,
            phase: Phase::Stopped { why: "not started yet".into() },
            speaks: traits.speaks_at_start,
            condition: None,
            starts: 0,
            started: MonoNs(0),
            died: None,
            last_exit: None,
            restart_time: None,
        }
    }

    pub(crate) fn on(&mut self, now: MonoNs, input: Input) -> Option<Action> {
        match input {
            Input::Await(whom) => {
                if let Phase::Stopped { why } = &mut self.phase {
                    *why = whom.into();
                }
                None
            }
            Input::Start => self.start(now),
            Input::Spawned => self.spawned(now),
            Input::SpawnFailed(text) => self.died(now, ExitReason::Spawn(text)),
            Input::NoRoom(text) => self.no_room(now, ExitReason::Spawn(text)),
            Input::Greeted => self.greeted(now),
            Input::Ready => self.ready(now),
            Input::Condition(condition, why) => {
                self.condition = Some((condition, why));
                None
            }
            Input::Deaf => {
                // One that was asked to stop closes what it has on its way out.
                self.speaks &= matches!(self.phase, Phase::Stopping { .. });
                None
            }
            Input::Fault(reason) => self.end(now, reason, Then::Judge, Step::Killed),
            Input::Died(reason) => self.died(now, reason),
            Input::Drain(limit) => self.drain(now, limit),
            Input::Restart => self.restart(now),
            Input::Follow => self.end(now, ExitReason::OtherSide, Then::Follow, Step::Asked),
            Input::Stop => self.stop(now, Step::Asked),
            Input::KillNow => self.stop(now, Step::Killed),
            Input::Time => self.time(now),
        }
    }

    /// When [`Input::Time`] is due next.
    pub(crate) fn deadline(&self) -> Option<MonoNs> {
        match self.phase {
            Phase::Starting { deadline } | Phase::Stopping { deadline, .. } => Some(deadline),
            Phase::Backoff { until } | Phase::Draining { until, .. } => Some(until),
            Phase::Held { until } => until,
            Phase::Stopped { .. } | Phase::Up { .. } => None,
        }
    }

    /// The supervisor itself did not run for a while (stopped, suspended, starved): a worker must
    /// not pay for that, so its start deadline begins anew.
    pub(crate) fn forgive_gap(&mut self, now: MonoNs) {
        if let Phase::Starting { deadline } = &mut self.phase {
            *deadline = now + self.traits.start_deadline;
        }
    }

    /// Its deaths so far were not its own fault.
    pub(crate) fn forgive(&mut self) {
        self.policy.forgive();
    }

    /// Other rules from now on; a new policy knows nothing of past deaths.
    pub(crate) fn adjust(&mut self, traits: Traits, policy: Option<Policy>) {
        self.traits = traits;
        if let Some(policy) = policy {
            self.policy = policy;
        }
    }

    fn start(&mut self, now: MonoNs) -> Option<Action> {
        match self.phase {
            Phase::Stopped { .. } | Phase::Backoff { .. } | Phase::Held { .. } => {
                self.phase = Phase::Starting { deadline: now + self.traits.start_deadline };
                self.started = now;
                self.starts += 1;
                self.speaks = self.traits.speaks_at_start;
                self.condition = None;
                Some(Action::Spawn)
            }
            Phase::Starting { .. }
            | Phase::Up { .. }
            | Phase::Draining { .. }
            | Phase::Stopping { .. } => None,
        }
    }

    /// Nothing has begun, so nothing is counted; it is tried again until there is room.
    fn no_room(&mut self, now: MonoNs, reason: ExitReason) -> Option<Action> {
        if let Phase::Starting { .. } = self.phase {
            self.starts -= 1;
            self.last_exit = Some(reason);
            self.phase = Phase::Backoff { until: now + self.policy.on_shortage() };
        }
        None
    }

    fn spawned(&mut self, now: MonoNs) -> Option<Action> {
        self.policy.on_start();
        if self.traits.ready_at_start {
            self.condition = Some((Condition::Flowing, String::new()));
            self.ready(now);
        }
        None
    }

    fn greeted(&mut self, now: MonoNs) -> Option<Action> {
        self.speaks = true;
        if self.traits.ready_at_start && self.is_up() {
            // Its restart is over when it says so, not when it began.
            self.died = (self.starts > 1).then_some(self.started);
            self.condition = None;
            self.phase = Phase::Starting { deadline: now + self.traits.start_deadline };
        }
        None
    }

    fn ready(&mut self, now: MonoNs) -> Option<Action> {
        if let Phase::Starting { .. } = self.phase {
            self.phase = Phase::Up { since: now };
            if let Some(died) = self.died.take() {
                self.restart_time = Some(now.saturating_since(died));
            }
        }
        None
    }

    fn died(&mut self, now: MonoNs, reason: ExitReason) -> Option<Action> {
        let good_for = self.good_for(now);
        self.died.get_or_insert(now);
        let (reason, then) = match &self.phase {
            Phase::Starting { .. } | Phase::Up { .. } => (reason, Then::Judge),
            Phase::Draining { .. } => (reason, Then::Rest),
            Phase::Stopping { reason: cause, then, .. } => (told_by(cause, reason), *then),
            Phase::Stopped { .. } | Phase::Backoff { .. } | Phase::Held { .. } => return None,
        };
        let finished = self.traits.may_finish && reason == ExitReason::Code(0);
        self.last_exit = Some(reason);
        match then {
            Then::Judge if finished => self.rest(FINISHED),
            Then::Judge => self.judge(now, good_for),
            Then::Rest => self.rest("asked to"),
            Then::Start => {
                self.policy.forgive();
                self.rest("asked to");
                self.start(now)
            }
            Then::Follow => {
                self.rest("asked to");
                self.start(now)
            }
        }
    }

    fn rest(&mut self, why: &'static str) -> Option<Action> {
        self.died = None;
        self.phase = Phase::Stopped { why: why.into() };
        None
    }

    fn judge(&mut self, now: MonoNs, good_for: Duration) -> Option<Action> {
        match self.policy.on_death(now, good_for) {
            Decision::RestartAfter(delay) => {
                self.phase = Phase::Backoff { until: now + delay };
                self.time(now)
            }
            Decision::Hold(retry) => {
                self.phase = Phase::Held { until: Some(now + retry) };
                None
            }
            Decision::Quarantine => {
                self.phase = Phase::Held { until: None };
                None
            }
        }
    }

    fn restart(&mut self, now: MonoNs) -> Option<Action> {
        self.policy.forgive();
        match &mut self.phase {
            Phase::Starting { .. } | Phase::Up { .. } => {
                self.end(now, ExitReason::Operator, Then::Start, Step::Asked)
            }
            Phase::Stopping { then, .. } => {
                *then = Then::Start;
                None
            }
            Phase::Draining { .. } => None,
            Phase::Stopped { .. } | Phase::Backoff { .. } | Phase::Held { .. } => {
                self.died = None;
                self.start(now)
            }
        }
    }

    fn stop(&mut self, now: MonoNs, step: Step) -> Option<Action> {
        match &mut self.phase {
            Phase::Backoff { .. } | Phase::Held { .. } => self.rest("asked to"),
            Phase::Stopping { then, step: reached, .. } => {
                *then = Then::Rest;
                let harder = step == Step::Killed && *reached != Step::Killed;
                if harder { self.take_step(now, Step::Killed) } else { None }
            }
            Phase::Starting { .. } | Phase::Up { .. } | Phase::Draining { .. } => {
                self.end(now, ExitReason::Operator, Then::Rest, step)
            }
            Phase::Stopped { .. } => None,
        }
    }

    /// One that understands nothing of it, or is not up, is stopped.
    fn drain(&mut self, now: MonoNs, limit: Duration) -> Option<Action> {
        match self.phase {
            Phase::Up { since } if self.traits.speaks_at_start => {
                self.phase = Phase::Draining { since, until: now + limit };
                Some(Action::Drain)
            }
            _ => self.stop(now, Step::Asked),
        }
    }

    /// Begins to end its process; does nothing when there is none or it is being ended.
    fn end(&mut self, now: MonoNs, reason: ExitReason, then: Then, step: Step) -> Option<Action> {
        let then = match self.phase {
            Phase::Starting { .. } | Phase::Up { .. } => then,
            // It has a successor: whatever ends it, it is not started again.
            Phase::Draining { .. } => Then::Rest,
            _ => return None,
        };
        self.phase =
            Phase::Stopping { step, deadline: now, reason, then, good_for: self.good_for(now) };
        // Who never spoke over the link would sit out the grace without knowing.
        let mute = step == Step::Asked && !self.speaks;
        self.take_step(now, if mute { Step::Termed } else { step })
    }

    fn take_step(&mut self, now: MonoNs, next: Step) -> Option<Action> {
        let Phase::Stopping { step, deadline, .. } = &mut self.phase else {
            return None;
        };
        let (action, time) = match next {
            Step::Asked => {
                let grace = self.traits.grace;
                (Action::Ask { grace }, grace)
            }
            Step::Termed if self.speaks => (Action::Term, TERM_TIME),
            Step::Termed => (Action::Term, self.traits.grace),
            Step::Killed => (Action::Kill, KILL_AGAIN),
        };
        *step = next;
        *deadline = now + time;
        Some(action)
    }

    fn time(&mut self, now: MonoNs) -> Option<Action> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        match self.phase {
            Phase::Starting { .. } => {
                self.end(now, ExitReason::StartTimeout, Then::Judge, Step::Killed)
            }
            Phase::Stopping { step, .. } => {
                let next = match step {
                    Step::Asked => Step::Termed,
                    Step::Termed | Step::Killed => Step::Killed,
                };
                self.take_step(now, next)
            }
            Phase::Draining { .. } => self.end(now, ExitReason::Operator, Then::Rest, Step::Asked),
            Phase::Backoff { .. } | Phase::Held { .. } => self.start(now),
            Phase::Stopped { .. } | Phase::Up { .. } => None,
        }
    }

    fn good_for(&self, now: MonoNs) -> Duration {
        match self.phase {
            Phase::Up { since } | Phase::Draining { since, .. } => now.saturating_since(since),
            Phase::Stopping { good_for, .. } => good_for,
            _ => Duration::ZERO,
        }
    }
}

/// Nobody asks the worker for its view of a death that the supervisor caused for a reason; only a
/// stop that was asked for shows how it really ended.
fn told_by(cause: &ExitReason, seen: ExitReason) -> ExitReason {
    match cause {
        ExitReason::Operator if seen == ExitReason::Code(0) => ExitReason::Operator,
        ExitReason::Operator => seen,
        cause => cause.clone(),
    }
}

#[cfg(test)]
mod tests;
