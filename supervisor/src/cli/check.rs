//! `check`: mistakes in the topology and what this machine lacks for it.

use std::process::ExitCode;

use serde_json::json;

use super::{CliError, Context, memory, terminal};
use crate::launch::Launcher;
use crate::topology::{Topology, probe};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor check
  framevisor -f demo.yml check -o json";

pub(super) fn run(context: &Context) -> Result<ExitCode, CliError> {
    match examine(context) {
        Ok(topology) => {
            report(context, &topology)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if let (true, CliError::Topology(mistakes)) = (context.is_json(), &error) {
                terminal::json(&json!({"ok": false, "mistakes": mistakes.to_json()}))?;
            }
            Err(error)
        }
    }
}

fn examine(context: &Context) -> Result<Topology, CliError> {
    let topology = context.topology()?;
    probe::check(&topology).map_err(CliError::Topology)?;
    Launcher::find(&topology).map_err(|error| CliError::Startup(error.into()))?;
    memory::check(&topology)?;
    Ok(topology)
}

fn report(context: &Context, topology: &Topology) -> Result<(), CliError> {
    let workers: Vec<&str> = topology.workers.iter().map(|worker| worker.name.as_str()).collect();
    let rings: Vec<&str> = topology.rings.iter().map(|ring| ring.name.as_str()).collect();
    if context.is_json() {
        return terminal::json(&json!({
            "ok": true, "mistakes": [], "file": topology.file, "project": topology.project,
            "workers": workers, "rings": rings,
        }));
    }
    let (file, project) = (topology.file.display(), &topology.project);
    let (w, r) = (workers.len(), rings.len());
    terminal::data(&format!("{file}: ok: project {project}, {w} workers, {r} rings\n"))
}
