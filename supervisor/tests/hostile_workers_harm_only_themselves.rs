//! Forged, short, huge and endless control frames: the sender is ended, nobody else notices.

use std::time::Duration;

use crate::harness::{Project, wait_for};

/// Starts a worker of this role beside a good one, and gives the reason of its death.
fn fate_of(role: &str) -> String {
    let workers = format!(
        "  good: {{use: ingest, source: 'test:'}}\n  {role}: {{use: ingest, source: 'test:'}}\n"
    );
    let mut project = Project::new(&workers);
    project.up();
    project.wait_for_state("good", "running");
    let good = project.pid("good");
    let supervisor = project.supervisor();
    wait_for("the hostile worker's end", || project.worker(role)["last_exit"] != "");
    let worker = project.worker(role);
    assert_eq!(project.pid("good"), good);
    assert_eq!(project.supervisor(), supervisor);
    assert_eq!(project.worker("good")["restarts"], 0);
    worker["last_exit"].as_str().unwrap().to_owned()
}

#[test]
fn a_worker_that_sends_garbage_is_ended() {
    let fate = fate_of("garbage");
    assert!(
        fate.starts_with("broke the control protocol: control frame does not decode"),
        "{fate}"
    );
}

#[test]
fn a_worker_that_forges_a_length_is_ended() {
    let fate = fate_of("forged");
    assert!(
        fate.starts_with("broke the control protocol: control frame does not decode"),
        "{fate}"
    );
}

#[test]
fn a_worker_that_sends_half_a_frame_is_ended() {
    let fate = fate_of("short");
    assert!(
        fate.starts_with("broke the control protocol: control frame does not decode"),
        "{fate}"
    );
}

#[test]
fn a_worker_that_sends_too_much_at_once_is_ended() {
    let fate = fate_of("huge");
    assert!(fate.contains("message of 65537 bytes: at most 65536"), "{fate}");
}

#[test]
fn a_worker_that_never_stops_sending_is_ended() {
    let fate = fate_of("endless");
    // Its first message is out of order already.
    assert!(fate.starts_with("broke the control protocol"), "{fate}");
}

#[test]
fn a_worker_that_floods_is_ended() {
    assert_eq!(fate_of("floods"), "broke the control protocol: more than 500 messages a second");
}

#[test]
fn a_worker_that_is_ready_before_it_said_hello_is_ended() {
    assert_eq!(fate_of("early"), "broke the control protocol: Ready before Hello");
}

#[test]
fn a_worker_that_names_another_socket_gets_no_secrets() {
    let fate = fate_of("elsewhere");
    assert!(fate.contains("hands over at '/etc/passwd'"), "{fate}");
}

#[test]
fn a_worker_that_asks_and_never_reads_is_ended() {
    assert_eq!(fate_of("deaf"), "broke the control protocol: does not read its control link");
}

#[test]
fn a_worker_that_closes_its_link_and_lives_on_is_ended() {
    assert_eq!(fate_of("closes"), "broke the control protocol: closed its control link");
}

#[test]
fn a_worker_that_never_says_hello_is_ended_at_the_start_deadline() {
    assert_eq!(fate_of("silent"), "not ready in time");
}

#[test]
fn a_worker_that_prints_without_end_waits_for_its_reader() {
    let mut project = Project::new("  spam: {run: [yes, spam]}\n");
    project.up();
    let written_bytes = || {
        let io = std::fs::read_to_string(format!("/proc/{}/io", project.pid("spam"))).unwrap();
        let count = io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap();
        count.parse::<u64>().unwrap()
    };
    wait_for("some output", || written_bytes() > 1 << 20);
    let before = written_bytes();
    std::thread::sleep(Duration::from_secs(1));
    // Unhindered it is a hundred times as much.
    let more = written_bytes() - before;
    assert!(more < 16 << 20, "{more} bytes in a second");
    assert!(more > 1 << 16, "{more} bytes in a second");
}
