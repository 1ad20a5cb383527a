//! `framevisor drill` on real processes: what it does, counts and leaves alone. How soon workers are back
//! is the machine's speed too, so no test asserts it.

use std::fs::File;
use std::process::{Command, Output, Stdio};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use protocol::admin::WorkerState;
use serde_json::Value;
use shmring::census;
use tests::project::Project;
use tests::{processes, wait_for};

use crate::first_light::ONE_AT_A_TIME;

const SMALL: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}
  decode1: {use: decoder, in: cam1.packets}
  motion1: {use: motion, in: cam1.frames}
  recorder: {use: recorder, in: cam1.packets, dir: '{dir}/recordings'}
";

/// Without what `Project` names: the drill decides where.
fn drill(project: &Project, arguments: &[&str]) -> (Output, Value) {
    let output = project.run(&[&["drill", "-o", "json"], arguments].concat()).unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output, report)
}

fn rows(report: &Value) -> &Vec<Value> {
    report["drills"].as_array().unwrap()
}

fn assert_nothing_lost(report: &Value) {
    assert_eq!(report["packets_lost"], 0, "{report}");
    assert!(report["packets_captured"].as_u64().unwrap() > 50, "{report}");
    // A witness of pictures may be too slow for them on a busy machine; packets are what is promised.
    let unproven = report["unproven"].as_object().unwrap();
    assert!(unproven.keys().all(|ring| ring.ends_with(".frames")), "{report}");
    for row in rows(report) {
        assert_eq!((&row["capture_lost"], &row["unnoticed"]), (&0.into(), &0.into()), "{row}");
        assert_eq!(row["also_restarted"], serde_json::json!([]), "{row}");
    }
}

#[test]
fn killing_each_worker_of_a_topology_that_does_not_run_loses_nothing_and_leaves_nothing() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let project = Project::new(SMALL).unwrap();
    let (_, report) = drill(&project, &["--faults", "kill", "--times", "1"]);
    assert_nothing_lost(&report);
    let of = |name: &str| rows(&report).iter().find(|row| row["worker"] == name).unwrap().clone();
    for name in ["cam1", "decode1", "motion1", "recorder"] {
        assert_eq!(of(name)["times"], 1, "{report}");
        assert!(of(name)["restart_ms"]["p99"].as_f64().unwrap() > 0.0, "{report}");
    }
    // One that is back before its next picture is due leaves none.
    assert!(of("cam1")["source_gap_ms"]["p50"].as_f64().unwrap() >= 0.0, "{report}");
    assert_eq!(of("recorder")["source_gap_ms"], Value::Null, "{report}");
    let told = of("cam1")["readers"].to_string();
    assert!(told.contains("recorder") && told.contains("new-epoch"), "{told}");
    assert!(!project.recordings().exists(), "a rehearsal wrote into the real recordings");
    let name = report["project"].as_str().unwrap().parse().unwrap();
    assert!(census::names(&name).is_empty(), "rings of {name} are left");
    assert!(!std::env::temp_dir().join(format!("framevisor-{name}")).exists());
}

#[test]
fn workers_that_are_stopped_or_hang_are_found_and_nothing_is_lost() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let project = Project::new(SMALL).unwrap();
    let (_, report) =
        drill(&project, &["recorder", "cam1", "--faults", "stop,hang", "--times", "1"]);
    assert_nothing_lost(&report);
    let of = |name: &str, fault: &str| {
        let found = rows(&report).iter().find(|row| row["worker"] == name && row["fault"] == fault);
        found.unwrap().clone()
    };
    for (name, fault, found_after_ms) in
        [("recorder", "stop", 1_000.0), ("cam1", "stop", 1_000.0), ("recorder", "hang", 4_000.0)]
    {
        let row = of(name, fault);
        assert_eq!(row["times"], 1, "{row}");
        assert!(row["detect_ms"]["p50"].as_f64().unwrap() > found_after_ms, "{row}");
    }
    let unseen = of("cam1", "hang");
    assert!(unseen["times"] == 0 && unseen["skipped"].as_str().unwrap().contains("no ring"));
}

#[test]
fn a_running_project_is_drilled_only_when_somebody_agrees_and_its_breaker_stays_shut() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let project = Project::new(SMALL).unwrap();
    project.up().unwrap();
    let refused = project.run(&["drill", "motion1"]).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--yes"));
    assert_eq!(project.worker("motion1").unwrap().restarts, 0);
    // The default policy holds a worker at the fifth death within a minute.
    let (_, report) = drill(&project, &["motion1", "--faults", "kill", "--times", "7", "--yes"]);
    assert_nothing_lost(&report);
    assert_eq!(
        (&rows(&report)[0]["times"], &report["project"]),
        (&7.into(), &project.name().as_str().into())
    );
    let status = project.worker("motion1").unwrap();
    assert!(status.restarts == 7 && status.state != WorkerState::Held, "{status:?}");
    project.down().unwrap();
}

#[test]
fn a_drill_that_is_killed_takes_what_it_had_started_with_it() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let project = Project::new(SMALL).unwrap();
    let mut drill = project.command(&["drill", "motion1", "--times", "1000"]);
    let mut drill = drill.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let name = format!("drill-{}", drill.id());
    let folder = std::env::temp_dir().join(format!("framevisor-{name}"));
    let processes = || processes::with_environment("FRAMEVISOR_PROJECT", &name);
    let project_id = name.parse().unwrap();
    let flows = || {
        let rings = census::rings(&project_id);
        rings.iter().any(|ring| ring.head > 25).then_some(())
    };
    wait_for(60, "the rehearsal to flow", flows).unwrap();
    assert!(!processes().is_empty());
    drill.kill().unwrap();
    drill.wait().unwrap();
    wait_for(60, "its workers to end", || processes().is_empty().then_some(())).unwrap();
    wait_for(60, "its rings to go", || census::names(&project_id).is_empty().then_some(()))
        .unwrap();
    wait_for(60, "its folder to go", || (!folder.exists()).then_some(())).unwrap();
}

#[test]
fn a_drill_takes_its_topology_from_stdin() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let project = Project::new(SMALL).unwrap();
    let mut drill = Command::new(tests::project::binary("framevisor"));
    drill.args(["-f", "-", "drill", "motion1", "--faults", "kill", "--times", "1", "-o", "json"]);
    let topology = File::open(project.file()).unwrap();
    let output = drill.stdin(topology).current_dir(project.dir()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    assert_nothing_lost(&report);
    assert_eq!(rows(&report)[0]["worker"], "motion1", "{report}");
}

/// A recorder is killed, and each file goes as soon as it comes.
fn drill_without_files(project: &Project) -> (Output, Value) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let entries = fs::read_dir(project.recordings().join("cam1")).into_iter().flatten();
                let paths = entries.flatten().map(|entry| entry.path());
                let files = paths.filter(|path| path.extension().is_some_and(|it| it == "mp4"));
                files.for_each(|file| drop(fs::remove_file(file)));
                thread::sleep(Duration::from_millis(2));
            }
        });
        let drilled = drill(project, &["recorder", "--faults", "kill", "--times", "1", "--yes"]);
        over.store(true, Ordering::Relaxed);
        drilled
    })
}

#[test]
fn a_drill_tells_what_the_files_do_not_hold() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let project = Project::new(SMALL).unwrap();
    project.up().unwrap();
    // The drill may look at a file in the moment before it goes.
    let (output, report) = (0..3)
        .map(|_| drill_without_files(&project))
        .find(|(output, _)| output.status.code() != Some(0))
        .expect("three drills saw each packet in files that go as they come");
    assert_eq!(output.status.code(), Some(1));
    assert!(report["ok"] == false && report["packets_lost"].as_u64().unwrap() > 0, "{report}");
    project.down().unwrap();
}

#[test]
fn a_python_program_is_back_when_it_reads_its_ring_again() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let figures = tests::checks::drills::a_python_program_is_killed(7, 2);
    let figures = figures.unwrap_or_else(|failure| panic!("{failure}"));
    // An interpreter and numpy are not there sooner; its process is.
    let restart_ms = figures["restart_ms_p50_brightness"].as_f64().unwrap();
    assert!(restart_ms > 20.0 && figures["target_ms"] == 500.0, "{figures}");
}
