//! Sources end first, servers last; who does not want to end is made to.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use shmring::clock;

use crate::harness::{Project, is_alive, signal, wait_for};

const PIPELINE: &str = "  good-rec: {use: recorder, in: cam1.packets, dir: rec}\n  \
    good-dec: {use: decoder, in: cam1.packets}\n  \
    good-mot: {use: motion, in: cam1.frames}\n  \
    good-web: {use: web, in: cam1.packets, listen: '127.0.0.1:0'}\n  \
    good-cam: {use: ingest, source: 'test:', out: cam1.packets}\n";

#[test]
fn sources_end_before_readers_and_recorders_before_servers() {
    let mut project = Project::new(PIPELINE);
    project.up();
    for name in ["good-rec", "good-dec", "good-mot", "good-web", "good-cam"] {
        project.wait_for_state(name, "running");
    }
    assert!(project.run(&["down"]).status.success());
    assert_eq!(project.up_ended(), Some(0));
    let order = fs::read_to_string(project.dir.join("stopped.txt")).unwrap();
    let order: Vec<&str> = order.lines().collect();
    assert_eq!(order, ["good-cam", "good-dec", "good-mot", "good-rec", "good-web"]);
    assert!(!project.runtime_dir().join("tmp").exists(), "temporary folders are left");
}

/// Ignores every polite request, and so does its child.
const STUBBORN: &str =
    "  a:\n    run: [sh, -c, 'trap \"\" TERM INT; echo $$ > child; while :; do sleep 1; done']\n";

#[test]
fn a_worker_that_ignores_sigterm_is_killed_in_time() {
    let mut project = Project::new(STUBBORN);
    project.up();
    let child = project.number_in("child");
    let start = clock::mono();
    assert!(project.run(&["down"]).status.success());
    let time = clock::mono().saturating_since(start);
    assert!(!is_alive(child));
    assert!(time >= Duration::from_millis(1900), "it took {time:?}");
}

#[test]
fn a_second_interrupt_ends_everything_at_once() {
    // By itself it would end when the recorder has had its five seconds, which begin behind the others':
    // not before the second interrupt, also when this test is not scheduled for a while.
    let recorder = "  clings: {use: recorder, in: cam1.packets, dir: rec}\n  \
        good-cam: {use: ingest, source: 'test:', out: cam1.packets}\n";
    let mut project = Project::new(&[STUBBORN, recorder].concat());
    let guard = project.up();
    for name in ["clings", "good-cam"] {
        project.wait_for_state(name, "running");
    }
    let recorder = project.pid("clings");
    let child = project.number_in("child");
    signal(guard, Signal::SIGINT);
    wait_for("the first to be heard", || project.said().contains("stopping"));
    // Sooner would count as the same press.
    std::thread::sleep(Duration::from_millis(600));
    signal(guard, Signal::SIGINT);
    wait_for("the workers' end", || !is_alive(child) && !is_alive(recorder));
    assert_eq!(project.up_ended(), Some(0));
    let said = project.said();
    assert!(said.contains("asked again: what still lives is killed"), "{said}");
}

#[test]
fn an_interrupt_stops_a_foreground_project_cleanly() {
    let mut project = Project::new("  a: {run: [sleep, '1000']}\n");
    let guard = project.up();
    let worker = project.pid("a");
    signal(guard, Signal::SIGINT);
    assert_eq!(project.up_ended(), Some(0));
    assert!(!is_alive(worker));
    assert_eq!(project.run(&["ps"]).status.code(), Some(4));
}
