//! `why NAME`: everything known about one worker, and what to try next. The advice is pure.

use std::path::PathBuf;

use protocol::admin::{WorkerState, WorkerStatus};
use protocol::control::ItemId;
use protocol::name::WorkerName;
use protocol::time::{MonoNs, UtcNs};
use serde::{Deserialize, Serialize};

use crate::dossier::{Death, LINES, Progress, RingHead, item_in_hand};
use crate::floors;
use crate::logs::LogLine;
use crate::supervisor::Supervisor;
use crate::topology::WorkerSpec;
use crate::workers::WorkerId;

/// Arguments of `why`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    pub(crate) name: WorkerName,
}

/// Answer of `why`. More keys may come; these stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Why {
    pub(crate) worker: WorkerStatus,
    /// Now, as in [`Death`].
    pub(crate) item: Option<ItemId>,
    /// Items that it died on twice and passes over now, oldest first.
    #[serde(default)]
    pub(crate) passed_over: Vec<ItemId>,
    /// Where those are kept as files.
    #[serde(default)]
    pub(crate) kept_in: PathBuf,
    pub(crate) progress: Option<Progress>,
    pub(crate) reads: Vec<Reads>,
    pub(crate) writes: Option<RingHead>,
    /// Oldest first.
    pub(crate) deaths: Vec<Death>,
    /// The last it printed, across its restarts.
    pub(crate) lines: Vec<LogLine>,
    /// What to do next, the most likely first: commands and what they are for.
    pub(crate) advice: Vec<Advice>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reads {
    pub(crate) ring: RingHead,
    /// `null` for a ring that a program outside the topology writes.
    pub(crate) writer: Option<WorkerName>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Advice {
    pub(crate) because: String,
    pub(crate) command: String,
}

impl Supervisor {
    pub(crate) fn why(&self, now: MonoNs, at: WorkerId) -> Why {
        let worker = &self.workers[at];
        let spec = &worker.spec;
        let health = worker.process.as_ref().and_then(|process| process.health());
        let mut why = Why {
            worker: worker.status(now),
            item: health.as_ref().and_then(item_in_hand),
            passed_over: worker.poison.passed_over(),
            kept_in: floors::quarantine_folder(&self.topology().project).join(spec.name.as_str()),
            progress: health.as_ref().map(Progress::of),
            reads: self.reads(spec),
            writes: spec.output.as_ref().map(|ring| self.ring_head(ring)),
            deaths: worker.dossier.deaths().into_iter().cloned().collect(),
            lines: worker.log.last(LINES, UtcNs(0), "").into_iter().cloned().collect(),
            advice: Vec::new(),
        };
        why.advice = advice(&why);
        why
    }

    fn reads(&self, spec: &WorkerSpec) -> Vec<Reads> {
        let reads = |name| {
            let writer = self.topology().ring(name).map(|ring| ring.writer.clone());
            Reads { ring: self.ring_head(name), writer }
        };
        spec.inputs.iter().map(reads).collect()
    }
}

/// What a person who knows the system would try.
fn advice(why: &Why) -> Vec<Advice> {
    let mut all = Vec::new();
    all.extend(of_input(why));
    all.extend(of_poison(why));
    all.extend(of_last_death(why));
    all.extend(of_state(why));
    let name = &why.worker.name;
    all.push(new("all that it said", format!("framevisor logs {name}")));
    all
}

fn new(because: impl Into<String>, command: impl Into<String>) -> Advice {
    Advice { because: because.into(), command: command.into() }
}

/// A reader that waits is well: its writer is not.
fn of_input(why: &Why) -> Option<Advice> {
    let dead = why.reads.iter().find(|reads| !reads.ring.live)?;
    let writer = dead.writer.as_ref()?;
    let because = format!("nobody writes {}, which it reads", dead.ring.name);
    Some(new(because, format!("framevisor why {writer}")))
}

/// What killed it twice is kept as a file, for whoever mends the program.
fn of_poison(why: &Why) -> Option<Advice> {
    let ItemId { epoch, sequence } = why.passed_over.last()?;
    let because =
        format!("it died twice on item {sequence} of epoch {epoch}, and passes over it now");
    Some(new(because, format!("framevisor logs {} --grep quarantine", why.worker.name)))
}

fn of_last_death(why: &Why) -> Option<Advice> {
    let last = why.deaths.iter().rev().find(|death| !death.asked_for)?;
    let is = |start: &str| last.reason.starts_with(start);
    let pid = last.pid.unwrap_or_default();
    if is("cannot start") {
        return Some(new("its program cannot be started", "framevisor check"));
    }
    if last.reason.ends_with("(core dumped)") {
        return Some(new("it left a core", format!("coredumpctl info {pid}")));
    }
    if is("oom") {
        let because = "it used more memory than it may: `limits: {memory: 2GiB}` gives it more";
        return Some(new(because, "framevisor ps -o json"));
    }
    if is("SIGKILL") {
        return Some(new("the kernel kills so when memory is short", "dmesg | grep -i oom"));
    }
    None
}

fn of_state(why: &Why) -> Option<Advice> {
    let name = &why.worker.name;
    match why.worker.state {
        WorkerState::Held | WorkerState::Quarantined => {
            Some(new("it is held: when the cause is gone", format!("framevisor restart {name}")))
        }
        WorkerState::Backoff => {
            Some(new("to try now instead of waiting", format!("framevisor restart {name}")))
        }
        WorkerState::Stopped => {
            Some(new("it is stopped: to start it", format!("framevisor start {name}")))
        }
        WorkerState::Degraded => {
            Some(new("it runs and says what it lacks", format!("framevisor logs -f {name}")))
        }
        WorkerState::Draining
        | WorkerState::Ready
        | WorkerState::Running
        | WorkerState::Starting
        | WorkerState::Stopping => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::dossier::tests::death;

    pub(crate) fn why(state: WorkerState, deaths: Vec<Death>) -> Why {
        let worker = WorkerStatus {
            name: "motion".parse().unwrap(),
            kind: "motion".into(),
            pid: None,
            state,
            why: String::new(),
            restarts: 0,
            uptime_s: 0.0,
            last_exit: String::new(),
            restart_ms: None,
            health: Default::default(),
        };
        Why {
            worker,
            item: None,
            passed_over: Vec::new(),
            kept_in: PathBuf::new(),
            progress: None,
            reads: Vec::new(),
            writes: None,
            deaths,
            lines: Vec::new(),
            advice: Vec::new(),
        }
    }

    fn commands(why: &Why) -> Vec<String> {
        advice(why).into_iter().map(|advice| advice.command).collect()
    }

    #[test]
    fn an_item_that_is_passed_over_is_named_and_a_held_worker_can_be_lifted() {
        let mut held = why(WorkerState::Held, vec![death("SIGABRT", 9), death("SIGABRT", 9)]);
        assert!(!advice(&held)[0].because.contains("item"));
        held.passed_over.push(ItemId { epoch: 7, sequence: 9 });
        let told = &advice(&held)[0].because;
        assert_eq!(told, "it died twice on item 9 of epoch 7, and passes over it now");
        assert_eq!(commands(&held)[1..], ["framevisor restart motion", "framevisor logs motion"]);
    }

    #[test]
    fn a_reader_of_a_dead_ring_is_sent_to_its_writer() {
        let ring = RingHead {
            name: "cam1.frames".parse().unwrap(),
            live: false,
            epoch: 0,
            head: 0,
            age_ms: None,
        };
        let mut waits = why(WorkerState::Ready, Vec::new());
        waits.reads.push(Reads { ring, writer: Some("decode1".parse().unwrap()) });
        assert_eq!(commands(&waits)[0], "framevisor why decode1");
    }

    #[test]
    fn what_was_asked_for_is_no_fault() {
        let asked = Death { asked_for: true, ..death("SIGKILL", 1) };
        assert_eq!(commands(&why(WorkerState::Running, vec![asked])), ["framevisor logs motion"]);
        let killed = commands(&why(WorkerState::Running, vec![death("SIGKILL", 1)]));
        assert_eq!(killed[0], "dmesg | grep -i oom");
    }
}
