//! One running process of a worker: what it was given and how it is reached.

mod bond;
mod handed_on;
mod pipes;

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use protocol::health::{Health, PAGE_BYTES};
use protocol::time::MonoNs;
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
use spawn::{
    Command, FIRST_INHERITED, HealthError, HealthPage, Input, Limit, Output, Running, StartError,
};

use crate::beat::Beat;
use crate::cgroup::{self, Cgroup, Cgroups};
use crate::event::Event;
use crate::launch::{Access, Launcher, Numbers};
use crate::limits::{self, Enforced, Limits};
use crate::link::{self, Language, Link};
use crate::listeners::Listener;
use crate::logs::{Splitter, Stream};
use crate::orphans;
use crate::place::Place;
use crate::poller::{Poller, Token};
use crate::progress::Progress;
use crate::readiness::Asking;
use crate::rings::Outlook;
use crate::topology::{Launch, Topology, WorkerSpec};
use crate::workers::WorkerId;

pub(crate) use bond::Bond;
pub(crate) use handed_on::Handed;
pub(crate) use pipes::{Ends, Side, SpareEnds};

const READ_BYTES: usize = 16 * 1024;
/// A dead worker's pipe holds at most 64 KiB, but an orphan of it may still be filling it.
const LAST_WORDS_TURNS: usize = 64;
/// Most reads of its output from one look of the supervisor to the next, 0.2 s later.
const READS_A_LOOK: u32 = 8;

/// One process of one worker. Numbers are never used twice, so what belongs to a dead process can
/// never be taken for its successor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessId {
    pub(crate) worker: WorkerId,
    pub(crate) number: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Health(#[from] HealthError),
    /// Only for a worker whose limits are required.
    #[error("limits that it requires cannot be set: {0}")]
    Limits(String),
    #[error("{step}: {source}")]
    Io { step: &'static str, source: io::Error },
}

impl SpawnError {
    pub(crate) fn pipes(source: io::Error) -> Self {
        Self::Io { step: "pipes to its other side", source }
    }
}

/// What every start needs.
#[derive(Debug)]
pub(crate) struct Spawner {
    pub(crate) topology: Topology,
    /// Whose members may read the rings.
    pub(crate) group: Option<u32>,
    pub(crate) outlook: Outlook,
    pub(crate) launcher: Launcher,
    pub(crate) place: Place,
    pub(crate) listeners: Vec<Listener>,
    /// `None` where none can be made.
    pub(crate) cgroups: Option<Cgroups>,
    /// Most descriptors a process of ours may have.
    pub(crate) nofile_max: u64,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    pub(crate) pid: u32,
    pub(crate) link: Link,
    pub(crate) beat: Beat,
    pub(crate) progress: Progress,
    /// Whether it is up is asked only while it lives.
    pub(crate) asking: Asking,
    pub(crate) tmp: PathBuf,
    /// Its end of the control link is closed; unless it dies first, it is killed then.
    pub(crate) closed: Option<MonoNs>,
    /// `None` of one that ends with this supervisor.
    pub(crate) bond: Option<Bond>,
    /// A child of the guard: this supervisor did not start it, and cannot reap it.
    pub(crate) adopted: Option<Adopted>,
    pub(crate) limits: Enforced,
    pub(crate) cgroup: Option<Cgroup>,
    /// The process that its pipes to a command, or to a pipe worker, were made for.
    pub(crate) pair: Option<u64>,
    pidfd: OwnedFd,
    health: Option<File>,
    link_token: Token,
    pipes: Vec<Pipe>,
    /// Reads of its output since the last look.
    reads: u32,
}

/// Of a process that was taken up: how its end is seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adopted {
    pidfd_token: Token,
    /// When it was seen to have ended; the guard tells how.
    pub(crate) ended: Option<MonoNs>,
}

/// One of its output pipes, until its end.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) stream: Stream,
    pub(crate) file: File,
    pub(crate) splitter: Splitter,
    token: Token,
}

impl Spawner {
    pub(crate) fn listeners_of<'a>(
        &'a self,
        worker: &'a WorkerSpec,
    ) -> impl Iterator<Item = &'a Listener> {
        self.listeners.iter().filter(move |listener| {
            listener.worker == worker.name && Some(listener.address) == worker.listen()
        })
    }

    /// Starts the worker's process. On an error nothing is left of it.
    pub(crate) fn start(
        &self,
        worker: &WorkerSpec,
        id: ProcessId,
        ends: Option<&Ends>,
        now: MonoNs,
        poller: &mut Poller<Event>,
    ) -> Result<Process, SpawnError> {
        let tmp = self.place.tmp(id.number);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&tmp)
            .map_err(at("create its TMPDIR"))?;
        let started = self.start_in(worker, id, ends, now, tmp.clone(), poller);
        if started.is_err() {
            // What cannot be removed now goes with the whole folder at the next start.
            let _ = fs::remove_dir_all(&tmp);
        }
        started
    }

    fn start_in(
        &self,
        worker: &WorkerSpec,
        id: ProcessId,
        ends: Option<&Ends>,
        now: MonoNs,
        tmp: PathBuf,
        poller: &mut Poller<Event>,
    ) -> Result<Process, SpawnError> {
        let built_in = matches!(worker.launch, Launch::Use(_));
        let language = if built_in { Language::Frames } else { Language::Json };
        let (link, their_link) = link::pair(language).map_err(at("control link"))?;
        let health = built_in.then(HealthPage::create).transpose()?;
        let listeners: Vec<BorrowedFd<'_>> =
            self.listeners_of(worker).map(|listener| listener.socket.as_fd()).collect();
        let held = ends.filter(|_| built_in);
        let numbers = numbers(health.is_some(), listeners.len(), held);
        let broker = self.outlook.broker.as_ref().map(|_| self.place.broker_socket());
        let access = Access { group: self.group, broker };
        let mut plan = self.launcher.plan(&self.topology, worker, &tmp, &numbers, &access);
        let bond = self
            .topology
            .outlives(worker)
            .map(|within| Bond::new(self.place.adoption(id.number), within));
        let bond = bond.transpose().map_err(at("fence"))?;
        plan.env.extend(bond.iter().flat_map(Bond::environment));
        let inherit: Vec<BorrowedFd<'_>> = std::iter::once(their_link.as_fd())
            .chain(health.as_ref().map(AsFd::as_fd))
            .chain(listeners)
            .chain(held.into_iter().flat_map(Ends::iter))
            .collect();
        let limits = Limits::of(worker, self.nofile_max);
        let cgroup = self.cgroup_of(worker, id.number, &limits);
        // A command has them as its own stdin and stdout.
        let own = ends.filter(|_| !built_in);
        let command = Command {
            program: &plan.program,
            args: &plan.args,
            cwd: self.topology.folder(),
            env: &plan.env,
            inherit: &inherit,
            input: own.and_then(Ends::stdin).map_or(Input::Nothing, Input::From),
            output: own.and_then(Ends::stdout).map_or(Output::Piped, Output::To),
            limits: &limits.of_process(worker),
            cgroup: cgroup.as_ref().map(|group| group.folder.as_fd()),
            death_signal: Signal::SIGKILL,
        };
        let running = command.start()?;
        let pid = running.pid;
        let limits = self.enforced(worker, limits, cgroup.is_some(), &running);
        let process = match missing(worker, &limits) {
            Some(text) => Err(SpawnError::Limits(text)),
            None => attach(id, now, tmp, running, (limits, cgroup), link, poller),
        };
        // What nobody watches must not run; the reaper takes it as an unknown child.
        let process = process.inspect_err(|_| orphans::kill_child(pid))?;
        let bond = bond.map(|bond| Bond { born: orphans::born(pid), ..bond });
        Ok(Process {
            health: health.map(File::from),
            bond,
            pair: ends.map(|ends| ends.made_for),
            ..process
        })
    }
}

impl Spawner {
    pub(crate) fn hook_limits(&self) -> spawn::Limits {
        limits::of_hooks(self.nofile_max)
    }

    /// A worker runs without a group rather than not at all.
    fn cgroup_of(&self, worker: &WorkerSpec, number: u64, limits: &Limits) -> Option<Cgroup> {
        let made =
            self.cgroups.as_ref()?.create(&worker.name, number, limits, worker.output.is_some());
        let told = |error: &io::Error| {
            tracing::warn!(worker = %worker.name, %error, "runs without a cgroup of its own");
        };
        made.inspect_err(told).ok()
    }

    fn enforced(
        &self,
        worker: &WorkerSpec,
        limits: Limits,
        in_group: bool,
        running: &Running,
    ) -> Enforced {
        let lacks = match &self.cgroups {
            Some(groups) if in_group => groups.lacks(&limits),
            _ => cgroup::lacking(&limits, |_| false),
        };
        let in_group = in_group && running.refused.iter().all(|it| it.limit != Limit::Cgroup);
        let refused = running.refused.iter().map(ToString::to_string);
        let not_set: Vec<String> = refused.chain(lacks).collect();
        tracing::debug!(worker = %worker.name, ?limits, ?not_set, "limits");
        Enforced { limits, cgroup: in_group, not_set }
    }
}

/// What the file asks for, requires, and does not get.
fn missing(worker: &WorkerSpec, limits: &Enforced) -> Option<String> {
    let missing = limits.not_set_of(&worker.limits);
    (worker.limits.require && !missing.is_empty()).then(|| missing.join("; "))
}

/// The link, then the health page, then the sockets, then the pipes: in the order they are inherited.
fn numbers(has_health: bool, sockets: usize, pipes: Option<&Ends>) -> Numbers {
    let mut next = FIRST_INHERITED..;
    let mut number = || next.next().unwrap_or(FIRST_INHERITED);
    Numbers {
        control: number(),
        health: has_health.then(&mut number),
        listen: (0..sockets).map(|_| number()).collect(),
        stdin: pipes.and_then(Ends::stdin).map(|_| number()),
        stdout: pipes.and_then(Ends::stdout).map(|_| number()),
    }
}

fn attach(
    id: ProcessId,
    now: MonoNs,
    tmp: PathBuf,
    running: Running,
    (limits, cgroup): (Enforced, Option<Cgroup>),
    link: Link,
    poller: &mut Poller<Event>,
) -> Result<Process, SpawnError> {
    let pid = as_pid(running.pid);
    let pidfd = rustix::process::Pid::from_raw(pid.as_raw())
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()))
        .map_err(|errno| at("pidfd")(errno.into()))?;
    let link_token = poller.watch(&link, Event::Link(id)).map_err(at("watch its link"))?;
    let number = running.pid;
    let pipes = Pipe::watch_both(running, Event::Output(id), poller).map_err(at("its output"))?;
    let beat = Beat::new(now);
    Ok(Process {
        id,
        pid: number,
        link,
        beat,
        progress: Progress::new(),
        asking: Asking::default(),
        tmp,
        closed: None,
        bond: None,
        adopted: None,
        limits,
        cgroup,
        pair: None,
        pidfd,
        health: None,
        link_token,
        pipes,
        reads: 0,
    })
}

impl Process {
    pub(crate) fn term(&self) {
        self.signal(Signal::SIGTERM, rustix::process::Signal::TERM);
    }

    pub(crate) fn kill(&self) {
        self.signal(Signal::SIGKILL, rustix::process::Signal::KILL);
        if let Some(group) = &self.cgroup {
            group.kill();
        }
    }

    /// It is to stand still without knowing it.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP, rustix::process::Signal::STOP);
    }

    /// To the process, which cannot be mistaken, and to the rest of its group: it leads it, and as
    /// it was not reaped yet the group's number cannot belong to another. One that was adopted may have
    /// been reaped by the guard; as built-in workers do, it has a group of one.
    fn signal(&self, signal: Signal, same: rustix::process::Signal) {
        // ESRCH is a process that has just ended: its death is on the way.
        if self.adopted.is_none() {
            let _ = killpg(as_pid(self.pid), signal);
        }
        let _ = pidfd_send_signal(&self.pidfd, same);
    }

    /// An adopted process has ended: the guard will tell how.
    pub(crate) fn note_end(&mut self, now: MonoNs, poller: &mut Poller<Event>) {
        if let Some(adopted) = &mut self.adopted {
            adopted.ended.get_or_insert(now);
            // It stays readable.
            poller.forget(&self.pidfd, adopted.pidfd_token);
        }
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// What its health page says. The worker can write anything there; it is believed only as far
    /// as showing and timing go.
    pub(crate) fn health(&self) -> Option<Health> {
        let mut page = [0; PAGE_BYTES];
        self.health.as_ref()?.read_exact_at(&mut page, 0).ok()?;
        Health::parse(&page)
    }

    pub(crate) fn has_health_page(&self) -> bool {
        self.health.is_some()
    }

    /// Waits for room in the link only while something is queued.
    pub(crate) fn update_interest(&self, poller: &Poller<Event>) {
        // It fails only for a link that is not watched any more.
        let _ = poller.want_write(&self.link, self.link_token, self.link.wants_write());
    }

    /// No more is heard over the link.
    pub(crate) fn forget_link(&self, poller: &mut Poller<Event>) {
        poller.forget(&self.link, self.link_token);
    }

    /// Who prints faster than is read waits in its own write; the loop is not kept busy by it.
    pub(crate) fn calm_output(&mut self, poller: &Poller<Event>) {
        self.reads += 1;
        if self.reads == READS_A_LOOK {
            self.hear_output(poller, false);
        }
    }

    pub(crate) fn resume_output(&mut self, poller: &Poller<Event>) {
        if self.reads >= READS_A_LOOK {
            self.hear_output(poller, true);
        }
        self.reads = 0;
    }

    fn hear_output(&self, poller: &Poller<Event>, wanted: bool) {
        for pipe in &self.pipes {
            // It fails only for a pipe that is not watched any more.
            let _ = poller.want_read(&pipe.file, pipe.token, wanted);
        }
    }

    /// Reads what it printed: at most `turns` times a pipe, so that no worker can keep the loop.
    pub(crate) fn read_output(
        &mut self,
        turns: usize,
        poller: &mut Poller<Event>,
    ) -> Vec<(Stream, String)> {
        Pipe::read_all(&mut self.pipes, turns, poller)
    }

    /// It is dead: takes its last words and ends all watching.
    pub(crate) fn bury(mut self, poller: &mut Poller<Event>) -> Vec<(Stream, String)> {
        let lines = Pipe::bury_all(std::mem::take(&mut self.pipes), poller);
        poller.forget(&self.link, self.link_token);
        if let Some(adopted) = self.adopted {
            poller.forget(&self.pidfd, adopted.pidfd_token);
        }
        if let Some(bond) = self.bond {
            // A process that was stopped before it listened has none.
            let _ = fs::remove_file(bond.socket);
        }
        remove_later(self.tmp);
        lines
    }
}

impl Pipe {
    /// Of a process just started: `event` is given whenever it has printed something.
    pub(crate) fn watch_both(
        running: Running,
        event: Event,
        poller: &mut Poller<Event>,
    ) -> io::Result<Vec<Self>> {
        let ends = [(Stream::Stdout, running.stdout), (Stream::Stderr, running.stderr)];
        let mut pipes = Vec::new();
        for (stream, end) in ends {
            let Some(end) = end else { continue };
            let file = File::from(end);
            fcntl(&file, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            let token = poller.watch(&file, event)?;
            pipes.push(Self { stream, file, splitter: Splitter::default(), token });
        }
        Ok(pipes)
    }

    /// At most `turns` reads each; those at their end are let go.
    pub(crate) fn read_all(
        pipes: &mut Vec<Self>,
        turns: usize,
        poller: &mut Poller<Event>,
    ) -> Vec<(Stream, String)> {
        let mut lines = Vec::new();
        pipes.retain_mut(|pipe| {
            let open = pipe.read(turns, &mut lines);
            if !open {
                poller.forget(&pipe.file, pipe.token);
            }
            open
        });
        lines
    }

    /// The last words of a process that is dead.
    pub(crate) fn bury_all(
        mut pipes: Vec<Self>,
        poller: &mut Poller<Event>,
    ) -> Vec<(Stream, String)> {
        let mut lines = Self::read_all(&mut pipes, LAST_WORDS_TURNS, poller);
        for mut pipe in pipes {
            poller.forget(&pipe.file, pipe.token);
            lines.extend(pipe.splitter.rest().map(|rest| (pipe.stream, rest)));
        }
        lines
    }

    /// False at its end.
    fn read(&mut self, turns: usize, lines: &mut Vec<(Stream, String)>) -> bool {
        let mut buffer = [0; READ_BYTES];
        for _ in 0..turns {
            let count = match (&self.file).read(&mut buffer) {
                Ok(count @ 1..) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => {
                    lines.extend(self.splitter.rest().map(|rest| (self.stream, rest)));
                    return false;
                }
            };
            let new = self.splitter.feed(&buffer[..count]);
            lines.extend(new.into_iter().map(|line| (self.stream, line)));
        }
        true
    }
}

/// A worker may have left gigabytes: the loop does not wait for their removal. What a failure
/// leaves goes with the whole folder when the project ends or starts.
fn remove_later(tmp: PathBuf) {
    let work = move || drop(fs::remove_dir_all(tmp));
    let _ = std::thread::Builder::new().name("remove".to_owned()).spawn(work);
}

fn as_pid(pid: u32) -> Pid {
    // The kernel's pids are positive i32.
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}

fn at(step: &'static str) -> impl FnOnce(io::Error) -> SpawnError {
    move |source| SpawnError::Io { step, source }
}
