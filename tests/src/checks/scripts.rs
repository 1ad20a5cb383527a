//! Projects that a script builds, changes and ends.

use std::fs;
use std::process::Command;

use protocol::control::env;
use serde_json::{Value, json};
use shmring::census;

use crate::project::{binary, source_root};
use crate::{Failure, Outcome, ensure, processes};

/// Longer than it takes on a loaded machine with programs that are not optimised.
const ENDS_WITHIN_S: &str = "300";

/// `scripts/examples/sixteen.py`, and what is left behind it: nothing.
pub fn sixteen_cameras_come_and_go() -> Outcome<Value> {
    let name = format!("sixteen{}", std::process::id());
    let folder = std::env::temp_dir().join(format!("framevisor-{name}"));
    fs::create_dir(&folder).map_err(Failure::new)?;
    let output = Command::new("timeout")
        .args([ENDS_WITHIN_S, &super::python::python()])
        .arg(source_root().join("scripts/examples/sixteen.py"))
        .arg(&name)
        .env("PYTHONPATH", source_root().join("supervisor/python"))
        .env("FRAMEVISOR", binary("framevisor"))
        .env("XDG_RUNTIME_DIR", &folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("XDG_CACHE_HOME", std::env::temp_dir().join("framevisor-test-cache"))
        .current_dir(&folder)
        .output();
    let left = processes::with_environment(env::PROJECT, &name);
    let names = census::names(&name.parse().map_err(Failure::new)?);
    let _ = fs::remove_dir_all(&folder);
    let output = output.map_err(Failure::new)?;
    let (said, told) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure(output.status.success(), || format!("{}: {said}\n{told}", output.status))?;
    ensure(said.contains("32 of 32 rings flow") && said.contains("cam0 is left"), || said.into())?;
    ensure(left.is_empty(), || format!("processes {left:?} are left"))?;
    ensure(names.is_empty(), || format!("rings {names:?} are left"))?;
    Ok(json!({ "cameras": 16, "rings": 32, "stopped_and_started": 20, "processes_left": 0 }))
}
