//! What to start for a worker: program, arguments, environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use protocol::config::{Access as RingAccess, Kind, Makes, PipeConfig, WorkerConfig};
use protocol::control::env;
use protocol::name::WorkerName;
use serde::Serialize;

use crate::topology::{Launch, Topology, WorkerSpec};

/// Where a process may put temporary files: a folder of its own. Its orphans are known by it.
pub(crate) const TMPDIR: &str = "TMPDIR";

/// Of a built-in worker: how many arenas its allocator (glibc) has. By default a process of many threads gets
/// eight a processor, each of which keeps what it once needed: a recorder of 16 cameras is twice as large with them.
const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");

/// What a worker sees of the environment the supervisor was started with.
const PASSED_ON: [&str; 19] = [
    env::DRILL_ABORT,
    "CUDA_VISIBLE_DEVICES",
    "FRAMEVISOR_LIBCUDA",
    "FRAMEVISOR_LOG",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "ORT_DYLIB_PATH",
    "PATH",
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
    "RUST_BACKTRACE",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
];

#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error(
        "worker {worker}: no program framevisor-{kind} in {}; install it there or name its folder in FRAMEVISOR_LIBEXEC",
        folders(searched)
    )]
    NoProgram { worker: WorkerName, kind: Kind, searched: Vec<PathBuf> },
    #[error(
        "verb {verb}: no program framevisor-{program} in {}; install it there or name its folder in FRAMEVISOR_LIBEXEC",
        folders(searched)
    )]
    NoVerb { verb: &'static str, program: String, searched: Vec<PathBuf> },
}

/// The command of a verb that lives in the program of a worker, `framevisor-NAME`, or in one of its own.
pub(crate) fn verb(
    name: impl fmt::Display,
    verb: &'static str,
    arguments: &impl Serialize,
) -> Result<Command, LaunchError> {
    let searched = search_path();
    let Some(program) = program_in(&searched, &name) else {
        return Err(LaunchError::NoVerb { verb, program: name.to_string(), searched });
    };
    let mut command = Command::new(program);
    // Plain types of ours always encode.
    command.arg(verb).arg(serde_json::to_string(arguments).unwrap_or_default());
    Ok(command)
}

fn folders(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(" or ")
}

/// Programs and the environment, found once at start.
#[derive(Debug)]
pub(crate) struct Launcher {
    programs: BTreeMap<Kind, PathBuf>,
    passed_on: Vec<(OsString, OsString)>,
}

/// One process to start, but for its descriptors.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
}

impl Launcher {
    /// Finds the program of every built-in worker, or names the first that is missing.
    pub(crate) fn find(topology: &Topology) -> Result<Self, LaunchError> {
        let searched = search_path();
        let mut programs = BTreeMap::new();
        for worker in &topology.workers {
            let Launch::Use(config) = &worker.launch else { continue };
            let kind = program_of(config);
            let Some(program) = program_in(&searched, kind) else {
                let worker = worker.name.clone();
                return Err(LaunchError::NoProgram { worker, kind, searched });
            };
            programs.insert(kind, program);
        }
        let variable = |name: &str| Some((name.into(), std::env::var_os(name)?));
        let passed_on = PASSED_ON.into_iter().filter_map(variable).collect();
        Ok(Self { programs, passed_on })
    }

    /// What every process of the project sees of the environment.
    pub(crate) fn passed_on(&self) -> &[(OsString, OsString)] {
        &self.passed_on
    }

    /// `numbers` names the inherited descriptors.
    pub(crate) fn plan(
        &self,
        topology: &Topology,
        worker: &WorkerSpec,
        tmp: &Path,
        numbers: &Numbers,
        access: &Access,
    ) -> Plan {
        let mut env = self.passed_on.clone();
        let mut set = |key: &str, value: OsString| set(&mut env, key, value);
        let (program, args) = match &worker.launch {
            Launch::Use(config) => {
                set(ARENAS.0, ARENAS.1.into());
                (self.programs[&program_of(config)].clone(), Vec::new())
            }
            Launch::Run { argv, env: own } => {
                own.iter().for_each(|(key, value)| set(key, value.value().into()));
                set(env::IN, comma_list(&worker.inputs).into());
                set(env::OUT, comma_list(worker.output.as_slice()).into());
                let policy = worker.policy.unwrap_or_default();
                set(env::POLICY, policy.to_string().into());
                if let Some(group) = access.group {
                    set(env::GROUP, group.to_string().into());
                }
                if is_brokered(topology, worker) {
                    set(env::ACCESS, "brokered".into());
                }
                command_line(argv)
            }
        };
        set(env::PROJECT, topology.project.as_str().into());
        set(env::WORKER, worker.name.as_str().into());
        if let Some(broker) = &access.broker {
            set(env::BROKER, broker.into());
        }
        set(TMPDIR, tmp.into());
        set(env::CONTROL_FD, numbers.control.to_string().into());
        if let Some(health) = numbers.health {
            set(env::HEALTH_FD, health.to_string().into());
        }
        if let Some(stdin) = numbers.stdin {
            set(env::STDIN_FD, stdin.to_string().into());
        }
        if let Some(stdout) = numbers.stdout {
            set(env::STDOUT_FD, stdout.to_string().into());
        }
        if !numbers.listen.is_empty() {
            set(env::LISTEN_FDS, comma_list(&numbers.listen).into());
        }
        Plan { program, args, env }
    }
}

/// In the place of what was there by that name: of two, programs see the first.
pub(crate) fn set(env: &mut Vec<(OsString, OsString)>, key: &str, value: impl Into<OsString>) {
    env.retain(|(known, _)| known != key);
    env.push((key.into(), value.into()));
}

/// Whose program a worker is. What a command prints in a container is taken apart by who reads files, and all
/// else of its worker is a pipe's.
fn program_of(config: &WorkerConfig) -> Kind {
    match config {
        WorkerConfig::Pipe(PipeConfig { makes: Some(Makes::Container(_)), .. }) => Kind::Ingest,
        other => other.kind(),
    }
}

/// Who may read the project's rings, and where those without names are asked for.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) group: Option<u32>,
    pub(crate) broker: Option<PathBuf>,
}

fn is_brokered(topology: &Topology, worker: &WorkerSpec) -> bool {
    let ring = worker.output.as_ref().and_then(|ring| topology.ring(ring));
    ring.is_some_and(|ring| ring.config.access == RingAccess::Brokered)
}

/// Which descriptor got which number.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(crate) control: i32,
    pub(crate) health: Option<i32>,
    pub(crate) listen: Vec<i32>,
    /// Of a pipe worker: the command's.
    pub(crate) stdin: Option<i32>,
    pub(crate) stdout: Option<i32>,
}

/// A topology refuses an empty `run:`, so the fallback is never used.
fn command_line(argv: &[String]) -> (PathBuf, Vec<OsString>) {
    let program = argv.first().map_or_else(PathBuf::new, PathBuf::from);
    (program, argv.iter().skip(1).map(OsString::from).collect())
}

fn comma_list<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

/// `$FRAMEVISOR_LIBEXEC`, then beside this program.
fn search_path() -> Vec<PathBuf> {
    let libexec = std::env::var_os(env::LIBEXEC).map(PathBuf::from);
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    // Where a package puts programs that nobody types: /usr/libexec beside /usr/bin.
    let installed = beside.as_ref().and_then(|bin| Some(bin.parent()?.join("libexec/framevisor")));
    libexec.into_iter().chain(beside).chain(installed).collect()
}

fn program_in(folders: &[PathBuf], name: impl fmt::Display) -> Option<PathBuf> {
    let candidates = folders.iter().map(|folder| folder.join(format!("framevisor-{name}")));
    let found = candidates.into_iter().find(|path| path.is_file())?;
    // The worker is started in another folder.
    std::path::absolute(found).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Overrides, parse};

    #[test]
    fn what_the_file_says_of_a_variable_replaces_what_is_passed_on() {
        let text = "version: 1\nworkers:\n  a: {run: [x], env: {PATH: /mine, COLOUR: red}}";
        let topology =
            parse(text, Path::new("/srv/framevisor.yml"), &Overrides::default()).unwrap();
        let passed_on = vec![("PATH".into(), "/bin".into()), ("TZ".into(), "UTC".into())];
        let launcher = Launcher { programs: BTreeMap::new(), passed_on };
        let listen = Vec::new();
        let numbers = Numbers { control: 3, health: None, listen, stdin: None, stdout: None };
        let access = Access { group: None, broker: None };
        let plan =
            launcher.plan(&topology, &topology.workers[0], Path::new("/tmp/1"), &numbers, &access);
        let values = |name: &str| {
            let named = plan.env.iter().filter(|(key, _)| key == name);
            named.map(|(_, value)| value.to_str().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((values("PATH"), values("TZ")), (vec!["/mine"], vec!["UTC"]));
        assert_eq!((values("COLOUR"), values(TMPDIR)), (vec!["red"], vec!["/tmp/1"]));
    }
}
