//! What happened, as hooks are told. Pure.

use protocol::admin::WorkerState;
use protocol::config::Kind;
use protocol::name::{ProjectName, WorkerName};
use protocol::time::UtcNs;
use serde::Serialize;

use crate::facts::Facts;
use crate::history::Change;

/// A text of a camera's may be long; what a hook is told fits into its pipe.
const REASON_MAX_CHARS: usize = 2_000;

/// The whole of an event's facts, and the begin of the names of single ones.
const DATA: &str = "FRAMEVISOR_EVENT_DATA";

/// A process ended and nobody had asked for it.
pub(crate) const DIED: &str = "worker.died";

/// One event. More keys may come; these stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Happening {
    pub(crate) event: String,
    pub(crate) time_utc_ns: UtcNs,
    pub(crate) project: ProjectName,
    /// `null` for events of the project.
    pub(crate) worker: Option<WorkerName>,
    /// A built-in kind, or `run`.
    pub(crate) kind: Option<&'static str>,
    pub(crate) from: Option<WorkerState>,
    pub(crate) to: Option<WorkerState>,
    /// Empty when there is nothing to say.
    pub(crate) reason: String,
    /// What more there is to know of it.
    pub(crate) data: Option<Facts>,
}

impl Happening {
    pub(crate) fn of_project(event: &str, time: UtcNs, project: &ProjectName) -> Self {
        let (event, project, reason) = (event.to_owned(), project.clone(), String::new());
        let (worker, kind, from, to) = (None, None, None, None);
        Self { event, time_utc_ns: time, project, worker, kind, from, to, reason, data: None }
    }

    /// The same facts under another event's name.
    pub(crate) fn of_change(
        event: &str,
        change: &Change,
        kind: &'static str,
        project: &ProjectName,
    ) -> Self {
        Self {
            event: event.to_owned(),
            time_utc_ns: change.time_utc_ns,
            project: project.clone(),
            worker: Some(change.worker.clone()),
            kind: Some(kind),
            from: Some(change.from),
            to: Some(change.to),
            reason: shortened(&change.reason),
            data: change.data.clone(),
        }
    }

    pub(crate) fn of_death(
        worker: &WorkerName,
        kind: &'static str,
        reason: &str,
        time: UtcNs,
        project: &ProjectName,
    ) -> Self {
        let event = DIED;
        let (worker, kind) = (Some(worker.clone()), Some(kind));
        Self { worker, kind, reason: shortened(reason), ..Self::of_project(event, time, project) }
    }

    /// The same as variables, for scripts that read no JSON.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut variables: Vec<(String, String)> =
            self.common().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let Some(data) = &self.data else { return variables };
        variables.push((DATA.to_owned(), shortened(data.text())));
        let plain = data.plain().into_iter();
        variables.extend(
            plain.map(|(key, value)| (format!("{DATA}_{}", shouted(&key)), shortened(&value))),
        );
        variables
    }

    fn common(&self) -> Vec<(&'static str, String)> {
        let state = |state: Option<WorkerState>| state.map_or("", WorkerState::as_str).to_owned();
        vec![
            ("FRAMEVISOR_PROJECT", self.project.to_string()),
            ("FRAMEVISOR_EVENT", self.event.clone()),
            ("FRAMEVISOR_EVENT_TIME_UTC_NS", self.time_utc_ns.0.to_string()),
            (
                "FRAMEVISOR_EVENT_WORKER",
                self.worker.as_ref().map(ToString::to_string).unwrap_or_default(),
            ),
            ("FRAMEVISOR_EVENT_KIND", self.kind.unwrap_or_default().to_owned()),
            ("FRAMEVISOR_EVENT_FROM", state(self.from)),
            ("FRAMEVISOR_EVENT_TO", state(self.to)),
            ("FRAMEVISOR_EVENT_REASON", self.reason.clone()),
        ]
    }
}

/// As a part of a variable's name.
fn shouted(key: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    key.chars().map(upper).collect()
}

fn shortened(text: &str) -> String {
    // No variable may hold a zero.
    text.chars().filter(|c| *c != '\0').take(REASON_MAX_CHARS).collect()
}

/// The events that a change of a worker's state is. A camera is down when its ingest runs no more and
/// nobody asked for that.
pub(crate) fn events_of(
    kind: Option<Kind>,
    from: WorkerState,
    to: WorkerState,
    asked: bool,
) -> Vec<&'static str> {
    let mut events = vec![event_of(to)];
    if kind == Some(Kind::Ingest) && to == WorkerState::Running {
        events.push("camera.up");
    }
    if kind == Some(Kind::Ingest) && from == WorkerState::Running && !asked {
        events.push("camera.down");
    }
    events
}

fn event_of(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Starting => "worker.starting",
        WorkerState::Ready => "worker.ready",
        WorkerState::Running => "worker.running",
        WorkerState::Degraded => "worker.degraded",
        WorkerState::Draining => "worker.draining",
        WorkerState::Stopping => "worker.stopping",
        WorkerState::Backoff => "worker.backoff",
        WorkerState::Held => "worker.held",
        WorkerState::Quarantined => "worker.quarantined",
        WorkerState::Stopped => "worker.stopped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::EVENTS;

    #[test]
    fn a_camera_is_down_when_its_ingest_stops_running_unasked() {
        use WorkerState::{Degraded, Running, Stopping};
        let ingest = Some(Kind::Ingest);
        assert_eq!(events_of(ingest, Running, Degraded, false), ["worker.degraded", "camera.down"]);
        assert_eq!(events_of(ingest, Degraded, Running, false), ["worker.running", "camera.up"]);
        assert_eq!(events_of(ingest, Running, Stopping, true), ["worker.stopping"]);
        assert_eq!(events_of(Some(Kind::Web), Running, Degraded, false), ["worker.degraded"]);
    }

    #[test]
    fn every_state_is_an_event_that_a_topology_may_name() {
        for state in [
            WorkerState::Starting,
            WorkerState::Ready,
            WorkerState::Running,
            WorkerState::Degraded,
            WorkerState::Stopping,
            WorkerState::Backoff,
            WorkerState::Held,
            WorkerState::Quarantined,
            WorkerState::Stopped,
        ] {
            assert!(EVENTS.contains(&event_of(state)));
        }
    }
}
