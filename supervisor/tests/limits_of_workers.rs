//! What a worker may use is set before its program begins, shown, and told when it was the death.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{Project, is_alive, signal, text, wait_for};

#[test]
fn limits_hold_before_the_program_begins_and_ps_shows_them() {
    let mut project = Project::new(
        "  a:
    run: [sh, -c, 'cat /proc/self/limits > limits; cat /proc/self/oom_score_adj > oom; exec sleep 1000']
    limits: {memory: 256MiB, nofile: 50, nice: 3, cpus: '0', oom_score_adj: 900}\n",
    );
    project.up();
    wait_for("the worker to tell", || {
        fs::read_to_string(project.dir.join("oom")).is_ok_and(|text| text == "900\n")
    });
    let limits = fs::read_to_string(project.dir.join("limits")).unwrap();
    let has = |name: &str, value: &str| {
        let words: Vec<&str> = limits
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        assert_eq!(words[..2], [value, value], "{name}");
    };
    has("Max data size", "268435456");
    has("Max open files", "50");
    has("Max core file size", "0");
    let shown = &project.worker("a")["limits"];
    assert_eq!(shown["memory"], json!(256 << 20));
    assert_eq!((&shown["nofile"], &shown["nice"]), (&json!(50), &json!(3)));
    assert_eq!((&shown["cpus"], &shown["not_set"]), (&json!("0"), &json!([])));
}

#[test]
fn a_limit_that_cannot_be_set_is_said_once_and_is_fatal_only_when_required() {
    let mut project = Project::new(
        "  a: {run: [sh, -c, 'exit 3'], limits: {cpus: '1023'}, restart: {delay: 0s}}
  b: {run: [sleep, '1000'], limits: {cpus: '1023', require: true}}
  c: {run: [sleep, '1000'], limits: {nice: 1, require: true}}\n",
    );
    project.up();
    project.wait_for_state("a", "held");
    project.wait_for_state("c", "running");
    let b = project.wait_for_state("b", "held");
    let why = text(&project.run(&["why", "b"]).stdout);
    assert!(why.contains("cpus: Invalid argument"), "{b}: {why}");
    // What the supervisor says is written by a thread of its own, in order.
    let is_death = |line: &&str| line.contains("died") && line.contains("worker=a");
    wait_for("all deaths to be told", || project.said().lines().filter(is_death).count() >= 5);
    let said = project.said();
    let times = said.lines().filter(|line| line.contains("limits that could not be set"));
    let times: Vec<&str> = times.filter(|line| line.contains("worker=a")).collect();
    assert_eq!(times.len(), 1, "{said}");
}

#[test]
fn a_death_at_the_memory_limit_is_told_as_such() {
    let mut project = Project::new(
        "  hungry:
    run: [python3, -c, 'x = bytearray(1 << 30)']
    limits: {memory: 128MiB}\n",
    );
    project.up();
    let worker = project.wait_for_state("hungry", "held");
    assert_eq!(worker["last_exit"], "oom: exit 1 (failed) at its limit of 128MiB");
}

/// Where this machine allows cgroups: the next start finds what both deaths left.
#[test]
fn what_lives_on_when_guard_and_supervisor_are_killed_at_once_ends_with_the_next_start() {
    let mut project = Project::new(
        "  a: {run: [sh, -c, 'setsid sleep 1000 & echo $! > grandchild; exec sleep 1001']}\n",
    );
    let guard = project.up();
    let grandchild = project.number_in("grandchild");
    if project.worker("a")["limits"]["cgroup"] != json!(true) {
        return;
    }
    let supervisor = project.supervisor();
    signal(guard, Signal::SIGSTOP);
    signal(supervisor, Signal::SIGKILL);
    signal(guard, Signal::SIGKILL);
    wait_for("the supervisor's end", || !is_alive(supervisor));
    project.up_ended();
    assert!(is_alive(grandchild), "nobody was left to end it");
    project.up();
    wait_for("the grandchild's end", || !is_alive(grandchild));
}
