//! Getting a change of the topology ready, in a throw-away thread: files are read, the machine is looked
//! at and ports are bound there, because disks and name services make one wait.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use nix::sys::eventfd::{EfdFlags, EventFd};
use protocol::admin::ReplyError;
use protocol::name::WorkerName;

use crate::launch::Launcher;
use crate::listeners::{self, Listener};
use crate::selector::Selector;
use crate::topology::{self, Change, Laid, Overrides, Topology, probe};

/// What somebody wants changed.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// What the files say now; without any, those that run. Nobody but `only` may change, if it names
    /// any.
    Reload { files: Vec<PathBuf>, only: Vec<Selector> },
    /// What these files describe, beside what runs.
    Add { files: Vec<PathBuf> },
    /// What runs without these workers and cameras.
    Remove { names: Vec<Selector> },
    /// This shadow and the worker that it is tried beside change places.
    Promote { shadow: WorkerName },
    /// New processes for these, and no other change.
    Replace { names: Vec<WorkerName> },
}

/// A wish and what it is seen against.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) wish: Wish,
    pub(crate) running: Topology,
    pub(crate) laid: Laid,
    /// What this project listens on now.
    pub(crate) bound: Vec<(WorkerName, SocketAddr)>,
    /// Only to know what would change: nothing is bound.
    pub(crate) plan: bool,
}

/// Everything a change needs from outside.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) topology: Topology,
    pub(crate) change: Change,
    pub(crate) launcher: Launcher,
    pub(crate) opened: Vec<Opened>,
}

/// A port for a worker.
#[derive(Debug)]
pub(crate) enum Opened {
    Bound(Listener),
    /// The project has it already, for a worker that gives it up.
    From {
        owner: WorkerName,
        worker: WorkerName,
        address: SocketAddr,
    },
}

pub(crate) type Outcome = Result<Ready, ReplyError>;

/// The preparations under way; readable when one has ended.
#[derive(Debug)]
pub(crate) struct Preparations {
    bell: Arc<EventFd>,
    outcome: Sender<Outcome>,
    outcomes: Receiver<Outcome>,
}

impl Preparations {
    pub(crate) fn new() -> io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let (outcome, outcomes) = channel();
        Ok(Self { bell: Arc::new(bell), outcome, outcomes })
    }

    pub(crate) fn start(&self, order: Order) {
        let (bell, outcome) = (Arc::clone(&self.bell), self.outcome.clone());
        let work = move || {
            // Nobody listens any more when the supervisor ends.
            let _ = outcome.send(prepare(order));
            let _ = bell.write(1);
        };
        let started = std::thread::Builder::new().name("preparing".to_owned()).spawn(work);
        if let Err(error) = started {
            let text = format!("cannot start a thread to read the topology: {error}");
            let _ = self.outcome.send(Err(refusal("resources", text, "try again")));
            let _ = self.bell.write(1);
        }
    }

    pub(crate) fn ended(&self) -> Vec<Outcome> {
        let _ = self.bell.read();
        self.outcomes.try_iter().collect()
    }
}

impl AsFd for Preparations {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

fn prepare(order: Order) -> Outcome {
    let (topology, change) = changed(&order)?;
    fits(&order, &topology, &change)?;
    probe::check(&topology).map_err(|report| invalid(&report))?;
    let launcher = Launcher::find(&topology)
        .map_err(|error| refusal("start", error.to_string(), UNCHANGED))?;
    if let Some(shortage) = crate::cli::shortage_of(&topology) {
        return Err(refusal("memory", shortage, UNCHANGED));
    }
    let opened = if order.plan { Vec::new() } else { open(&order, &topology)? };
    Ok(Ready { topology, change, launcher, opened })
}

const UNCHANGED: &str = "everything runs on as it was";

fn changed(order: &Order) -> Result<(Topology, Change), ReplyError> {
    let Order { wish, running, laid, .. } = order;
    match wish {
        Wish::Reload { files, .. } => {
            let own = || files_of(running);
            let files = if files.is_empty() { own()? } else { files.clone() };
            let project = Some(running.project.clone());
            let overrides = Overrides { project, ..Overrides::from_environment() };
            let new = topology::load(&files, &overrides).map_err(|report| invalid(&report))?;
            let new = topology::live::carried(running, new).map_err(|report| invalid(&report))?;
            let change = topology::difference(running, &new, laid);
            Ok((new, change))
        }
        Wish::Add { files } => {
            let new = topology::live::with(running, files).map_err(|report| invalid(&report))?;
            let change = topology::difference(running, &new, laid);
            Ok((new, change))
        }
        Wish::Remove { names } => {
            let names = removable(running, names)?;
            let new = topology::live::without(running, names.into_iter());
            let new = new.map_err(|report| invalid(&report))?;
            let change = topology::difference(running, &new, laid);
            Ok((new, change))
        }
        Wish::Promote { shadow } => {
            is_shadow(running, shadow)?;
            let new = topology::live::promoted(running, shadow);
            let new = new.map_err(|report| invalid(&report))?;
            let change = topology::difference(running, &new, laid);
            Ok((new, change))
        }
        Wish::Replace { names } => {
            Ok((running.clone(), topology::replacement(running, names, laid)))
        }
    }
}

/// Cameras by their names, and workers that belong to none of those.
fn removable(running: &Topology, selectors: &[Selector]) -> Result<Vec<String>, ReplyError> {
    let is_meant = |name: &str| selectors.iter().any(|selector| selector.matches_text(name));
    let cameras: Vec<&str> = running.cameras().filter(|name| is_meant(name)).collect();
    let theirs: Vec<&WorkerName> =
        cameras.iter().filter_map(|camera| running.workers_of(camera)).flatten().collect();
    let workers = running.workers.iter().map(|spec| &spec.name);
    // Of a command and its pipe worker the file has the one name that they share.
    let workers = workers.filter(|name| !theirs.contains(name));
    let mut workers: Vec<&str> = workers.map(WorkerName::in_file).collect();
    workers.dedup();
    let workers = workers.into_iter().filter(|name| is_meant(name));
    let names: Vec<String> =
        workers.map(ToString::to_string).chain(cameras.iter().map(ToString::to_string)).collect();
    let unknown =
        selectors.iter().find(|selector| !names.iter().any(|name| selector.matches_text(name)));
    match unknown {
        None => stays(running, &names).map_or(Ok(names), Err),
        Some(unknown) => {
            let text = format!("no worker or camera is named {unknown}");
            Err(refusal("worker", text, "`framevisor ps` lists the workers"))
        }
    }
}

/// Why one of them cannot go: nothing else says what the place of a promoted shadow was taken by.
fn stays(running: &Topology, names: &[String]) -> Option<ReplyError> {
    let goes = |name: &WorkerName| names.iter().any(|it| it == name.in_file());
    let (shadow, used) = running.promoted().iter().find_map(|shadow| {
        let used = running.worker(shadow)?.shadow.as_ref()?;
        (goes(shadow) && !goes(used)).then_some((shadow, used))
    })?;
    let text = format!("{used} runs what the topology says of {shadow}, since that was promoted");
    let hint = format!(
        "let the two change places in the file and `framevisor reload`; or undo it: `framevisor promote {shadow}`"
    );
    Some(refusal("refused", text, &hint))
}

fn is_shadow(running: &Topology, name: &WorkerName) -> Result<(), ReplyError> {
    let text = match running.worker(name) {
        Some(spec) if spec.shadow.is_some() => return Ok(()),
        Some(_) => format!("worker {name} is no shadow"),
        None => format!("no worker is named {name}"),
    };
    let shadows = running.workers.iter().filter(|spec| spec.shadow.is_some());
    let shadows: Vec<&str> = shadows.map(|spec| spec.name.as_str()).collect();
    let hint = match shadows.as_slice() {
        [] => "write `shadow: NAME` into a worker that is to be tried beside NAME".to_owned(),
        shadows => format!("shadows of this topology: {}", shadows.join(", ")),
    };
    Err(refusal("worker", text, &hint))
}

fn files_of(running: &Topology) -> Result<Vec<PathBuf>, ReplyError> {
    running.files().ok_or_else(|| {
        let text = "the topology that runs came from stdin".to_owned();
        refusal("refused", text, "name the file to read with -f FILE")
    })
}

/// What only an end and a new start can change, and whom nobody named.
fn fits(order: &Order, new: &Topology, change: &Change) -> Result<(), ReplyError> {
    let (old, anew) = (&order.running, "end it with `framevisor down` and start it again");
    if old.project != new.project {
        let text = format!("the file is of project {}, this is {}", new.project, old.project);
        return Err(refusal(
            "refused",
            text,
            "name the file of this project, or start the other one",
        ));
    }
    if old.group != new.group {
        let text = "`group` cannot change while rings are in use".to_owned();
        return Err(refusal("refused", text, anew));
    }
    if old.survival != new.survival {
        let text = format!(
            "`supervisor: on_death` is {} since the start, the file says {}: workers are told once whether they outlive their supervisor",
            old.survival, new.survival
        );
        return Err(refusal("refused", text, anew));
    }
    if topology::brokered(old) != topology::brokered(new) {
        let text = "rings with `access: brokered` cannot come or go while others run".to_owned();
        return Err(refusal("refused", text, anew));
    }
    let Wish::Reload { only, .. } = &order.wish else { return Ok(()) };
    let named = |name: &&WorkerName| only.iter().any(|selector| selector.matches(name));
    let others: Vec<&str> = change
        .touched()
        .filter(|name| !only.is_empty() && !named(name))
        .map(WorkerName::as_str)
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    let text = format!("the file changes {} too", others.join(", "));
    Err(refusal("refused", text, "name them as well, or nobody"))
}

fn open(order: &Order, new: &Topology) -> Result<Vec<Opened>, ReplyError> {
    let wanted = listeners::wanted(new);
    let missing = wanted.filter(|(worker, address)| {
        !order.bound.iter().any(|(owner, bound)| owner == *worker && bound == address)
    });
    let open = |(worker, address): (&WorkerName, SocketAddr)| {
        // Port 0 is a new one each time.
        let ours = order.bound.iter().find(|(_, bound)| *bound == address && address.port() != 0);
        if let Some((owner, _)) = ours {
            return Ok(Opened::From { owner: owner.clone(), worker: worker.clone(), address });
        }
        let bound = listeners::bind(worker, address).map(Opened::Bound);
        bound.map_err(|error| refusal("port", error.to_string(), UNCHANGED))
    };
    missing.map(open).collect()
}

fn invalid(report: &topology::Report) -> ReplyError {
    refusal("topology", report.to_string(), "what runs goes on as it was")
}

pub(crate) fn refusal(code: &str, text: String, hint: &str) -> ReplyError {
    ReplyError { code: code.to_owned(), text, hint: hint.to_owned() }
}
