//! `after:` and `ready:`: nobody is started before those it needs are up, and a command is up when it
//! shows it.

use std::time::Duration;

use protocol::config::RingConfig;
use protocol::control::{RingContract, env};
use shmring::{PacketMeta, PacketOptions, PacketReader, PacketWriter, Start};

use crate::harness::{Project, Reserved, text, wait_for};

/// Takes connections once a file `open` is there and answers each as a web server would.
const LATE_SERVER: &str = "\
import os, socket, sys, time
while not os.path.exists('open'):
    time.sleep(0.05)
with socket.create_server(('127.0.0.1', int(sys.argv[1]))) as server:
    while True:
        with server.accept()[0] as peer:
            peer.recv(1000)
            peer.sendall(b'HTTP/1.1 200 OK\\r\\n\\r\\n')
";

/// A server as `ready` says, and a client that ends at once when the server is not there.
fn server_and_client(ready: &str, port: u16) -> Project {
    let project = Project::new(&format!(
        "  client:
    run: [python3, -c, 'import socket, time; socket.create_connection((\"127.0.0.1\", {port})); \
         open(\"connected\", \"w\"); time.sleep(1000)']
    restart: {{limit: 1 in 60s}}
    after: server
  server: {{run: [python3, server.py, '{port}'], ready: '{ready}'}}
"
    ));
    std::fs::write(project.dir.join("server.py"), LATE_SERVER).unwrap();
    project
}

#[test]
fn a_client_starts_when_the_port_of_its_server_is_open() {
    let reserved = Reserved::new();
    let port = reserved.address.port();
    for ready in [format!("tcp {port}"), format!("http http://127.0.0.1:{port}/")] {
        let mut project = server_and_client(&ready, port);
        project.up();
        let client = project.worker("client");
        assert_eq!(
            (&client["state"], &client["why"]),
            (&"stopped".into(), &"waits for server".into())
        );
        assert_eq!(project.worker("server")["state"], "starting");
        std::fs::write(project.dir.join("open"), "").unwrap();
        wait_for("the client's connection", || project.dir.join("connected").exists());
        assert_eq!(project.worker("client")["restarts"], 0);
        project.wait_for_state("server", "running");
        assert!(project.run(&["down"]).status.success());
    }
}

#[test]
fn who_is_named_by_start_waits_for_nobody_and_a_stop_ends_the_wait() {
    let mut project = Project::new(
        "  never: {run: [sleep, '1000'], ready: 'log come what may'}
  a: {run: [sleep, '1000'], after: [never]}
  b: {run: [sleep, '1000'], after: [never]}
",
    );
    project.up();
    assert!(project.run(&["start", "a"]).status.success());
    project.wait_for_state("a", "running");
    assert_eq!(project.worker("b")["why"], "waits for never");
    assert!(project.run(&["stop", "b"]).status.success());
    assert_eq!(project.worker("b")["state"], "stopped");
    assert!(project.run(&["down"]).status.success());
}

#[test]
fn a_line_that_was_asked_for_makes_a_command_ready() {
    let script = "echo loading; sleep 0.3; echo listening on :8554; sleep 1000";
    let mut project = Project::new(&format!(
        "  server: {{run: [sh, -c, '{script}'], ready: 'log listening on :[0-9]+'}}\n  \
         last: {{run: [sh, -c, 'touch started; sleep 1000'], after: [server]}}\n"
    ));
    project.up();
    wait_for("the one behind it", || project.dir.join("started").exists());
    assert_eq!(project.worker("server")["state"], "running");
    let logs = text(&project.run(&["logs", "server"]).stdout);
    assert!(logs.contains("listening on :8554"), "{logs}");
}

#[test]
fn a_reader_is_ready_when_it_is_attached() {
    let me = std::env::current_exe().unwrap();
    let role = "--exact coming_up_in_order::in_the_role_of_a_late_reader --nocapture --quiet";
    let mut project = Project::new(&format!(
        "  reader:\n    run: [sh, -c, 'exec {} {role}']\n    in: ext.probe.events\n    ready: attach\n    \
         env: {{LATE_READER: '1'}}\n",
        me.display()
    ));
    let name = "ext.probe.events".parse().unwrap();
    let contract = RingContract::new(name, RingConfig::default(), 2);
    let mut writer = PacketWriter::create(&project.name.parse().unwrap(), &contract, &[]).unwrap();
    writer.publish(&PacketMeta::default(), b"{}").unwrap();
    project.up();
    assert_eq!(project.worker("reader")["state"], "starting");
    std::fs::write(project.dir.join("attach"), "").unwrap();
    project.wait_for_state("reader", "running");
    assert_eq!(project.worker("reader")["restarts"], 0);
    writer.finish();
}

/// Run by the supervisor under test; does nothing when run as a test.
#[test]
fn in_the_role_of_a_late_reader() {
    if std::env::var_os("LATE_READER").is_none() {
        return;
    }
    wait_for("the word to attach", || std::path::Path::new("attach").exists());
    let project = std::env::var(env::PROJECT).unwrap().parse().unwrap();
    let ring = std::env::var(env::IN).unwrap().parse().unwrap();
    let options = PacketOptions { reader: "late".into(), start: Start::Oldest };
    let _reader = PacketReader::attach(&project, &ring, &options).unwrap();
    std::thread::sleep(Duration::from_secs(1000));
}

#[test]
fn waiting_for_nobody_or_in_a_circle_is_refused_with_its_place() {
    let project = Project::new(
        "  a: {run: [sleep, '1'], after: [b]}
  b: {run: [sleep, '1'], after: [c]}
  c: {run: [sleep, '1'], after: [a]}
  d: {run: [sleep, '1'], after: [dd], ready: 'tcp x'}
",
    );
    let said = text(&project.run(&["check"]).stderr);
    for part in [
        "worker a: starts after 'b', which starts after it or is it",
        "worker d: starts after 'dd', and there is no such worker",
        "did you mean 'd'?",
        "expected attach, tcp PORT",
    ] {
        assert!(said.contains(part), "no '{part}' in:\n{said}");
    }
}

#[test]
fn many_workers_start_by_turns_and_all_come_up() {
    let ingest = |number: u32| format!("  good-{number}: {{use: ingest, source: 'test:'}}\n");
    let command = |number: u32| format!("  c{number}: {{run: [sleep, '1000']}}\n");
    let workers: String = (1..=20).map(|number| ingest(number) + &command(number)).collect();
    let mut project = Project::new(&workers);
    project.up();
    wait_for("all to run", || project.ps().iter().all(|worker| worker["state"] == "running"));
    assert!(project.ps().iter().all(|worker| worker["restarts"] == 0));
}
