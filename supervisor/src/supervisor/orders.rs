//! Wishes for another topology: one after the other, each answered when it is done or refused.

use std::time::Duration;

use protocol::admin::{ReplyError, WorkerState};
use serde_json::json;

use super::Supervisor;
use crate::admin::Asker;
use crate::preparing::{Order, Ready, Wish, refusal};
use crate::topology::{Change, How, Laid};

/// Wishes that may wait; a script adds cameras one by one.
const WAITING_MAX: usize = 256;
/// Processes of one server that may keep their clients at once: each may hold a spare place of its rings.
const DRAINING_MAX: usize = 2;

/// What somebody wants, and what they are told.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) asker: Asker,
    pub(crate) wish: Wish,
    /// Only to know what would change.
    pub(crate) plan: bool,
    /// How long an unhealthy worker has beyond its start deadline.
    pub(crate) patience: Duration,
}

impl Supervisor {
    pub(crate) fn want(&mut self, wanted: Wanted) -> Result<(), ReplyError> {
        if self.wanted.len() >= WAITING_MAX {
            let text = format!("{WAITING_MAX} changes wait already");
            return Err(refusal("busy", text, "try again when they are done"));
        }
        self.wanted.push_back(wanted);
        self.begin_next_order();
        Ok(())
    }

    pub(super) fn begin_next_order(&mut self) {
        if self.preparing.is_some() || self.transition.is_some() {
            return;
        }
        let Some(next) = self.wanted.pop_front() else { return };
        let listeners = self.spawner.listeners.iter();
        self.preparations.start(Order {
            wish: next.wish.clone(),
            running: self.spawner.topology.clone(),
            laid: self.laid(),
            bound: listeners.map(|it| (it.worker.clone(), it.address)).collect(),
            plan: next.plan,
        });
        self.preparing = Some(next);
    }

    fn laid(&self) -> Laid {
        let laid = self.workers.values().flat_map(|worker| {
            let first = worker.writes.first().zip(worker.laid);
            let first = first.map(|(ring, places)| (ring.name.clone(), places));
            first.into_iter().chain(worker.more_laid.clone())
        });
        laid.collect()
    }

    pub(super) fn prepared(&mut self) {
        for outcome in self.preparations.ended() {
            let Some(wanted) = self.preparing.take() else { continue };
            match outcome.and_then(|ready| self.allowed(ready)) {
                Ok(ready) if wanted.plan => {
                    let change = json!({"applied": false, "change": ready.change});
                    self.answer_late(wanted.asker, Ok(change));
                }
                Ok(ready) => self.begin_change(wanted, ready),
                Err(error) => self.answer_late(wanted.asker, Err(error)),
            }
        }
        self.begin_next_order();
    }

    fn allowed(&self, ready: Ready) -> Result<Ready, ReplyError> {
        if self.shutdown.is_some() {
            let text = "the project is stopping".to_owned();
            return Err(refusal("stopping", text, "start it with `framevisor up`"));
        }
        match self.too_many_drain(&ready.change) {
            Some(error) => Err(error),
            None => Ok(ready),
        }
    }

    fn too_many_drain(&self, change: &Change) -> Option<ReplyError> {
        let beside = change.restart.iter().filter(|restart| restart.how == How::Beside);
        let full = beside.map(|restart| &restart.worker).find(|name| {
            let draining = self.workers.values().filter(|worker| {
                worker.spec.name == **name && worker.life.state() == WorkerState::Draining
            });
            draining.count() >= DRAINING_MAX
        })?;
        let text = format!("{full}: {DRAINING_MAX} processes of it still keep clients");
        let hint = format!(
            "wait for them to leave, or end it with them: `framevisor stop {full}` and `framevisor start {full}`"
        );
        Some(refusal("draining", text, &hint))
    }
}
