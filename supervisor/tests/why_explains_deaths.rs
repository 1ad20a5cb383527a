//! `why` tells what a person would look for: reasons, last words, the item in hand, rings, advice.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{Project, signal, text, wait_for, write_executable};

fn why(project: &Project, name: &str) -> Value {
    let output = project.run(&["why", name, "-o", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_held_worker_is_explained_on_one_screen() {
    let script = "echo cannot find the model; exit 3";
    let mut project = Project::new(&format!(
        "  a:\n    run: [sh, -c, '{script}']\n    restart: {{limit: 2 in 60s, delay: 0s}}\n"
    ));
    project.up();
    project.wait_for_state("a", "held");
    let screen = text(&project.run(&["why", "a"]).stdout);
    for part in [
        "a (run) is held: exit 3; too many deaths",
        "no process, restarts 1",
        "LAST DEATHS",
        "| cannot find the model",
        "framevisor restart a",
    ] {
        assert!(screen.contains(part), "no '{part}' in:\n{screen}");
    }
    assert!(screen.lines().count() <= 50, "{screen}");
    let deaths = why(&project, "a")["deaths"].as_array().unwrap().clone();
    assert_eq!(deaths.len(), 2);
    assert_eq!(deaths[0]["lines"], json!(["cannot find the model"]));
}

#[test]
fn a_death_keeps_the_item_in_hand_and_the_heads_of_its_rings() {
    let mut project = Project::new(
        "  good-cam: {use: ingest, source: 'test:', out: cam1.packets}\n  \
         works: {use: decoder, in: cam1.packets}\n",
    );
    project.up();
    project.wait_for_state("works", "running");
    wait_for("an item in hand", || why(&project, "works")["item"]["sequence"] == 42);
    signal(project.pid("works"), Signal::SIGKILL);
    wait_for("its death", || why(&project, "works")["deaths"] != json!([]));
    let why = why(&project, "works");
    let death = &why["deaths"][0];
    assert_eq!(death["reason"], "SIGKILL");
    assert_eq!(death["item"], json!({"epoch": 7, "sequence": 42}));
    assert_eq!(death["asked_for"], false);
    let rings: Vec<_> = death["rings"].as_array().unwrap().iter().map(|r| &r["name"]).collect();
    assert_eq!(rings, ["cam1.packets", "cam1.frames"]);
    // This camera never makes its ring, so its reader is sent to it.
    assert_eq!(why["reads"][0]["writer"], "good-cam");
    assert_eq!(why["advice"][0]["command"], "framevisor why good-cam");
}

#[test]
fn only_ten_deaths_are_kept_and_a_program_that_cannot_start_is_one() {
    let mut project =
        Project::new("  a: {run: [./tool], restart: {delay: 0s, limit: 15 in 60s}}\n");
    let tool = project.dir.join("tool");
    // There when it is looked for, gone after its first life.
    write_executable(&tool, b"#!/bin/sh\nrm tool\n");
    project.up();
    project.wait_for_state("a", "held");
    let why = why(&project, "a");
    assert_eq!(why["deaths"].as_array().unwrap().len(), 10);
    assert!(why["deaths"][9]["pid"].is_null());
    assert_eq!(why["advice"][0]["command"], "framevisor check");
    let unknown = project.run(&["why", "b"]);
    assert!(text(&unknown.stderr).contains("no worker is named b; the workers are a"));
}

#[test]
fn a_death_is_saved_as_files_without_secrets_and_never_over_others() {
    let script = "echo the password=hunter2 was wrong; exit 3";
    let mut project = Project::new(&format!(
        "  a:\n    run: [sh, -c, '{script}']\n    restart: {{limit: 2 in 60s, delay: 0s}}\n"
    ));
    project.up();
    project.wait_for_state("a", "held");
    let folder = project.dir.join("died/a");
    let name = folder.display().to_string();
    let save = || project.run(&["why", "a", "--save", &name, "-o", "json"]);
    let saved = save();
    assert!(saved.status.success(), "{}", text(&saved.stderr));
    let saved: Value = serde_json::from_slice(&saved.stdout).unwrap();
    let files = ["events.jsonl", "log.jsonl", "saved.json", "why.json", "why.txt"];
    let mut there: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    there.sort();
    assert_eq!(there, files);
    let listed = saved["files"].as_array().unwrap().iter().map(|file| file["file"].clone());
    assert!(listed.clone().all(|file| files.contains(&file.as_str().unwrap())), "{saved}");
    assert_eq!((listed.count(), &saved["left_out"]), (files.len(), &json!([])));
    let why: Value = serde_json::from_slice(&fs::read(folder.join("why.json")).unwrap()).unwrap();
    assert_eq!(why["deaths"].as_array().unwrap().len(), 2);
    for file in files {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert!(!text.contains("hunter2"), "{file}: {text}");
    }
    assert!(fs::read_to_string(folder.join("log.jsonl")).unwrap().contains("was wrong"));
    let before = fs::metadata(folder.join("why.json")).unwrap().modified().unwrap();
    let again = save();
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("is not empty; name a folder"), "{}", text(&again.stderr));
    assert_eq!(fs::metadata(folder.join("why.json")).unwrap().modified().unwrap(), before);
}

#[test]
fn what_cannot_be_saved_is_told_and_the_rest_is_kept() {
    let mut project = Project::new(
        "  good-cam: {use: ingest, source: 'test:', out: cam1.packets}\n  \
         works: {use: decoder, in: cam1.packets}\n",
    );
    project.up();
    project.wait_for_state("works", "running");
    // The programs here know no verbs, and these rings are never made.
    let folder = project.dir.join("died");
    let saved = project.run(&["why", "works", "--save", &folder.display().to_string()]);
    assert!(saved.status.success(), "{}", text(&saved.stderr));
    let said = text(&saved.stdout);
    assert!(said.contains("why.json") && said.contains("left out"), "{said}");
    for part in ["the last picture of cam1.frames: ", "the last 10s of cam1.packets: "] {
        assert!(said.contains(part), "no '{part}' in {said}");
    }
    assert!(folder.join("saved.json").exists());
}
