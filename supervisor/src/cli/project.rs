//! Which project a verb about rings means, and which of its rings. A supervisor need not run.

use protocol::admin::RingStatus;
use protocol::name::{ProjectName, RingName};
use shmring::census;

use super::client::Client;
use super::{CliError, Context};
use crate::selector::RingSelector;

impl Context {
    /// `-p`, the topology, `$FRAMEVISOR_PROJECT`, or the only project that has rings.
    pub(super) fn project(&self) -> Result<ProjectName, CliError> {
        if let Some(project) = &self.globals.project {
            return Ok(project.clone());
        }
        if self.has_files() {
            return Ok(self.topology()?.project);
        }
        match shmring::project::given(None)? {
            Some(project) => Ok(project),
            None => only(shmring::project::all()),
        }
    }
}

fn only(mut projects: Vec<ProjectName>) -> Result<ProjectName, CliError> {
    match projects.len() {
        0 => Err(CliError::NoProject),
        1 => Ok(projects.swap_remove(0)),
        _ => Err(CliError::WhichProject { known: listed(&projects) }),
    }
}

/// The rings of a project that `wanted` names, all without one. Each name must mean at least one.
pub(super) fn rings_of(
    context: &Context,
    project: &ProjectName,
    wanted: &[RingSelector],
) -> Result<Vec<RingName>, CliError> {
    let known = known(context, project)?;
    let unknown = wanted.iter().find(|selector| !known.iter().any(|ring| selector.matches(ring)));
    if let Some(selector) = unknown {
        let none = || "none".to_owned();
        let known = if known.is_empty() { none() } else { listed(&known) };
        let wanted = selector.to_string();
        return Err(CliError::NoRing { wanted, project: project.clone(), known });
    }
    let is_meant =
        |ring: &RingName| wanted.is_empty() || wanted.iter().any(|selector| selector.matches(ring));
    Ok(known.into_iter().filter(is_meant).collect())
}

/// The one ring that `wanted` means.
pub(super) fn one_ring(
    context: &Context,
    project: &ProjectName,
    wanted: &RingSelector,
) -> Result<RingName, CliError> {
    let mut rings = rings_of(context, project, std::slice::from_ref(wanted))?;
    match rings.len() {
        1 => Ok(rings.swap_remove(0)),
        _ => Err(CliError::ManyRings { wanted: wanted.to_string(), rings: listed(&rings) }),
    }
}

/// What the supervisor knows of, and what lies in shared memory.
fn known(context: &Context, project: &ProjectName) -> Result<Vec<RingName>, CliError> {
    let mut names = census::names(project);
    match ask_rings(context, project) {
        Ok(rings) => names.extend(rings.into_iter().map(|ring| ring.name)),
        Err(_) if names.is_empty() => return Err(CliError::NoRings { project: project.clone() }),
        Err(_) => {}
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// What the project's supervisor says of its rings; nothing where none runs.
pub(super) fn told(context: &Context, project: &ProjectName) -> Vec<RingStatus> {
    ask_rings(context, project).unwrap_or_default()
}

fn ask_rings(context: &Context, project: &ProjectName) -> Result<Vec<RingStatus>, CliError> {
    let place = context.place_named(project)?;
    Client::connect(&place)?.ask("rings", &())
}

pub(super) fn listed<T: ToString>(names: &[T]) -> String {
    names.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_guessed_only_when_there_is_one() {
        let names = |all: &[&str]| all.iter().map(|name| name.parse().unwrap()).collect();
        assert_eq!(only(names(&["yard"])).unwrap().as_str(), "yard");
        let asked = only(names(&["hall", "yard"])).unwrap_err().to_string();
        assert!(asked.contains("hall, yard") && asked.contains("-p NAME"), "{asked}");
        assert!(matches!(only(Vec::new()), Err(CliError::NoProject)));
    }
}
