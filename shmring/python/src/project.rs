//! Which project a name without one is meant in.

use std::collections::BTreeSet;
use std::path::Path;

use protocol::control::env;
use protocol::name::{ProjectName, RingName};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use shmring::census;

use crate::error::{Ambiguous, NoSuchRing};

/// Where rings are, and what their files begin with (shmring's `LAYOUT.md`, "Files").
pub(crate) const FOLDER: &str = "/dev/shm";
pub(crate) const PREFIX: &str = "fv.";

/// The project given by the program, else by the supervisor that started it.
pub(crate) fn given(project: Option<&str>) -> PyResult<Option<ProjectName>> {
    let inherited = std::env::var(env::PROJECT).ok().filter(|name| !name.is_empty());
    let name = project.map(str::to_owned).or(inherited);
    name.map(|name| parse(&name)).transpose()
}

/// The project of `ring`: the given one, else the only one on this machine that has such a ring.
pub(crate) fn having(project: Option<&str>, ring: &RingName) -> PyResult<ProjectName> {
    match given(project)? {
        Some(project) => Ok(project),
        None => only(ring, all().into_iter().filter(|project| has(project, ring)).collect()),
    }
}

/// The given project, else the only one on this machine.
pub(crate) fn any(project: Option<&str>, ring: &RingName) -> PyResult<ProjectName> {
    match given(project)? {
        Some(project) => Ok(project),
        None => only(ring, all()),
    }
}

/// Every project that has files of rings.
pub(crate) fn all() -> Vec<ProjectName> {
    let Ok(entries) = std::fs::read_dir(Path::new(FOLDER)) else {
        return Vec::new();
    };
    let project = |file: String| file.strip_prefix(PREFIX)?.split('.').next()?.parse().ok();
    let names = entries.filter_map(|entry| project(entry.ok()?.file_name().into_string().ok()?));
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// A name of any kind, or the error that says what is wrong with it.
pub(crate) fn parse<T: std::str::FromStr<Err = protocol::name::NameError>>(
    name: &str,
) -> PyResult<T> {
    name.parse().map_err(|error: T::Err| PyValueError::new_err(error.to_string()))
}

fn has(project: &ProjectName, ring: &RingName) -> bool {
    census::names(project).contains(ring)
}

fn only(ring: &RingName, mut fitting: Vec<ProjectName>) -> PyResult<ProjectName> {
    match (fitting.pop(), fitting.is_empty()) {
        (Some(project), true) => Ok(project),
        (None, _) => Err(NoSuchRing::new_err(format!(
            "ring {ring}: no project on this machine has it; is its writer running? there are: {}",
            listed(all().iter().flat_map(rings_of))
        ))),
        (Some(last), false) => Err(Ambiguous::new_err(format!(
            "ring {ring}: several projects fit: {}; name one with project=, or set {}",
            listed(fitting.into_iter().chain([last]).map(|project| project.to_string())),
            env::PROJECT
        ))),
    }
}

fn rings_of(project: &ProjectName) -> Vec<String> {
    census::names(project).iter().map(|ring| format!("{ring} of {project}")).collect()
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
