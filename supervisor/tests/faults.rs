//! Faults of docs/faults.md that need no media: a worker that breaks its contract, beside one that keeps
//! it and must not notice. Those that need a real pipeline are in `tests/system/faults.rs`.

use std::collections::BTreeMap;
use std::fs;

use nix::sys::signal::Signal;
use protocol::config::RingConfig;
use protocol::control::RingContract;
use serde_json::Value;
use shmring::{PacketMeta, PacketWriter, clock};

use crate::harness::{Project, entries, signal, text, wait_for, write_executable};

/// Starts a worker of each role beside a good one, all in one project, and gives the reason of the first
/// death of each. The good worker and the supervisor live on as they were.
fn fates_of<'a>(roles: &[&'a str]) -> BTreeMap<&'a str, String> {
    let ingest = |name: &str| format!("  {name}: {{use: ingest, source: 'test:'}}\n");
    let workers: String = roles.iter().map(|role| ingest(role)).collect();
    let mut project = Project::new(&(ingest("good") + &workers));
    project.up();
    project.wait_for_state("good", "running");
    let (good, supervisor) = (project.pid("good"), project.supervisor());
    let fate = |role: &&'a str| {
        wait_for(&format!("the end of {role}"), || project.worker(role)["last_exit"] != "");
        (*role, project.worker(role)["last_exit"].as_str().unwrap().to_owned())
    };
    let fates = roles.iter().map(fate).collect();
    assert_eq!(project.pid("good"), good);
    assert_eq!(project.worker("good")["restarts"], 0);
    assert_eq!(project.supervisor(), supervisor);
    fates
}

#[track_caller]
fn assert_fates(expected: &[(&str, &str)]) {
    let roles: Vec<&str> = expected.iter().map(|(role, _)| *role).collect();
    let fates = fates_of(&roles);
    for (role, reason) in expected {
        assert!(fates[role].starts_with(reason), "{role}: '{}', expected '{reason}'", fates[role]);
    }
}

#[test]
fn fault_08_a_second_up_touches_nothing_and_one_of_another_file_is_refused_with_the_pid() {
    let mut project = Project::new("  a: {run: [sleep, '1000']}\n");
    project.up();
    let before = project.pid("a");
    let other = project.dir.join("other.yml");
    std::fs::copy(project.dir.join("framevisor.yml"), &other).unwrap();
    for verb in [&["up"][..], &["up", "-d"]] {
        let same = project.run(verb);
        assert_eq!(same.status.code(), Some(0), "{}", text(&same.stderr));
        assert!(text(&same.stderr).contains("nothing changed"), "{}", text(&same.stderr));
        // In place of the file of this project.
        let refused = project.run_on(&other, verb);
        assert_eq!(refused.status.code(), Some(1));
        let said = text(&refused.stderr);
        let pid = format!("already running, pid {}", project.supervisor());
        assert!(said.contains(&pid), "{said}");
    }
    assert_eq!(project.pid("a"), before);
    assert_eq!(project.worker("a")["restarts"], 0);
}

#[test]
fn fault_11_a_worker_whose_heart_beats_and_whose_input_goes_on_without_it_is_started_again() {
    let mut project =
        Project::new("  stalls: {use: web, in: ext.probe.events, listen: '127.0.0.1:0'}\n");
    let name = "ext.probe.events".parse().unwrap();
    let contract = RingContract::new(name, RingConfig::default(), 2);
    project.up();
    let mut writer = PacketWriter::create(&project.name.parse().unwrap(), &contract, &[]).unwrap();
    wait_for("a restart", || {
        writer.publish(&PacketMeta::default(), b"{}").unwrap();
        project.worker("stalls")["restarts"] != 0
    });
    let exit = project.worker("stalls")["last_exit"].clone();
    assert_eq!(exit, "no progress while its input went on");
    writer.finish();
}

#[test]
fn fault_13_a_worker_that_dies_or_falls_silent_on_its_way_up_holds_up_nobody() {
    assert_fates(&[
        // Before it connects, within the handshake, before it is ready.
        ("dies", "SIGKILL"),
        ("greets", "SIGKILL"),
        ("unready", "SIGKILL"),
        // Says nothing at all, or everything but that it is ready.
        ("silent", "not ready in time"),
        ("mute", "not ready in time"),
    ]);
}

#[test]
fn fault_14_a_worker_that_closes_its_link_and_lives_on_is_ended() {
    assert_fates(&[("closes", "broke the control protocol: closed its control link")]);
}

#[test]
fn fault_15_garbage_on_the_control_link_ends_its_sender_alone() {
    let undecodable = "broke the control protocol: control frame does not decode";
    assert_fates(&[
        ("garbage", undecodable),
        ("forged", undecodable),
        ("short", undecodable),
        ("huge", "broke the control protocol: message of 65537 bytes: at most 65536"),
        ("early", "broke the control protocol: Ready before Hello"),
        // A worker that wants the hand-over, secrets and all, brought to a place of its choice.
        ("elsewhere", "broke the control protocol: hands over at '/etc/passwd'"),
        // Of these the first message is out of order already.
        ("endless", "broke the control protocol"),
        ("stuffed", "broke the control protocol"),
    ]);
}

#[test]
fn fault_15_descriptors_sent_along_stay_open_nowhere() {
    let mut project =
        Project::new("  stuffed: {use: ingest, source: 'test:', restart: {limit: 3 in 60s}}\n");
    project.up();
    project.wait_for_state("stuffed", "held");
    let supervisor = project.supervisor();
    // One message carries 200; a client of ours that is just being served may be counted too.
    let open = || entries(format!("/proc/{supervisor}/fd").as_ref());
    wait_for("the descriptors to be as few as ever", || open() < 100);
}

/// 99th percentile of asking for the project's state, over one connection.
fn control_ms_p99(project: &Project) -> f64 {
    let mut control = project.control();
    let mut times: Vec<f64> = (0..300)
        .map(|_| {
            let asked = clock::mono();
            let answer = control.ask(r#"{"v":1,"id":1,"verb":"status"}"#);
            assert_eq!(answer["error"], Value::Null);
            clock::mono().saturating_since(asked).as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() * 99 / 100]
}

#[test]
fn fault_15_everybody_else_is_answered_while_garbage_comes() {
    let good = "  good-a: {use: ingest, source: 'test:'}\n";
    let hostile: String = ["garbage", "forged", "huge", "endless"]
        .iter()
        .map(|name| {
            format!(
                "  {name}: {{use: ingest, source: 'test:', restart: {{delay: 0s, limit: none}}}}\n"
            )
        })
        .collect();
    let mut calm = Project::new(good);
    calm.up();
    calm.wait_for_state("good-a", "running");
    // Figures of `scripts/verify supervision`, and no promise: how fast is the machine's affair.
    println!("figure: control_ms_p99_calm {:.2}", control_ms_p99(&calm));
    let mut project = Project::new(&[good, &hostile].concat());
    project.up();
    project.wait_for_state("good-a", "running");
    let died = |name: &str| project.worker(name)["restarts"].as_u64().unwrap();
    wait_for("deaths", || died("garbage") > 0 && died("huge") > 0);
    let before = died("garbage");
    println!("figure: control_ms_p99_while_garbage_comes {:.2}", control_ms_p99(&project));
    wait_for("more deaths", || died("garbage") > before);
    assert_eq!(project.worker("good-a")["restarts"], 0);
}

#[test]
fn fault_16_a_worker_that_floods_its_link_or_never_reads_it_is_ended() {
    assert_fates(&[
        ("floods", "broke the control protocol: more than 500 messages a second"),
        ("deaf", "broke the control protocol: does not read its control link"),
    ]);
}

#[test]
fn fault_20_a_program_that_cannot_be_started_is_named_before_anything_starts() {
    let project = Project::new("");
    fs::write(project.dir.join("plain"), "#!/bin/sh\n").unwrap();
    write_executable(&project.dir.join("script"), b"#!/nowhere/sh\n");
    write_executable(&project.dir.join("foreign"), &elf_of_no_machine());
    for (command, why) in [
        ("./missing", "No such file or directory"),
        ("./plain", "it is no executable file"),
        ("./script", "its first line names /nowhere/sh, which is not there"),
        ("./foreign", "it is a program for another machine (ELF 65534, "),
        ("no-such-program-anywhere", "it is in no folder of PATH"),
    ] {
        let marker = "  marker: {run: [touch, started]}\n";
        project.write_topology(&format!("{marker}  broken: {{run: [{command}]}}\n"));
        for verb in [&["check"][..], &["up"], &["up", "-d"]] {
            let refused = project.run(verb);
            let said = text(&refused.stderr);
            assert_eq!(refused.status.code(), Some(3), "{verb:?}: {said}");
            for part in ["worker broken", command.trim_start_matches("./"), why] {
                assert!(said.contains(part), "{verb:?}: no '{part}' in: {said}");
            }
        }
    }
    assert!(!project.dir.join("started").exists());
}

#[test]
fn fault_20_a_program_that_is_gone_when_it_is_started_again_is_named_and_harms_nobody() {
    let mut project = Project::new("  a: {run: [./tool]}\n  b: {run: [sleep, '1001']}\n");
    let tool = project.dir.join("tool");
    write_executable(&tool, b"#!/bin/sh\nexec sleep 1000\n");
    project.up();
    project.wait_for_state("a", "running");
    fs::remove_file(&tool).unwrap();
    signal(project.pid("a"), Signal::SIGKILL);
    let held = project.wait_for_state("a", "held");
    let why = held["why"].as_str().unwrap();
    for part in ["cannot start", tool.to_str().unwrap(), "No such file"] {
        assert!(why.contains(part), "no '{part}' in: {why}");
    }
    assert_eq!(project.worker("b")["restarts"], 0);
    assert_eq!(project.worker("b")["state"], "running");
}

/// The head of a 64-bit program for a machine that nobody has.
fn elf_of_no_machine() -> Vec<u8> {
    let mut head = b"\x7fELF\x02\x01\x01".to_vec();
    head.resize(16, 0);
    for half in [2u16, 0xfffe] {
        head.extend(half.to_le_bytes());
    }
    head.resize(64, 0);
    head
}
