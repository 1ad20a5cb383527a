//! Everything that must be in order before the first worker starts. An error here leaves nothing
//! running, and says what to do.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use protocol::config::Access;
use protocol::name::RingName;
use shmring::broker::Broker;
use shmring::clock;

use crate::admin::Admin;
use crate::cgroup::Cgroups;
use crate::event::Event;
use crate::floors::{self, Floors, FloorsError};
use crate::guard::link::{self, Message};
use crate::launch::{LaunchError, Launcher};
use crate::listeners::{self, ListenError, Listener};
use crate::manager::Manager;
use crate::manifest::{Left, Manifest, ManifestError, Open};
use crate::place::{Lock, Place, PlaceError};
use crate::poller::Poller;
use crate::process::Spawner;
use crate::rings::{self, Outlook, TwoWriters};
use crate::signals::Signals;
use crate::supervisor::{Parts, Supervisor, take_up};
use crate::talk::Talk;
use crate::topology::{MachineProblem, Report, Topology, probe};
use crate::trial::Program;
use crate::workers::WorkerId;

/// Of guard and supervisor.
const OOM_SCORE_ADJ: i32 = -500;

#[derive(Debug, thiserror::Error)]
pub(crate) enum StartupError {
    #[error(transparent)]
    Group(#[from] MachineProblem),
    #[error(transparent)]
    Floors(#[from] FloorsError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    TwoWriters(#[from] TwoWriters),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{0}")]
    Topology(#[from] Report),
    #[error("{step}: {source}")]
    Io { step: &'static str, source: io::Error },
}

/// What the guard handed down.
#[derive(Debug)]
pub(crate) struct FromGuard {
    pub(crate) link: OwnedFd,
    pub(crate) pid: u32,
    /// Listened to from the first moment: a stop may come while everything is being opened.
    pub(crate) stop: Signals,
    /// From the moment everything is in order, print into the log file.
    pub(crate) detach: bool,
}

/// Opens everything, in an order that touches nothing of a project that runs already.
pub(crate) fn open(
    topology: Topology,
    place: Place,
    guard: FromGuard,
    talk: Talk,
) -> Result<Supervisor, StartupError> {
    set_child_subreaper(true).map_err(|errno| at("subreaper")(errno.into()))?;
    let nofile_max = raise_descriptor_limit();
    protect_from_oom();
    let launcher = Launcher::find(&topology)?;
    let group = probe::group_id(&topology)?;
    let lock = place.take(&topology.project, guard.pid)?;
    rings::refuse_second_writer(&topology)?;
    let listeners = listeners::bind_all(&topology)?;
    rings::sweep(&topology);
    let cgroups = open_cgroups(&topology, guard.pid);
    let floors = open_floors(&topology)?;
    let mut poller = Poller::new().map_err(at("epoll"))?;
    let admin = Admin::open(&place.control_socket(), &mut poller).map_err(at("control socket"))?;
    for listener in &listeners {
        if let Ok(address) = listener.socket.local_addr() {
            tracing::info!(worker = %listener.worker, %address, "listens");
        }
    }
    let broker = open_broker(&topology, &place, group)?;
    let outlook = Outlook { project: topology.project.clone(), broker };
    let spawner =
        Spawner { topology, group, outlook, launcher, place, listeners, cgroups, nofile_max };
    give_to_guard(&guard, &lock, &spawner).map_err(at("guard"))?;
    let open = Opened { spawner, poller, admin, floors, lock };
    Supervisor::new(parts(open, guard, talk)?).map_err(at("event loop"))
}

/// After a death: takes up who was left, and what the guard has held.
pub(crate) fn succeed(
    manifest: Manifest,
    place: Place,
    guard: FromGuard,
    talk: Talk,
) -> Result<(Supervisor, Vec<WorkerId>), StartupError> {
    set_child_subreaper(true).map_err(|errno| at("subreaper")(errno.into()))?;
    let nofile_max = raise_descriptor_limit();
    protect_from_oom();
    let topology = manifest.topology.again()?;
    let launcher = Launcher::find(&topology)?;
    let group = probe::group_id(&topology)?;
    let mut held = held_by(&guard.link).map_err(at("guard"))?.into_iter();
    let lock = held.next().ok_or_else(|| at("guard")(io::ErrorKind::NotFound.into()))?;
    let Manifest { mut past, addresses, .. } = manifest;
    let heirs = take_up(std::mem::take(&mut past.workers));
    let numbers: Vec<u64> = heirs
        .iter()
        .filter_map(|(worker, taken)| taken.as_ref().and(worker.process.as_ref()))
        .map(|process| process.number)
        .collect();
    let lock = place.take_over(lock, guard.pid, &numbers)?;
    let listeners = listeners::again(addresses, held.map(TcpListener::from).collect(), &topology)?;
    let floors = open_floors(&topology)?;
    let mut poller = Poller::new().map_err(at("epoll"))?;
    let admin = Admin::open(&place.control_socket(), &mut poller).map_err(at("control socket"))?;
    let broker = open_broker(&topology, &place, group)?;
    let outlook = Outlook { project: topology.project.clone(), broker };
    let cgroups = Cgroups::open(&topology.project, guard.pid).ok();
    let spawner =
        Spawner { topology, group, outlook, launcher, place, listeners, cgroups, nofile_max };
    let open = Opened { spawner, poller, admin, floors, lock };
    Ok(Supervisor::succeed(parts(open, guard, talk)?, past, heirs)?)
}

/// What is opened in another way at each beginning.
struct Opened {
    spawner: Spawner,
    poller: Poller<Event>,
    admin: Admin,
    floors: Floors,
    lock: Lock,
}

/// Of a supervisor that the guard has started.
fn parts(open: Opened, guard: FromGuard, talk: Talk) -> Result<Parts, StartupError> {
    let Opened { spawner, poller, admin, floors, lock } = open;
    let FromGuard { link, pid: guard_pid, stop, .. } = guard;
    Ok(Parts {
        program: Program::of(own_path()?, &spawner.topology.project, &spawner.place),
        spawner,
        poller,
        admin,
        floors,
        guard: Some(link),
        guard_pid,
        lock,
        stop,
        talk,
        manager: Manager::of_environment(guard_pid),
        seed: seed(),
    })
}

/// What the last supervisor gave it, in that order: it was sent before this process was started.
fn held_by(link: &OwnedFd) -> io::Result<Vec<OwnedFd>> {
    let mut held = Vec::new();
    loop {
        match link::receive(link)? {
            Some((Message::Hold, fds)) => held.extend(fds),
            Some((Message::Begin, _)) => return Ok(held),
            Some(_) => {}
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn own_path() -> Result<PathBuf, StartupError> {
    std::env::current_exe().map_err(at("find this program"))
}

fn seed() -> u64 {
    clock::now().utc.0 ^ u64::from(std::process::id())
}

/// What [`go_on`] would refuse, and touches nothing.
pub(crate) fn could_go_on(manifest: &Manifest) -> Result<(), StartupError> {
    let topology = manifest.topology.again()?;
    Launcher::find(&topology)?;
    let missing =
        manifest.past.workers.iter().find(|worker| topology.worker(&worker.name).is_none());
    missing.map_or(Ok(()), |worker| Err(ManifestError::Worker { name: worker.name.clone() }.into()))
}

/// After an upgrade: takes over everything that is open, and starts nothing.
pub(crate) fn go_on(
    manifest: Manifest,
    open: Open,
    stop: Signals,
    talk: Talk,
) -> Result<Supervisor, StartupError> {
    set_child_subreaper(true).map_err(|errno| at("subreaper")(errno.into()))?;
    let topology = manifest.topology.again()?;
    let launcher = Launcher::find(&topology)?;
    let group = probe::group_id(&topology)?;
    let place = Place::at(&manifest.runtime_dir).map_err(at("runtime directory"))?;
    let rings: Vec<RingName> = topology.rings.iter().map(|ring| ring.name.clone()).collect();
    let state_file = floors::state_file(&topology.project);
    let floors = Floors::resume(state_file, &rings, manifest.floors, clock::now().utc)?;
    let mut poller = Poller::new().map_err(at("epoll"))?;
    let guard = open.guard.map(Left::take).transpose()?;
    let lock = Place::keep(open.lock.take()?);
    let listeners = open.listeners.into_iter().filter_map(|(worker, left)| {
        let socket = match left.take() {
            Ok(socket) => TcpListener::from(socket),
            Err(error) => return Some(Err(error)),
        };
        let bound = socket.local_addr().ok()?;
        let address = listeners::as_written(&topology, &worker, bound)?;
        Some(Ok(Listener { worker, address, socket }))
    });
    let listeners = listeners.collect::<Result<Vec<_>, ManifestError>>()?;
    let admin = Admin::handed_on(open.admin, &mut poller)?;
    let outlook = Outlook { project: topology.project.clone(), broker: None };
    let guard_pid = std::os::unix::process::parent_id();
    let cgroups = Cgroups::open(&topology.project, guard_pid).ok();
    let nofile_max = raise_descriptor_limit();
    let spawner =
        Spawner { topology, group, outlook, launcher, place, listeners, cgroups, nofile_max };
    let parts = Parts {
        program: Program::of(manifest.program, &spawner.topology.project, &spawner.place),
        spawner,
        poller,
        admin,
        floors,
        guard,
        guard_pid,
        lock,
        stop,
        talk,
        manager: Manager::of_environment(guard_pid),
        seed: seed(),
    };
    Ok(Supervisor::resume(parts, manifest.past)?)
}

/// Only for a topology with rings that need one.
fn open_broker(
    topology: &Topology,
    place: &Place,
    group: Option<u32>,
) -> Result<Option<Broker>, StartupError> {
    let rings = topology.rings.iter().filter(|ring| ring.config.access == Access::Brokered);
    let rings: Vec<RingName> = rings.map(|ring| ring.name.clone()).collect();
    if rings.is_empty() {
        return Ok(None);
    }
    if let Some(group) = group {
        place.open_to(group)?;
    }
    let broker = Broker::open(&topology.project, rings, &place.broker_socket(), group);
    broker.map(Some).map_err(at("broker of rings without names"))
}

/// A worker costs five descriptors here, and the usual soft limit is 1024. Gives the limit back.
fn raise_descriptor_limit() -> u64 {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            soft
        }
    }
}

/// When memory is short the kernel begins with others: what we restart is worth less than who
/// restarts it. Only where this is allowed, and not over a stronger word of our own manager's.
pub(crate) fn protect_from_oom() {
    const PATH: &str = "/proc/self/oom_score_adj";
    let now = fs::read_to_string(PATH).ok().and_then(|text| text.trim().parse::<i32>().ok());
    if now.is_some_and(|now| now > OOM_SCORE_ADJ) {
        // Whoever may not is as safe as he was before.
        let _ = fs::write(PATH, OOM_SCORE_ADJ.to_string());
    }
}

fn open_cgroups(topology: &Topology, guard: u32) -> Option<Cgroups> {
    match Cgroups::open(&topology.project, guard) {
        Ok(groups) => {
            groups.sweep();
            Some(groups)
        }
        Err(error) => {
            tracing::debug!(%error, "workers have no cgroups of their own");
            None
        }
    }
}

fn open_floors(topology: &Topology) -> Result<Floors, FloorsError> {
    let rings: Vec<RingName> = topology.rings.iter().map(|ring| ring.name.clone()).collect();
    Floors::open(floors::state_file(&topology.project), &rings, clock::now().utc)
}

/// The guard keeps the sockets and the lock as long as anything of the project may live.
fn give_to_guard(guard: &FromGuard, lock: &Lock, spawner: &Spawner) -> io::Result<()> {
    let mut held = vec![lock.file.as_fd()];
    held.extend(spawner.listeners.iter().map(|listener| listener.socket.as_fd()));
    link::send(&guard.link, &Message::Hold, &held)?;
    if guard.detach {
        let path = spawner.place.log();
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        link::send(&guard.link, &Message::Log, &[log.as_fd()])?;
        rustix::stdio::dup2_stdout(&log)?;
        rustix::stdio::dup2_stderr(&log)?;
    }
    Ok(())
}

fn at(step: &'static str) -> impl FnOnce(io::Error) -> StartupError {
    move |source| StartupError::Io { step, source }
}
