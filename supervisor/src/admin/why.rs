//! `why NAME`: everything known about one worker, and what to try next. The advice is pure.

use std::path::PathBuf;

use protocol::admin::{RingStatus, WorkerState, WorkerStatus};
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

/// Items, and how long one was held: four seconds of most cameras, and no reader that goes on is so far behind for long.
const FAR: u64 = 100;
const HELD_LONG_MS: u64 = 5_000;
/// Who holds one for so long may keep it on purpose; with so many behind it, a second of most cameras, hardly.
const WAITING: u64 = 25;

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
    /// `null` while it does not read the ring.
    #[serde(default)]
    pub(crate) reader: Option<Reading>,
}

/// How a worker comes on with a ring, as its row among the ring's readers says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// Items published and not yet taken.
    pub(crate) lag: u64,
    pub(crate) missed: u64,
    /// Since when it has held a picture, in ms.
    pub(crate) held_ms: Option<u64>,
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
            reads: self.reads(spec, worker.process.as_ref().map(|process| process.pid)),
            writes: spec.output.as_ref().map(|ring| self.ring_head(ring)),
            deaths: worker.dossier.deaths().into_iter().cloned().collect(),
            lines: worker.log.last(LINES, UtcNs(0), "").into_iter().cloned().collect(),
            advice: Vec::new(),
        };
        why.advice = advice(&why);
        why
    }

    fn reads(&self, spec: &WorkerSpec, pid: Option<u32>) -> Vec<Reads> {
        let reads = |name| {
            let writer = self.topology().ring(name).map(|ring| ring.writer.clone());
            let status = self.outlook().status(name);
            let reader = pid.and_then(|pid| Reading::of(&status, &spec.name, pid));
            Reads { ring: RingHead::of(status), writer, reader }
        };
        spec.inputs.iter().map(reads).collect()
    }
}

impl Reading {
    /// A command's reader may be a process that it started; it has the worker's name then, unless it chose another.
    fn of(ring: &RingStatus, name: &WorkerName, pid: u32) -> Option<Self> {
        let mut readers = ring.readers.iter();
        let reader = readers.find(|it| it.pid == pid || it.name == name.as_str())?;
        Some(Self { lag: reader.lag, missed: reader.missed, held_ms: reader.held_ms })
    }

    fn stands(&self) -> bool {
        let holds = self.held_ms.is_some_and(|ms| ms >= HELD_LONG_MS);
        self.lag >= FAR || (holds && self.lag >= WAITING)
    }
}

/// What a person who knows the system would try.
fn advice(why: &Why) -> Vec<Advice> {
    let mut all = Vec::new();
    all.extend(of_input(why));
    all.extend(of_poison(why));
    all.extend(of_last_death(why));
    all.extend(of_reading(why));
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

/// A command has no heartbeat: that it hangs, or is too slow, shows in the rings that it reads alone.
fn of_reading(why: &Why) -> Option<Advice> {
    let name = &why.worker.name;
    let live = || why.reads.iter().filter(|reads| reads.ring.live);
    let read = || live().filter_map(|reads| Some((&reads.ring, reads.reader?)));
    if let Some((ring, Reading { lag, .. })) = read().find(|(_, reading)| reading.stands()) {
        let because = format!(
            "it is {lag} items behind {}: it hangs, looks seldom, or is slower than they come",
            ring.name
        );
        return Some(new(because, format!("framevisor restart {name}")));
    }
    let (ring, Reading { missed, .. }) =
        read().find(|(ring, reading)| reading.missed >= FAR && reading.missed >= ring.head / 10)?;
    let because = format!(
        "it missed {missed} items of {}: it is slower than they come, and `policy: latest` passes over them",
        ring.name
    );
    Some(new(because, "framevisor rings"))
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

    /// `cam1.frames`, which `decode1` writes.
    pub(crate) fn reads(head: u64, reader: Option<Reading>) -> Reads {
        let name = "cam1.frames".parse().unwrap();
        let ring = RingHead { name, live: true, epoch: 1, head, age_ms: Some(40) };
        Reads { ring, writer: Some("decode1".parse().unwrap()), reader }
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
        let mut waits = why(WorkerState::Ready, Vec::new());
        waits.reads.push(reads(0, None));
        waits.reads[0].ring.live = false;
        assert_eq!(commands(&waits)[0], "framevisor why decode1");
    }

    #[test]
    fn who_hangs_or_is_slow_is_known_by_the_rings_it_reads() {
        let first = |head, lag, missed, held_ms| {
            let mut reader = why(WorkerState::Running, Vec::new());
            reader.reads.push(reads(head, Some(Reading { lag, missed, held_ms })));
            let first = advice(&reader).remove(0);
            (first.command, first.because)
        };
        let (command, because) = first(500, 480, 0, None);
        assert_eq!(command, "framevisor restart motion");
        assert_eq!(
            because,
            "it is 480 items behind cam1.frames: it hangs, looks seldom, or is slower than they come"
        );
        assert_eq!(first(500, 30, 0, Some(6_000)).0, "framevisor restart motion");
        let (command, because) = first(500, 8, 300, Some(200));
        assert_eq!(command, "framevisor rings");
        assert!(
            because.starts_with("it missed 300 items of cam1.frames: it is slower"),
            "{because}"
        );
        // One that keeps a picture to compare others with, and a hiccup long ago.
        for (lag, missed, held_ms) in [(1, 0, Some(60_000)), (8, 150, Some(40)), (0, 0, None)] {
            assert_eq!(first(90_000, lag, missed, held_ms).0, "framevisor logs motion");
        }
    }

    #[test]
    fn what_was_asked_for_is_no_fault() {
        let asked = Death { asked_for: true, ..death("SIGKILL", 1) };
        assert_eq!(commands(&why(WorkerState::Running, vec![asked])), ["framevisor logs motion"]);
        let killed = commands(&why(WorkerState::Running, vec![death("SIGKILL", 1)]));
        assert_eq!(killed[0], "dmesg | grep -i oom");
    }
}
