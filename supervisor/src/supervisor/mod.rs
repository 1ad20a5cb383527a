//! The supervisor: one loop, one owner of all state. Each event is one call; what is decided is
//! decided in `lifecycle`, `policy`, `beat` and `shutdown`, and only carried out here.
//!
//! Nothing here waits for anyone: sockets do not block, disks and hand-overs have threads of their
//! own, and what a worker sends is bounded.

mod boot;
mod changes;
mod children;
mod control;
pub(crate) mod drill;
mod hooks;
mod looks;
mod messages;
mod orders;
mod replacing;
mod room;
mod sides;
mod stop;
mod succession;
mod transition;
mod upgrade;

pub(crate) use messages::Message;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use protocol::exit::ExitReason;
use protocol::time::MonoNs;
use shmring::clock;

use crate::admin::Admin;
use crate::beat::Rhythm;
use crate::cgroup;
use crate::event::Event;
use crate::floors::Floors;
use crate::hand_over::HandOvers;
use crate::history::History;
use crate::hooks::Hooks;
use crate::lifecycle::{Action, Input};
use crate::logs::{LogLine, Stream};
use crate::manager::Manager;
use crate::place::Lock;
use crate::poller::Poller;
use crate::preparing::Preparations;
use crate::process::{Process, ProcessId, SpareEnds, SpawnError, Spawner};
use crate::questions::Questions;
use crate::readiness::Probes;
use crate::reserve::{self, Reserve};
use crate::rings;
use crate::shutdown::Shutdown;
use crate::signals::Signals;
use crate::talk::Talk;
use crate::topology::Topology;
use crate::trial::Program;
use crate::will::Will;
use crate::worker::{Role, Row, Worker};
use crate::workers::{WorkerId, Workers};
pub(crate) use succession::take_up;
use transition::Transition;
use upgrade::Upgrade;

pub(crate) use orders::Wanted;

/// Reads of one output pipe in one turn of the loop: 64 KiB, a full pipe.
const OUTPUT_TURNS: usize = 4;

/// What the supervisor is made of; all of it is open before anything starts.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) spawner: Spawner,
    pub(crate) poller: Poller<Event>,
    pub(crate) admin: Admin,
    pub(crate) floors: Floors,
    /// `None` when it is gone: then the project ends.
    pub(crate) guard: Option<OwnedFd>,
    pub(crate) guard_pid: u32,
    pub(crate) lock: Lock,
    pub(crate) stop: Signals,
    pub(crate) talk: Talk,
    pub(crate) manager: Manager,
    /// What it becomes at an upgrade.
    pub(crate) program: Program,
    /// For the spread of restarts.
    pub(crate) seed: u64,
}

#[derive(Debug)]
pub(crate) struct Supervisor {
    spawner: Spawner,
    pub(crate) workers: Workers,
    pub(crate) poller: Poller<Event>,
    pub(crate) admin: Admin,
    hand_overs: HandOvers,
    probes: Probes,
    floors: Floors,
    guard: Option<OwnedFd>,
    guard_pid: u32,
    /// It ends with its last holder.
    lock: Lock,
    stop: Signals,
    child: Signals,
    talk: Talk,
    pub(super) manager: Manager,
    program: Program,
    upgrade: Option<Upgrade>,
    /// For whoever follows if this one is killed.
    will: Will,
    /// The guard knows what to start then.
    is_followed: bool,
    shutdown: Option<Shutdown>,
    pub(crate) history: History,
    questions: Questions,
    hooks: Hooks,
    reserve: Reserve,
    /// Workers that a person wants stopped and that have not ended yet.
    leaving: BTreeSet<WorkerId>,
    /// Pipes of commands whose other side has not started yet.
    spare_ends: SpareEnds,
    /// Workers that are not started before others are up.
    waiting: BTreeSet<WorkerId>,
    /// How many of those wait for nothing but their turn.
    queue: usize,
    /// The service manager has been told that all were started.
    announced: bool,
    /// Writers that leave their ring, and who takes it over.
    successions: BTreeMap<WorkerId, WorkerId>,
    wanted: VecDeque<Wanted>,
    preparations: Preparations,
    preparing: Option<Wanted>,
    transition: Option<Transition>,
    seed: u64,
    rhythm: Rhythm,
    looks: u64,
    processes: u64,
    /// Processes of this machine that the kernel had killed for want of memory.
    oom_kills: u64,
    started: MonoNs,
    name_width: usize,
}

impl Supervisor {
    pub(crate) fn new(parts: Parts) -> std::io::Result<Self> {
        let Parts { spawner, mut poller, admin, floors, guard, guard_pid, lock, .. } = parts;
        let Parts { stop, talk, manager, program, seed, .. } = parts;
        let child = Signals::child()?;
        let hand_overs = HandOvers::new()?;
        let probes = Probes::new()?;
        let preparations = Preparations::new()?;
        poller.watch(&child, Event::ChildEnded)?;
        poller.watch(&stop, Event::StopSignal)?;
        poller.watch(&hand_overs, Event::HandOverEnded)?;
        if let Some(guard) = &guard {
            poller.watch(guard, Event::GuardLink)?;
        }
        poller.watch(&probes, Event::ProbeAnswered)?;
        poller.watch(&preparations, Event::Prepared)?;
        let specs = &spawner.topology.workers;
        let mut workers = Workers::default();
        for (at, spec) in (0..).zip(specs) {
            let writes = spawner.topology.written_by(spec);
            workers.add(Worker::new(spec.clone(), writes, seed.wrapping_add(at)));
        }
        let hooks = Hooks::new(&spawner.topology.hooks);
        let reserve = Reserve::new(spawner.listeners.len());
        let name_width = specs.iter().map(|spec| spec.name.as_str().len()).max().unwrap_or(0);
        let now = clock::mono();
        Ok(Self {
            workers,
            spawner,
            poller,
            admin,
            hand_overs,
            probes,
            floors,
            guard,
            guard_pid,
            lock,
            stop,
            child,
            talk,
            manager,
            program,
            upgrade: None,
            will: Will::default(),
            is_followed: false,
            shutdown: None,
            history: History::default(),
            questions: Questions::default(),
            hooks,
            reserve,
            leaving: BTreeSet::new(),
            spare_ends: SpareEnds::default(),
            waiting: BTreeSet::new(),
            queue: 0,
            announced: false,
            successions: BTreeMap::new(),
            wanted: VecDeque::new(),
            preparations,
            preparing: None,
            transition: None,
            seed,
            rhythm: Rhythm::new(now),
            looks: 0,
            processes: 0,
            oom_kills: cgroup::oom_kills_of_machine(),
            started: now,
            name_width,
        })
    }

    /// Starts everything and lives until everything has ended.
    pub(crate) fn run(mut self) -> ExitCode {
        self.boot(clock::mono());
        self.hook_project("project.started");
        self.live()
    }

    fn live(mut self) -> ExitCode {
        while !self.is_over(clock::mono()) {
            let wait = self.next_deadline().saturating_since(clock::mono());
            match self.poller.wait(wait) {
                Ok(events) => {
                    for (event, _) in events {
                        self.handle(clock::mono(), event);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the event loop cannot wait: ending the project");
                    self.end_at_once(clock::mono());
                }
            }
            self.handle(clock::mono(), Event::Tick);
            self.keep_reserve();
        }
        self.finish()
    }

    fn handle(&mut self, now: MonoNs, event: Event) {
        match event {
            Event::AdoptedEnded(process) => self.note_adopted_end(now, process),
            Event::AdminConnection => self.admin.accept(&mut self.poller, &mut self.reserve),
            Event::ChildEnded => self.reap(now),
            Event::Client(client) => {
                self.reserve.lend();
                self.serve(now, client);
            }
            Event::GuardLink => self.hear_guard(now),
            Event::HandOverEnded => self.hand_overs_ended(),
            Event::HookOutput(run) => self.hook_output(run),
            Event::Link(process) => self.hear(now, process),
            Event::Output(process) => self.read_output(process),
            Event::Prepared => self.prepared(),
            Event::ProbeAnswered => self.probes_answered(now),
            Event::StopSignal => self.stop_signalled(now),
            Event::Tick => self.tick(now),
        }
    }

    fn act(&mut self, at: WorkerId, now: MonoNs, action: Action) -> Option<Input> {
        match action {
            Action::Spawn => return Some(self.spawn(at, now)),
            Action::Ask { grace } => self.ask_to_stop(at, now, grace),
            Action::Drain => self.tell_to_drain(at, now),
            Action::Term => self.process_of(at, Process::term),
            Action::Kill => self.process_of(at, Process::kill),
        }
        None
    }

    fn process_of(&self, at: WorkerId, work: impl FnOnce(&Process)) {
        if let Some(process) = &self.workers[at].process {
            work(process);
        }
    }

    fn spawn(&mut self, at: WorkerId, now: MonoNs) -> Input {
        self.processes += 1;
        let id = ProcessId { worker: at, number: self.processes };
        self.reserve.lend();
        let started = self.ends_for(id).map_err(SpawnError::pipes).and_then(|ends| {
            let spec = &self.workers[at].spec;
            self.spawner.start(spec, id, ends.as_ref(), now, &mut self.poller)
        });
        match started {
            Ok(process) => {
                tracing::debug!(worker = %self.spec(at).name, pid = process.pid, "started");
                self.tell_limits(at, &process);
                self.workers[at].process = Some(process);
                self.begin_asking(at);
                self.join(at, now);
                Input::Spawned
            }
            Err(error) if reserve::is_shortage(&error) => self.no_room(at, now, &error),
            Err(error) => {
                tracing::warn!(worker = %self.spec(at).name, %error, "cannot be started");
                self.remember(at, now, &ExitReason::Spawn(error.to_string()), None, None);
                Input::SpawnFailed(error.to_string())
            }
        }
    }

    /// Once, unless it changes.
    fn tell_limits(&mut self, at: WorkerId, process: &Process) {
        let not_set = &process.limits.not_set;
        if !not_set.is_empty() && self.workers[at].told != *not_set {
            let worker = &self.spec(at).name;
            tracing::warn!(%worker, "limits that could not be set: {}", not_set.join("; "));
        }
        self.workers[at].told.clone_from(not_set);
    }

    fn read_output(&mut self, id: ProcessId) {
        let Some(process) = current(&mut self.workers, id) else { return };
        let lines = process.read_output(OUTPUT_TURNS, &mut self.poller);
        process.calm_output(&self.poller);
        self.add_lines(id.worker, lines);
    }

    fn add_lines(&mut self, at: WorkerId, lines: Vec<(Stream, String)>) {
        let now = clock::now();
        for (stream, text) in lines {
            if self.looked_for_in(at, &text) {
                self.shows_ready_by_line(at, now.mono);
            }
            for line in self.workers[at].log.add(now.mono, now.utc, stream, text) {
                self.show(&line);
                self.admin.publish_line(&line, &mut self.poller);
            }
        }
    }

    pub(super) fn show(&self, line: &LogLine) {
        let text = format!("{:width$} | {}\n", line.worker, line.text, width = self.name_width);
        self.talk.say(text.into_bytes());
    }

    fn next_deadline(&self) -> MonoNs {
        let lives = self.workers.values().filter_map(|worker| worker.life.deadline());
        let others = [self.rhythm.next()].into_iter().chain(self.manager.next_beat());
        let others = others.chain(self.hooks.deadline()).chain(self.next_look());
        let others = others.chain(self.next_look_for_attached());
        let others = others.chain(self.questions.next_deadline());
        let others = others.chain(self.next_turn(clock::mono()));
        lives.chain(others).fold(MonoNs(u64::MAX), MonoNs::min)
    }

    fn spec(&self, at: WorkerId) -> &crate::topology::WorkerSpec {
        &self.workers[at].spec
    }
}

/// What the control socket asks.
impl Supervisor {
    pub(crate) fn rows(&self, now: MonoNs) -> Vec<Row> {
        let row = |worker: &Worker| {
            let mine = self.spawner.listeners_of(&worker.spec);
            let listen: Vec<SocketAddr> =
                mine.filter_map(|listener| listener.socket.local_addr().ok()).collect();
            let bond = worker.process.as_ref().and_then(|it| it.bond.as_ref());
            let outlives = bond.is_some_and(|bond| bond.is_kept);
            let limits = worker.process.as_ref().map(|process| process.limits.shown());
            Row { status: worker.status(now), listen, outlives, limits }
        };
        let place = |worker: &Worker| {
            self.topology().workers.iter().position(|spec| spec.name == worker.spec.name)
        };
        let mut workers: Vec<&Worker> = self.workers.values().collect();
        // Those that were replaced come behind their successors, those that were removed last.
        workers.sort_by_cached_key(|worker| {
            (place(worker).unwrap_or(usize::MAX), worker.role != Role::Member)
        });
        workers.into_iter().map(row).collect()
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.spawner.topology
    }

    pub(crate) fn outlook(&self) -> &rings::Outlook {
        &self.spawner.outlook
    }

    pub(crate) fn guard_pid(&self) -> u32 {
        self.guard_pid
    }

    pub(crate) fn started(&self) -> MonoNs {
        self.started
    }

    pub(crate) fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.shutdown.is_some()
    }
}

/// The process with this number, unless it is dead.
fn current(workers: &mut Workers, id: ProcessId) -> Option<&mut Process> {
    workers.get_mut(id.worker)?.process.as_mut().filter(|process| process.id == id)
}
