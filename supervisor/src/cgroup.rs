//! One cgroup (version 2) for each process, where this machine lets us make them: what a worker left
//! behind dies with it, whatever session or parent it chose, and the kernel says when memory killed.
//!
//! ```text
//! <our own group>/framevisor-<pid of the guard>/<project>.<worker>.<number of the process>
//! ```
//!
//! Nothing rests on it: without groups, orphans are found by their parent and their TMPDIR.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::name::{ProjectName, WorkerName};
use shmring::clock;

use crate::limits::Limits;
use crate::orphans;

const PREFIX: &str = "framevisor-";
/// For the guard and the supervisor, where controllers want a group without processes above them.
const OURS: &str = "self";
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// A killed process leaves its group within milliseconds, unless the kernel holds it.
const EMPTYING: Duration = Duration::from_millis(500);

/// The groups of one project.
#[derive(Debug)]
pub(crate) struct Cgroups {
    base: PathBuf,
    project: ProjectName,
    controllers: BTreeSet<&'static str>,
    /// Killed, and not empty yet.
    leaving: Vec<PathBuf>,
}

/// The group of one process.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    /// Its folder, for a process to be born into.
    pub(crate) folder: File,
}

impl Cgroups {
    /// Fails, with a reason for people, where no groups can be made.
    pub(crate) fn open(project: &ProjectName, guard: u32) -> io::Result<Self> {
        let own = own_group()?;
        let base = base_in(&own, guard);
        match fs::create_dir(&base) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // Without it a group is nothing that parents and TMPDIRs do not tell.
        fs::metadata(base.join("cgroup.kill"))?;
        // Of processes that a killed supervisor of the same guard had.
        folders(&base).for_each(|empty| drop(fs::remove_dir(empty)));
        let controllers = enable_controllers(&own, &base, guard);
        Ok(Self { base, project: project.clone(), controllers, leaving: Vec::new() })
    }

    /// Ends what an earlier run of the project left whose guard and supervisor were killed at once.
    pub(crate) fn sweep(&self) {
        let prefix = format!("{}.", self.project);
        let parent = self.base.parent().unwrap_or(&self.base);
        for base in folders(parent).filter(|path| name_of(path).starts_with(PREFIX)) {
            // A project of this name may run in another runtime directory. What is left of one whose guard's number
            // another process has by now is spared, too.
            if base == self.base || is_of_living(&base) {
                continue;
            }
            for group in folders(&base).filter(|path| name_of(path).starts_with(&prefix)) {
                remove_now(&group);
            }
            let _ = fs::remove_dir(&base);
        }
    }

    pub(crate) fn create(
        &self,
        worker: &WorkerName,
        number: u64,
        limits: &Limits,
        writes_ring: bool,
    ) -> io::Result<Cgroup> {
        let path = self.base.join(format!(
            "{}.{}.{number}",
            self.project,
            worker.as_str().replace('/', "+")
        ));
        fs::create_dir(&path)?;
        let folder = File::open(&path)?;
        let group = Cgroup { path, folder };
        let set = |controller, file, value: Option<String>| match value {
            Some(value) if self.controllers.contains(controller) => group.write(file, &value),
            _ => Ok(()),
        };
        set("cpu", "cpu.weight", limits.cpu_weight.map(|it| it.to_string()))?;
        set("pids", "pids.max", limits.pids.map(|it| it.to_string()))?;
        // The pages of a ring count for the group of its writer, whoever needs them: a ceiling there
        // would kill capture for what its readers want.
        let memory = limits.memory.filter(|_| !writes_ring);
        set("memory", "memory.max", memory.map(|it| it.to_string()))?;
        Ok(group)
    }

    /// What was asked for and has no controller here.
    pub(crate) fn lacks(&self, limits: &Limits) -> Vec<String> {
        lacking(limits, |controller| self.controllers.contains(controller))
    }

    /// Its process is dead: ends what it left, and removes it when that is gone.
    pub(crate) fn end(&mut self, group: &Cgroup) {
        group.kill();
        if fs::remove_dir(&group.path).is_err() {
            self.leaving.push(group.path.clone());
        }
    }

    /// To be called now and then.
    pub(crate) fn remove_empty(&mut self) {
        self.leaving.retain(|path| fs::remove_dir(path).is_err() && path.exists());
    }
}

/// `cpu_weight` and `pids` are nothing without a controller.
pub(crate) fn lacking(limits: &Limits, has: impl Fn(&str) -> bool) -> Vec<String> {
    let wanted = [
        ("cpu_weight", "cpu", limits.cpu_weight.is_some()),
        ("pids", "pids", limits.pids.is_some()),
    ];
    let lacks = wanted.into_iter().filter(|(_, controller, asked)| *asked && !has(controller));
    lacks
        .map(|(key, controller, _)| {
            format!("{key}: no {controller} controller of cgroup v2 is delegated to framevisor")
        })
        .collect()
}

impl Cgroup {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The group of a process that another supervisor started; `None` when it is gone.
    pub(crate) fn resume(path: PathBuf) -> Option<Self> {
        let folder = File::open(&path).ok()?;
        Some(Self { path, folder })
    }

    /// Everything in it, at once.
    pub(crate) fn kill(&self) {
        kill_all(&self.path);
    }

    /// Whether the kernel killed in it because its memory was used up.
    pub(crate) fn was_out_of_memory(&self) -> bool {
        fs::read_to_string(self.path.join("memory.events")).is_ok_and(|text| oom_kills(&text) > 0)
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{file}: {error}"));
        fs::write(self.path.join(file), value).map_err(told)
    }
}

/// At its end the guard removes what its supervisor made.
pub(crate) fn end_groups_of(guard: u32) {
    let Ok(own) = own_group() else { return };
    let base = base_in(&own, guard);
    folders(&base).filter(|path| name_of(path) != OURS).for_each(|group| remove_now(&group));
    // While the guard itself is in it, it stays; the manager it runs under removes it then.
    let _ = fs::remove_dir(&base);
}

/// Whether the guard that a group is called after lives.
fn is_of_living(base: &Path) -> bool {
    let name = name_of(base);
    let pid = name.strip_prefix(PREFIX).and_then(|pid| pid.parse().ok());
    pid.is_some_and(orphans::lives)
}

fn base_in(own: &Path, guard: u32) -> PathBuf {
    own.join(format!("{PREFIX}{guard}"))
}

/// Kills what is in it and waits a moment for its end.
fn remove_now(group: &Path) {
    let deadline = clock::mono() + EMPTYING;
    kill_all(group);
    while fs::remove_dir(group).is_err() && group.exists() && clock::mono() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kill_all(group: &Path) {
    // An error is a group that is gone.
    let _ = fs::write(group.join("cgroup.kill"), "1");
}

fn folders(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_ok_and(|it| it.is_dir())).map(|it| it.path())
}

fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// The group this process was put into by others.
fn own_group() -> io::Result<PathBuf> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "no cgroup v2 is mounted");
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let path = group_path(&mounts, &groups).ok_or_else(none)?;
    // A restarted supervisor may be where its guard was moved to.
    let is_ours = name_of(&path) == OURS
        && path.parent().is_some_and(|base| name_of(base).starts_with(PREFIX));
    let above = path.parent().and_then(Path::parent);
    Ok(above.filter(|_| is_ours).map(Path::to_owned).unwrap_or(path))
}

/// proc(5) mountinfo: `id parent dev root mountpoint options... - type source super`, and cgroups(7):
/// `0::/path`.
fn group_path(mounts: &str, groups: &str) -> Option<PathBuf> {
    let (root, point) = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        after.starts_with("cgroup2 ").then(|| fields.next().zip(fields.next()))?
    })?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let below = own.strip_prefix(root.trim_end_matches('/')).unwrap_or(own);
    Some(Path::new(point).join(below.trim_start_matches('/')))
}

/// Those of the controllers that the groups of processes will have.
fn enable_controllers(own: &Path, base: &Path, guard: u32) -> BTreeSet<&'static str> {
    let there = fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
    let there = CONTROLLERS.into_iter().filter(|it| there.split_whitespace().any(|one| one == *it));
    let there: Vec<&'static str> = there.collect();
    let missing = |it: &&str| !is_enabled(own, it);
    if there.iter().any(missing) && is_ours_alone(own, guard) {
        make_room(base, guard);
    }
    let enable = |it: &&'static str| enable(own, it) && enable(base, it);
    there.into_iter().filter(enable).collect()
}

fn enable(group: &Path, controller: &str) -> bool {
    let file = group.join("cgroup.subtree_control");
    is_enabled(group, controller) || fs::write(file, format!("+{controller}")).is_ok()
}

fn is_enabled(group: &Path, controller: &str) -> bool {
    fs::read_to_string(group.join("cgroup.subtree_control"))
        .is_ok_and(|text| text.split_whitespace().any(|one| one == controller))
}

/// A service's group: whatever else may be in it was not put there by its manager.
fn is_ours_alone(own: &Path, guard: u32) -> bool {
    let ours = [guard.to_string(), std::process::id().to_string()];
    fs::read_to_string(own.join("cgroup.procs"))
        .is_ok_and(|text| text.lines().all(|pid| ours.iter().any(|our| our == pid)))
}

/// The kernel gives controllers only to groups below one without processes.
fn make_room(base: &Path, guard: u32) {
    let room = base.join(OURS);
    // What fails leaves the groups without controllers, which is told where one is asked for.
    let _ = fs::create_dir(&room);
    for pid in [guard, std::process::id()] {
        let _ = fs::write(room.join("cgroup.procs"), pid.to_string());
    }
}

fn oom_kills(events: &str) -> u64 {
    let count = |line: &str| line.strip_prefix("oom_kill ")?.trim().parse().ok();
    events.lines().find_map(count).unwrap_or(0)
}

/// How often the kernel has killed any process of this machine for want of memory.
pub(crate) fn oom_kills_of_machine() -> u64 {
    oom_kills(&fs::read_to_string("/proc/vmstat").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::config::Network;
    use std::os::fd::AsFd;

    #[test]
    fn our_group_is_found_where_version_two_is_mounted() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 23 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        let groups = "4:memory:/x\n0::/system.slice/framevisor.service\n";
        assert_eq!(
            group_path(mounts, groups).unwrap(),
            Path::new("/sys/fs/cgroup/unified/system.slice/framevisor.service")
        );
        assert_eq!(group_path(mounts, "4:memory:/x\n"), None);
        assert_eq!(group_path("", groups), None);
        let bound = "31 23 0:27 /a /cg rw - cgroup2 cgroup2 rw\n";
        assert_eq!(group_path(bound, "0::/a/b\n").unwrap(), Path::new("/cg/b"));
    }

    #[test]
    fn kills_for_memory_are_counted_from_the_kernels_own_table() {
        assert_eq!(oom_kills("low 0\noom 4\noom_kill 2\noom_group_kill 0\n"), 2);
        assert_eq!(oom_kills(""), 0);
    }

    #[test]
    fn a_limit_without_its_controller_is_named() {
        let limits = Limits {
            memory: None,
            nofile: None,
            nice: 0,
            cpus: None,
            oom_score_adj: 0,
            core: false,
            cpu_weight: Some(200),
            pids: None,
            network: Network::Any,
        };
        let lacks = lacking(&limits, |controller| controller == "memory");
        assert!(lacks.len() == 1 && lacks[0].starts_with("cpu_weight: no cpu controller"));
        assert_eq!(lacking(&limits, |_| true), Vec::<String>::new());
    }

    /// Where the machine allows no groups there is nothing to try.
    #[test]
    fn a_group_ends_with_all_that_is_in_it_whatever_session_it_is_in() {
        let project = format!("cg{}", std::process::id()).parse().unwrap();
        let Ok(mut groups) = Cgroups::open(&project, std::process::id()) else { return };
        let limits = Limits {
            memory: None,
            nofile: None,
            nice: 0,
            cpus: None,
            oom_score_adj: 0,
            core: false,
            cpu_weight: None,
            pids: None,
            network: Network::Any,
        };
        let group = groups.create(&"w".parse().unwrap(), 1, &limits, false).unwrap();
        let command = spawn::Command {
            program: Path::new("/usr/bin/setsid"),
            args: &["-w".into(), "/bin/sleep".into(), "1000".into()],
            cwd: Path::new("/"),
            env: &[],
            inherit: &[],
            input: spawn::Input::Nothing,
            output: spawn::Output::Inherited,
            limits: &spawn::Limits::default(),
            cgroup: Some(group.folder.as_fd()),
            death_signal: nix::sys::signal::Signal::SIGKILL,
        };
        let child = command.start().unwrap();
        assert!(child.refused.is_empty(), "{:?}", child.refused);
        let inside = fs::read_to_string(group.path.join("cgroup.procs")).unwrap();
        assert!(inside.lines().any(|pid| pid == child.pid.to_string()), "{inside}");
        groups.end(&group);
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.pid).unwrap());
        assert!(matches!(
            nix::sys::wait::waitpid(pid, None).unwrap(),
            nix::sys::wait::WaitStatus::Signaled(..)
        ));
        let deadline = clock::mono() + Duration::from_secs(60);
        while group.path.exists() && clock::mono() < deadline {
            groups.remove_empty();
        }
        assert!(!group.path.exists());
        end_groups_of(std::process::id());
        assert!(!groups.base.exists());
    }
}
