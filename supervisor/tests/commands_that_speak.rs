//! A `run:` worker may speak JSON over its control link, from any language: here from sh.

use crate::harness::{Project, time_until, wait_for};

#[test]
fn a_command_tells_when_it_is_ready_and_how_it_is() {
    let script = r#"printf '{"v":1,"id":0,"verb":"hello"}' >&3
        while [ ! -e go ]; do sleep 0.05; done
        printf '{"v":1,"id":0,"verb":"ready"}' >&3
        printf '{"v":1,"id":0,"verb":"condition","args":{"condition":"degraded","why":"no GPU"}}' >&3
        sleep 1000"#;
    let workers = format!("  a:\n    run:\n      - sh\n      - -c\n      - |\n        {script}\n");
    let mut project = Project::new(&workers);
    project.up();
    project.wait_for_state("a", "starting");
    std::fs::write(project.dir.join("go"), "").unwrap();
    let worker = project.wait_for_state("a", "degraded");
    assert_eq!(worker["why"], "no GPU");
}

#[test]
fn a_command_that_sends_no_json_is_ended() {
    let mut project = Project::new(
        "  a: {run: [sh, -c, 'echo hello >&3; sleep 1000']}\n  b: {run: [sleep, '9']}\n",
    );
    project.up();
    wait_for("its end", || {
        let exit = project.worker("a")["last_exit"].as_str().unwrap_or_default().to_owned();
        exit.starts_with("broke the control protocol: expected value")
    });
    assert_eq!(project.worker("b")["restarts"], 0);
}

#[test]
fn a_command_that_closes_its_link_is_left_alone() {
    let mut project =
        Project::new("  a: {run: [sh, -c, 'exec 3>&-; echo $$ > up; exec sleep 1000']}\n");
    project.up();
    let pid = project.number_in("up");
    std::thread::sleep(std::time::Duration::from_millis(1200));
    assert_eq!(project.pid("a"), pid);
}

#[test]
fn a_command_that_has_said_hello_and_closed_its_link_is_told_to_stop_by_a_signal() {
    let script = r#"trap 'echo > told; exit 0' TERM
        printf '{"v":1,"id":0,"verb":"hello"}' >&3
        printf '{"v":1,"id":0,"verb":"ready"}' >&3
        exec 3>&-
        while :; do sleep 0.05; done"#;
    let workers = format!("  a:\n    run:\n      - sh\n      - -c\n      - |\n        {script}\n");
    let mut project = Project::new(&workers);
    project.up();
    project.wait_for_state("a", "ready");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let stopped = time_until("its end", || project.run(&["stop", "a"]).status.success());
    assert!(project.dir.join("told").exists());
    assert!(stopped < std::time::Duration::from_millis(1800), "{stopped:?}");
}

#[test]
fn a_command_sees_its_own_environment_and_no_other() {
    let project = Project::new(
        "  a:
    run: [sh, -c, 'env > env.new; mv env.new env; sleep 1000']
    env: {COLOUR: red}
    in: [good.packets, other.packets]
    out: a.events
    policy: every 5
  good: {use: ingest, source: 'test:'}
  other: {use: ingest, source: 'test:'}\n",
    );
    let secret = ["SECRET_OF_THE_SHELL", "x"];
    let up = project.command(&["up", "-d"]).env(secret[0], secret[1]).output().unwrap();
    assert!(up.status.success());
    wait_for("its environment", || project.dir.join("env").exists());
    let env = std::fs::read_to_string(project.dir.join("env")).unwrap();
    for expected in [
        "COLOUR=red".to_owned(),
        format!("FRAMEVISOR_PROJECT={}", project.name),
        "FRAMEVISOR_WORKER=a".to_owned(),
        "FRAMEVISOR_IN=good.packets,other.packets".to_owned(),
        "FRAMEVISOR_OUT=a.events".to_owned(),
        "FRAMEVISOR_POLICY=every 5".to_owned(),
        "FRAMEVISOR_CONTROL_FD=3".to_owned(),
        format!("TMPDIR={}", project.runtime_dir().join("tmp/1").display()),
    ] {
        assert!(env.lines().any(|line| line == expected), "no {expected} in {env}");
    }
    assert!(!env.contains(secret[0]), "{env}");
}
