//! Commands of the user's at what happens: told what, bounded, and harmless whatever they do.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{Project, is_alive, signal, text, wait_for};

impl Project {
    fn with_hooks(workers: &str, hooks: &str) -> Self {
        let project = Self::new(workers);
        let file = project.dir.join("framevisor.yml");
        let topology = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{topology}hooks:\n{hooks}")).unwrap();
        project
    }

    fn hook_lines(&self, hook: &str) -> Vec<String> {
        let output = self.run(&["logs", hook, "-o", "json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let lines = text(&output.stdout);
        let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["text"].clone();
        lines.lines().map(|it| line(it).as_str().unwrap().to_owned()).collect()
    }
}

const MORTAL: &str = "  a: {run: [sh, -c, 'echo $$ > pid; exec sleep 1000']}\n";

#[test]
fn a_hook_is_told_what_happened_on_its_stdin_and_by_variables() {
    let mut project = Project::with_hooks(
        MORTAL,
        "  tell:
    on: worker.died
    env: {MARK: mine}
    run: [sh, -c, 'cat > event.json; echo \"$FRAMEVISOR_EVENT $FRAMEVISOR_EVENT_WORKER \
         $FRAMEVISOR_EVENT_REASON $MARK\"; echo \"\" > done']\n",
    );
    project.up();
    let pid = project.number_in("pid");
    signal(pid, Signal::SIGKILL);
    wait_for("the hook", || project.dir.join("done").exists());
    let event = fs::read(project.dir.join("event.json")).unwrap();
    let event: Value = serde_json::from_slice(&event).unwrap();
    assert_eq!(event["event"], "worker.died");
    assert_eq!((&event["worker"], &event["kind"]), (&json!("a"), &json!("run")));
    assert_eq!((&event["reason"], &event["project"]), (&json!("SIGKILL"), &json!(project.name)));
    wait_for("its line", || project.hook_lines("hook/tell") == ["worker.died a SIGKILL mine"]);
    assert!(project.said().contains("hook/tell"), "{}", project.said());
}

#[test]
fn a_hook_that_hangs_or_fails_or_is_missing_harms_nobody_and_is_told() {
    let mut project = Project::with_hooks(
        MORTAL,
        "  hangs: {on: 'worker.*', run: [sh, -c, 'echo $$ > hung; exec sleep 1001'], timeout: 300ms}
  fails: {on: worker.died, run: [sh, -c, 'echo oh; exit 7']}
  missing: {on: worker.died, run: [./not-there]}\n",
    );
    project.up();
    let before = project.number_in("pid");
    let hung = project.number_in("hung");
    wait_for("the end of what hangs", || !is_alive(hung));
    fs::remove_file(project.dir.join("pid")).unwrap();
    signal(before, Signal::SIGKILL);
    assert_ne!(project.number_in("pid"), before, "the worker was started again");
    let told = |hook: &str, words: &str| {
        wait_for(words, || project.hook_lines(hook).iter().any(|line| line.contains(words)));
    };
    told("hook/hangs", "killed: it ran longer than 300ms");
    told("hook/fails", "ended with exit 7");
    told("hook/missing", "No such file");
    assert_eq!(project.run(&["down"]).status.code(), Some(0));
    project.up_ended();
}

#[test]
fn a_hook_that_is_too_slow_misses_events_and_the_others_go_on() {
    let mut project = Project::with_hooks(
        "  a: {run: [sh, -c, 'exit 3'], restart: {delay: 0s, limit: none}}\n",
        "  slow: {on: worker.died, run: [sleep, '2']}
  quick: {on: worker.died, run: [sh, -c, 'echo x >> quick']}\n",
    );
    project.up();
    wait_for("many events", || {
        fs::read_to_string(project.dir.join("quick")).is_ok_and(|text| text.lines().count() > 100)
    });
    wait_for("the slow one to miss some", || {
        project.hook_lines("hook/slow").iter().any(|line| line.contains("events dropped"))
    });
}

#[test]
fn the_end_of_a_project_is_told_and_leaves_no_hook_behind() {
    let mut project = Project::with_hooks(
        MORTAL,
        "  bye: {on: [project.stopping, worker.stopped], run: [sh, -c, 'echo $FRAMEVISOR_EVENT >> said']}
  stays: {on: project.stopping, run: [sh, -c, 'echo $$ > stays; exec sleep 1002'], timeout: 1m}\n",
    );
    project.up();
    project.wait_for_state("a", "running");
    assert_eq!(project.run(&["down"]).status.code(), Some(0));
    project.up_ended();
    let said = fs::read_to_string(project.dir.join("said")).unwrap();
    assert_eq!(said, "project.stopping\nworker.stopped\n");
    assert!(!is_alive(project.number_in("stays")));
}

#[test]
fn an_event_that_does_not_exist_is_refused_with_its_place() {
    let project = Project::with_hooks(MORTAL, "  tell: {on: worker.hold, run: [tell]}\n");
    let output = project.run(&["check"]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(said.contains("hook tell: unknown event 'worker.hold'"), "{said}");
    assert!(said.contains("did you mean 'worker.held'?"), "{said}");
}
