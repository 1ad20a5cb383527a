//! The start of a process: what it is given, and how it is watched from its first moment.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use protocol::time::MonoNs;
use rustix::process::{PidfdFlags, pidfd_open};
use spawn::{Command, FIRST_INHERITED, HealthPage, Input, Limit, Output, Running};

use super::{Bond, Ends, Pipe, Process, ProcessId, SpawnError, as_pid, at};
use crate::beat::Beat;
use crate::cgroup::{self, Cgroup, Cgroups};
use crate::event::Event;
use crate::launch::{Access, Launcher, Numbers};
use crate::limits::{self, Enforced, Limits};
use crate::link::{self, Language, Link};
use crate::listeners::Listener;
use crate::orphans;
use crate::place::Place;
use crate::poller::Poller;
use crate::progress::Progress;
use crate::readiness::Asking;
use crate::rings::Outlook;
use crate::topology::{Launch, Topology, WorkerSpec};

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

impl Spawner {
    /// In the order in which the worker knows them.
    pub(crate) fn listeners_of<'a>(
        &'a self,
        worker: &'a WorkerSpec,
    ) -> impl Iterator<Item = &'a Listener> {
        worker.listens().filter_map(move |address| {
            let is_it = |it: &&Listener| it.worker == worker.name && it.address == address;
            self.listeners.iter().find(is_it)
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
