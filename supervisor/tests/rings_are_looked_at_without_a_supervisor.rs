//! `rings`, `hz` and `gc` need no supervisor: they look at shared memory. The writer is this test.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::time::{MonoNs, Stamp};
use serde_json::Value;
use shmring::{PacketMeta, PacketOptions, PacketReader, PacketWriter, Start, clock};

use crate::harness::{Endless, Project, output_of, text, wait_for};
use crate::rings_of_a_project::{CAMERA, files_of, writer};

const BYTES: usize = 1000;

/// A camera that goes on until it is dropped.
struct Camera {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    fn start(mut writer: PacketWriter) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                publish(&mut writer);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// A packet that was captured 30 ms ago and came in 10 ms ago.
fn publish(writer: &mut PacketWriter) {
    let now = clock::now();
    let before = |ms: u64| MonoNs(now.mono.0 - ms * 1_000_000);
    let meta = PacketMeta {
        key: true,
        capture: Stamp { mono: before(30), utc: now.utc },
        ingest: before(10),
        ..PacketMeta::default()
    };
    writer.publish(&meta, &[1; BYTES]).unwrap();
}

fn json(project: &Project, args: &[&str]) -> Value {
    let output = project.run(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn gc_until_dead(project: &Project) -> Value {
    // A child that another test is just starting holds a copy of the lock until its exec.
    let mut rows = Value::Null;
    wait_for("the dead ring to be removed", || {
        rows = json(project, &["gc", "-o", "json"]);
        rows["rows"][0]["removed"] == true
    });
    rows
}

#[test]
fn rings_tell_their_rate_their_content_and_how_far_readers_are() {
    let project = Project::new(CAMERA);
    let id = project.name.parse().unwrap();
    let camera = Camera::start(writer(&project));
    let options = PacketOptions { reader: "slow".to_owned(), start: Start::Oldest };
    let reader = PacketReader::attach(&id, &"cam1.packets".parse().unwrap(), &options).unwrap();
    // There is none when the camera was not scheduled for the half second that is looked at.
    let mut rings = Value::Null;
    wait_for("a rate", || {
        rings = json(&project, &["rings", "-o", "json"]);
        rings[0]["rate_hz"].as_f64().is_some_and(|rate| rate > 1.0)
    });
    let ring = &rings[0];
    assert_eq!(ring["project"], project.name.as_str());
    assert_eq!(
        (&ring["tracks"][0]["codec"], &ring["tracks"][0]["width"]),
        (&"h264".into(), &320.into())
    );
    assert_eq!(ring["readers"][0]["name"], "slow");
    assert!(ring["readers"][0]["lag"].as_u64().unwrap() > 0);
    let mut page = String::new();
    wait_for("a rate on the page", || {
        page = text(&project.run(&["rings", "cam1.*"]).stdout);
        page.contains("/s")
    });
    for part in ["h264 320x192", "slow", "BEHIND", "/s", &std::process::id().to_string()] {
        assert!(page.contains(part), "no '{part}' in:\n{page}");
    }
    drop((reader, camera));
    gc_until_dead(&project);
}

#[test]
fn the_rings_of_all_projects_stand_in_one_list() {
    let (one, other) = (Project::new(CAMERA), Project::new(CAMERA));
    let cameras = [Camera::start(writer(&one)), Camera::start(writer(&other))];
    let rings = json(&one, &["rings", "--all", "-o", "json"]);
    let listed = |project: &Project| {
        rings.as_array().unwrap().iter().any(|ring| ring["project"] == project.name.as_str())
    };
    assert!(listed(&one) && listed(&other), "{rings}");
    drop(cameras);
    gc_until_dead(&one);
    gc_until_dead(&other);
}

#[test]
fn a_ring_that_is_not_there_is_answered_with_those_that_are() {
    let project = Project::new(CAMERA);
    let nothing = project.run(&["rings"]);
    assert_eq!(nothing.status.code(), Some(4), "{}", text(&nothing.stderr));
    assert!(text(&nothing.stderr).contains("framevisor up"));
    let camera = Camera::start(writer(&project));
    let unknown = project.run(&["hz", "cam9.packets", "--seconds", "1"]);
    assert_eq!(unknown.status.code(), Some(1));
    let said = text(&unknown.stderr);
    assert!(
        said.contains("no ring cam9.packets") && said.contains("it has cam1.packets"),
        "{said}"
    );
    let wrong = project.run(&["hz", "cam1.video"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("for example cam1.packets"));
    assert_eq!(project.run(&["hz", "cam1.packets", "--seconds", "0"]).status.code(), Some(2));
    drop(camera);
    gc_until_dead(&project);
}

#[test]
fn a_measurement_counts_items_bytes_and_the_time_of_each_hop() {
    let project = Project::new(CAMERA);
    let camera = Camera::start(writer(&project));
    // A second in which the camera was not scheduled shows nothing.
    let mut rows = Value::Null;
    wait_for("a second with items", || {
        rows = json(&project, &["hz", "*.packets", "--seconds", "1", "-o", "json"]);
        rows[0]["items"].as_u64().is_some_and(|items| items > 2)
    });
    let row = &rows[0];
    let (items, rate) = (row["items"].as_f64().unwrap(), row["rate_hz"].as_f64().unwrap());
    let seconds = row["seconds"].as_f64().unwrap();
    assert!((rate * seconds - (items - 1.0)).abs() < 0.001, "{row}");
    let bytes = row["bytes_per_s"].as_f64().unwrap();
    assert!((bytes / rate - 1000.0).abs() < 0.001, "{row}");
    assert_eq!((&row["missed"], &row["restarts"]), (&0.into(), &0.into()));
    assert!(
        (row["latency_ms"]["capture_to_ingest"]["median"].as_f64().unwrap() - 20.0).abs() < 0.001
    );
    assert!(row["latency_ms"]["to_published"]["median"].as_f64().unwrap() >= 10.0);
    assert!(row["latency_ms"]["published_to_here"]["median"].as_f64().unwrap() > 0.0);
    assert_eq!(row["latency_ms"]["ingest_to_decoded"], Value::Null);
    drop(camera);
    gc_until_dead(&project);
}

#[test]
fn a_measurement_without_end_ends_with_its_figures_at_an_interrupt() {
    let project = Project::new(CAMERA);
    let camera = Camera::start(writer(&project));
    let mut measuring = Endless::start(&project, &["hz", "cam1.packets", "-o", "json"]);
    let mut counted = 0;
    while counted == 0 {
        let line = measuring.line_with("rate_hz");
        assert!(line.contains("cam1.packets"));
        let figures: Value = serde_json::from_str(&line).unwrap();
        counted = figures[0]["items"].as_u64().unwrap();
    }
    let rest = measuring.interrupt();
    let figures: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert!(figures[0]["items"].as_u64().unwrap() >= counted, "{rest}");
    drop(camera);
    gc_until_dead(&project);
}

#[test]
fn a_watch_goes_on_until_it_is_interrupted() {
    let project = Project::new(CAMERA);
    let camera = Camera::start(writer(&project));
    let mut watch = Endless::start(&project, &["rings", "--watch"]);
    watch.line_with("NAME");
    watch.line_with("NAME");
    watch.interrupt();
    drop(camera);
    gc_until_dead(&project);
}

#[test]
fn what_a_dead_writer_left_is_removed_and_the_living_is_named() {
    let project = Project::new(CAMERA);
    let mut writer = writer(&project);
    publish(&mut writer);
    let left = json(&project, &["gc", "-o", "json"]);
    let row = &left["rows"][0];
    assert_eq!((&row["removed"], &row["pid"]), (&false.into(), &std::process::id().into()));
    let said = text(&project.run(&["gc"]).stdout);
    assert!(said.contains(&format!("its writer lives: pid {}", std::process::id())), "{said}");
    publish(&mut writer);
    let files = files_of(&project);
    drop(writer);
    wait_for("the writer's locks to go", || {
        json(&project, &["gc", "--dry-run", "-o", "json"])["rows"][0]["removed"] == true
    });
    assert_eq!(files_of(&project), files, "a dry run has removed something");
    let gone = gc_until_dead(&project);
    assert_eq!(gone["rows"][0]["ring"], "cam1.packets");
    assert!(gone["rows"][0]["bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(files_of(&project), 0);
    assert_eq!(json(&project, &["gc", "-o", "json"])["rows"], Value::Array(Vec::new()));
}

#[test]
fn a_project_that_runs_keeps_the_rings_its_topology_names() {
    let mut project = Project::new(CAMERA);
    project.up();
    let mut writer = writer(&project);
    publish(&mut writer);
    drop(writer);
    let mut why = String::new();
    wait_for("the writer's locks to go", || {
        let row = json(&project, &["gc", "-o", "json"])["rows"][0].clone();
        why = row["why"].as_str().unwrap().to_owned();
        assert_eq!(row["removed"], false);
        row["pid"].is_null()
    });
    assert!(why.contains(&format!("supervisor {}", project.supervisor())), "{why}");
    assert!(files_of(&project) > 0);
}

#[test]
fn a_project_is_asked_for_when_several_could_be_meant() {
    let (one, other) = (Project::new(CAMERA), Project::new(CAMERA));
    let cameras = [Camera::start(writer(&one)), Camera::start(writer(&other))];
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_framevisor"));
    command
        .arg("rings")
        .env_remove("FRAMEVISOR_PROJECT")
        .current_dir(one.runtime_dir().parent().unwrap().join("libexec"));
    let asked = output_of(command);
    let said = text(&asked.stderr);
    assert_eq!(asked.status.code(), Some(1), "{said}");
    assert!(said.contains(&one.name) && said.contains("-p NAME"), "{said}");
    drop(cameras);
    gc_until_dead(&one);
    gc_until_dead(&other);
}
