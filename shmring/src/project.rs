//! What a program means when it does not say: its project, and the event ring of its own. Shared by the
//! faces for other languages; the supervisor's workers are told.

use std::collections::BTreeSet;

use protocol::config::{Access, ReadPolicy, RingConfig};
use protocol::control::{RingContract, env};
use protocol::name::{PART_MAX_BYTES, ProjectName, RingKind, RingName};

use crate::census;
use crate::error::Error;
use crate::frames::Policy;
use crate::segments;

/// The project given by the program, else by the supervisor that started it.
pub fn given(project: Option<&str>) -> Result<Option<ProjectName>, Error> {
    let inherited = std::env::var(env::PROJECT).ok().filter(|name| !name.is_empty());
    let name = project.map(str::to_owned).or(inherited);
    Ok(name.map(|name| name.parse()).transpose()?)
}

/// The project of `ring`: the given one, else the only one on this machine that has such a ring.
pub fn having(project: Option<&str>, ring: &RingName) -> Result<ProjectName, Error> {
    match given(project)? {
        Some(project) => Ok(project),
        None => only(ring, all().into_iter().filter(|project| has(project, ring)).collect()),
    }
}

/// The given project, else the only one on this machine.
pub fn any(project: Option<&str>, ring: &RingName) -> Result<ProjectName, Error> {
    match given(project)? {
        Some(project) => Ok(project),
        None => only(ring, all()),
    }
}

/// Every project that has files of rings.
pub fn all() -> Vec<ProjectName> {
    let project =
        |file: String| file.strip_prefix(segments::PREFIX)?.split('.').next()?.parse().ok();
    segments::list().into_iter().filter_map(project).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The event ring the supervisor gave this worker, else one beside the topology that is named after
/// `program`.
pub fn own_events(program: &str) -> Result<RingName, Error> {
    let given = std::env::var(env::OUT).unwrap_or_default();
    let mut names = given.split(',').filter_map(|name| name.trim().parse::<RingName>().ok());
    match names.find(|name| name.kind() == RingKind::Events) {
        Some(name) => Ok(name),
        None => Ok(format!("ext.{}.events", part_of(program)).parse()?),
    }
}

/// The ring that the supervisor gave this program to read, the first of them.
pub fn own_input() -> Result<RingName, Error> {
    let given = std::env::var(env::IN).unwrap_or_default();
    let first = given.split(',').next().unwrap_or_default().trim();
    first.parse().map_err(|_| Error::Supervisor {
        what: format!("{}='{given}': expected the names of the rings to read", env::IN),
    })
}

/// How the topology wants this program to read pictures, and each how manyth of them; else the newest each
/// time.
pub fn told_policy() -> Result<(Policy, u32), Error> {
    let said = std::env::var(env::POLICY).ok().filter(|said| !said.is_empty());
    let Some(said) = said else { return Ok((Policy::Latest, 1)) };
    match said.parse() {
        Ok(ReadPolicy::Latest) => Ok((Policy::Latest, 1)),
        Ok(ReadPolicy::Every(number)) => Ok((Policy::Latest, number.max(1))),
        // What is essential is kept for its reader, which reads it in turn.
        Ok(ReadPolicy::Essential(_) | ReadPolicy::Sequential) => Ok((Policy::Sequential, 1)),
        Err(error) => Err(Error::Supervisor { what: format!("{} {error}", env::POLICY) }),
    }
}

/// The contract with what the supervisor has said of the program's ring: its group, and whether it has
/// names. Outside a topology it stays as it is.
pub fn as_told(contract: RingContract) -> RingContract {
    let told = |name| std::env::var(name).ok();
    let own = told(env::OUT).unwrap_or_default();
    let is_own = own.split(',').any(|name| name.trim() == contract.name.as_str());
    let brokered = is_own && told(env::ACCESS).is_some_and(|access| access == "brokered");
    let group = told(env::GROUP).and_then(|group| group.parse().ok()).or(contract.group);
    let access = if brokered { Access::Brokered } else { contract.config.access };
    RingContract { group, config: RingConfig { access, ..contract.config }, ..contract }
}

/// A program's name as part of a ring's name.
fn part_of(program: &str) -> String {
    let stem = program.split('.').next().unwrap_or_default().to_lowercase();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let part: String = stem.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let part = part.trim_start_matches(['-', '_']);
    let part: String = part.chars().take(PART_MAX_BYTES).collect();
    if part.is_empty() { "program".to_owned() } else { part }
}

fn has(project: &ProjectName, ring: &RingName) -> bool {
    census::names(project).contains(ring)
}

fn only(ring: &RingName, mut fitting: Vec<ProjectName>) -> Result<ProjectName, Error> {
    let ring = ring.clone();
    match (fitting.pop(), fitting.is_empty()) {
        (Some(project), true) => Ok(project),
        (None, _) => {
            Err(Error::NoProject { ring, present: listed(all().iter().flat_map(rings_of)) })
        }
        (Some(last), false) => {
            let projects = fitting.into_iter().chain([last]).map(|project| project.to_string());
            Err(Error::Ambiguous { ring, projects: listed(projects) })
        }
    }
}

/// The rings of a project, for people. Looked for when it is said, not when it goes wrong: who waits for a
/// ring meets the error many times a second, and shows none of them.
pub(crate) fn present(project: &ProjectName) -> String {
    let names = census::names(project);
    let beyond = names.len().saturating_sub(NAMED_MAX);
    let named = names.iter().take(NAMED_MAX).map(ToString::to_string);
    listed(named.chain((beyond > 0).then(|| format!("{beyond} more"))))
}

/// Rings that a text names one by one.
const NAMED_MAX: usize = 20;

fn rings_of(project: &ProjectName) -> Vec<String> {
    census::names(project).iter().map(|ring| format!("{ring} of {project}")).collect()
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_program_name_makes_a_ring_name() {
        for (program, part) in [
            ("count.py", "count"),
            ("My Counter", "my-counter"),
            ("--", "program"),
            ("", "program"),
            ("été", "t-"),
        ] {
            assert_eq!(part_of(program), part, "of {program:?}");
            assert!(format!("ext.{part}.events").parse::<RingName>().is_ok());
        }
        assert_eq!(part_of(&"x".repeat(100)).len(), PART_MAX_BYTES);
    }
}
