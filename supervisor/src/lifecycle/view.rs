//! What `ps` and the loop ask of a life: its state, the reason in words, counts and times.

use std::time::Duration;

use protocol::admin::WorkerState;
use protocol::control::Condition;
use protocol::exit::ExitReason;
use protocol::time::MonoNs;

use super::{FINISHED, Lifecycle, Phase, told_by};
use crate::policy::TRIES_MAX;

impl Lifecycle {
    pub(crate) fn state(&self) -> WorkerState {
        match &self.phase {
            Phase::Stopped { .. } => WorkerState::Stopped,
            Phase::Starting { .. } => WorkerState::Starting,
            Phase::Up { .. } => match self.condition {
                None | Some((Condition::Waiting | Condition::Parked, _)) => WorkerState::Ready,
                Some((Condition::Flowing, _)) => WorkerState::Running,
                Some((Condition::Degraded, _)) => WorkerState::Degraded,
            },
            Phase::Draining { .. } => WorkerState::Draining,
            Phase::Stopping { .. } => WorkerState::Stopping,
            Phase::Backoff { .. } => WorkerState::Backoff,
            Phase::Held { until: Some(_) } => WorkerState::Held,
            Phase::Held { until: None } => WorkerState::Quarantined,
        }
    }

    /// The reason for the state, for people; empty when there is nothing to say.
    pub(crate) fn why(&self, now: MonoNs) -> String {
        let last = || self.last_exit.as_ref().map_or_else(String::new, ToString::to_string);
        match &self.phase {
            Phase::Stopped { why } => why.clone().into_owned(),
            Phase::Starting { .. } => String::new(),
            Phase::Up { .. } => self.condition_text(),
            Phase::Draining { until, .. } => {
                let left = until.saturating_since(now).as_secs();
                format!("its successor works; its clients may stay for {left} s")
            }
            Phase::Stopping { reason, .. } => reason.to_string(),
            Phase::Backoff { until } => {
                let left = until.saturating_since(now).as_secs_f64();
                format!("{}; restarts in {left:.1} s", last())
            }
            Phase::Held { until: None } => {
                format!("{}; it died at {TRIES_MAX} further tries, so it is tried no more", last())
            }
            Phase::Held { until: Some(until) } => {
                let left = until.saturating_since(now).as_secs();
                format!("{}; too many deaths, tried again in {left} s", last())
            }
        }
    }

    fn condition_text(&self) -> String {
        match &self.condition {
            None => String::new(),
            Some((Condition::Parked, why)) if why.is_empty() => {
                "parked: nobody reads its output".to_owned()
            }
            Some((Condition::Waiting, why)) if why.is_empty() => "waits for its input".to_owned(),
            Some((_, why)) => why.clone(),
        }
    }

    /// What a death counts as that is seen as `seen`, and whether somebody asked for it.
    pub(crate) fn judged(&self, seen: &ExitReason) -> (ExitReason, bool) {
        match &self.phase {
            Phase::Stopping { reason, .. } => (told_by(reason, seen.clone()), !reason.is_failure()),
            Phase::Draining { .. } if *seen == ExitReason::Code(0) => (seen.clone(), true),
            _ => (seen.clone(), false),
        }
    }

    /// Whether a process of it runs that nobody has asked to end.
    pub(crate) fn runs(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. } | Phase::Up { .. })
    }

    /// Whether its process runs and has not shown that it is up.
    pub(crate) fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. })
    }

    /// Whether it works off what it has for the sake of its clients.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. })
    }

    /// Whether readiness and heartbeat may be expected of it.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up { .. })
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.is_up() && matches!(self.condition, Some((Condition::Parked, _)))
    }

    /// For how long it has been up without a break.
    pub(crate) fn up_for(&self, now: MonoNs) -> Option<Duration> {
        match self.phase {
            Phase::Up { since } => Some(now.saturating_since(since)),
            _ => None,
        }
    }

    /// Whether nothing but its running shows that it does its work.
    pub(crate) fn is_mute(&self) -> bool {
        self.traits.ready_at_start && !self.speaks
    }

    /// Whether its input has ended.
    pub(crate) fn has_finished(&self) -> bool {
        matches!(&self.phase, Phase::Stopped { why } if why == FINISHED)
    }

    pub(crate) fn starts(&self) -> u64 {
        self.starts
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.starts.saturating_sub(1)
    }

    /// When the present or last process was started.
    pub(crate) fn started(&self) -> MonoNs {
        self.started
    }

    pub(crate) fn last_exit(&self) -> Option<&ExitReason> {
        self.last_exit.as_ref()
    }

    pub(crate) fn restart_time(&self) -> Option<Duration> {
        self.restart_time
    }
}
