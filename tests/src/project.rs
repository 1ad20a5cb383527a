//! A framevisor project of its own: a folder, a topology, and the real command run on it.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::Signal;
use protocol::admin::{RingStatus, WorkerState, WorkerStatus};
use protocol::name::{ProjectName, RingName};
use serde::de::DeserializeOwned;
use shmring::census;

use crate::{Failure, Outcome, ensure, processes, wait_for};

/// Everything of one run; dropping it ends what still runs and removes what it left.
#[derive(Debug)]
pub struct Project {
    name: ProjectName,
    dir: PathBuf,
}

impl Project {
    /// Writes the topology; `{dir}` in it stands for the project's folder.
    pub fn new(topology: &str) -> Outcome<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("v{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(format!("framevisor-{name}"));
        fs::create_dir_all(&dir).map_err(Failure::new)?;
        let project = Self { name: name.parse().map_err(Failure::new)?, dir };
        project.write_topology(topology)?;
        Ok(project)
    }

    pub fn write_topology(&self, topology: &str) -> Outcome<()> {
        let text = topology.replace("{dir}", &self.dir.display().to_string());
        let text = format!("project: {}\n{text}", self.name);
        fs::write(self.file(), text).map_err(Failure::new)
    }

    pub fn name(&self) -> &ProjectName {
        &self.name
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn recordings(&self) -> PathBuf {
        self.dir.join("recordings")
    }

    pub fn file(&self) -> PathBuf {
        self.dir.join("framevisor.yml")
    }

    /// The command on this project, with its runtime and state folders inside the project's own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("framevisor"));
        command
            .arg("-f")
            .arg(self.file())
            .arg("--runtime-dir")
            .arg(self.dir.join("run"))
            .args(arguments)
            .env("XDG_STATE_HOME", self.dir.join("state"))
            .env("XDG_CACHE_HOME", std::env::temp_dir().join("framevisor-test-cache"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome<Output> {
        self.command(arguments)
            .output()
            .map_err(|error| Failure(format!("framevisor {arguments:?}: {error}")))
    }

    /// Runs a verb that must exit 0.
    pub fn succeed(&self, arguments: &[&str]) -> Outcome<String> {
        let output = self.run(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure(output.status.success(), || {
            format!("framevisor {arguments:?}: {}\n{said}", output.status)
        })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts it in the background and returns when every ring flows.
    pub fn up(&self) -> Outcome<()> {
        self.succeed(&["up", "-d", "--wait", "--timeout", "180s"]).map(drop)
    }

    pub fn down(&self) -> Outcome<()> {
        self.succeed(&["down"]).map(drop)
    }

    pub fn ps(&self) -> Outcome<Vec<WorkerStatus>> {
        self.json(&["ps", "-o", "json"])
    }

    pub fn rings(&self) -> Outcome<Vec<RingStatus>> {
        self.json(&["rings", "-o", "json"])
    }

    fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Outcome<T> {
        let text = self.succeed(arguments)?;
        serde_json::from_str(&text)
            .map_err(|error| Failure(format!("framevisor {arguments:?} printed {text}: {error}")))
    }

    pub fn worker(&self, name: &str) -> Outcome<WorkerStatus> {
        let workers = self.ps()?;
        let found = workers.into_iter().find(|worker| worker.name.as_str() == name);
        found.ok_or_else(|| Failure(format!("ps lists no worker {name}")))
    }

    pub fn pid(&self, worker: &str) -> Outcome<u32> {
        self.worker(worker)?.pid.ok_or_else(|| Failure(format!("worker {worker} has no process")))
    }

    /// Waits until the worker does its work in a process other than `before`.
    pub fn wait_restarted(&self, worker: &str, before: u32) -> Outcome<WorkerStatus> {
        let restarted = || {
            let status = self.worker(worker).ok()?;
            let works = matches!(
                status.state,
                WorkerState::Ready | WorkerState::Running | WorkerState::Degraded
            );
            (works && status.pid.is_some_and(|pid| pid != before)).then_some(status)
        };
        Ok(wait_for(60, &format!("{worker} to be ready again"), restarted)?.0)
    }

    /// Pid of the supervisor, from the project's pid file.
    pub fn supervisor_pid(&self) -> Outcome<u32> {
        self.pids()?.first().copied().ok_or_else(|| Failure::new("no supervisor pid"))
    }

    /// Pid of its guard, from the same file.
    pub fn guard_pid(&self) -> Outcome<u32> {
        self.pids()?.get(1).copied().ok_or_else(|| Failure::new("no guard pid"))
    }

    fn pids(&self) -> Outcome<Vec<u32>> {
        let text = fs::read_to_string(self.dir.join("run/pid")).map_err(Failure::new)?;
        Ok(text
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect())
    }

    /// The newest frame ring heads, event heads and so on, summed over rings of one kind.
    pub fn heads(&self, kind: protocol::name::RingKind) -> u64 {
        census::rings(&self.name)
            .iter()
            .filter(|ring| ring.kind == kind)
            .map(|ring| ring.head)
            .sum()
    }

    pub fn ring(name: &str) -> Outcome<RingName> {
        name.parse().map_err(Failure::new)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let folder = self.dir.display().to_string();
        // The file outlives a clean stop, and its numbers may be other processes by now.
        let ours = |pid: &u32| processes::command_line(*pid).contains(&folder);
        for pid in self.pids().unwrap_or_default().into_iter().filter(ours) {
            processes::signal(pid, Signal::SIGKILL);
        }
        let name = self.name.to_string();
        let none_left =
            || processes::with_environment("FRAMEVISOR_PROJECT", &name).is_empty().then_some(());
        let _ = wait_for(60, "the project's processes to end", none_left);
        // A killed writer holds its ring until its exit is complete, a little after it has left /proc.
        let swept = || {
            census::sweep_unowned(&self.name);
            census::names(&self.name).is_empty().then_some(())
        };
        let _ = wait_for(60, "the project's rings to be swept", swept);
        if std::env::var_os("FRAMEVISOR_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A built program: beside this one, or one folder up (test binaries live in `deps`).
pub fn binary(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("FRAMEVISOR_BIN_DIR") {
        return Path::new(&folder).join(name);
    }
    let here = std::env::current_exe().unwrap_or_default();
    let beside = here.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    beside
        .clone()
        .find(|path| path.exists())
        .or_else(|| beside.last())
        .unwrap_or_else(|| name.into())
}

/// The root of the source tree.
pub fn source_root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// A loopback port that was free a moment ago. It lies below those that the kernel hands out by itself
/// (ip_local_port_range), so nobody is given it meanwhile.
pub fn free_port() -> Outcome<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id() * 61);
        let port = 12_000 + u16::try_from(number % 18_000).map_err(Failure::new)?;
        let address = ("127.0.0.1", port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(port);
        }
    }
    Err(Failure::new("no free port of 1000"))
}
