//! `dump` and `tap`: what needs media is done by a worker's program, run as the command's own; records
//! need none. The programs here are scripts; the workers' own tests show what theirs do.

use std::fs;

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::record::Record;
use serde_json::{Value, json};
use shmring::{RecordWriter, census};

use crate::harness::{Endless, Project, text, wait_for, write_executable};
use crate::rings_of_a_project::{CAMERA, files_of, writer};

/// In the place of a worker's program: keeps what it is asked and does as told.
fn program(project: &Project, name: &str, does: &str) {
    let path = project.dir.join("libexec").join(name);
    let asked = project.dir.join("asked").display().to_string();
    let script = format!("#!/bin/sh\nprintf '%s %s' \"$1\" \"$2\" > '{asked}'\n{does}\n");
    write_executable(&path, script.as_bytes());
}

fn asked(project: &Project) -> (String, Value) {
    let text = fs::read_to_string(project.dir.join("asked")).unwrap();
    let (verb, arguments) = text.split_once(' ').unwrap();
    (verb.to_owned(), serde_json::from_str(arguments).unwrap())
}

fn gone(project: &Project) {
    let id = project.name.parse().unwrap();
    wait_for("its files to go", || {
        census::sweep_unowned(&id);
        files_of(project) == 0
    });
}

fn events(project: &Project) -> RecordWriter {
    let name = "motion.events".parse().unwrap();
    let contract = RingContract::new(name, RingConfig::default(), 2);
    RecordWriter::create(&project.name.parse().unwrap(), &contract).unwrap()
}

fn record(number: u64) -> Record {
    Record {
        id: number.to_string(),
        kind: "motion.begin".to_owned(),
        camera: "cam1".to_owned(),
        frame: None,
        time_utc_ns: 1_000_000_000 + number,
        data: json!({"box": [1, 2, 3, 4]}),
    }
}

#[test]
fn a_dump_of_packets_is_the_recorders_and_its_answer_is_told() {
    let project = Project::new(CAMERA);
    let writer = writer(&project);
    let answer = json!({
        "ring": "cam1.packets", "left_out": "", "gaps": [{"epoch": 3, "sequence": 9, "missing": 2}],
        "files": [{"file": "/x/clip.mp4", "bytes": 2048, "items": 5, "epoch": 3, "first": 7,
                   "last": 13, "from_utc_ns": 0, "to_utc_ns": 1_000_000_000u64, "span_ns": 1_000_000_000u64}],
    });
    program(&project, "framevisor-recorder", &format!("echo '{answer}'"));
    let clip = project.dir.join("clip.mp4").display().to_string();
    let args = ["dump", "cam1.packets", "--last", "1m", "-o", &clip];
    let told = text(&project.run(&args).stdout);
    assert!(told.starts_with("/x/clip.mp4: 1.00 s of cam1.packets"), "{told}");
    assert!(told.ends_with("gap: 2 items are missing behind 9 of epoch 3\n"), "{told}");
    let (verb, arguments) = asked(&project);
    assert_eq!(verb, "dump");
    let expected = json!({"project": project.name, "ring": "cam1.packets", "last": "1m",
                          "file": clip, "force": false});
    assert_eq!(arguments, expected);
    let form_first = ["-o", "json", "dump", "cam1.packets", "-o", &clip, "--force"];
    let told = project.run(&form_first).stdout;
    assert_eq!(serde_json::from_slice::<Value>(&told).unwrap(), answer);
    assert_eq!(asked(&project).1["force"], true);
    drop(writer);
    gone(&project);
}

#[test]
fn what_the_program_says_and_how_it_ends_is_the_verbs_own() {
    let project = Project::new(CAMERA);
    let writer = writer(&project);
    program(&project, "framevisor-recorder", "echo 'framevisor: no room' >&2; exit 2");
    let failed = project.run(&["dump", "cam1.packets", "-o", "clip.mp4"]);
    assert_eq!(failed.status.code(), Some(2));
    assert_eq!(text(&failed.stderr), "framevisor: no room\n");
    drop(writer);
    gone(&project);
}

#[test]
fn records_are_dumped_as_they_were_emitted() {
    let project = Project::new(CAMERA);
    let mut writer = events(&project);
    for number in 0..3 {
        writer.emit(&record(number)).unwrap();
    }
    let file = project.dir.join("motion.jsonl");
    let name = file.display().to_string();
    let told = project.run(&["dump", "motion.events", "-o", &name]);
    assert!(text(&told.stdout).contains("3 items, 1 to 3 of epoch"), "{}", text(&told.stderr));
    let lines = fs::read_to_string(&file).unwrap();
    let records: Vec<Record> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(records, [record(0), record(1), record(2)]);
    let again = project.run(&["dump", "motion.events", "-o", &name]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("is there already"), "{}", text(&again.stderr));
    assert!(project.run(&["dump", "motion.events", "-o", &name, "--force"]).status.success());
    let wrong = project.run(&["dump", "motion.events", "-o", "clip.mp4"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("ends in .jsonl"), "{}", text(&wrong.stderr));
    drop(writer);
    gone(&project);
}

#[test]
fn a_tap_of_pictures_becomes_the_decoders_program() {
    let project = Project::new(CAMERA);
    let writer = writer(&project);
    program(&project, "framevisor-decoder", "echo pictures; exit 6");
    let png = project.dir.join("a.png").display().to_string();
    let told = project.run(&["tap", "cam1.packets", "--png", &png, "--every", "2s"]);
    assert_eq!((told.status.code(), text(&told.stdout)), (Some(6), "pictures\n".to_owned()));
    let (verb, arguments) = asked(&project);
    let expected = json!({"project": project.name, "ring": "cam1.packets", "to": {"png": png},
                          "every": "2s", "frames": null});
    assert_eq!((verb.as_str(), arguments), ("tap", expected));
    project.run(&["tap", "cam1.packets", "--term", "--frames", "3"]);
    assert_eq!(
        (&asked(&project).1["to"], &asked(&project).1["frames"]),
        (&"term".into(), &3.into())
    );
    let nowhere = project.run(&["tap", "cam1.packets"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(text(&nowhere.stderr).contains("--png FILE"), "{}", text(&nowhere.stderr));
    drop(writer);
    gone(&project);
}

#[test]
fn a_tap_of_records_prints_the_newest_and_what_follows() {
    let project = Project::new(CAMERA);
    let mut writer = events(&project);
    for number in 0..3 {
        writer.emit(&record(number)).unwrap();
    }
    let mut tap = Endless::start(&project, &["tap", "motion.events"]);
    let mut next = || serde_json::from_str::<Record>(&tap.line_with("{")).unwrap();
    assert_eq!(next(), record(2));
    writer.emit(&record(3)).unwrap();
    assert_eq!(next(), record(3));
    assert_eq!(tap.interrupt(), "");
    let pictures = project.run(&["tap", "motion.events", "--png", "a.png"]);
    assert_eq!(pictures.status.code(), Some(2));
    assert!(text(&pictures.stderr).contains("no pictures"), "{}", text(&pictures.stderr));
    drop(writer);
    gone(&project);
}

#[test]
fn one_ring_is_asked_for_where_a_pattern_means_two() {
    let project = Project::new(CAMERA);
    let (packets, records) = (writer(&project), events(&project));
    let both = project.run(&["tap", "*"]);
    assert_eq!(both.status.code(), Some(2));
    let said = text(&both.stderr);
    assert!(said.contains("* means cam1.packets, motion.events"), "{said}");
    drop((packets, records));
    gone(&project);
}
