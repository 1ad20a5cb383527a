//! Whatever is killed, nothing of the project lives on, and `up` works again.

use nix::sys::signal::Signal;

use crate::harness::{Project, is_alive, signal, time_until, wait_for};

/// A worker, a grandchild in a session of its own that ignores SIGTERM, and a stopped worker.
const FAMILY: &str = "  a:\n    run:\n      - sh\n      - -c\n      - |\n        \
     setsid sh -c 'trap \"\" TERM; echo $$ > grandchild; while :; do sleep 1; done' &\n        \
     echo $$ > child; sleep 1000\n  b: {run: [sleep, '1001']}\n";

fn family(project: &Project) -> Vec<u32> {
    let b = project.pid("b");
    signal(b, Signal::SIGSTOP);
    vec![project.number_in("child"), project.number_in("grandchild"), b]
}

/// `scripts/verify` measures it against the one second promised; a loaded machine may take longer.
fn assert_gone(family: &[u32]) {
    let time = time_until("the family's end", || !family.iter().any(|pid| is_alive(*pid)));
    eprintln!("the last of them lived {time:?}");
}

#[test]
fn a_killed_supervisor_leaves_no_worker_and_no_grandchild() {
    let mut project = Project::new(FAMILY);
    project.up();
    let family = family(&project);
    signal(project.supervisor(), Signal::SIGKILL);
    assert_gone(&family);
    assert_eq!(project.up_ended(), Some(1));
    assert!(project.said().contains("the supervisor was ended by SIGKILL"), "{}", project.said());
    assert_eq!(project.run(&["ps"]).status.code(), Some(4));
    project.up();
    project.wait_for_state("a", "running");
}

#[test]
fn a_killed_guard_leaves_no_worker_and_no_grandchild() {
    let mut project = Project::new(FAMILY);
    let guard = project.up();
    let family = family(&project);
    let supervisor = project.supervisor();
    signal(guard, Signal::SIGKILL);
    assert_gone(&family);
    wait_for("the supervisor's end", || !is_alive(supervisor));
    project.up();
    project.wait_for_state("a", "running");
}

#[test]
fn a_dead_worker_takes_its_orphans_along_and_nobody_elses() {
    let daemon = |name: &str| {
        format!(
            "  {name}:\n    run:\n      - sh\n      - -c\n      - |\n        \
             (setsid sh -c 'echo $$ > {name}-daemon; sleep 1000' &)\n        \
             echo $$ > {name}-child; sleep 1000\n"
        )
    };
    let mut project = Project::new(&format!("{}{}", daemon("a"), daemon("b")));
    project.up();
    let (a, b) = (project.number_in("a-daemon"), project.number_in("b-daemon"));
    let child = project.number_in("a-child");
    signal(child, Signal::SIGKILL);
    wait_for("the orphan's end", || !is_alive(a));
    project.wait_for_state("a", "running");
    assert!(is_alive(b), "an orphan of another worker was ended");
}
