//! Coming up: who waits for whom, and commands that show by what they do that they are up.

use std::time::Duration;

use nix::unistd::{Pid, getpgid};
use protocol::control::Condition;
use protocol::name::{RingName, WorkerName};
use protocol::time::MonoNs;
use shmring::{census, clock};

use super::{Supervisor, current};
use crate::lifecycle::{Input, Lifecycle};
use crate::process::{Process, ProcessId};
use crate::topology::Readiness;
use crate::turns;
use crate::workers::WorkerId;

/// How soon it is seen that a command that is starting has attached.
const ATTACHED_EVERY: Duration = Duration::from_millis(20);

impl Supervisor {
    /// Every worker wants to start; as many do as may at once.
    pub(super) fn boot(&mut self, now: MonoNs) {
        self.waiting.extend(self.workers.ids());
        self.advance_waiting(now);
    }

    /// Starts those whose wait is over; the others say whom they wait for.
    pub(super) fn advance_waiting(&mut self, now: MonoNs) {
        if self.shutdown.is_some() {
            self.waiting.clear();
        }
        let mut turns = self.free_turns(now);
        self.queue = 0;
        let waiting: Vec<WorkerId> = self.waiting.iter().copied().collect();
        for at in waiting {
            match self.awaited_by(at) {
                Some(why) => self.tell(at, now, Input::Await(why)),
                None if turns == 0 => {
                    self.queue += 1;
                    self.tell(at, now, Input::Await("waits for its turn to start".into()));
                }
                None => {
                    turns -= 1;
                    self.waiting.remove(&at);
                    self.tell(at, now, Input::Start);
                }
            }
        }
        if self.queue == 0 && !std::mem::replace(&mut self.announced, true) {
            self.manager.ready(self.workers.len());
        }
    }

    fn free_turns(&self, now: MonoNs) -> usize {
        let lives = self.workers.values().map(|worker| &worker.life);
        turns::free(now, lives.filter(|life| life.is_starting()).map(Lifecycle::started))
    }

    /// When the next in the queue may start, if that is now: everything that frees a turn later wakes the
    /// loop itself.
    pub(super) fn next_turn(&self, now: MonoNs) -> Option<MonoNs> {
        (self.queue > 0 && self.free_turns(now) > 0).then_some(now)
    }

    /// `None` when all that it comes after are up.
    fn awaited_by(&self, at: WorkerId) -> Option<String> {
        let is_up = |name: &&WorkerName| {
            self.workers.named(name).is_some_and(|other| self.workers[other].life.is_up())
        };
        let missing: Vec<&str> = self
            .spec(at)
            .after
            .iter()
            .filter(|name| !is_up(name))
            .map(|name| name.as_str())
            .collect();
        (!missing.is_empty()).then(|| format!("waits for {}", missing.join(", ")))
    }

    /// Its process runs: asks its port, if that is how it shows that it is up.
    pub(super) fn begin_asking(&self, at: WorkerId) {
        let (Some(readiness), Some(process)) = (&self.spec(at).ready, &self.workers[at].process)
        else {
            return;
        };
        if let Err(error) = self.probes.start(process.id, readiness, &process.asking) {
            let worker = &self.spec(at).name;
            tracing::warn!(%worker, %error, "nobody asks whether it is ready");
        }
    }

    pub(super) fn probes_answered(&mut self, now: MonoNs) {
        for id in self.probes.answered() {
            self.shown_ready(now, id);
        }
    }

    /// A line that it printed may say so.
    pub(super) fn looked_for_in(&self, at: WorkerId, line: &str) -> bool {
        let worker = &self.workers[at];
        worker.life.is_starting() && worker.ready_line.as_ref().is_some_and(|it| it.is_match(line))
    }

    pub(super) fn shows_ready_by_line(&mut self, at: WorkerId, now: MonoNs) {
        if let Some(id) = self.workers[at].process.as_ref().map(|process| process.id) {
            self.shown_ready(now, id);
        }
    }

    /// Those that attach to their rings when they are up.
    pub(super) fn look_for_attached(&mut self, now: MonoNs) {
        let attaching = self.attaching().map(|(at, process)| (at, process.id, process.pid));
        for (at, id, pid) in attaching.collect::<Vec<_>>() {
            if self.is_attached(at, pid) {
                self.shown_ready(now, id);
            }
        }
    }

    /// Nobody tells that a ring has another reader.
    pub(super) fn next_look_for_attached(&self) -> Option<MonoNs> {
        self.attaching().next().map(|_| clock::mono() + ATTACHED_EVERY)
    }

    fn attaching(&self) -> impl Iterator<Item = (WorkerId, &Process)> {
        let attaching = self.workers.iter().filter(|(_, worker)| {
            worker.spec.ready == Some(Readiness::Attach) && worker.life.is_starting()
        });
        attaching.filter_map(|(at, worker)| Some((at, worker.process.as_ref()?)))
    }

    /// Readers say themselves which process they are; a lie makes only the liar look ready.
    fn is_attached(&self, at: WorkerId, leader: u32) -> bool {
        let (project, spec) = (&self.topology().project, self.spec(at));
        let status = |ring: &RingName| census::status(project, ring, clock::mono());
        let is_own = |pid: u32| {
            let pid = Pid::from_raw(i32::try_from(pid).unwrap_or(0));
            getpgid(Some(pid)).is_ok_and(|group| i32::try_from(leader) == Ok(group.as_raw()))
        };
        let reads = |ring: &RingName| status(ring).readers.iter().any(|reader| is_own(reader.pid));
        let writes = |ring: &RingName| status(ring).writer_pid.is_some_and(is_own);
        spec.inputs.iter().all(reads) && spec.outputs().all(writes)
    }

    pub(super) fn shown_ready(&mut self, now: MonoNs, id: ProcessId) {
        if current(&mut self.workers, id).is_some() {
            self.tell(id.worker, now, Input::Condition(Condition::Flowing, String::new()));
            self.tell(id.worker, now, Input::Ready);
        }
    }
}
