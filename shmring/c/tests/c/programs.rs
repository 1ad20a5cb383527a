//! The programs of `tests/programs` that check by themselves what they see, run as they are and under
//! valgrind.

use std::path::Path;
use std::process::Command;

use crate::tools::{Project, compile, compile_with, flags, pkg_config, script, text};

/// Compiles and runs one of them with a project for each argument it takes.
fn run(name: &str, projects: &[Project]) {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(&format!("tests/programs/{name}.c"), folder.path());
    check(Command::new(program), projects);
}

fn check(mut command: Command, projects: &[Project]) {
    command.args(projects.iter().map(Project::as_str));
    // What a supervisor, or a test before, says of its own.
    let names = ["FRAMEVISOR_PROJECT", "FRAMEVISOR_WORKER", "FRAMEVISOR_IN", "FRAMEVISOR_OUT"];
    for name in names.into_iter().chain(["FRAMEVISOR_CONTROL_FD"]) {
        command.env_remove(name);
    }
    assert_eq!(text(command.output().unwrap()), "all as expected\n");
}

#[test]
fn what_c_writes_c_reads() {
    run("round_trip", &[Project::new()]);
}

#[test]
fn misuse_gives_an_error_that_says_what_was_wrong() {
    run("misuse", &[Project::new(), Project::new()]);
}

#[test]
fn a_forked_child_can_neither_use_nor_spoil_its_parents_handles() {
    run("forks", &[Project::new()]);
}

#[test]
fn waiting_works_from_other_threads_for_many_rings_and_through_poll() {
    run("waiting", &[Project::new()]);
}

#[test]
fn messages_to_a_worker_come_among_its_items() {
    run("messages", &[Project::new()]);
}

#[test]
fn the_static_library_serves_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let pc = text(script("c-path").output().unwrap());
    let library = Path::new(pc.trim()).parent().unwrap().join("libshmring.a");
    let words = pkg_config(Path::new(pc.trim()), &["--cflags", "--libs", "--static"]);
    let archive = library.display().to_string();
    let words: Vec<String> = words
        .into_iter()
        .map(|word| if word == "-lshmring" { archive.clone() } else { word })
        .collect();
    let program = compile_with("tests/programs/round_trip.c", folder.path(), &words);
    let needed = text(Command::new("readelf").arg("--dynamic").arg(&program).output().unwrap());
    assert!(!needed.contains("shmring"), "{needed}");
    check(Command::new(program), &[Project::new()]);
}

/// Not one byte lost or read that is none, in all that a C program can do.
#[test]
fn memory_is_clean_under_valgrind() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: no valgrind");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, projects) in [("round_trip", 1), ("misuse", 2), ("waiting", 1)] {
        let program = compile_with(&format!("tests/programs/{name}.c"), folder.path(), flags());
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite"]);
        // Its threads take turns on one lock, and not in order unless it is told to.
        valgrind.args(["--error-exitcode=9", "--fair-sched=yes"]).arg(program);
        let projects: Vec<Project> = (0..projects).map(|_| Project::new()).collect();
        check(valgrind, &projects);
    }
}
