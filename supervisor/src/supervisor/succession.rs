//! If this supervisor is killed: who may live on, what the next one finds, and how that one goes on.
//!
//! ```text
//! worker ready --> named in the manifest --> kept by the guard      supervisor killed:
//!                  (on disk, whole)                                   others end, kept ones go on,
//!                                                                     the guard starts the next one
//! next one: reads the manifest --> takes up each, or ends it --> starts what has ended
//! ```

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use protocol::control::CONTROL_VERSION;
use protocol::exit::ExitReason;
use protocol::time::MonoNs;
use shmring::clock;

use super::{Parts, Supervisor, current};
use crate::adoption::{self, AdoptionError, Taken};
use crate::guard::link::{self, Message};
use crate::lifecycle::Input;
use crate::manifest::{Manifest, ManifestError, PROGRAM, Past};
use crate::process::{Process, ProcessId};
use crate::questions::Questions;
use crate::topology::Survival;
use crate::worker::{Handed, Role};
use crate::workers::WorkerId;

/// The guard reaps at once and tells at once.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// Changes of state that a killed supervisor leaves; the rest was for people.
const CHANGES_LEFT: usize = 200;

impl Supervisor {
    /// What has changed is written, what is written may live on; to be called now and then.
    pub(super) fn advance_will(&mut self, now: MonoNs) {
        if self.topology().survival == Survival::End || self.guard.is_none() {
            return;
        }
        if let Some(heirs) = self.will.written(now) {
            self.keep(&heirs);
        }
        if self.will.is_due(now) && !self.is_stopping() && self.transition.is_none() {
            let heirs = self.heirs();
            let manifest = self.left_manifest();
            self.will.write(self.spawner.place.will(), heirs, &manifest);
        }
    }

    /// Processes that can do without a supervisor.
    fn heirs(&self) -> BTreeSet<u64> {
        let up = self.workers.values().filter(|worker| worker.life.is_up());
        let processes = up.filter_map(|worker| worker.process.as_ref());
        processes.filter(|it| it.bond.is_some()).map(|process| process.id.number).collect()
    }

    fn keep(&mut self, heirs: &BTreeSet<u64>) {
        let Some(guard) = &self.guard else { return };
        if !self.is_followed {
            let command = std::iter::once(self.program.path.clone().into_os_string());
            let last = std::iter::once(OsString::from("--after-death"));
            let command = command.chain(self.program.args.iter().cloned()).chain(last).collect();
            self.is_followed = link::send(guard, &Message::Follow(command), &[]).is_ok();
        }
        let processes = self.workers.iter_mut().filter_map(|(_, worker)| worker.process.as_mut());
        for process in processes.filter(|process| heirs.contains(&process.id.number)) {
            let pid = process.pid;
            let is_new = process.bond.as_ref().is_some_and(|bond| !bond.is_kept);
            // What cannot be said now is said after the next writing.
            let said = is_new && link::send(guard, &Message::Keep(pid), &[process.pidfd()]).is_ok();
            if let Some(bond) = process.bond.as_mut().filter(|_| said) {
                bond.is_kept = true;
            }
        }
    }

    /// It has ended: the guard need not look after it any more.
    pub(super) fn forget_heir(&mut self, process: &Process) {
        if process.bond.is_none() {
            return;
        }
        self.will.change();
        if let Some(guard) = &self.guard {
            // The guard finds a number that belongs to nobody dead by itself.
            let _ = link::send(guard, &Message::Forget(process.pid), &[]);
        }
    }

    fn left_manifest(&self) -> Manifest {
        // Who was replaced ends with this supervisor.
        let members = self.workers.iter().filter(|(_, worker)| worker.role == Role::Member);
        let workers = members.map(|(id, worker)| {
            let mut handed = worker.leave_behind();
            handed.leaves = self.leaving.contains(&id);
            handed.waits = self.waiting.contains(&id);
            handed
        });
        let past = Past {
            workers: workers.collect(),
            history: self.history.newest(CHANGES_LEFT),
            // Who asked was connected to this supervisor.
            questions: Questions::default().hand_on(),
            processes: self.processes,
            started: self.started,
        };
        self.manifest_of(past, &self.program, None)
    }

    /// Of this project, as far as it is not its past.
    pub(super) fn manifest_of(
        &self,
        past: Past,
        program: &crate::trial::Program,
        open: Option<crate::manifest::Open>,
    ) -> Manifest {
        let spawner = &self.spawner;
        let address = |listener: &crate::listeners::Listener| {
            Some((listener.worker.clone(), listener.socket.local_addr().ok()?))
        };
        Manifest {
            control: CONTROL_VERSION,
            topology: spawner.topology.reading(),
            runtime_dir: spawner.place.path().to_owned(),
            program: program.path.clone(),
            written_by: PROGRAM.to_owned(),
            floors: self.floors.seen(),
            past,
            boot: adoption::boot_id(),
            addresses: spawner.listeners.iter().filter_map(address).collect(),
            open,
        }
    }

    /// What the guard says, all of it.
    pub(super) fn hear_guard(&mut self, now: MonoNs) {
        loop {
            let Some(guard) = &self.guard else { return };
            match link::receive(guard) {
                Ok(Some((Message::Ended(pid, reason), _))) => self.adopted_ended(now, pid, reason),
                Ok(Some(_)) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Ok(None) | Err(_) => return self.guard_gone(now),
            }
        }
    }

    fn adopted_ended(&mut self, now: MonoNs, pid: u32, reason: ExitReason) {
        let is_it = |process: &Process| process.adopted.is_some() && process.pid == pid;
        let found =
            self.workers.iter().find(|(_, worker)| worker.process.as_ref().is_some_and(is_it));
        let Some(at) = found.map(|(at, _)| at) else { return };
        let mut reason = reason;
        self.bury(at, now, &mut reason);
        self.tell(at, now, Input::Died(reason));
    }

    pub(super) fn note_adopted_end(&mut self, now: MonoNs, id: ProcessId) {
        if let Some(process) = current(&mut self.workers, id) {
            process.note_end(now, &mut self.poller);
        }
    }

    /// Whose end the guard does not tell, because it is gone or has missed it.
    pub(super) fn bury_untold(&mut self, now: MonoNs) {
        let told = self.guard.is_some();
        let is_untold = |process: &Process| {
            let ended = process.adopted.and_then(|adopted| adopted.ended);
            ended.is_some_and(|ended| !told || now.saturating_since(ended) >= TOLD_WITHIN)
        };
        let untold = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.process.as_ref().is_some_and(is_untold));
        let untold: Vec<_> = untold.map(|(at, _)| at).collect();
        for at in untold {
            let mut reason = ExitReason::Unseen;
            self.bury(at, now, &mut reason);
            self.tell(at, now, Input::Died(reason));
        }
    }
}

/// A worker that was left, and whether it was taken up.
pub(crate) type Heir = (Handed, Option<Taken>);

/// Takes up all that can be, each in a thread: one that does not answer costs the others nothing. Whoever
/// cannot be is dead afterwards.
pub(crate) fn take_up(workers: Vec<Handed>) -> Vec<Heir> {
    let take = |handed: &Handed| {
        let process = handed.process.as_ref()?;
        let bond = process.bond.as_ref()?;
        match adoption::take_up(process.pid, bond) {
            Ok(taken) => Some(taken),
            Err(AdoptionError::Gone) => None,
            Err(error) => {
                tracing::warn!(worker = %handed.name, pid = process.pid, %error, "not adopted: ended");
                None
            }
        }
    };
    let taken: Vec<Option<Taken>> = std::thread::scope(|scope| {
        let threads: Vec<_> = workers.iter().map(|worker| scope.spawn(|| take(worker))).collect();
        threads.into_iter().map(|thread| thread.join().ok().flatten()).collect()
    });
    workers.into_iter().zip(taken).collect()
}

/// The other side.
impl Supervisor {
    /// Goes on after a supervisor that was killed: `heirs` are all workers it knew. Those that are to be
    /// started again come with it.
    pub(crate) fn succeed(
        parts: Parts,
        past: Past,
        heirs: Vec<Heir>,
    ) -> Result<(Self, Vec<WorkerId>), ManifestError> {
        let failed = |source| ManifestError::Io { step: "event loop", source };
        let now = clock::mono();
        let mut this = Self::new(parts).map_err(failed)?;
        this.resume_past(past);
        let mut again = Vec::new();
        for (mut handed, taken) in heirs {
            let Some(at) = this.workers.named(&handed.name) else {
                return Err(ManifestError::Worker { name: handed.name });
            };
            let (process, leaves, waits) = (handed.process.take(), handed.leaves, handed.waits);
            this.workers[at].resume(handed);
            if waits {
                this.waiting.insert(at);
            }
            if let (Some(process), Some(taken)) = (process, taken) {
                let id = ProcessId { worker: at, number: process.number };
                let place = &this.spawner.place;
                let process = Process::adopt(id, process, taken, place, now, &mut this.poller)?;
                this.workers[at].process = Some(process);
                if leaves {
                    this.leaving.insert(at);
                }
            } else if this.workers[at].life.ended_with_its_supervisor() && !leaves && !waits {
                again.push(at);
            }
        }
        Ok((this, again))
    }

    /// As [`Self::run`], of one that follows another.
    pub(crate) fn follow(mut self, again: Vec<WorkerId>) -> ExitCode {
        let now = clock::mono();
        let adopted = self.workers.values().filter(|worker| worker.process.is_some()).count();
        tracing::warn!(adopted, restarted = again.len(), "a supervisor was killed: going on");
        for at in again {
            self.tell(at, now, Input::Start);
        }
        self.manager.ready(self.workers.len());
        self.live()
    }
}
