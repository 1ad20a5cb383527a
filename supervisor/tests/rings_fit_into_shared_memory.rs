//! `plan`, `check` and `up` say that the rings do not fit before anything starts.

use std::process::{Command, Output};

use crate::harness::{Project, output_of, text};

/// Runs a verb where /dev/shm is a file system of its own of 32 MiB; `None` where that cannot be had.
fn run_in_little_memory(project: &Project, verb: &str) -> Option<Output> {
    let framevisor = project.command(&[verb]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.arg("mount -t tmpfs -o size=32m tmpfs /dev/shm || exit 77; exec \"$@\"").arg("sh");
    command.arg(framevisor.get_program()).args(framevisor.get_args());
    for (name, value) in framevisor.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root may mount a small /dev/shm");
        return None;
    }
    let output = output_of(command);
    let error = text(&output.stderr);
    if output.status.code() == Some(77) || error.starts_with("unshare:") {
        println!("skipped: no mount namespace here: {error}");
        return None;
    }
    Some(output)
}

fn topology(max_bitrate: &str) -> String {
    format!(
        "  a: {{use: ingest, source: 'test:'}}\nrings:\n  a.packets: {{max_bitrate: {max_bitrate}}}\n"
    )
}

#[test]
fn a_topology_that_does_not_fit_is_told_before_anything_starts_with_what_would_help() {
    let project = Project::new(&topology("80M"));
    let Some(checked) = run_in_little_memory(&project, "check") else { return };
    let said = text(&checked.stderr);
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("/dev/shm has 32.0 MiB for them"), "{said}");
    assert!(said.contains("a.packets 190.8 MiB: all fits with max_bitrate: 10M"), "{said}");
    assert!(said.contains("--shm-size=191m"), "{said}");
    let up = run_in_little_memory(&project, "up").unwrap();
    assert_eq!(up.status.code(), Some(1), "{}", text(&up.stderr));
    assert!(text(&up.stderr).contains("does not fit into shared memory"), "{}", text(&up.stderr));
    assert!(!project.runtime_dir().join("pid").exists(), "nothing has started");
    let plan = run_in_little_memory(&project, "plan").unwrap();
    assert!(text(&plan.stdout).contains("NOT ENOUGH"), "{}", text(&plan.stdout));
    project.write_topology(&topology("10M"));
    let cured = run_in_little_memory(&project, "check").unwrap();
    assert!(cured.status.success(), "{}", text(&cured.stderr));
}
