//! The product's own drill: on its demo, and on a topology with a Python program.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::python;
use crate::project::{Project, binary, source_root};
use crate::{Failure, Outcome, ensure};

/// `framevisor drill -o json` where there is no topology: every worker of the demo is killed.
pub fn the_demo_survives_kills(seed: u64, times: u32) -> Outcome<Value> {
    let faults = ["--faults", "kill", "--times", &times.to_string()];
    let report = drill(None, &faults, seed)?;
    in_time(Value::Object(figures_of(&report)))
}

/// Also nobody took more than three times what it may.
pub fn in_time(figures: Value) -> Outcome<Value> {
    ensure(figures["report"]["ok"] == true, || format!("framevisor drill: {}", figures["report"]))?;
    Ok(figures)
}

/// As [`the_demo_survives_kills`]: workers stand still, or hang. Others may be at work beside it, so how fast
/// they are back is a figure and no promise.
pub fn the_demo_survives_hangs(seed: u64) -> Outcome<Value> {
    let report = drill(None, &["--faults", "stop,hang", "--times", "1"], seed)?;
    let rows = rows(&report);
    let was_found = |row: &&Value| row["unnoticed"] == 0 && row["capture_lost"] == 0;
    ensure(!rows.is_empty() && rows.iter().all(|row| was_found(&row)), || {
        format!("framevisor drill: {report}")
    })?;
    let done: u64 = rows.iter().filter_map(|row| row["times"].as_u64()).sum();
    let mut figures = figures_of(&report);
    figures.insert("done".into(), json!(done));
    Ok(Value::Object(figures))
}

/// A Python program on decoded pictures is killed: up again means attached, its imports included.
pub fn a_python_program_is_killed(seed: u64, times: u32) -> Outcome<Value> {
    let topology = source_root().join("scripts/topologies/python-analyzer.yml");
    let faults = ["brightness", "--faults", "kill", "--times", &times.to_string()];
    let report = drill(Some(&topology), &faults, seed)?;
    let rows = rows(&report);
    let [row] = rows else { return Err(Failure(format!("framevisor drill: {report}"))) };
    let was_done = row["kind"] == "run" && row["times"] == times && row["unnoticed"] == 0;
    ensure(was_done, || format!("framevisor drill: {report}"))?;
    let mut figures = figures_of(&report);
    figures.insert("target_ms".into(), row["target_ms"].clone());
    Ok(Value::Object(figures))
}

/// The report of a drill that lost nothing.
fn drill(topology: Option<&Path>, arguments: &[&str], seed: u64) -> Outcome<Value> {
    // A folder that goes away with everything in it; its own topology is not used.
    let project = Project::new("version: 1\nworkers:\n  none: {run: [sleep, '1']}\n")?;
    let folder = project.dir().join("empty");
    std::fs::create_dir(&folder).map_err(Failure::new)?;
    let mut command = Command::new(binary("framevisor"));
    if let Some(topology) = topology {
        command.arg("-f").arg(topology).env("PYTHONPATH", python::python_path()?);
    }
    command.args(["drill", "-o", "json", "--seed", &seed.to_string()]).args(arguments);
    let output = command.current_dir(&folder).output();
    let output = output.map_err(|error| Failure(format!("framevisor drill: {error}")))?;
    let report: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
        Failure(format!("framevisor drill: {error}: {}", String::from_utf8_lossy(&output.stderr)))
    })?;
    let is_frames = |ring: &String| ring.ends_with(".frames");
    let proven = report["unproven"].as_object().is_some_and(|all| all.keys().all(is_frames));
    ensure(report["packets_lost"] == 0 && proven, || format!("framevisor drill: {report}"))?;
    Ok(report)
}

fn rows(report: &Value) -> &[Value] {
    report["drills"].as_array().map_or(&[], Vec::as_slice)
}

fn figures_of(report: &Value) -> Map<String, Value> {
    let rows = rows(report);
    let mut figures = Map::from_iter([
        ("drills".to_owned(), json!(rows.len())),
        ("packets_captured".to_owned(), report["packets_captured"].clone()),
        ("packets_lost".to_owned(), report["packets_lost"].clone()),
        ("targets_met".to_owned(), report["targets_met"].clone()),
    ]);
    for row in rows.iter().filter(|row| row["fault"] == "kill") {
        let worker = row["worker"].as_str().unwrap_or_default();
        figures.insert(format!("restart_ms_p50_{worker}"), row["restart_ms"]["p50"].clone());
        figures.insert(format!("restart_ms_p99_{worker}"), row["restart_ms"]["p99"].clone());
    }
    figures.insert("report".into(), report.clone());
    figures
}
