//! From one topology to another while everything else runs, and back if the new part is not healthy.
//!
//! ```text
//! Reserving --> First -------> Clearing --> Second --> Finishing --> done
//!   floors of   added ones     whose place  these      replaced ones drain,
//!   new rings   and successors others need  come up    removed ones end
//!   on disk     come up        end             |
//!                  |                           |
//!                  +--- not healthy in time ---+--> Undoing --> as before
//! ```
//!
//! Whatever runs is left alone until everything that can be tried beside it is healthy.

mod health;
mod placing;
mod resting;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::admin::WorkerState;
use protocol::name::RingName;
use protocol::time::MonoNs;
use shmring::clock;

use super::{Supervisor, Wanted};
use crate::admin::Asker;
use crate::launch::Launcher;
use crate::listeners::Listener;
use crate::preparing::{Opened, Ready, Wish, refusal};
use crate::rings;
use crate::topology::{Change, RingSpec, Topology, WorkerSpec};
use crate::worker::{Role, Worker};
use crate::workers::WorkerId;
use health::{Failure, Health, Proof};
use resting::Rest;

/// While something is waited for that nobody tells.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A change under way.
#[derive(Debug)]
pub(super) struct Transition {
    asker: Asker,
    /// How long an unhealthy worker has beyond its start deadline.
    patience: Duration,
    /// Somebody asked for new processes by name: also of those that were stopped.
    replaces: bool,
    change: Change,
    before: Before,
    /// In the order they start.
    first: Vec<WorkerId>,
    second: Vec<WorkerId>,
    /// Of those in `first`: whose successor each is.
    replaced: Vec<(WorkerId, WorkerId)>,
    /// Of those in `second`: what each was.
    in_place: Vec<(WorkerId, WorkerSpec, Vec<RingSpec>)>,
    /// What was adjusted without a restart, as it was.
    adjusted: Vec<(WorkerId, WorkerSpec, Vec<RingSpec>)>,
    /// Removed ones that must end before others can start.
    displaced: Vec<WorkerId>,
    removed: Vec<WorkerId>,
    /// Of those that it has ended: who did not run.
    resting: BTreeMap<WorkerId, Rest>,
    proving: Vec<Proof>,
    /// Whether workers that ran before were told to end.
    touched: bool,
    step: Step,
}

/// The way back.
#[derive(Debug)]
struct Before {
    topology: Topology,
    launcher: Launcher,
}

#[derive(Debug)]
enum Step {
    Reserving,
    First,
    Clearing,
    Second,
    Finishing,
    Undoing(Failure),
}

impl Supervisor {
    /// Takes what the change needs, and begins it.
    pub(super) fn begin_change(&mut self, wanted: Wanted, ready: Ready) {
        let Wanted { asker, wish, patience, .. } = wanted;
        let Ready { topology, change, launcher, opened } = ready;
        self.take_sockets(opened);
        self.floors.reserve(topology.rings.iter().map(|ring| &ring.name), clock::now().utc);
        self.floors.save_later();
        let before = Before {
            topology: std::mem::replace(&mut self.spawner.topology, topology),
            launcher: std::mem::replace(&mut self.spawner.launcher, launcher),
        };
        let mut transition = Transition {
            asker,
            patience,
            replaces: matches!(wish, Wish::Replace { .. }),
            change,
            before,
            first: Vec::new(),
            second: Vec::new(),
            replaced: Vec::new(),
            in_place: Vec::new(),
            adjusted: Vec::new(),
            displaced: Vec::new(),
            removed: Vec::new(),
            resting: BTreeMap::new(),
            proving: Vec::new(),
            touched: false,
            step: Step::Reserving,
        };
        self.place(&mut transition);
        self.name_width =
            self.workers.values().map(|w| w.spec.name.as_str().len()).max().unwrap_or(0);
        self.transition = Some(transition);
    }

    /// The guard holds them as well, so that no port is lost with a supervisor.
    fn take_sockets(&mut self, opened: Vec<Opened>) {
        for opened in opened {
            let listener = match opened {
                Opened::Bound(listener) => listener,
                Opened::From { owner, worker, address } => {
                    let same = |it: &&Listener| it.worker == owner && it.address == address;
                    let socket = self.spawner.listeners.iter().find(same);
                    let Some(Ok(socket)) = socket.map(|it| it.socket.try_clone()) else { continue };
                    Listener { worker, address, socket }
                }
            };
            tracing::info!(worker = %listener.worker, address = %listener.address, "listens");
            self.tell_guard_to_hold(&listener);
            self.spawner.listeners.push(listener);
        }
    }

    pub(super) fn advance_transition(&mut self, now: MonoNs) {
        let Some(transition) = self.transition.take() else { return };
        if self.shutdown.is_some() {
            let text = "the project is stopping: the change was given up".to_owned();
            let error = refusal("stopping", text, "start it with `framevisor up`");
            return self.answer_late(transition.asker, Err(error));
        }
        self.transition = self.advanced(transition, now);
        if self.transition.is_none() {
            self.will.change();
            self.begin_next_order();
        }
    }

    /// `None` when it is over and answered.
    fn advanced(&mut self, mut transition: Transition, now: MonoNs) -> Option<Transition> {
        match &transition.step {
            Step::Reserving if !self.floors.is_saved() => self.floors.save_later(),
            Step::Reserving => {
                transition.proving = self.start_all(&transition.first, now);
                transition.step = Step::First;
            }
            Step::First => match self.health_of_all(&transition, now) {
                Health::NotYet => {}
                Health::Ill { worker, why } => self.undo(&mut transition, worker, why),
                Health::Well => self.clear(&mut transition),
            },
            Step::Clearing if !self.are_stopped(&cleared(&transition)) => {}
            Step::Clearing => self.start_second(&mut transition, now),
            Step::Second => match self.health_of_all(&transition, now) {
                Health::NotYet => {}
                Health::Ill { worker, why } => self.undo(&mut transition, worker, why),
                Health::Well => self.commit(&mut transition, now),
            },
            Step::Finishing if !self.is_done(&transition) => {}
            Step::Finishing => {
                self.finish_change(transition);
                return None;
            }
            Step::Undoing(_) if !self.have_ended(&transition) => {}
            Step::Undoing(_) => {
                self.go_back(transition, now);
                return None;
            }
        }
        Some(transition)
    }

    fn start_all(&mut self, workers: &[WorkerId], now: MonoNs) -> Vec<Proof> {
        let proofs = workers.iter().map(|&worker| {
            let starts = self.workers[worker].life.starts() + 1;
            Proof { worker, starts, since: now }
        });
        let proofs = proofs.collect();
        self.waiting.extend(workers);
        self.advance_waiting(now);
        proofs
    }

    fn clear(&mut self, transition: &mut Transition) {
        let leaving = cleared(transition);
        let rests = leaving.iter().filter_map(|at| Some((*at, self.rest_of(*at)?)));
        transition.resting = rests.collect();
        self.waiting.retain(|at| !leaving.contains(at));
        self.leaving.extend(&leaving);
        transition.touched = true;
        transition.step = Step::Clearing;
    }

    fn start_second(&mut self, transition: &mut Transition, now: MonoNs) {
        for &at in &transition.second {
            let name = self.spec(at).name.clone();
            let spec = self.topology().worker(&name).cloned();
            let Some(spec) = spec else { continue };
            let writes = self.topology().written_by(&spec);
            let seed = self.next_seed();
            self.workers[at].change_to(spec, writes, seed);
            self.workers[at].life.forgive();
            self.leaving.remove(&at);
        }
        let stays = |at: &WorkerId| !transition.replaces && transition.is_kept_stopped(*at);
        let second: Vec<WorkerId> =
            transition.second.iter().copied().filter(|at| !stays(at)).collect();
        transition.proving.extend(self.start_all(&second, now));
        transition.step = Step::Second;
    }

    /// Everything new is healthy: it is the topology now.
    fn commit(&mut self, transition: &mut Transition, now: MonoNs) {
        for &(old, new) in &transition.replaced {
            self.replace(old, new, now);
        }
        for &at in &transition.removed {
            self.workers[at].role = Role::Departing;
            self.waiting.remove(&at);
            self.leaving.insert(at);
        }
        self.close_sockets();
        transition.step = Step::Finishing;
    }

    fn finish_change(&mut self, transition: Transition) {
        self.sweep_rings(&transition.change.rings.removed);
        self.close_sockets();
        self.hooks.change_to(&self.spawner.topology.hooks);
        let Transition { asker, change, .. } = transition;
        tracing::info!(
            started = change.start.len(),
            stopped = change.stop.len(),
            restarted = change.restart.len(),
            "the topology was changed"
        );
        self.answer_late(asker, Ok(serde_json::json!({"applied": true, "change": change})));
    }

    /// Ends what was started for the change. What runs has not been touched, or is started again.
    fn undo(&mut self, transition: &mut Transition, ill: WorkerId, why: String) {
        let failure = self.failure(ill, why);
        tracing::warn!(worker = %failure.worker, why = failure.why, "the change is undone");
        let Before { topology, launcher } = &mut transition.before;
        std::mem::swap(&mut self.spawner.topology, topology);
        std::mem::swap(&mut self.spawner.launcher, launcher);
        let (old, new) = transition.started();
        for &at in &new {
            self.workers[at].role = Role::Departing;
        }
        for at in new.into_iter().chain(old) {
            self.waiting.remove(&at);
            self.leaving.insert(at);
        }
        transition.step = Step::Undoing(failure);
    }

    /// All that the change had started has ended: what it ended is started again.
    fn go_back(&mut self, transition: Transition, now: MonoNs) {
        for (at, spec, writes) in transition.in_place.iter().chain(&transition.adjusted).cloned() {
            let seed = self.next_seed();
            if let Some(worker) = self.workers.get_mut(at) {
                worker.change_to(spec, writes, seed);
            }
        }
        let ended = if transition.touched { cleared(&transition) } else { Vec::new() };
        for at in ended {
            self.leaving.remove(&at);
            self.start_as_before(&transition, at, now);
        }
        self.sweep_rings(&transition.change.rings.created);
        self.close_sockets();
        if let Step::Undoing(failure) = transition.step {
            self.answer_late(transition.asker, Err(failure.told()));
        }
    }

    fn are_stopped(&self, workers: &[WorkerId]) -> bool {
        let stopped = |at: &WorkerId| {
            self.workers.get(*at).is_none_or(|it| it.life.state() == WorkerState::Stopped)
        };
        workers.iter().all(stopped)
    }

    /// Removed ones have ended, and writers that were replaced have left their rings. Clients may keep a
    /// server that was replaced for long: nobody waits for that.
    fn is_done(&self, transition: &Transition) -> bool {
        let handing_on =
            transition.replaced.iter().any(|(old, _)| self.successions.contains_key(old));
        self.are_gone(&transition.removed) && !handing_on
    }

    fn have_ended(&self, transition: &Transition) -> bool {
        let (old, new) = transition.started();
        self.are_gone(&new) && self.are_stopped(&old)
    }

    fn are_gone(&self, workers: &[WorkerId]) -> bool {
        workers.iter().all(|at| self.workers.get(*at).is_none())
    }

    /// Those whose process has ended and who are to go.
    pub(super) fn drop_departed(&mut self, now: MonoNs) {
        let gone = |worker: &Worker| {
            let ended = worker.life.state() == WorkerState::Stopped && worker.process.is_none();
            ended && worker.role == Role::Departing
        };
        let departed = self.workers.iter().filter(|(_, worker)| gone(worker));
        let departed: Vec<WorkerId> = departed.map(|(at, _)| at).collect();
        for at in departed {
            self.waiting.remove(&at);
            self.leaving.remove(&at);
            let joint = self.workers[at].joint;
            self.workers.remove(at);
            self.hand_on(at, joint, now);
        }
    }

    /// Of workers that are gone.
    fn sweep_rings(&self, names: &[RingName]) {
        let left = |name: &&RingName| self.topology().ring(name).is_none();
        let names: Vec<RingName> = names.iter().filter(left).cloned().collect();
        rings::sweep_named(&self.topology().project, &names);
    }

    /// Ports that no worker has any more.
    fn close_sockets(&mut self) {
        let wanted = |listener: &Listener| {
            self.workers.values().filter(|worker| worker.role != Role::Departing).any(|worker| {
                worker.spec.name == listener.worker
                    && worker.spec.listens().any(|address| address == listener.address)
            })
        };
        let listeners = std::mem::take(&mut self.spawner.listeners);
        let (kept, closed): (Vec<_>, Vec<_>) = listeners.into_iter().partition(wanted);
        self.spawner.listeners = kept;
        for listener in closed {
            tracing::info!(worker = %listener.worker, address = %listener.address, "listens no more");
            // Another worker may have taken the port over; then the socket stays, under its name.
            if !self.spawner.listeners.iter().any(|kept| kept.address == listener.address) {
                self.tell_guard_to_release(&listener);
            }
        }
    }

    /// When a change under way is to be looked at again.
    pub(super) fn next_look(&self) -> Option<MonoNs> {
        self.transition.as_ref().map(|_| clock::mono() + LOOK_EVERY)
    }

    /// For the spread of a worker's restarts.
    fn next_seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(1);
        self.seed
    }
}

impl Transition {
    /// Whom it has started, or may have: those that were there before, and those that were not.
    fn started(&self) -> (Vec<WorkerId>, Vec<WorkerId>) {
        let is_old = |at: &WorkerId| self.in_place.iter().any(|(old, ..)| old == at);
        let all = self.first.iter().chain(&self.second).copied();
        let (old, new): (Vec<_>, Vec<_>) = all.partition(is_old);
        (if self.touched { old } else { Vec::new() }, new)
    }
}

/// Whom a change ends before its second turn.
fn cleared(transition: &Transition) -> Vec<WorkerId> {
    let in_place = transition.in_place.iter().map(|(at, ..)| *at);
    in_place.chain(transition.displaced.iter().copied()).collect()
}
