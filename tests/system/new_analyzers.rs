//! `framevisor new analyzer`: from an empty folder to records, in each language, with nothing changed by hand.

use std::path::Path;

use protocol::record::Record;
use tests::checks::five_commands;
use tests::languages::{self, Found, made};
use tests::project::Project;
use tests::{Failure, Outcome, ensure};

use crate::first_light::{ONE_AT_A_TIME, holds};

#[test]
fn a_new_python_analyzer_emits_records_as_it_stands() {
    emits_as_it_stands("python", languages::of_python);
}

#[test]
fn a_new_c_analyzer_builds_and_emits_records_as_it_stands() {
    emits_as_it_stands("c", |_| languages::with_make("cc"));
}

#[test]
fn a_new_cpp_analyzer_builds_and_emits_records_as_it_stands() {
    emits_as_it_stands("cpp", |_| languages::with_make("c++"));
}

#[test]
fn a_new_rust_analyzer_builds_and_emits_records_as_it_stands() {
    emits_as_it_stands("rust", |folder| {
        let mut found = languages::of_rust(&folder.join("target"))?;
        if let Ok(build) = found.as_mut().map(|tools| tools.build.as_mut()) {
            // Quicker to build.
            build.map(|build| build.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"));
        }
        Ok(found)
    });
}

#[test]
fn the_five_commands_of_the_readme_show_records() {
    holds(five_commands::show_records);
}

/// `tools` gives what there is, or why the language is passed over here.
fn emits_as_it_stands(language: &str, tools: impl FnOnce(&Path) -> Found) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let emitted = emitted(language, tools);
    match emitted.unwrap_or_else(|failure| panic!("{language}: {failure}")) {
        Ok(records) => assert!(records.len() == 3, "{language}: {records:?}"),
        Err(why) => println!("skipped: no {language} analyzer is tried: {why}"),
    }
}

fn emitted(
    language: &str,
    tools: impl FnOnce(&Path) -> Found,
) -> Outcome<Result<Vec<Record>, String>> {
    let project = Project::new("")?;
    let folder = project.dir().to_owned();
    let mut tools = match tools(&folder)? {
        Ok(tools) => tools,
        Err(why) => return Ok(Err(why)),
    };
    let written = made(&project, language)?;
    tools.make(&folder)?;
    let with = |arguments: &[&str]| -> Outcome<String> {
        let mut command = project.command(arguments);
        command.envs(tools.environment.iter().map(|(name, value)| (*name, value)));
        let output = command.output().map_err(Failure::new)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure(output.status.success(), || {
            let why = project.run(&["why", "mine"]).map(|why| why.stdout).unwrap_or_default();
            let why = String::from_utf8_lossy(&why);
            format!("{arguments:?}: {}\n{said}\n{why}\nof {written:?}", output.status)
        })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    with(&["up", "-d", "--wait", "--timeout", "180s"])?;
    let lines = with(&["tap", "mine.events", "--frames", "3"])?;
    let records = records(&lines)?;
    ensure(records.iter().all(is_about_a_picture), || format!("not about pictures: {lines}"))?;
    let answer = with(&["send", "mine", "{\"threshold\": 1.5}"])?;
    ensure(answer.trim() == r#"{"threshold":1.5}"#, || format!("answered {answer}"))?;
    // What it does not understand it says, and goes on.
    for wrong in ["5", "{}", "null", r#"{"threshold":"high"}"#] {
        let refused = project.run(&["send", "mine", wrong])?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure(!refused.status.success() && said.contains("expected"), || {
            format!("{wrong}: {said}")
        })?;
    }
    let restarts = project.worker("mine")?.restarts;
    ensure(restarts == 0, || format!("it was started {restarts} times again"))?;
    project.down()?;
    Ok(Ok(records))
}

fn records(lines: &str) -> Outcome<Vec<Record>> {
    lines.lines().map(|line| serde_json::from_str(line).map_err(Failure::new)).collect()
}

fn is_about_a_picture(record: &Record) -> bool {
    let is_bright = record.data["brightness"].as_f64().is_some_and(|it| it > 0.0);
    record.kind == "brightness"
        && record.camera == "cam1"
        && record.frame.as_ref().is_some_and(|id| id.ring.as_str() == "cam1.packets")
        && is_bright
}
