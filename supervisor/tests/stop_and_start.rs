//! `stop` ends those it names, in order, for as long as nobody starts them again.

use std::fs;
use std::time::Duration;

use crate::harness::{Project, lines_of, text};

const CAMERAS: &str = "  cam1: {run: [sleep, '1000']}\n  cam2: {run: [sleep, '1001']}\n  \
                       other: {run: [sleep, '1002']}\n";

#[test]
fn a_pattern_stops_its_workers_and_no_other_until_they_are_started() {
    let mut project = Project::new(CAMERAS);
    project.up();
    let (first, other) = (project.pid("cam1"), project.pid("other"));
    let stopped = project.run(&["stop", "cam*"]);
    assert!(stopped.status.success(), "{}", text(&stopped.stderr));
    assert!(text(&stopped.stderr).contains("stopped cam1, cam2"));
    std::thread::sleep(Duration::from_millis(600));
    for name in ["cam1", "cam2"] {
        let worker = project.worker(name);
        assert_eq!(
            (worker["state"].as_str(), worker["why"].as_str()),
            (Some("stopped"), Some("asked to"))
        );
    }
    assert_eq!(project.pid("other"), other);
    let started = project.run(&["start", "cam*", "other", "-o", "json"]);
    assert_eq!(text(&started.stdout), "[\"cam1\",\"cam2\",\"other\"]\n");
    assert_ne!(project.pid("cam1"), first);
    assert_eq!(project.pid("other"), other);
}

#[test]
fn a_worker_that_always_dies_rests_when_it_is_stopped() {
    let workers = "  a: {run: ['false'], restart: {delay: 1m, limit: none}}\n";
    let mut project = Project::new(workers);
    project.up();
    project.wait_for_state("a", "backoff");
    assert!(project.run(&["stop", "a"]).status.success());
    assert_eq!(project.worker("a")["state"], "stopped");
    let started = project.run(&["start", "a"]);
    assert!(matches!(started.status.code(), Some(0 | 5)), "{}", text(&started.stderr));
    assert_eq!(project.wait_for_state("a", "backoff")["last_exit"], "exit 1 (failed)");
}

#[test]
fn a_worker_that_waited_for_another_rests_like_any_other_when_it_is_stopped() {
    let workers = "  a: {run: [sleep, '1000'], ready: log never}
  b: {run: [sleep, '1000'], after: [a]}\n";
    let mut project = Project::new(workers);
    project.up();
    assert_eq!(project.worker("b")["why"], "waits for a");
    assert!(project.run(&["stop", "b"]).status.success());
    assert_eq!(project.worker("b")["why"], "asked to");
    assert!(project.run(&["start", "b"]).status.success());
}

#[test]
fn named_workers_are_stopped_in_the_order_of_the_pipeline() {
    let mut project = Project::new(
        "  good-rec: {use: recorder, in: cam1.packets, dir: rec}\n  \
         good-dec: {use: decoder, in: cam1.packets}\n  \
         good-cam: {use: ingest, source: 'test:', out: cam1.packets}\n",
    );
    project.up();
    for name in ["good-rec", "good-dec", "good-cam"] {
        project.wait_for_state(name, "running");
    }
    assert!(project.run(&["stop", "good-rec", "good-*"]).status.success());
    let order = fs::read_to_string(project.dir.join("stopped.txt")).unwrap();
    assert_eq!(order.lines().collect::<Vec<_>>(), ["good-cam", "good-dec", "good-rec"]);
    assert!(project.run(&["start", "good-rec"]).status.success());
    assert_eq!(project.worker("good-rec")["state"], "running");
    assert_eq!(project.worker("good-dec")["state"], "stopped");
}

#[test]
fn lines_are_chosen_by_age_and_by_text() {
    let script = "echo old error; sleep 12; echo new error; echo fine; exec sleep 1000";
    let mut project = Project::new(&format!("  a: {{run: [sh, -c, '{script}']}}\n"));
    project.up();
    let logs = |args: &[&str]| lines_of(&project.run(&[&["logs"], args].concat()));
    crate::harness::wait_for("its last line", || {
        logs(&[]).last().is_some_and(|line| line == "a | fine")
    });
    assert_eq!(logs(&["--grep", "error"]), ["a | old error", "a | new error"]);
    assert_eq!(logs(&["--since", "11s", "--grep", "error", "a*"]), ["a | new error"]);
    assert_eq!(logs(&["--since", "1h", "-n", "1"]), ["a | fine"]);
}
