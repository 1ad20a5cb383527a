//! From an empty folder to records: the commands of the README, as it has them, and `docs/analysis.md` with it.

use std::fs;
use std::path::Path;
use std::process::Command;

use protocol::record::Record;
use serde_json::{Value, json};
use shmring::clock;

use super::ms_since;
use crate::languages::{self, Tools, search_path};
use crate::project::{Project, binary, source_root};
use crate::{Failure, Outcome, ensure};

const README: &str = "README.md";
/// Says them again, beside what they need.
const PAGE: &str = "docs/analysis.md";

/// Runs the README's block in an empty folder and looks at the records that it prints.
pub fn show_records() -> Outcome<Value> {
    let project = Project::new("")?;
    let tools = match languages::of_python(project.dir())? {
        Ok(tools) => tools,
        Err(why) => return Ok(json!({ "skipped": why })),
    };
    let block = block_of(README)?;
    let again = block_of(PAGE)?;
    ensure(again == block, || format!("{PAGE} has other commands than {README}:\n{again}"))?;
    let begun = clock::mono();
    let said = run(&project, &block, tools)?;
    let took = ms_since(begun);
    let records: Vec<Record> =
        said.lines().map(serde_json::from_str).collect::<Result<_, _>>().map_err(Failure::new)?;
    ensure(records.len() == 3 && records.iter().all(is_about_a_picture), || said.clone())?;
    Ok(json!({
        "commands": block.lines().count(), "records": records.len(),
        "seconds": (took / 100.0).round() / 10.0,
    }))
}

fn is_about_a_picture(record: &Record) -> bool {
    record.frame.is_some() && record.data["brightness"].is_number()
}

fn block_of(file: &str) -> Outcome<String> {
    let page = fs::read_to_string(source_root().join(file)).map_err(Failure::new)?;
    let block = page
        .split_once("## Five commands")
        .and_then(|(_, rest)| rest.split_once("```sh\n"))
        .and_then(|(_, rest)| rest.split_once("```"))
        .map(|(block, _)| block.to_owned())
        .ok_or_else(|| Failure(format!("{file} has no block of five commands")))?;
    let commands = block.lines().count();
    ensure(commands == 5, || format!("{commands} commands:\n{block}"))?;
    Ok(block)
}

/// With another name than its reader may have; what it prints.
fn run(project: &Project, block: &str, tools: Tools) -> Outcome<String> {
    let folder = project.dir().join("empty");
    fs::create_dir(&folder).map_err(Failure::new)?;
    let mut shell = Command::new("sh");
    shell.args(["-ec", &block.replace("mine", project.name().as_str())]).current_dir(&folder);
    shell.env("FRAMEVISOR_RUNTIME_DIR", project.dir().join("run"));
    shell.env("XDG_STATE_HOME", project.dir().join("state"));
    shell.envs(tools.environment);
    let programs = binary("framevisor");
    let programs = programs.parent().unwrap_or_else(|| Path::new(".")).display().to_string();
    let path = format!("{}/bin:{programs}:{}", project.dir().display(), search_path());
    let output = shell.env("PATH", path).output().map_err(Failure::new)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("{block}: {}\n{said}", output.status))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
