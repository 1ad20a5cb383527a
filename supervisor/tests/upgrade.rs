//! The supervisor becomes another program, and nothing else changes: no worker is started again, nobody who
//! follows or connects notices.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Endless, Project, is_alive, signal, text, wait_for, write_executable};

const WORKERS: &str = "  good-x: {use: ingest, source: 'test:'}\n  \
    good-web: {use: web, in: good-x.packets, listen: '127.0.0.1:0'}\n  \
    counts:\n    run: [sh, -c, 'i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done']\n  \
    rests: {run: [sleep, '1000']}\n";

/// Pid, restarts and state of each worker: what an upgrade must not change.
fn workers(project: &Project) -> Vec<(Value, Value, Value)> {
    let facts = |worker: &Value| {
        (worker["pid"].clone(), worker["restarts"].clone(), worker["state"].clone())
    };
    project.ps().iter().map(facts).collect()
}

fn up(workers: &str) -> Project {
    let mut project = Project::new(workers);
    project.up();
    for name in ["good-x", "good-web", "counts", "rests"] {
        project.wait_for_state(name, "running");
    }
    project
}

fn upgraded(project: &Project) {
    let output = project.run(&["upgrade"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("4 workers go on"), "{}", text(&output.stderr));
}

fn program(project: &Project, name: &str, script: &str) -> PathBuf {
    let path = project.dir.join(name);
    write_executable(&path, script.as_bytes());
    path
}

#[test]
fn three_upgrades_in_a_row_start_no_worker_again_and_lose_no_line() {
    let project = up(WORKERS);
    let address: SocketAddr =
        project.worker("good-web")["listen"][0].as_str().unwrap().parse().unwrap();
    let supervisor = project.supervisor();
    signal(project.pid("rests"), Signal::SIGKILL);
    wait_for("a restart", || project.worker("rests")["restarts"] == 1);
    project.wait_for_state("rests", "running");
    let before = workers(&project);
    let mut lines = Endless::start(&project, &["logs", "-f", "counts"]);
    let mut events = Endless::start(&project, &["events", "-f"]);
    lines.line_with("line ");
    for _ in 0..3 {
        upgraded(&project);
        TcpStream::connect(address).unwrap();
        assert_eq!(workers(&project), before);
        assert_eq!(project.supervisor(), supervisor);
        assert!(is_alive(supervisor));
    }
    // Who followed before goes on to, and every number comes once.
    let from = number(&lines.line_with("line "));
    for expected in from + 1..from + 20 {
        assert_eq!(number(&lines.line_with("line ")), expected);
    }
    let all = text(&project.run(&["logs", "counts", "-n", "1000"]).stdout);
    let all: Vec<u32> = all.lines().map(number).collect();
    assert_eq!(all, (1..=u32::try_from(all.len()).unwrap()).collect::<Vec<u32>>());
    assert!(text(&project.run(&["why", "rests"]).stdout).contains("SIGKILL"));
    // It still knows how to start, to reap and to end.
    signal(project.pid("rests"), Signal::SIGKILL);
    events.line_with("SIGKILL");
    wait_for("a restart", || project.worker("rests")["restarts"] == 2);
    assert!(project.run(&["restart", "good-x"]).status.success());
    let mut pids = vec![supervisor];
    pids.extend(
        project.ps().iter().filter_map(|worker| u32::try_from(worker["pid"].as_u64()?).ok()),
    );
    assert!(project.run(&["down"]).status.success());
    // The supervisor lets go of the project's lock, which `down` waits for, a moment before its end.
    wait_for("the supervisor's end", || !is_alive(supervisor));
    assert!(!pids.into_iter().any(is_alive));
    assert_eq!(
        fs::read_to_string(project.dir.join("stopped.txt")).unwrap(),
        "good-x\ngood-x\ngood-web\n"
    );
}

fn number(line: &str) -> u32 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_program_that_cannot_go_on_is_refused_with_a_reason_and_changes_nothing() {
    let project = up(WORKERS);
    let before = workers(&project);
    let cases = [
        (project.dir.join("nowhere"), "No such file"),
        (project.dir.join("framevisor.yml"), "Permission denied"),
        (program(&project, "fails", "#!/bin/sh\necho what is this >&2\nexit 7\n"), "what is this"),
        (program(&project, "other", "#!/bin/sh\necho hello\n"), "does not answer as framevisor"),
        (program(&project, "garbage", "\u{7f}ELF, or what"), "cannot"),
        (program(&project, "dies", "#!/bin/sh\nkill -SEGV $$\n"), "SIGSEGV"),
    ];
    for (path, why) in cases {
        let output = project.run(&["upgrade", "--binary", path.to_str().unwrap()]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why) && said.contains("everything runs on"), "{why}: {said}");
        assert_eq!(workers(&project), before);
    }
    upgraded(&project);
    assert_eq!(workers(&project), before);
}

/// It answers the trial, and is another file when it is executed.
#[test]
fn a_program_that_breaks_after_its_trial_leaves_the_supervisor_as_it_was() {
    let project = up(WORKERS);
    let before = workers(&project);
    let answers = "#!/bin/sh\necho '{\"framevisor\":\"9\"}'\nrm \"$0\"\n";
    let path = program(&project, "goes-away", answers);
    let output = project.run(&["upgrade", "--binary", path.to_str().unwrap()]);
    let said = text(&output.stderr);
    assert!(said.contains("exec") && said.contains("No such file"), "{said}");
    assert_eq!(workers(&project), before);
    signal(project.pid("rests"), Signal::SIGKILL);
    wait_for("a restart", || project.worker("rests")["restarts"] == 1);
    assert!(project.run(&["down"]).status.success());
}

#[test]
fn twenty_upgrades_leave_no_descriptor_and_no_process_behind() {
    let project = up(WORKERS);
    upgraded(&project);
    let supervisor = project.supervisor();
    let children = || {
        let path = format!("/proc/{supervisor}/task/{supervisor}/children");
        fs::read_to_string(path).unwrap().split_whitespace().count()
    };
    let before = (children(), workers(&project));
    // A thread that removes a folder, or a connection just closed, may still be there. What it keeps back
    // is not counted: it is closed for each answer, and opened again a moment later.
    let fds = project.supervisor_descriptors();
    for _ in 0..20 {
        upgraded(&project);
    }
    assert_eq!((children(), workers(&project)), before);
    wait_for("as few descriptors as before", || project.supervisor_descriptors() <= fds);
}

#[test]
fn a_worker_that_is_stopped_or_held_back_stays_so() {
    let project = up(WORKERS);
    assert!(project.run(&["stop", "counts"]).status.success());
    project.wait_for_state("counts", "stopped");
    let before = workers(&project);
    let output = project.run(&["upgrade", "-o", "json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["workers"], 3);
    assert_eq!(workers(&project), before);
    assert!(project.run(&["start", "counts"]).status.success());
    project.wait_for_state("counts", "running");
}
