//! One worker as the supervisor holds it: its life, its process while it has one, its lines.

use std::net::SocketAddr;
use std::time::Duration;

use protocol::admin::{WorkerState, WorkerStatus};
use protocol::config::Kind;
use protocol::control::Joint;
use protocol::name::WorkerName;
use protocol::time::MonoNs;
use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use crate::dossier::Dossier;
use crate::lifecycle::{self, Lifecycle, Traits};
use crate::limits::Shown;
use crate::logs::{LogBook, LogLine};
use crate::manifest::Leaving;
use crate::poison::Poison;
use crate::policy::Policy;
use crate::process::{self, Process};
use crate::shutdown;
use crate::topology::{Laid, Launch, Readiness, RingSpec, WorkerSpec};

/// Our own workers attach rings and open sockets in milliseconds; a camera that is down is no
/// reason to be late, because that is a condition.
const START_BUILT_IN: Duration = Duration::from_secs(5);
/// A Python program imports its libraries first.
const START_RUN: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(2);
/// A recorder finishes a fragment and syncs it to a disk that may be slow.
const GRACE_RECORDER: Duration = Duration::from_secs(5);

/// What a worker is to the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Goes when its process has ended.
    Departing,
    Member,
    /// Comes up beside a member, whose place it takes when it is healthy.
    Successor,
}

#[derive(Debug)]
pub(crate) struct Worker {
    /// As it was started: its own, because the topology may have changed since.
    pub(crate) spec: WorkerSpec,
    /// The rings it writes, as its next process is to make them.
    pub(crate) writes: Vec<RingSpec>,
    /// Places that its present process was told to give the first of them.
    pub(crate) laid: Option<u32>,
    /// The same of the others.
    pub(crate) more_laid: Laid,
    pub(crate) role: Role,
    /// Another process still writes its ring.
    pub(crate) stands_by: bool,
    /// Where it left its ring to its successor.
    pub(crate) joint: Option<Joint>,
    pub(crate) life: Lifecycle,
    pub(crate) process: Option<Process>,
    pub(crate) log: LogBook,
    pub(crate) dossier: Dossier,
    pub(crate) poison: Poison,
    /// Its next death is a drill's.
    pub(crate) drilled: bool,
    /// It has died unasked, and the change of its state that follows at once is still to tell so.
    pub(crate) died: bool,
    /// A line that finds this says that it is up.
    pub(crate) ready_line: Option<Regex>,
    /// Its turn when the project stops.
    pub(crate) stage: u8,
    /// Of its limits, what could not be set and was told.
    pub(crate) told: Vec<String>,
}

/// A worker that another supervisor goes on with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Handed {
    pub(crate) name: WorkerName,
    life: lifecycle::Snapshot,
    pub(crate) process: Option<process::Handed>,
    lines: Vec<LogLine>,
    dossier: Dossier,
    poison: Poison,
    #[serde(default)]
    drilled: bool,
    laid: Option<u32>,
    #[serde(default)]
    more_laid: Laid,
    /// A person wants it stopped, and it has not ended yet.
    pub(crate) leaves: bool,
    /// It is not started before others are up.
    pub(crate) waits: bool,
}

/// A row of `ps -o json`: what is promised, the addresses it listens on, its limits.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    pub(crate) status: WorkerStatus,
    pub(crate) listen: Vec<SocketAddr>,
    /// If the supervisor is killed now, it goes on.
    pub(crate) outlives: bool,
    /// What holds for its process; left out while there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<Shown>,
}

fn kind(spec: &WorkerSpec) -> Option<Kind> {
    match &spec.launch {
        Launch::Run { .. } => None,
        Launch::Use(config) => Some(config.kind()),
    }
}

fn traits(spec: &WorkerSpec) -> Traits {
    let kind = kind(spec);
    Traits {
        start_deadline: if kind.is_some() { START_BUILT_IN } else { START_RUN },
        grace: if kind == Some(Kind::Recorder) { GRACE_RECORDER } else { GRACE },
        speaks_at_start: kind.is_some(),
        ready_at_start: kind.is_none() && spec.ready.is_none(),
        may_finish: kind.is_some(),
    }
}

/// The topology has tried it: one that is none would find nothing.
fn ready_line(spec: &WorkerSpec) -> Option<Regex> {
    match &spec.ready {
        Some(Readiness::Log(pattern)) => Regex::new(pattern).ok(),
        _ => None,
    }
}

impl Worker {
    pub(crate) fn new(spec: WorkerSpec, writes: Vec<RingSpec>, seed: u64) -> Self {
        let kind = kind(&spec);
        Self {
            writes,
            laid: None,
            more_laid: Laid::new(),
            role: Role::Member,
            stands_by: false,
            joint: None,
            life: Lifecycle::new(traits(&spec), Policy::new(spec.restart, seed)),
            process: None,
            log: LogBook::new(spec.name.clone()),
            dossier: Dossier::default(),
            poison: Poison::default(),
            drilled: false,
            died: false,
            ready_line: ready_line(&spec),
            stage: shutdown::stage(kind),
            spec,
            told: Vec::new(),
        }
    }

    pub(crate) fn hand_on<'a>(&'a self, leaving: &mut Leaving<'a>) -> Handed {
        Handed {
            process: self.process.as_ref().map(|process| process.hand_on(leaving)),
            lines: self.log.lines().cloned().collect(),
            ..self.leave_behind()
        }
    }

    /// For whoever follows if this supervisor is killed: what it printed is not kept for that.
    pub(crate) fn leave_behind(&self) -> Handed {
        Handed {
            name: self.spec.name.clone(),
            life: self.life.snapshot(),
            process: self.process.as_ref().map(Process::leave_behind),
            lines: Vec::new(),
            dossier: self.dossier.clone(),
            poison: self.poison.clone(),
            drilled: self.drilled,
            laid: self.laid,
            more_laid: self.more_laid.clone(),
            leaves: false,
            waits: false,
        }
    }

    /// All but its process.
    pub(crate) fn resume(&mut self, handed: Handed) {
        self.life.resume(handed.life);
        self.log = LogBook::resumed(self.spec.name.clone(), handed.lines);
        (self.dossier, self.poison) = (handed.dossier, handed.poison);
        self.drilled = handed.drilled;
        (self.laid, self.more_laid) = (handed.laid, handed.more_laid);
    }

    /// It is to be this from now on. A process that runs goes on as it was started.
    pub(crate) fn change_to(&mut self, spec: WorkerSpec, writes: Vec<RingSpec>, seed: u64) {
        let policy = (spec.restart != self.spec.restart).then(|| Policy::new(spec.restart, seed));
        self.life.adjust(traits(&spec), policy);
        self.ready_line = ready_line(&spec);
        self.stage = shutdown::stage(kind(&spec));
        self.spec = spec;
        self.writes = writes;
    }

    pub(crate) fn status(&self, now: MonoNs) -> WorkerStatus {
        let life = &self.life;
        let uptime =
            self.process.as_ref().map_or(Duration::ZERO, |_| now.saturating_since(life.started()));
        WorkerStatus {
            name: self.spec.name.clone(),
            kind: self.spec.kind_name().to_owned(),
            pid: self.process.as_ref().map(|process| process.pid),
            state: life.state(),
            why: self.why(now),
            restarts: life.restarts(),
            uptime_s: uptime.as_secs_f64(),
            last_exit: life.last_exit().map(ToString::to_string).unwrap_or_default(),
            restart_ms: life.restart_time().map(|time| time.as_secs_f64() * 1000.0),
            health: self.process.as_ref().and_then(Process::health).unwrap_or_default().picture,
        }
    }

    /// The reason for its state; while it waits for its next try, with its own last words.
    pub(crate) fn why(&self, now: MonoNs) -> String {
        let why = self.life.why(now);
        let waits = matches!(
            self.life.state(),
            WorkerState::Backoff | WorkerState::Held | WorkerState::Quarantined
        );
        match self.dossier.last_words() {
            Some(words) if waits => format!("{words} ({why})"),
            _ => why,
        }
    }
}
