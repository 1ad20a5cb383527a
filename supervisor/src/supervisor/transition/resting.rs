//! Who rests while a change goes by: whoever a person has stopped stays stopped.

use protocol::admin::WorkerState;
use protocol::time::MonoNs;

use super::super::Supervisor;
use super::{Step, Transition, cleared};
use crate::lifecycle::{Input, Snapshot};
use crate::workers::WorkerId;

/// How a worker rests that a change ends.
#[derive(Debug)]
pub(super) enum Rest {
    /// A person wants it so, whatever becomes of the change.
    Asked,
    /// It has finished, or is held: the change may be what it needs, and one that is undone is not.
    Idle(Box<Snapshot>),
}

impl Supervisor {
    /// `None` of one that runs, or is to.
    pub(super) fn rest_of(&self, at: WorkerId) -> Option<Rest> {
        let life = &self.workers[at].life;
        match life.state() {
            _ if self.leaving.contains(&at) => Some(Rest::Asked),
            _ if self.waiting.contains(&at) => None,
            WorkerState::Stopped if !life.has_finished() => Some(Rest::Asked),
            WorkerState::Stopped | WorkerState::Held | WorkerState::Quarantined => {
                Some(Rest::Idle(Box::new(life.snapshot())))
            }
            _ => None,
        }
    }

    /// The change that had ended it is undone.
    pub(super) fn start_as_before(&mut self, transition: &Transition, at: WorkerId, now: MonoNs) {
        let Some(worker) = self.workers.get_mut(at) else { return };
        match transition.resting.get(&at) {
            None => self.tell(at, now, Input::Start),
            Some(Rest::Asked) => {}
            Some(Rest::Idle(life)) => worker.life.resume(Snapshot::clone(life)),
        }
    }

    /// One of these that a change under way has ended for others, or tries: nobody else may start it.
    pub(crate) fn held_by_change(&self, places: &[WorkerId]) -> Option<WorkerId> {
        let held = self.transition.as_ref()?.held();
        places.iter().copied().find(|at| held.contains(at))
    }
}

impl Transition {
    pub(super) fn is_kept_stopped(&self, at: WorkerId) -> bool {
        matches!(self.resting.get(&at), Some(Rest::Asked))
    }

    /// A person stops them meanwhile.
    pub(in crate::supervisor) fn keep_stopped(&mut self, places: &[WorkerId]) {
        // Before that, who rests is seen when they are ended.
        if self.touched {
            self.resting.extend(places.iter().map(|at| (*at, Rest::Asked)));
        }
    }

    fn held(&self) -> Vec<WorkerId> {
        if matches!(self.step, Step::Finishing) {
            return Vec::new();
        }
        let (_, mut held) = self.started();
        if self.touched {
            held.extend(cleared(self));
        }
        held
    }
}
