//! How the project ends: in order, or at once.

use std::os::fd::AsFd;
use std::process::ExitCode;

use protocol::admin::WorkerState;
use protocol::time::MonoNs;

use super::Supervisor;
use crate::guard;
use crate::guard::link::{self, Message};
use crate::lifecycle::Input;
use crate::listeners::Listener;
use crate::rings;
use crate::shutdown::Shutdown;
use crate::worker::Worker;
use crate::workers::WorkerId;

impl Supervisor {
    pub(super) fn stop_signalled(&mut self, now: MonoNs) {
        if self.stop.drain() == 0 {
            return;
        }
        // Our death signal: nobody is left to hold what we hold, so there is no time for order.
        if std::os::unix::process::parent_id() != self.guard_pid {
            return self.end_at_once(now);
        }
        self.stop_requested(now);
    }

    pub(crate) fn stop_requested(&mut self, now: MonoNs) {
        match &mut self.shutdown {
            Some(shutdown) => {
                if shutdown.again(now) {
                    tracing::info!("asked again: what still lives is killed");
                }
            }
            None => {
                tracing::info!("stopping");
                self.manager.stopping();
                self.hook_project("project.stopping");
                self.shutdown = Some(Shutdown::ordered(now));
            }
        }
    }

    /// So that its port outlives this supervisor.
    pub(super) fn tell_guard_to_hold(&self, listener: &Listener) {
        self.tell_guard(&Message::Hold, listener);
    }

    /// So that nobody connects to a port that nobody serves.
    pub(super) fn tell_guard_to_release(&self, listener: &Listener) {
        self.tell_guard(&Message::Release, listener);
    }

    fn tell_guard(&self, message: &Message, listener: &Listener) {
        let Some(guard) = &self.guard else { return };
        if let Err(error) = link::send(guard, message, &[listener.socket.as_fd()]) {
            tracing::warn!(%error, worker = %listener.worker, "the guard was not told of its port");
        }
    }

    /// The guard sends nothing: only the end of its life is seen here.
    pub(super) fn guard_gone(&mut self, now: MonoNs) {
        let Some(link) = self.guard.take() else { return };
        drop(link);
        tracing::error!(guard = self.guard_pid, "the guard is gone: ending the project");
        self.end_at_once(now);
    }

    pub(super) fn end_at_once(&mut self, now: MonoNs) {
        self.shutdown.get_or_insert_with(|| Shutdown::ordered(now)).at_once();
    }

    /// Ends those whose turn it is; the next stage follows when the last of them is gone.
    pub(super) fn advance_shutdown(&mut self, now: MonoNs) {
        let Some(shutdown) = self.shutdown else { return };
        let living =
            |(_, worker): &(WorkerId, &Worker)| worker.life.state() != WorkerState::Stopped;
        let living: Vec<WorkerId> = self.workers.iter().filter(living).map(|(at, _)| at).collect();
        if shutdown.kills_all(now) {
            living.into_iter().for_each(|at| self.tell(at, now, Input::KillNow));
            return;
        }
        let turn = Shutdown::turn(living.iter().map(|at| self.workers[*at].stage));
        for at in living {
            if Some(self.workers[at].stage) == turn {
                self.tell(at, now, Input::Stop);
            }
        }
    }

    /// These and no others; they stay stopped until somebody starts them.
    pub(crate) fn stop_in_order(&mut self, places: &[WorkerId], now: MonoNs) {
        for &at in places {
            if self.waiting.remove(&at) {
                self.tell(at, now, Input::Await("asked to".into()));
            }
        }
        self.leaving.extend(places);
        if let Some(transition) = &mut self.transition {
            transition.keep_stopped(places);
        }
    }

    pub(crate) fn keep_running(&mut self, places: &[WorkerId]) {
        self.leaving.retain(|at| !places.contains(at));
        // Who is named is not kept waiting.
        self.waiting.retain(|at| !places.contains(at));
    }

    /// As in [`Self::advance_shutdown`], of those that were named.
    pub(super) fn advance_leaving(&mut self, now: MonoNs) {
        let workers = &self.workers;
        self.leaving.retain(|at| workers[*at].life.state() != WorkerState::Stopped);
        let turn = Shutdown::turn(self.leaving.iter().map(|at| self.workers[*at].stage));
        let whose = |at: &WorkerId| Some(self.workers[*at].stage) == turn;
        let turns: Vec<WorkerId> = self.leaving.iter().copied().filter(whose).collect();
        for at in turns {
            self.tell(at, now, Input::Stop);
        }
    }

    /// Everything has stopped: leaves nothing behind.
    pub(super) fn finish(mut self) -> ExitCode {
        guard::end_everything();
        rings::observe_all(&self.spawner.outlook, &self.spawner.topology, &mut self.floors);
        if let Err(error) = self.floors.settle() {
            tracing::warn!(%error, "epochs may repeat after a reboot with a wrong clock");
        }
        rings::sweep_all(&self.spawner.topology);
        if let Err(error) = self.spawner.place.clear() {
            tracing::warn!(%error, "something was left behind");
        }
        tracing::info!("stopped");
        self.talk.flush();
        ExitCode::SUCCESS
    }
}
