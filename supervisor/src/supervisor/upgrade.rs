//! Becoming another program: the supervisor executes it in its own place, so its pid, its children and
//! everything that is open stay, and the program goes on with them.
//!
//! ```text
//! asked --> the program is tried --> what cannot be handed on ends --> exec --> resume
//!              |                        |                                |
//!              +-- refused, with a reason: this one goes on <------------+
//! ```
//!
//! Only the main thread may do it: the kernel sends the death signal of a worker when the thread that
//! started it ends, and exec ends all threads but the one that calls it.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::execve;
use protocol::admin::ReplyError;
use protocol::exit::ExitReason;
use protocol::time::MonoNs;
use serde_json::json;
use shmring::clock;

use super::{Parts, Supervisor};
use crate::admin::Asker;
use crate::admin::verbs::Upgraded;
use crate::event::Event;
use crate::link::Language;
use crate::manifest::{Leaving, Manifest, ManifestError, Open, PROGRAM, Past};
use crate::process::{Process, ProcessId};
use crate::questions::Questions;
use crate::topology::Launch;
use crate::trial::{Program, Trial};
use crate::worker::Role;

/// A hand-over lasts at most as long as a start may; a disk is given as much.
const QUIET_WITHIN: Duration = Duration::from_secs(10);

/// One under way.
#[derive(Debug)]
pub(super) struct Upgrade {
    program: Program,
    asked: Asker,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Tried(Trial),
    Waits { until: MonoNs },
}

impl Upgrade {
    pub(super) fn tries(&self, pid: u32) -> bool {
        matches!(&self.step, Step::Tried(trial) if trial.pid == pid)
    }
}

impl Supervisor {
    /// Answered when it is over; an error is told at once.
    pub(crate) fn begin_upgrade(
        &mut self,
        now: MonoNs,
        asked: Asker,
        program: Option<std::path::PathBuf>,
    ) -> Result<(), ReplyError> {
        if self.is_stopping() {
            return Err(refusal("the project is stopping", "start it with `framevisor up`"));
        }
        if self.upgrade.is_some() {
            return Err(refusal("an upgrade is under way", "wait for its end"));
        }
        if self.outlook().broker.is_some() {
            return Err(refusal(
                "the project has brokered rings, which only the process that made them can serve",
                "stop it with `framevisor down` and start it with `framevisor up`",
            ));
        }
        let path = program.unwrap_or_else(|| self.program.path.clone());
        let program = Program { path, args: self.program.args.clone() };
        let trial = self.try_program(&program, asked, now);
        let trial = trial.map_err(|why| refused(&program, &why))?;
        self.upgrade = Some(Upgrade { program, asked, step: Step::Tried(trial) });
        Ok(())
    }

    fn try_program(&self, program: &Program, asked: Asker, now: MonoNs) -> Result<Trial, String> {
        let manifest = self.manifest(program, asked, &mut Leaving::default());
        let file = manifest.write().map_err(|error| error.to_string())?;
        program.try_it(&file, now).map_err(|error| error.to_string())
    }

    pub(super) fn trial_ended(&mut self, now: MonoNs, ended: &ExitReason) {
        let Some(Upgrade { program, asked, step }) = self.upgrade.take() else { return };
        let Step::Tried(trial) = step else { return };
        match trial.verdict(ended) {
            Ok(()) => {
                let step = Step::Waits { until: now + QUIET_WITHIN };
                self.upgrade = Some(Upgrade { program, asked, step });
            }
            Err(why) => self.answer_refused(asked, refused(&program, &why)),
        }
    }

    pub(super) fn advance_upgrade(&mut self, now: MonoNs) {
        let Some(upgrade) = &self.upgrade else { return };
        self.reserve.lend();
        if let Step::Tried(trial) = &upgrade.step
            && (trial.is_late(now) || self.is_stopping())
        {
            // Its end tells the rest.
            return trial.kill();
        }
        let Step::Waits { until } = upgrade.step else { return };
        let obstacle = self.obstacle();
        if obstacle.is_some() && now < until && !self.is_stopping() {
            return;
        }
        let Some(Upgrade { program, asked, .. }) = self.upgrade.take() else { return };
        let error = if self.is_stopping() {
            refusal("the project is stopping", "start it with `framevisor up`")
        } else if let Some(obstacle) = obstacle {
            refusal(obstacle, "try again later")
        } else {
            let Err(error) = self.become_program(&program, asked);
            refused(&program, &error.to_string())
        };
        self.answer_refused(asked, error);
    }

    /// What another program could not go on with.
    fn obstacle(&self) -> Option<&'static str> {
        if !self.hand_overs.is_idle() {
            return Some("a worker is still being told what it is to do");
        }
        if !self.hooks.is_idle() {
            return Some("a hook has not ended");
        }
        if self.transition.is_some() || self.preparing.is_some() || !self.wanted.is_empty() {
            return Some("the topology is being changed");
        }
        // Another program reads of each worker once what became of it.
        if self.workers.values().any(|worker| worker.role != Role::Member) {
            return Some("a process that was replaced still keeps its clients");
        }
        self.floors.is_saving().then_some("the disk of the state file does not finish a write")
    }

    fn answer_refused(&mut self, asked: Asker, error: ReplyError) {
        tracing::warn!(reason = %error.text, "not upgraded");
        self.answer_late(asked, Err(error));
    }

    fn manifest<'a>(
        &'a self,
        program: &Program,
        asked: Asker,
        leaving: &mut Leaving<'a>,
    ) -> Manifest {
        let mut listeners = Vec::new();
        for listener in &self.spawner.listeners {
            listeners.push((listener.worker.clone(), leaving.leave(&listener.socket)));
        }
        let workers = self.workers.iter().map(|(id, worker)| {
            let mut handed = worker.hand_on(leaving);
            handed.leaves = self.leaving.contains(&id);
            handed.waits = self.waiting.contains(&id);
            handed
        });
        let past = Past {
            workers: workers.collect(),
            history: self.history.clone(),
            questions: self.questions.hand_on(),
            processes: self.processes,
            started: self.started,
        };
        let open = Open {
            guard: self.guard.as_ref().map(|guard| leaving.leave(guard)),
            lock: leaving.leave(&self.lock.file),
            listeners,
            admin: self.admin.hand_on(leaving),
            asked,
        };
        self.manifest_of(past, program, Some(open))
    }

    /// Returns only when it could not: then all is as before.
    fn become_program(&self, program: &Program, asked: Asker) -> Result<Infallible, ManifestError> {
        let failed = |step| move |source: io::Error| ManifestError::Io { step, source };
        let mut leaving = Leaving::default();
        let file = self.manifest(program, asked, &mut leaving).write()?;
        leaving.leave(&file);
        let argv = std::iter::once(program.path.as_os_str().as_bytes())
            .chain(program.args.iter().map(|arg| arg.as_bytes()));
        let env: Vec<Vec<u8>> = Program::environment(file.as_raw_fd())
            .iter()
            .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
            .collect();
        let argv = strings(argv)?;
        let env = strings(env.iter().map(Vec::as_slice))?;
        self.talk.flush();
        // A signal that comes before the next program listens waits for it.
        let mut before = SigSet::empty();
        let hidden = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before));
        hidden.map_err(|errno| failed("hold signals back")(errno.into()))?;
        let stays = leaving.set_open(true).map_err(failed("leave descriptors open"));
        let ended = stays.and_then(|()| {
            execve(&argv[0], &argv, &env).map_err(|errno| failed("exec")(errno.into()))
        });
        // Nothing was started meanwhile that could have inherited one.
        let _ = leaving.set_open(false);
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
        ended
    }
}

/// The other side.
impl Supervisor {
    /// Goes on with what another program left.
    pub(crate) fn resume(parts: Parts, mut past: Past) -> Result<Self, ManifestError> {
        let failed = |source: io::Error| ManifestError::Io { step: "event loop", source };
        let now = clock::mono();
        let mut this = Self::new(parts).map_err(failed)?;
        for mut handed in std::mem::take(&mut past.workers) {
            let Some(id) = this.workers.named(&handed.name) else {
                return Err(ManifestError::Worker { name: handed.name });
            };
            if handed.leaves {
                this.leaving.insert(id);
            }
            if handed.waits {
                this.waiting.insert(id);
            }
            let process = handed.process.take();
            let worker = &mut this.workers[id];
            worker.resume(handed);
            if let Some(process) = process {
                let language = language(&worker.spec.launch);
                let id = ProcessId { worker: id, number: process.number };
                let place = &this.spawner.place;
                let process = Process::resume(id, process, language, place, now, &mut this.poller)?;
                worker.process = Some(process);
            }
        }
        this.resume_past(past);
        Ok(this)
    }

    /// All but the workers, which are there.
    pub(super) fn resume_past(&mut self, past: Past) {
        let processes = self.workers.values().filter_map(|worker| worker.process.as_ref());
        self.questions = Questions::resume(past.questions, processes.map(|process| process.id));
        self.history = past.history;
        (self.processes, self.started) = (past.processes, past.started);
    }

    /// As [`Self::run`], of one that was resumed.
    pub(crate) fn go_on(mut self, asked: Asker, from: &str) -> ExitCode {
        let workers = self.workers.values().filter(|worker| worker.process.is_some()).count();
        tracing::info!(from, to = PROGRAM, workers, "upgraded");
        // Who ended while nobody listened sent its signal in vain.
        self.handle(clock::mono(), Event::ChildEnded);
        for id in self.workers.ids() {
            if self.workers[id].life.is_starting() {
                self.begin_asking(id);
            }
        }
        let upgraded = Upgraded { from: from.to_owned(), to: PROGRAM.to_owned(), workers };
        self.answer_late(asked, Ok(json!(upgraded)));
        self.live()
    }
}

fn language(launch: &Launch) -> Language {
    match launch {
        Launch::Use(_) => Language::Frames,
        Launch::Run { .. } => Language::Json,
    }
}

fn strings<'a>(all: impl Iterator<Item = &'a [u8]>) -> Result<Vec<CString>, ManifestError> {
    let string = |bytes: &[u8]| {
        let source = |error: std::ffi::NulError| io::Error::new(io::ErrorKind::InvalidInput, error);
        CString::new(bytes)
            .map_err(|error| ManifestError::Io { step: "exec", source: source(error) })
    };
    all.map(string).collect()
}

fn refused(program: &Program, why: &str) -> ReplyError {
    let text = format!("{} cannot go on with what runs: {why}", program.path.display());
    refusal(&text, "everything runs on as it did; name another with --binary PATH")
}

fn refusal(text: &str, hint: &str) -> ReplyError {
    ReplyError { code: "upgrade".to_owned(), text: text.to_owned(), hint: hint.to_owned() }
}
