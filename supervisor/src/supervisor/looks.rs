//! What is looked at rather than told: the clock, beats, progress, closed links, floors.

use std::time::Duration;

use protocol::admin::WorkerState;
use protocol::exit::ExitReason;
use protocol::time::MonoNs;

use super::Supervisor;
use crate::beat::Late;
use crate::lifecycle::Input;
use crate::link::Violation;
use crate::workers::WorkerId;
use crate::{own_log, progress, rings};

/// Groups of pictures are looked at this often, in looks at the beats.
const LOOKS_A_FLOOR: u64 = 10;
/// An exit is reaped within this after the link closes; who lives on has closed it on purpose.
const CLOSED_GRACE: Duration = Duration::from_millis(500);

impl Supervisor {
    pub(super) fn tick(&mut self, now: MonoNs) {
        self.manager.beat(now);
        if let Some(late) = self.rhythm.tick(now) {
            self.look(now, late);
        }
        for at in self.workers.ids() {
            if self.workers[at].life.deadline().is_some_and(|deadline| deadline <= now) {
                self.tell(at, now, Input::Time);
            }
        }
        self.give_up_questions(now);
        self.look_for_attached(now);
        self.advance_waiting(now);
        self.advance_leaving(now);
        self.drop_departed(now);
        self.advance_transition(now);
        self.advance_upgrade(now);
        self.advance_will(now);
        self.advance_shutdown(now);
        self.advance_hooks(now);
    }

    /// Beats, closed links, floors: everything that is looked at rather than told.
    fn look(&mut self, now: MonoNs, Late(late): Late) {
        self.looks += 1;
        for at in self.workers.ids() {
            if late {
                self.forgive_gap(at, now);
            } else if let Some(reason) = self.fault_of(at, now) {
                self.tell(at, now, Input::Fault(reason));
            }
        }
        for process in self.workers.iter_mut().filter_map(|(_, worker)| worker.process.as_mut()) {
            process.resume_output(&self.poller);
        }
        self.bury_untold(now);
        self.admin.resume(&mut self.poller);
        if self.looks.is_multiple_of(LOOKS_A_FLOOR) {
            self.reserve.lend();
            rings::observe_all(&self.spawner.outlook, &self.spawner.topology, &mut self.floors);
            self.floors.save_later();
            if let Err(error) = own_log::keep_bounded(&self.spawner.place.log()) {
                tracing::debug!(%error, "the project's log");
            }
            if let Some(groups) = &mut self.spawner.cgroups {
                groups.remove_empty();
            }
        }
        for at in self.look_at_progress(now).into_iter().filter(|_| !late) {
            self.tell(at, now, Input::Fault(ExitReason::NoProgress));
        }
    }

    /// The workers whose inputs go on without them.
    fn look_at_progress(&mut self, now: MonoNs) -> Vec<WorkerId> {
        let outlook = &self.spawner.outlook;
        let stalled = self.workers.iter_mut().filter_map(|(at, worker)| {
            let process = worker.process.as_mut()?;
            let health = process.health()?;
            if worker.life.state() != WorkerState::Running {
                process.progress.excuse();
                return None;
            }
            let heads = worker.spec.followed().map(|ring| rings::head_of(outlook, ring));
            process.progress.is_stalled(now, &health, || progress::heads(heads)).then_some(at)
        });
        stalled.collect()
    }

    fn forgive_gap(&mut self, at: WorkerId, now: MonoNs) {
        let worker = &mut self.workers[at];
        worker.life.forgive_gap(now);
        if let Some(process) = &mut worker.process {
            process.beat.restart(now);
            process.progress.excuse();
        }
    }

    fn fault_of(&mut self, at: WorkerId, now: MonoNs) -> Option<ExitReason> {
        let worker = &mut self.workers[at];
        let process = worker.process.as_mut()?;
        let closed_for = process.closed.map(|since| now.saturating_since(since));
        if closed_for.is_some_and(|time| time >= CLOSED_GRACE) {
            return Some(ExitReason::Protocol(Violation::Closed.to_string()));
        }
        let judged =
            (worker.life.is_up() || worker.life.is_draining()) && process.has_health_page();
        let health = process.health();
        (judged && process.beat.is_stuck(now, health)).then_some(ExitReason::NoHeartbeat)
    }
}
