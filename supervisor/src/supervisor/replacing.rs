//! One process of a worker takes over from another: servers share their listening sockets, writers hand
//! their ring on.

use std::time::Duration;

use protocol::config::WorkerConfig;
use protocol::control::{Joint, ToWorker};
use protocol::time::MonoNs;

use super::Supervisor;
use crate::lifecycle::Input;
use crate::process::ProcessId;
use crate::topology::{Launch, WorkerSpec};
use crate::worker::Role;
use crate::workers::WorkerId;

/// A writer ends before the next key frame; cameras send one every few seconds.
const YIELD_WITHIN: Duration = Duration::from_secs(15);

impl Supervisor {
    /// The new one is healthy: it is the worker now, and the old one goes when it can.
    pub(super) fn replace(&mut self, old: WorkerId, new: WorkerId, now: MonoNs) {
        let Some(before) = self.workers.get_mut(old) else { return };
        before.role = Role::Departing;
        let (log, dossier) =
            (before.log.lines().cloned().collect(), std::mem::take(&mut before.dossier));
        let successor = &mut self.workers[new];
        successor.role = Role::Member;
        successor.log.inherit(log);
        successor.dossier = dossier;
        let limit = drain_of(&successor.spec);
        if successor.stands_by {
            self.successions.insert(old, new);
        }
        self.leaving.remove(&old);
        self.waiting.remove(&old);
        self.tell(old, now, Input::Drain(limit));
    }

    pub(super) fn tell_to_drain(&mut self, at: WorkerId, now: MonoNs) {
        self.send_to(at, now, &ToWorker::Drain);
    }

    pub(super) fn yielded(&mut self, id: ProcessId, to: Joint) {
        if let Some(worker) = self.workers.get_mut(id.worker) {
            worker.joint = Some(to);
        }
    }

    /// The worker's last process has ended, and with it its hold on its ring.
    pub(super) fn hand_on(&mut self, old: WorkerId, joint: Option<Joint>, now: MonoNs) {
        let Some(new) = self.successions.remove(&old) else { return };
        let Some(successor) = self.workers.get_mut(new) else { return };
        successor.stands_by = false;
        // One that died without a word has published what it has published.
        let from = joint.unwrap_or(Joint { after: None, at_key: false });
        self.send_to(new, now, &ToWorker::TakeOver { from });
    }

    fn send_to(&mut self, at: WorkerId, now: MonoNs, message: &ToWorker) {
        let Some(process) = self.workers.get_mut(at).and_then(|it| it.process.as_mut()) else {
            return;
        };
        let (id, sent) = (process.id, process.link.send(message));
        process.update_interest(&self.poller);
        if let Err(violation) = sent {
            self.cut_off(now, id, &violation);
        }
    }
}

/// How long it may go on once it is replaced.
fn drain_of(spec: &WorkerSpec) -> Duration {
    match &spec.launch {
        Launch::Use(WorkerConfig::Rtsp(rtsp)) => rtsp.section.drain.duration(),
        Launch::Use(WorkerConfig::Web(web)) => web.section.drain.duration(),
        _ => YIELD_WITHIN,
    }
}
