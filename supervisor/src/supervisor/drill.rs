//! A fault on demand. The supervisor itself does it to its worker: it holds the process, so no other can
//! be meant, and it knows that this death is nobody's fault. The worker's past is forgiven before, so that
//! no drill opens the breaker or waits for a back-off, and the item in hand is not suspected.

use std::path::PathBuf;

use protocol::admin::{ReplyError, WorkerState};
use protocol::config::WorkerConfig;
use protocol::control::ToWorker;
use protocol::name::{RingName, WorkerName};
use protocol::time::{MonoNs, UtcNs};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shmring::clock;

use super::Supervisor;
use crate::admin::verbs::error;
use crate::topology::Launch;
use crate::workers::WorkerId;

/// What a drill does to a worker.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fault {
    /// SIGKILL
    Kill,
    /// SIGSTOP: its heart stands still
    Stop,
    /// Its heart beats on and it takes nothing
    Hang,
}

impl Fault {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Hang => "hang",
        }
    }
}

/// Arguments of `drill`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) name: WorkerName,
    pub(crate) fault: Fault,
}

/// Answer of `drill`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Drilled {
    /// It was done at this moment, to this process.
    Done { utc_ns: UtcNs, mono_ns: MonoNs, pid: u32 },
    /// Nothing was done: nobody could see the fault, for this reason.
    Blind(String),
}

/// One recorded ring: a row of `recorders`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) worker: WorkerName,
    pub(crate) ring: RingName,
    /// Where its files are.
    pub(crate) folder: PathBuf,
}

impl Supervisor {
    pub(crate) fn drill(&mut self, now: MonoNs, wanted: Wanted) -> Result<Value, ReplyError> {
        let places = self.places_of(&[wanted.name.clone().into()])?;
        let Some(&at) = places.first() else { return Ok(Value::Null) };
        if !self.workers[at].life.is_up() {
            let state = self.workers[at].life.state().as_str();
            let text = format!("{} is {state}: there is nothing to do a fault to", wanted.name);
            return Err(error("worker", text, "wait until it is up, or `framevisor start` it"));
        }
        if let Some(why) = self.unseen(at, wanted.fault) {
            return Ok(json!(Drilled::Blind(why)));
        }
        let Some(process) = self.workers[at].process.as_mut() else { return Ok(Value::Null) };
        let pid = process.pid;
        tracing::info!(worker = %wanted.name, pid, fault = wanted.fault.as_str(), "drill");
        let moment = clock::now();
        let (id, mut sent) = (process.id, Ok(()));
        match wanted.fault {
            Fault::Kill => process.kill(),
            Fault::Stop => process.freeze(),
            Fault::Hang => sent = process.link.send(&ToWorker::Hang),
        }
        process.update_interest(&self.poller);
        let worker = &mut self.workers[at];
        worker.life.forgive();
        worker.drilled = true;
        if let Err(violation) = sent {
            self.cut_off(now, id, &violation);
        }
        Ok(json!(Drilled::Done { utc_ns: moment.utc, mono_ns: moment.mono, pid }))
    }

    /// Why this fault of this worker would not be found; `None` when it would.
    fn unseen(&self, at: WorkerId, fault: Fault) -> Option<String> {
        let worker = &self.workers[at];
        let health = worker.process.as_ref().and_then(|process| process.health());
        match (fault, health) {
            (Fault::Kill, _) => None,
            (Fault::Stop | Fault::Hang, None) => Some("a run: worker has no heartbeat".to_owned()),
            (Fault::Stop, Some(_)) => None,
            (Fault::Hang, Some(_)) if self.spec(at).inputs.is_empty() => {
                Some("it reads no ring: its progress is its source's".to_owned())
            }
            (Fault::Hang, Some(health)) if health.taken == 0 => {
                Some("it has taken nothing that its progress is judged by".to_owned())
            }
            (Fault::Hang, Some(_)) if worker.life.state() != WorkerState::Running => {
                let state = worker.life.state().as_str();
                Some(format!("it is {state}: who takes nothing then is not blamed"))
            }
            (Fault::Hang, Some(_)) => None,
        }
    }

    pub(crate) fn recorders(&self) -> Vec<Recorded> {
        let rows = self.workers.values().map(|worker| &worker.spec).flat_map(|spec| {
            let dir = match &spec.launch {
                Launch::Use(WorkerConfig::Recorder(recorder)) => Some(&recorder.dir),
                _ => None,
            };
            let row = |ring: &RingName, dir: &PathBuf| Recorded {
                worker: spec.name.clone(),
                ring: ring.clone(),
                folder: dir.join(ring.owner()),
            };
            dir.into_iter().flat_map(move |dir| spec.recorded().map(move |ring| row(ring, dir)))
        });
        rows.collect()
    }
}
