//! A second `up`, a port in use, a name too long: a clear error, and nothing that runs is harmed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::{Project, output_of, text, wait_for};

const ONE: &str = "  a: {run: [sleep, '1000']}\n";

#[test]
fn a_port_in_use_names_worker_address_and_holder_and_starts_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let marker = "  a: {run: [touch, started]}\n";
    let web = format!("  web: {{use: web, in: ['x.packets'], listen: '{address}'}}\n");
    let ingest = "  x: {use: ingest, source: 'test:'}\n";
    let project = Project::new(&format!("{marker}{ingest}{web}"));
    let refused = project.run(&["up"]);
    let said = text(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    for part in ["web", &address.to_string(), &format!("(pid {})", std::process::id())] {
        assert!(said.contains(part), "no {part} in: {said}");
    }
    assert!(!project.dir.join("started").exists());
}

#[test]
fn a_detached_project_answers_when_up_returns_and_down_waits_for_its_end() {
    let project = Project::new(ONE);
    let up = project.run(&["up", "-d"]);
    assert!(up.status.success(), "{}", text(&up.stderr));
    let (worker, supervisor) = (project.pid("a"), project.supervisor());
    let log = fs::read_to_string(project.runtime_dir().join("log")).unwrap();
    assert!(log.contains("worker=a"), "{log}");
    assert!(project.run(&["down"]).status.success());
    assert!(!crate::harness::is_alive(worker));
    wait_for("the supervisor's end", || !crate::harness::is_alive(supervisor));
    assert_eq!(project.run(&["down"]).status.code(), Some(4));
}

#[test]
fn mistakes_of_a_detached_start_reach_the_terminal_with_their_exit_code() {
    let project = Project::new("  a: {run: [sleep, '1'], speed: 3}\n");
    for verb in [&["up"][..], &["up", "-d"], &["check"]] {
        let refused = project.run(verb);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(3), "{verb:?}: {said}");
        // An editor or terminal follows `file:line:col` only at the beginning of a line.
        let place = format!("{}:4:", project.dir.join("framevisor.yml").display());
        assert!(said.starts_with(&place) && said.contains("speed"), "{said}");
    }
}

#[test]
fn a_missing_program_names_worker_and_folders_and_starts_nothing() {
    let project =
        Project::new("  a: {run: [touch, started]}\n  b: {use: ingest, source: 'test:'}\n");
    fs::remove_file(project.dir.join("libexec/framevisor-ingest")).unwrap();
    // Beside the real command there may be real workers.
    let alone = project.dir.join("framevisor");
    // A process of its own writes it: a child that another test forks meanwhile would hold the open
    // file, and the kernel executes nothing that somebody writes (ETXTBSY).
    let copy = Command::new("cp").arg(env!("CARGO_BIN_EXE_framevisor")).arg(&alone).status();
    assert!(copy.unwrap().success());
    for verb in [&["up"][..], &["up", "-d"], &["check"]] {
        let refused = output_of(project.command_at(&alone, verb));
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{verb:?}: {said}");
        assert!(said.contains("worker b: no program framevisor-ingest in"), "{said}");
        assert!(said.contains(project.dir.join("libexec").to_str().unwrap()), "{said}");
    }
    assert!(!project.dir.join("started").exists());
}

#[test]
fn waiting_for_a_ring_that_never_flows_ends_with_a_timeout_that_names_it() {
    let project = Project::new("  good: {use: ingest, source: 'test:', out: cam1.packets}\n");
    let up = project.run(&["up", "--wait", "--timeout", "10s"]);
    let said = text(&up.stderr);
    assert_eq!(up.status.code(), Some(6), "{said}");
    assert!(said.contains("cam1.packets: its writer good is running"), "{said}");
}

#[test]
fn the_runtime_directory_is_the_owners_alone() {
    let mut project = Project::new(ONE);
    project.up();
    let mode = |path: &str| {
        let found = fs::metadata(project.runtime_dir().join(path)).unwrap();
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("control.sock"), mode("pid")), (0o700, 0o600, 0o600));
}
