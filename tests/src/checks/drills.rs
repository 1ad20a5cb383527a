//! The product's own drill on its demo.

use std::process::Command;

use serde_json::{Map, Value, json};

use crate::project::{Project, binary};
use crate::{Failure, Outcome, ensure};

/// `framevisor drill -o json` where there is no topology: every worker of the demo, every fault.
pub fn the_demo_loses_nothing(seed: u64) -> Outcome<Value> {
    // A folder that goes away with everything in it; its own topology is not used.
    let project = Project::new("version: 1\nworkers:\n  none: {run: [sleep, '1']}\n")?;
    let folder = project.dir().join("empty");
    std::fs::create_dir(&folder).map_err(Failure::new)?;
    let output = Command::new(binary("framevisor"))
        .args(["drill", "-o", "json", "--seed", &seed.to_string()])
        .current_dir(&folder)
        .output()
        .map_err(|error| Failure(format!("framevisor drill: {error}")))?;
    let report: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
        Failure(format!("framevisor drill: {error}: {}", String::from_utf8_lossy(&output.stderr)))
    })?;
    ensure(output.status.success() && report["ok"] == true && report["packets_lost"] == 0, || {
        format!("framevisor drill: {}: {report}", output.status)
    })?;
    let rows = report["drills"].as_array().cloned().unwrap_or_default();
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
    figures.insert("report".into(), report);
    Ok(Value::Object(figures))
}
