//! What became of the workers: the last changes of their states, with reasons. Pure.

use std::collections::VecDeque;

use protocol::admin::WorkerState;
use protocol::control::Happening;
use protocol::name::WorkerName;
use protocol::time::{MonoNs, UtcNs};
use serde::{Deserialize, Serialize};

use crate::admin::selects;
use crate::facts::Facts;
use crate::lifecycle::{Input, Lifecycle};
use crate::selector::Selector;
use crate::topology::matches;

/// A site with a bad night still fits; at some 200 bytes each.
const CHANGES_MAX: usize = 1000;

/// One change of one worker's state, as `events` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) time_utc_ns: UtcNs,
    pub(crate) worker: WorkerName,
    pub(crate) from: WorkerState,
    pub(crate) to: WorkerState,
    /// Empty when there is nothing to say.
    pub(crate) reason: String,
    /// What `hooks:` call it: `worker.backoff`, and `worker.died` or `camera.down` with it.
    #[serde(default)]
    pub(crate) events: Vec<String>,
    /// What more a worker told of it.
    #[serde(default)]
    pub(crate) data: Option<Facts>,
}

/// Which changes somebody wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangesWanted {
    /// None is all workers.
    pub(crate) workers: Vec<Selector>,
    /// Names of events, or patterns of them; none is all.
    pub(crate) types: Vec<String>,
    pub(crate) from: Option<UtcNs>,
    /// This moment too.
    pub(crate) to: Option<UtcNs>,
}

impl ChangesWanted {
    /// Of what is yet to happen, all of it is after any time that was asked for, also when the clock is set back.
    pub(crate) fn of_what_is_to_come(self) -> Self {
        Self { from: None, ..self }
    }

    pub(crate) fn holds(&self, change: &Change) -> bool {
        let Self { workers, types, from, to } = self;
        let time = change.time_utc_ns;
        let is_of = |pattern: &String| change.events.iter().any(|event| matches(pattern, event));
        selects(workers, &change.worker)
            && (types.is_empty() || types.iter().any(is_of))
            && from.is_none_or(|from| from <= time)
            && to.is_none_or(|to| time <= to)
    }
}

/// The newest changes of all workers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct History {
    changes: VecDeque<Change>,
    /// What comes all day long on a good day: apart, so that it does not push out what went wrong.
    routine: VecDeque<Change>,
}

impl History {
    pub(crate) fn add(&mut self, change: Change) {
        let kept = if is_routine(&change) { &mut self.routine } else { &mut self.changes };
        if kept.len() == CHANGES_MAX {
            kept.pop_front();
        }
        kept.push_back(change);
    }

    /// The newest of them, for whoever follows if this supervisor is killed.
    pub(crate) fn newest(&self, count: usize) -> Self {
        let newest = |changes: &VecDeque<Change>| {
            changes.iter().skip(changes.len().saturating_sub(count)).cloned().collect()
        };
        Self { changes: newest(&self.changes), routine: newest(&self.routine) }
    }

    /// The newest `count` of those that are wanted, oldest first.
    pub(crate) fn last<'a>(
        &'a self,
        count: usize,
        wants: impl Fn(&Change) -> bool,
    ) -> Vec<&'a Change> {
        let newest = |changes: &'a VecDeque<Change>| {
            changes.iter().rev().filter(|change| wants(change)).take(count).collect::<Vec<_>>()
        };
        let mut changes = newest(&self.changes);
        changes.extend(newest(&self.routine));
        changes.sort_by_key(|change| std::cmp::Reverse(change.time_utc_ns));
        changes.truncate(count);
        changes.reverse();
        changes
    }
}

fn is_routine(change: &Change) -> bool {
    let segment = Happening::RecordingSegment.as_str();
    change.events.iter().any(|event| event == segment || event.starts_with("rule."))
}

/// What moved a worker: its present state alone does not tell why it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Asked,
    Died,
    Told,
    Waited,
}

impl Cause {
    pub(crate) fn of(input: &Input) -> Self {
        match input {
            Input::Died(_) | Input::NoRoom(_) | Input::SpawnFailed(_) => Self::Died,
            Input::Drain(_) | Input::KillNow | Input::Restart | Input::Stop => Self::Asked,
            Input::Time => Self::Waited,
            Input::Await(_)
            | Input::Condition(..)
            | Input::Deaf
            | Input::Fault(_)
            | Input::Greeted
            | Input::Ready
            | Input::Spawned
            | Input::Start
            | Input::Follow => Self::Told,
        }
    }

    /// Why `life` is in its state since this happened.
    pub(crate) fn reason(self, life: &Lifecycle, now: MonoNs) -> String {
        match (life.state(), self) {
            (WorkerState::Starting, Self::Asked) => "asked to".to_owned(),
            (WorkerState::Starting, Self::Died) => {
                life.last_exit().map(ToString::to_string).unwrap_or_default()
            }
            (WorkerState::Starting, Self::Waited) => "its wait is over".to_owned(),
            _ => life.why(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: u64, worker: &str) -> Change {
        Change {
            time_utc_ns: UtcNs(number),
            worker: worker.parse().unwrap(),
            from: WorkerState::Starting,
            to: WorkerState::Ready,
            reason: String::new(),
            events: vec!["worker.ready".to_owned()],
            data: None,
        }
    }

    #[test]
    fn changes_are_chosen_by_worker_event_and_time() {
        let held = Change { events: vec!["worker.held".to_owned()], ..change(20, "a") };
        let changes = [change(10, "a"), held, change(30, "b")];
        let chosen = |wanted: ChangesWanted| {
            let chosen = changes.iter().filter(|change| wanted.holds(change));
            chosen.map(|change| change.time_utc_ns.0).collect::<Vec<_>>()
        };
        let all = ChangesWanted::default;
        assert_eq!(chosen(all()), [10, 20, 30]);
        assert_eq!(
            chosen(ChangesWanted { workers: vec!["a".parse().unwrap()], ..all() }),
            [10, 20]
        );
        let types = vec!["camera.*".to_owned(), "worker.h*".to_owned()];
        assert_eq!(chosen(ChangesWanted { types, ..all() }), [20]);
        let (from, to) = (Some(UtcNs(20)), Some(UtcNs(30)));
        assert_eq!(chosen(ChangesWanted { from, to, ..all() }), [20, 30]);
        assert_eq!(chosen(ChangesWanted { to: Some(UtcNs(29)), from, ..all() }), [20]);
        // A clock that was set back meanwhile hides nothing from who follows.
        assert_eq!(chosen(ChangesWanted { from, to, ..all() }.of_what_is_to_come()), [10, 20, 30]);
    }

    #[test]
    fn only_the_newest_changes_are_kept_and_of_them_those_that_are_wanted() {
        let mut history = History::default();
        for number in 0..2500 {
            history.add(change(number, if number % 2 == 0 { "a" } else { "b" }));
        }
        assert_eq!(history.last(usize::MAX, |_| true).len(), CHANGES_MAX);
        let of_a = history.last(2, |change| change.worker.as_str() == "a");
        assert_eq!(of_a, [&change(2496, "a"), &change(2498, "a")]);
    }

    #[test]
    fn what_comes_all_day_pushes_out_nothing_else() {
        let mut history = History::default();
        history.add(change(1, "a"));
        let segment = |number: u64| Change {
            events: vec!["recording.segment".to_owned()],
            ..change(number, "recorder")
        };
        (2..5000).for_each(|number| history.add(segment(number)));
        history.add(change(5000, "a"));
        let all = history.last(usize::MAX, |_| true);
        assert_eq!((all.len(), all[0].time_utc_ns.0), (2 + CHANGES_MAX, 1));
        let times: Vec<u64> = history.last(2, |_| true).iter().map(|it| it.time_utc_ns.0).collect();
        assert_eq!(times, [4999, 5000]);
    }
}
