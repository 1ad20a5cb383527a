//! Faults 61 and 62 of docs/faults.md: the running supervisor gets no more descriptors, or no more processes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::harness::{Project, signal, text, wait_for};

/// The limit of processes does not hold for root: then the project is this user's, who has no other.
const OWNER: u32 = 61_234;
/// Kept back for starts and connections.
const RESERVE: usize = 32;

/// Of descriptors: for good, as a program raises its own limit to what it may have.
fn limit_descriptors(pid: u32, most: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    prlimit(pid, Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
}

/// Of processes; by a process of the same user, as root need not be allowed to do it for others.
fn limit_processes(project: &Project, most: &str) {
    let supervisor = project.supervisor().to_string();
    let mut command = Command::new("prlimit");
    command.args(["--pid", &supervisor, &format!("--nproc={most}:")]);
    if nix::unistd::geteuid().is_root() {
        command.uid(OWNER).gid(OWNER);
    }
    assert!(command.status().unwrap().success(), "{command:?}");
}

fn descriptors(pid: u32) -> BTreeSet<u64> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    open.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// Those that it keeps back; its own stdin, stdout and stderr are not.
fn kept_back(pid: u32, open: &BTreeSet<u64>) -> usize {
    let leads_to = |number: &u64| fs::read_link(format!("/proc/{pid}/fd/{number}"));
    let is_null = |number: &u64| leads_to(number).is_ok_and(|path| path == Path::new("/dev/null"));
    open.range(3..).filter(|&number| is_null(number)).count()
}

/// From now on the supervisor can open nothing, for good: each number below the limit is in use. Gives
/// the limit.
fn exhaust(supervisor: u32) -> u64 {
    let mut open = BTreeSet::new();
    wait_for("the supervisor to have its reserve and to rest", || {
        let before = std::mem::replace(&mut open, descriptors(supervisor));
        std::thread::sleep(Duration::from_millis(50));
        // For each answer and each start it is closed, also when the supervisor then is not scheduled.
        open == before && kept_back(supervisor, &open) >= RESERVE
    });
    let free = (0..).find(|number| !open.contains(number));
    limit_descriptors(supervisor, free);
    free.unwrap()
}

fn kill_and_wait(project: &Project, worker: &str, restarts: u64) {
    signal(project.pid(worker), Signal::SIGKILL);
    wait_for(&format!("restart {restarts} of {worker}"), || {
        let now = project.worker(worker);
        now["restarts"] == restarts && now["state"] == "running"
    });
}

#[test]
fn fault_61_without_descriptors_the_control_socket_answers_and_workers_are_restarted() {
    let mut project = Project::new(
        "  good: {use: ingest, source: 'test:'}\n  rests: {run: [sleep, '1000']}\n  other: {run: [sleep, '1001']}\n",
    );
    project.up();
    for worker in ["good", "rests", "other"] {
        project.wait_for_state(worker, "running");
    }
    let (supervisor, other) = (project.supervisor(), project.pid("other"));
    let most = exhaust(supervisor);
    // They want to be served and never say what they want; before `ps`, and more than are kept for.
    let socket = project.runtime_dir().join("control.sock");
    let idle: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    for worker in ["good", "rests"] {
        kill_and_wait(&project, worker, 1);
    }
    // The next program has a reserve of its own, under the same limit.
    let upgraded = project.run(&["upgrade"]);
    assert!(upgraded.status.success(), "{}", text(&upgraded.stderr));
    for worker in ["good", "rests"] {
        kill_and_wait(&project, worker, 2);
    }
    assert!(descriptors(supervisor).iter().all(|number| *number < most));
    assert_eq!((project.supervisor(), project.pid("other")), (supervisor, other));
    assert_eq!(project.worker("other")["restarts"], 0);
    // By a thread of its own.
    wait_for("the shortage to be told", || project.said().contains("descriptors run out"));
    drop(idle);
}

#[test]
fn fault_62_a_worker_that_cannot_be_forked_is_tried_until_it_can_and_never_held() {
    let mut project = Project::new("  a: {run: [sleep, '1000']}\n  b: {run: [sleep, '1001']}\n");
    if nix::unistd::geteuid().is_root() {
        project.give_to(OWNER);
    }
    project.up();
    for worker in ["a", "b"] {
        project.wait_for_state(worker, "running");
    }
    let (supervisor, b) = (project.supervisor(), project.pid("b"));
    limit_processes(&project, "1");
    signal(project.pid("a"), Signal::SIGKILL);
    let waits = project.wait_for_state("a", "backoff");
    let why = waits["why"].as_str().unwrap();
    assert!(why.contains("Resource temporarily unavailable"), "{why}");
    // As often as would hold a worker that dies by its own fault.
    wait_for("five tries", || {
        assert_ne!(project.worker("a")["state"], "held");
        let events = text(&project.run(&["events", "a", "-o", "json"]).stdout);
        events.lines().filter(|line| line.contains(r#""to":"backoff""#)).count() > 5
    });
    let before = getrlimit(Resource::Nproc).maximum;
    limit_processes(
        &project,
        &before.map_or_else(|| "unlimited".to_owned(), |most| most.to_string()),
    );
    let again = project.wait_for_state("a", "running");
    assert_eq!(again["restarts"], 1);
    assert_eq!((project.supervisor(), project.pid("b")), (supervisor, b));
    assert_eq!(project.worker("b")["restarts"], 0);
}
