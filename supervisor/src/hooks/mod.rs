//! Hooks: commands of the user's at what happens. Whatever they do, nobody waits for them.
//!
//! What belongs here: their processes, from the event to the end. Which one runs when is in `queue`,
//! what an event says in `happening`.

pub(crate) mod happening;
mod queue;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use protocol::exit::ExitReason;
use protocol::name::WorkerName;
use protocol::time::MonoNs;
use protocol::units::Span;
use serde::Serialize;
use spawn::{Command, Input, Limits, Output, StartError};

use crate::event::Event;
use crate::launch;
use crate::logs::{LogBook, Stream};
use crate::poller::Poller;
use crate::process::Pipe;
use crate::topology::HookSpec;
use happening::Happening;
use queue::Queue;

/// As the command line reads it.
const RUNTIME_DIR: &str = "FRAMEVISOR_RUNTIME_DIR";
/// Lines it prints are read in turns, as those of workers are.
const READ_TURNS: usize = 4;
/// When all workers have ended, hooks have this long.
const LAST: Duration = Duration::from_secs(2);

/// One run of one hook; numbers are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HookRun(u64);

#[derive(Debug)]
pub(crate) struct Hooks {
    hooks: Vec<Hook>,
    queue: Queue<Happening>,
    runs: BTreeMap<HookRun, Run>,
    next: u64,
    /// When what still runs is killed, because nothing else runs.
    last: Option<MonoNs>,
}

#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) spec: HookSpec,
    pub(crate) log: LogBook,
    /// Events it did not get because it is too slow; told when it gets the next.
    dropped: u64,
    /// Since the project started.
    counts: Counts,
    /// The topology has it no more: it hears of nothing.
    is_gone: bool,
}

/// What became of a hook's events.
#[derive(Clone, Debug, Default)]
struct Counts {
    runs: u64,
    failures: u64,
    dropped: u64,
    last_end: String,
}

/// A row of the control socket's `hooks`. More keys may come; these stay.
#[derive(Debug, Serialize)]
pub(crate) struct Row<'a> {
    /// `hook/NAME`.
    name: &'a WorkerName,
    on: &'a [String],
    run: &'a [String],
    /// Names and, as far as people may see it, values.
    env: BTreeMap<&'a str, String>,
    timeout: Span,
    /// Of the process that runs now.
    pid: Option<u32>,
    /// Events that wait for their turn.
    waiting: usize,
    runs: u64,
    /// Runs that could not be started, were killed, or ended with another code than 0.
    failures: u64,
    /// Events that were dropped because it is too slow.
    dropped: u64,
    /// How the last run ended; empty before.
    last_end: &'a str,
}

#[derive(Debug)]
struct Run {
    hook: usize,
    pid: u32,
    pipes: Vec<Pipe>,
    deadline: MonoNs,
    killed: bool,
}

/// Where hooks run: of the project, not of the event.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) folder: &'a Path,
    /// So that the command `framevisor` finds the project.
    pub(crate) runtime_dir: &'a Path,
    pub(crate) env: &'a [(OsString, OsString)],
    pub(crate) limits: &'a Limits,
}

/// Lines for the log of a hook.
pub(crate) type Said = (usize, Vec<(Stream, String)>);

impl Hooks {
    pub(crate) fn new(specs: &[HookSpec]) -> Self {
        let hooks = specs.iter().map(Hook::new).collect();
        Self { hooks, queue: Queue::new(), runs: BTreeMap::new(), next: 0, last: None }
    }

    /// These from now on. What runs ends as it began, what waits for a hook that is gone is dropped, and
    /// one that stays keeps its lines.
    pub(crate) fn change_to(&mut self, specs: &[HookSpec]) {
        for (at, hook) in self.hooks.iter_mut().enumerate() {
            hook.is_gone = !specs.iter().any(|spec| spec.name == hook.spec.name);
            if hook.is_gone {
                self.queue.drop_waiting(at);
            }
        }
        for spec in specs {
            let known = self.hooks.iter_mut().find(|hook| hook.spec.name == spec.name);
            if let Some(hook) = known {
                hook.spec = spec.clone();
                continue;
            }
            // Places are numbers that runs and events know a hook by.
            let runs = |at: usize| self.runs.values().any(|run| run.hook == at);
            let free = (0..self.hooks.len()).find(|&at| self.hooks[at].is_gone && !runs(at));
            match free {
                Some(at) => self.hooks[at] = Hook::new(spec),
                None => self.hooks.push(Hook::new(spec)),
            }
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().filter(|hook| !hook.is_gone)
    }

    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let all = self.hooks.iter().enumerate().filter(|(_, hook)| !hook.is_gone);
        all.map(|(at, hook)| self.row(at, hook)).collect()
    }

    fn row<'a>(&'a self, at: usize, hook: &'a Hook) -> Row<'a> {
        let Hook { spec, counts, .. } = hook;
        let run = self.runs.values().find(|run| run.hook == at);
        Row {
            name: &spec.name,
            on: &spec.on,
            run: &spec.argv,
            env: spec.env.iter().map(|(key, text)| (key.as_str(), text.to_string())).collect(),
            timeout: spec.timeout,
            pid: run.map(|run| run.pid),
            waiting: self.queue.waiting(at),
            runs: counts.runs,
            failures: counts.failures,
            dropped: counts.dropped,
            last_end: &counts.last_end,
        }
    }

    pub(crate) fn log_of(&mut self, hook: usize) -> Option<&mut LogBook> {
        self.hooks.get_mut(hook).map(|hook| &mut hook.log)
    }

    /// To all that wait for it.
    pub(crate) fn happened(&mut self, happening: &Happening) {
        for (at, hook) in self.hooks.iter_mut().enumerate() {
            let waits = !hook.is_gone && hook.spec.waits_for(&happening.event);
            if waits && !self.queue.offer(at, happening.clone()) {
                hook.dropped += 1;
                hook.counts.dropped += 1;
            }
        }
    }

    /// Starts those whose turn it is, ends those whose time is over.
    pub(crate) fn advance(
        &mut self,
        now: MonoNs,
        setting: &Setting<'_>,
        poller: &mut Poller<Event>,
    ) -> Vec<Said> {
        self.end_late(now);
        let mut said = Vec::new();
        while let Some((at, happening)) = self.queue.next() {
            let dropped = std::mem::take(&mut self.hooks[at].dropped);
            if dropped > 0 {
                said.push(own_words(at, format!("{dropped} events dropped: it is too slow")));
            }
            match self.start(now, at, &happening, setting, poller) {
                Ok(run) => {
                    self.next += 1;
                    self.hooks[at].counts.runs += 1;
                    self.runs.insert(HookRun(self.next), run);
                }
                Err(error) => {
                    self.queue.ended(at);
                    self.hooks[at].counts.failed(error.to_string());
                    said.push(own_words(at, format!("{}: {error}", happening.event)));
                }
            }
        }
        said
    }

    fn start(
        &self,
        now: MonoNs,
        at: usize,
        happening: &Happening,
        setting: &Setting<'_>,
        poller: &mut Poller<Event>,
    ) -> Result<Run, HookError> {
        let spec = &self.hooks[at].spec;
        let (stdin, mut told) = io::pipe()?;
        // Plain types of ours always have a JSON form; a new pipe takes far more than this.
        told.write_all(&serde_json::to_vec(happening).unwrap_or_default())?;
        drop(told);
        let mut env = setting.env.to_vec();
        launch::set(&mut env, RUNTIME_DIR, setting.runtime_dir);
        spec.env.iter().for_each(|(key, value)| launch::set(&mut env, key, value.value()));
        let variables = happening.variables();
        variables.into_iter().for_each(|(key, value)| launch::set(&mut env, &key, value));
        let args: Vec<OsString> = spec.argv.iter().skip(1).map(OsString::from).collect();
        let command = Command {
            program: &spec.argv.first().map_or_else(PathBuf::new, PathBuf::from),
            args: &args,
            cwd: setting.folder,
            env: &env,
            inherit: &[],
            input: Input::From(stdin.as_fd()),
            output: Output::Piped,
            limits: setting.limits,
            cgroup: None,
            death_signal: Signal::SIGKILL,
        };
        let running = command.start()?;
        let pid = running.pid;
        let event = Event::HookOutput(HookRun(self.next + 1));
        let pipes = Pipe::watch_both(running, event, poller);
        // What nobody reads may not run on; it is reaped like any other.
        let pipes = pipes.inspect_err(|_| kill_group(pid))?;
        let deadline = now + spec.timeout.duration();
        Ok(Run { hook: at, pid, pipes, deadline, killed: false })
    }

    fn end_late(&mut self, now: MonoNs) {
        let last = self.last;
        for run in self.runs.values_mut() {
            let late = now >= run.deadline || last.is_some_and(|last| now >= last);
            if late && !run.killed {
                run.killed = true;
                kill_group(run.pid);
            }
        }
    }

    /// What it printed since.
    pub(crate) fn read(&mut self, run: HookRun, poller: &mut Poller<Event>) -> Option<Said> {
        let run = self.runs.get_mut(&run)?;
        Some((run.hook, Pipe::read_all(&mut run.pipes, READ_TURNS, poller)))
    }

    /// None runs, and none waits for its turn.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_idle()
    }

    pub(crate) fn is_pid(&self, pid: u32) -> bool {
        self.runs.values().any(|run| run.pid == pid)
    }

    pub(crate) fn is_group(&self, group: Option<u32>) -> bool {
        self.runs.values().any(|run| group == Some(run.pid))
    }

    /// A child has ended: says how, if it was one of these.
    pub(crate) fn reaped(
        &mut self,
        pid: u32,
        reason: &ExitReason,
        poller: &mut Poller<Event>,
    ) -> Option<Said> {
        let number = *self.runs.iter().find(|(_, run)| run.pid == pid)?.0;
        let mut run = self.runs.remove(&number)?;
        let mut lines = Pipe::bury_all(std::mem::take(&mut run.pipes), poller);
        self.queue.ended(run.hook);
        let Hook { spec, counts, .. } = &mut self.hooks[run.hook];
        if run.killed {
            let text = format!("killed: it ran longer than {}", spec.timeout);
            counts.failed(text.clone());
            lines.push((Stream::Stderr, text));
        } else if *reason == ExitReason::Code(0) {
            counts.last_end = reason.to_string();
        } else {
            counts.failed(reason.to_string());
            lines.push((Stream::Stderr, format!("ended with {reason}")));
        }
        Some((run.hook, lines))
    }

    /// All workers have ended: the hooks have a little time, and then none.
    pub(crate) fn is_over(&mut self, now: MonoNs, at_once: bool) -> bool {
        let last = *self.last.get_or_insert(now + LAST);
        if at_once || now >= last {
            self.queue.clear();
        }
        let over = self.queue.is_idle() || at_once || now >= last + LAST;
        if over {
            self.runs.values().for_each(|run| kill_group(run.pid));
        }
        over
    }

    /// When [`Self::advance`] is due next.
    pub(crate) fn deadline(&self) -> Option<MonoNs> {
        let alive = self.runs.values().filter(|run| !run.killed);
        alive.map(|run| self.last.unwrap_or(run.deadline).min(run.deadline)).min()
    }
}

impl Hook {
    fn new(spec: &HookSpec) -> Self {
        Self {
            spec: spec.clone(),
            log: LogBook::new(spec.name.clone()),
            dropped: 0,
            counts: Counts::default(),
            is_gone: false,
        }
    }
}

impl Counts {
    fn failed(&mut self, why: String) {
        self.failures += 1;
        self.last_end = why;
    }
}

#[derive(Debug, thiserror::Error)]
enum HookError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("its pipes: {0}")]
    Pipes(#[from] io::Error),
}

fn own_words(hook: usize, text: String) -> Said {
    (hook, vec![(Stream::Stderr, text)])
}

/// It leads its group and was not reaped yet, so the number cannot belong to another.
fn kill_group(pid: u32) {
    // ESRCH is one that has just ended.
    let _ = killpg(Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX)), Signal::SIGKILL);
}
