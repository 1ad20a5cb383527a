//! One for one: who dies comes back, alone, and who dies too often is held.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{Project, entries, signal, wait_for};

const TWO: &str = "  a: {run: [sleep, '1000']}\n  b: {run: [sleep, '1001']}\n";

#[test]
fn a_killed_worker_comes_back_and_no_other_notices() {
    let mut project = Project::new(TWO);
    project.up();
    let (a, b) = (project.pid("a"), project.pid("b"));
    signal(a, Signal::SIGKILL);
    wait_for("a restart", || project.worker("a")["restarts"] == 1);
    let worker = project.wait_for_state("a", "running");
    assert_ne!(worker["pid"], a);
    assert_eq!(worker["last_exit"], "SIGKILL");
    assert_eq!(project.pid("b"), b);
    assert_eq!(project.worker("b")["restarts"], 0);
}

#[test]
fn the_default_policy_holds_at_the_fifth_death_until_a_person_asks() {
    let mut project = Project::new(TWO);
    project.up();
    for death in 1..=5 {
        let worker = project.wait_for_state("a", "running");
        assert_eq!(worker["restarts"], death - 1);
        signal(project.pid("a"), Signal::SIGKILL);
        wait_for("the death to be seen", || project.worker("a")["pid"] != worker["pid"]);
    }
    let held = project.wait_for_state("a", "held");
    assert!(held["why"].as_str().unwrap().starts_with("SIGKILL; too many deaths"), "{held}");
    assert!(held["pid"].is_null());
    assert_eq!(project.worker("b")["restarts"], 0);
    assert!(project.run(&["restart", "a"]).status.success());
    assert_eq!(project.worker("a")["state"], "running");
}

#[test]
fn without_delay_and_limit_it_is_always_back_at_once_and_nothing_leaks() {
    let workers = "  a: {run: [sleep, '1000'], restart: {delay: 0s, limit: none}}\n";
    let mut project = Project::new(workers);
    project.up();
    let (tasks, tmp) =
        (format!("/proc/{}/task", project.supervisor()), project.runtime_dir().join("tmp"));
    let kill_once = || {
        let worker = project.wait_for_state("a", "running");
        let pid = project.pid("a");
        signal(pid, Signal::SIGKILL);
        wait_for("the next one", || project.worker("a")["restarts"] != worker["restarts"]);
        project.wait_for_state("a", "running");
        pid
    };
    // One connection for all looks, so that it counts in each. What the supervisor keeps back does not: it
    // is closed whenever an answer or a start may need its place, and opened again behind that.
    let mut control = project.control();
    let mut look = || (control.descriptors(), entries(tasks.as_ref()), entries(&tmp));
    // The first deaths may open what stays open.
    let mut pids: BTreeSet<u32> = (0..3).map(|_| kill_once()).collect();
    // A client that leaves and a folder that is being removed only add to what is counted: the fewest are
    // those of the supervisor at rest.
    wait_for("old folders to go", || entries(&tmp) == 1);
    let mut rest = look();
    for _ in 0..100 {
        let now = look();
        rest = (rest.0.min(now.0), rest.1.min(now.1), rest.2.min(now.2));
    }
    pids.extend((0..60).map(|_| kill_once()));
    assert_eq!(pids.len(), 63);
    wait_for("descriptors, threads and folders to be as few as before", || {
        let now = look();
        now.0 <= rest.0 && now.1 <= rest.1 && now.2 <= rest.2
    });
}

#[test]
fn a_built_in_worker_gets_its_start_up_and_says_when_it_is_ready() {
    let workers = "  good-in: {use: ingest, source: 'test:', out: cam1.packets}\n  \
                   good-dec: {use: decoder, in: cam1.packets, restart: {delay: 0s, limit: none}}\n";
    let mut project = Project::new(workers);
    project.up();
    project.wait_for_state("good-in", "running");
    project.wait_for_state("good-dec", "running");
    let log = String::from_utf8(project.run(&["logs", "good-in"]).stdout).unwrap();
    let start_up = log.lines().find_map(|line| line.split_once("start-up ")).unwrap().1;
    let start_up: serde_json::Value = serde_json::from_str(start_up).unwrap();
    assert_eq!(start_up["worker"], "good-in");
    assert_eq!(start_up["output"]["name"], "cam1.packets");
    // One reader in the topology and two to spare; groups start at UTC ms.
    assert_eq!(start_up["output"]["places"], 3);
    assert!(start_up["output"]["gop_floor"].as_u64().unwrap() > 1_600_000_000_000);
    signal(project.pid("good-dec"), Signal::SIGKILL);
    wait_for("its kill-to-ready time", || !project.worker("good-dec")["restart_ms"].is_null());
}

#[test]
fn a_worker_whose_beat_stands_still_is_ended_and_started_again() {
    let workers = "  hangs: {use: ingest, source: 'test:', restart: {delay: 0s, limit: none}}\n";
    let mut project = Project::new(workers);
    project.up();
    project.wait_for_state("hangs", "running");
    wait_for("the hang to be seen", || project.worker("hangs")["last_exit"] == "no heartbeat");
}

#[test]
fn a_stopped_worker_is_ended_because_its_beat_stands_still() {
    let mut project = Project::new("  good: {use: ingest, source: 'test:'}\n");
    project.up();
    project.wait_for_state("good", "running");
    let pid = project.pid("good");
    signal(pid, Signal::SIGSTOP);
    wait_for("the hang to be seen", || project.worker("good")["last_exit"] == "no heartbeat");
    assert_ne!(project.wait_for_state("good", "running")["pid"], pid);
}

#[test]
fn a_supervisor_that_was_stopped_blames_nobody() {
    let mut project = Project::new("  good: {use: ingest, source: 'test:'}\n");
    project.up();
    project.wait_for_state("good", "running");
    let pid = project.pid("good");
    let supervisor = project.supervisor();
    signal(supervisor, Signal::SIGSTOP);
    signal(pid, Signal::SIGSTOP);
    std::thread::sleep(Duration::from_secs(3));
    signal(supervisor, Signal::SIGCONT);
    signal(pid, Signal::SIGCONT);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(project.pid("good"), pid);
}
