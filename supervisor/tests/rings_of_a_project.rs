//! What the supervisor does with shared memory: it looks, it waits, it sweeps. The writer is this
//! test; the worker that should write is a fake.

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;
use shmring::{PacketMeta, PacketWriter};

use crate::harness::{Project, text, wait_for};

pub(crate) const CAMERA: &str = "  good: {use: ingest, source: 'test:', out: cam1.packets}\n";

pub(crate) fn writer(project: &Project) -> PacketWriter {
    let contract = RingContract::new("cam1.packets".parse().unwrap(), RingConfig::default(), 2);
    let track = Track {
        codec: Codec::H264,
        time_base: TimeBase::VIDEO_90K,
        width: 320,
        height: 192,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: Vec::new(),
    };
    PacketWriter::create(&project.name.parse().unwrap(), &contract, &[track]).unwrap()
}

pub(crate) fn files_of(project: &Project) -> usize {
    let prefix = format!("fv.{}.", project.name);
    let names = std::fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with(&prefix)).count()
}

#[test]
fn waiting_ends_when_every_ring_flows() {
    let project = Project::new(CAMERA);
    let mut up = project.command(&["up", "--wait", "--timeout", "60s"]).spawn().unwrap();
    wait_for("the worker", || {
        let ps = project.run(&["ps"]);
        ps.status.success() && text(&ps.stdout).contains("running")
    });
    let mut writer = writer(&project);
    assert_eq!(up.try_wait().unwrap(), None, "up did not wait");
    let meta = PacketMeta { key: true, gop_index: 7, ..PacketMeta::default() };
    writer.publish(&meta, &[0, 0, 0, 1, 0x65]).unwrap();
    wait_for("up to return", || up.try_wait().unwrap().is_some());
    assert!(up.wait().unwrap().success());
    let rings = text(&project.run(&["rings", "-o", "json"]).stdout);
    let rings: serde_json::Value = serde_json::from_str(&rings).unwrap();
    assert_eq!((&rings[0]["name"], &rings[0]["head"]), (&"cam1.packets".into(), &1.into()));
    drop(writer);
    assert!(project.run(&["down"]).status.success());
    assert_eq!(files_of(&project), 0, "files of a dead writer are left");
    let state = project.dir.join("state/framevisor").join(format!("{}.json", project.name));
    assert!(std::fs::read_to_string(state).unwrap().contains("cam1.packets"));
}

#[test]
fn a_packet_ring_takes_the_memory_that_the_plan_has_said() {
    let project = Project::new(CAMERA);
    let plan = text(&project.run(&["plan", "-o", "json"]).stdout);
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(files_of(&project), 0, "the plan has made something");
    // The most it takes: after a restart the epoch before is there, too.
    drop(writer(&project));
    let mut writer = writer(&project);
    let name = "cam1.packets".parse().unwrap();
    let id = project.name.parse().unwrap();
    let ring = shmring::census::status(&id, &name, shmring::clock::mono());
    assert_eq!(plan["rings"][0]["places"], 2);
    assert_eq!(plan["rings"][0]["memory"]["bytes"], ring.bytes);
    assert_eq!(plan["bytes"], ring.bytes);
    writer.finish();
    drop(writer);
    wait_for("its files to go", || {
        shmring::census::sweep_unowned(&id);
        files_of(&project) == 0
    });
}

#[test]
fn a_plan_names_processes_addresses_and_memory() {
    let project = Project::new(
        "  cam1: {use: ingest, source: 'test:'}\n  dec: {use: decoder, in: cam1.packets}\n  \
         web: {use: web, in: ['cam1.*'], listen: '127.0.0.1:8080'}\n",
    );
    let plan = text(&project.run(&["plan"]).stdout);
    for part in
        ["cam1.packets, cam1.frames", "127.0.0.1:8080", "pictures of 640x480", "3 processes"]
    {
        assert!(plan.contains(part), "no '{part}' in:\n{plan}");
    }
    assert!(!project.runtime_dir().exists());
}

#[test]
fn a_ring_without_writer_is_shown_as_such() {
    let mut project = Project::new(CAMERA);
    project.up();
    let rings = text(&project.run(&["rings"]).stdout);
    let row: Vec<&str> = rings.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["cam1.packets", "none", "0", "0"]);
}

#[test]
fn a_project_that_is_written_elsewhere_is_not_started_and_its_writer_is_named() {
    let project = Project::new(CAMERA);
    let mut writer = writer(&project);
    let refused = project.run(&["up"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    let pid = format!("ring cam1.packets is already being written by pid {}", std::process::id());
    assert!(said.contains(&pid), "{said}");
    // And it is not harmed.
    writer.publish(&PacketMeta::default(), &[1; 100]).unwrap();
    drop(writer);
    let name = project.name.parse().unwrap();
    // A child that another test is just starting holds a copy of the lock until its exec.
    crate::harness::wait_for("its files to go", || {
        shmring::census::sweep_unowned(&name);
        files_of(&project) == 0
    });
}

#[test]
fn a_brokered_ring_has_no_names_is_seen_and_outlives_its_writers_death() {
    let workers = "  writes: {use: ingest, source: 'test:', out: cam1.packets}
  reads: {use: recorder, in: cam1.packets, dir: recordings}
rings:
  cam1.packets: {access: brokered}
";
    let project = Project::new(workers);
    assert!(project.run(&["up", "-d", "--wait", "--timeout", "60s"]).status.success());
    let logs = || text(&project.run(&["logs", "reads"]).stdout);
    wait_for("packets", || logs().contains("packet 3 of"));
    assert_eq!(files_of(&project), 0);
    let rings = || -> serde_json::Value {
        serde_json::from_str(&text(&project.run(&["rings", "-o", "json"]).stdout)).unwrap()
    };
    let ring = rings()[0].clone();
    assert_eq!((&ring["name"], &ring["live"]), (&"cam1.packets".into(), &true.into()));
    assert_eq!(ring["readers"][0]["name"], "reads");
    let pid = i32::try_from(ring["writer_pid"].as_i64().unwrap()).unwrap();
    let kill = nix::sys::signal::kill;
    kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_for("the next epoch", || logs().contains("NewEpoch"));
    let next = rings()[0]["epoch"].as_u64().unwrap();
    assert!(next > ring["epoch"].as_u64().unwrap());
    wait_for("its packets", || logs().contains(&format!("packet 3 of {next}")));
    let socket = project.runtime_dir().join("broker.sock");
    assert!(socket.exists());
    assert!(project.run(&["down"]).status.success());
    assert!(!socket.exists());
}
