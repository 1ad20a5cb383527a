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
         $FRAMEVISOR_EVENT_REASON $MARK\"; echo \"\" > done']
  path: {on: worker.died, env: {PATH: '/bin:/usr/bin:/mine'}, run: [printenv, PATH]}\n",
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
    wait_for("its own PATH", || project.hook_lines("hook/path") == ["/bin:/usr/bin:/mine"]);
    // By a thread of its own.
    wait_for("its line to be shown", || project.said().contains("hook/tell"));
}

#[test]
fn a_hook_may_ask_the_project_why_and_keep_what_it_hears() {
    let program = env!("CARGO_BIN_EXE_framevisor");
    let mut project = Project::with_hooks(
        MORTAL,
        &format!(
            "  keep:
    on: worker.died
    timeout: 60s
    run: [sh, -c, '{program} why $FRAMEVISOR_EVENT_WORKER --save died/$FRAMEVISOR_EVENT_TIME_UTC_NS']\n"
        ),
    );
    project.up();
    signal(project.number_in("pid"), Signal::SIGKILL);
    let kept = || fs::read_dir(project.dir.join("died")).ok()?.next()?.ok().map(|it| it.path());
    wait_for("the dossier", || kept().is_some_and(|folder| folder.join("saved.json").exists()));
    let why = fs::read(kept().unwrap().join("why.json")).unwrap();
    let why: Value = serde_json::from_slice(&why).unwrap();
    assert_eq!(why["deaths"][0]["reason"], "SIGKILL");
}

#[test]
fn hooks_are_described_with_what_became_of_them_and_without_secrets() {
    let mut project = Project::with_hooks(
        MORTAL,
        "  fails: {on: worker.died, run: [sh, -c, 'exit 7', 'http://u:hunter2@h/'], env: {A_TOKEN: hunter2}}
  other: {on: project.stopping, run: ['true']}\n",
    );
    project.up();
    signal(project.number_in("pid"), Signal::SIGKILL);
    let described = |name: &str| -> Value {
        let output = project.run(&["describe", name, "-o", "json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(!text(&output.stdout).contains("hunter2"), "{}", text(&output.stdout));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    wait_for("its failure", || described("hook/fails")["hook"]["failures"] == 1);
    let hook = described("hook/fails");
    assert_eq!((&hook["hook"]["runs"], &hook["hook"]["last_end"]), (&json!(1), &json!("exit 7")));
    assert_eq!(hook["lines"][0]["text"], "ended with exit 7");
    let worker = described("a");
    let names: Vec<&Value> =
        worker["hooks"].as_array().unwrap().iter().map(|hook| &hook["name"]).collect();
    assert_eq!(names, ["hook/fails"]);
    let unknown = project.run(&["describe", "hook/none"]);
    let said = text(&unknown.stderr);
    assert!(
        said.contains("no hook is named hook/none; the hooks are hook/fails, hook/other"),
        "{said}"
    );
}

#[test]
fn a_reload_gives_events_to_the_hooks_of_the_new_file() {
    let mut project = Project::with_hooks(
        MORTAL,
        "  old: {on: worker.died, run: [sh, -c, 'echo x >> old']}
  stays: {on: worker.died, run: [sh, -c, 'echo before']}\n",
    );
    project.up();
    let pid = project.number_in("pid");
    let file = project.dir.join("framevisor.yml");
    let topology = fs::read_to_string(&file).unwrap();
    let (workers, _) = topology.split_once("hooks:").unwrap();
    let hooks = "hooks:
  stays: {on: worker.died, run: [sh, -c, 'echo after']}
  new: {on: worker.died, run: [sh, -c, 'echo x >> new']}\n";
    fs::write(&file, format!("{workers}{hooks}")).unwrap();
    let plan = text(&project.run(&["plan"]).stdout);
    assert!(plan.contains("hooks: +hook/new, -hook/old, ~hook/stays"), "{plan}");
    let done = project.run(&["reload"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(project.number_in("pid"), pid, "no worker was touched");
    signal(pid, Signal::SIGKILL);
    wait_for("the new hook", || project.dir.join("new").exists());
    wait_for("the one that stays", || project.hook_lines("hook/stays") == ["after"]);
    assert!(!project.dir.join("old").exists());
    assert!(text(&project.run(&["reload"]).stderr).contains("nothing changed"));
}

#[test]
fn a_hook_that_hangs_or_fails_or_is_missing_harms_nobody_and_is_told() {
    let mut project = Project::with_hooks(
        MORTAL,
        "  hangs: {on: 'worker.*', run: [sh, -c, 'echo $$ > hung; exec sleep 1001'], timeout: 5s}
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
    told("hook/hangs", "killed: it ran longer than 5s");
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
