//! `-f` more than once, and from stdin: what is read once is there for every process that needs it.

use std::fs::{self, File};
use std::process::Stdio;

use crate::harness::{Project, output_of, text, wait_for};

#[test]
fn a_topology_from_stdin_comes_up_and_goes_down() {
    let project = Project::new("  unused: {run: [x]}\n");
    let file = project.dir.join("typed.txt");
    let topology = format!(
        "version: 1\nproject: {}\nworkers: {{sleeper: {{run: [sleep, '1000']}}}}",
        project.name
    );
    fs::write(&file, topology).unwrap();
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_framevisor"));
        command.args(["-f", "-", "--runtime-dir"]).arg(project.runtime_dir()).args(args);
        command.env("XDG_STATE_HOME", project.dir.join("state"));
        command.current_dir(&project.dir).stdin(Stdio::from(File::open(&file).unwrap()));
        output_of(command)
    };
    let plan = run(&["plan"]);
    assert!(text(&plan.stdout).contains("sleeper"), "{}", text(&plan.stderr));
    let up = run(&["up", "-d"]);
    assert!(up.status.success(), "{}", text(&up.stderr));
    wait_for("the worker to run", || text(&run(&["ps"]).stdout).contains("running"));
    assert!(run(&["down"]).status.success());
    fs::write(&file, "version: 1\nworkers: {a: {use: x}}").unwrap();
    let check = run(&["check"]);
    assert_eq!(check.status.code(), Some(3));
    let said = text(&check.stderr);
    assert!(said.starts_with("<stdin>:2:20: error: worker a: unknown kind 'x'"), "{said}");
}

#[test]
fn several_files_come_up_as_one_project() {
    let project = Project::new("  one: {run: [sleep, '1000']}\n");
    let more = project.dir.join("more.toml");
    fs::write(&more, "[workers.two]\nrun = ['sleep', '1000']\nafter = 'one'\n").unwrap();
    let with_more = |args: &[&str]| {
        let mut command = project.command(&[]);
        output_of({
            command.arg("-f").arg(&more).args(args);
            command
        })
    };
    let up = with_more(&["up", "-d"]);
    assert!(up.status.success(), "{}", text(&up.stderr));
    wait_for("both to run", || {
        project.ps().iter().filter(|worker| worker["state"] == "running").count() == 2
    });
    assert!(with_more(&["down"]).status.success());
}
