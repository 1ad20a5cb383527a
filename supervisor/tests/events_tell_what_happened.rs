//! Every change of a worker's state is kept, in order, with its reason.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Project, signal, text, wait_for};

const TWO: &str = "  a: {run: [sleep, '1000']}\n  b: {run: [sleep, '1001']}\n";

fn changes_of(line: &str) -> (String, String, String) {
    let change: Value = serde_json::from_str(line).unwrap();
    assert!(change["time_utc_ns"].as_u64().unwrap() > 0 && change["worker"] == "a", "{change}");
    let word = |key: &str| change[key].as_str().unwrap().to_owned();
    (word("from"), word("to"), word("reason"))
}

#[test]
fn a_kill_a_stop_and_a_start_are_told_in_order_with_their_reasons() {
    let mut project = Project::new(TWO);
    project.up();
    signal(project.pid("a"), Signal::SIGKILL);
    wait_for("a restart", || project.worker("a")["restarts"] == 1);
    project.wait_for_state("a", "running");
    assert!(project.run(&["stop", "a"]).status.success());
    assert!(project.run(&["start", "a"]).status.success());
    let told = project.run(&["events", "a", "-o", "json"]);
    let changes: Vec<_> = text(&told.stdout).lines().map(changes_of).collect();
    let changes: Vec<_> =
        changes.iter().map(|(from, to, why)| format!("{from} {to} {why}")).collect();
    let expected = [
        "stopped starting ",
        "starting running ",
        "running starting SIGKILL",
        "starting running ",
        "running stopping asked to",
        "stopping stopped asked to",
        "stopped starting asked to",
        "starting running ",
    ];
    assert_eq!(changes, expected);
    let lines = text(&project.run(&["events", "-n", "1"]).stdout);
    assert!(lines.ends_with("Z  a  starting -> running\n"), "{lines}");
}

#[test]
fn events_are_chosen_by_time_and_by_what_hooks_call_them() {
    let mut project = Project::new(TWO);
    project.up();
    signal(project.pid("a"), Signal::SIGKILL);
    wait_for("a restart", || project.worker("a")["restarts"] == 1);
    project.wait_for_state("a", "running");
    assert!(project.run(&["stop", "b"]).status.success());
    project.wait_for_state("b", "stopped");
    let told = |args: &[&str]| -> Vec<Value> {
        let output = project.run(&[&["events", "-o", "json"], args].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = told(&[]);
    let died = told(&["--type", "worker.died"]);
    assert_eq!(died.len(), 1, "{died:?}");
    assert_eq!((&died[0]["worker"], &died[0]["reason"]), (&"a".into(), &"SIGKILL".into()));
    assert_eq!(told(&["--type", "worker.st*,camera.down", "b"]).len(), 3);
    assert_eq!(told(&["--since", "1h"]), all);
    assert!(told(&["--to", "1h"]).is_empty());
    let time = died[0]["time_utc_ns"].as_u64().unwrap();
    let split = all.iter().filter(|it| it["time_utc_ns"].as_u64().unwrap() <= time).count();
    let shown = humantime::format_rfc3339_nanos(
        std::time::UNIX_EPOCH + std::time::Duration::from_nanos(time),
    );
    assert_eq!(told(&["--to", &shown.to_string()]), all[..split]);
    assert_eq!(told(&["--since", &shown.to_string()]), all[split - 1..]);
    let refused = project.run(&["events", "--type", "worker.dead"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(said.contains("'worker.dead'") && said.contains("worker.died"), "{said}");
}

#[test]
fn who_follows_gets_one_json_object_a_line_as_it_happens() {
    let mut project = Project::new(TWO);
    project.up();
    let mut command = project.command(&["events", "-f", "-n", "0", "-o", "json", "a"]);
    let mut follower = command.stdout(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    let out = BufReader::new(follower.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in out.lines() {
            let _ = sender.send(line.unwrap());
        }
    });
    let mut line = None;
    wait_for("an event", || {
        // The first restarts may come before the follower has asked.
        assert!(project.run(&["restart", "b"]).status.success());
        assert!(project.run(&["restart", "a"]).status.success());
        line = lines.try_recv().ok();
        line.is_some()
    });
    changes_of(&line.unwrap());
    assert!(project.run(&["down"]).status.success());
    wait_for("the follower's end", || follower.try_wait().unwrap().is_some());
}
