//! What becomes of the project when its supervisor is killed: the section `supervisor`.

use std::fmt;

use protocol::config::{Access, Kind};
use protocol::units::Span;

use super::section::{Located, Section};
use super::{Launch, Topology, WorkerSpec};
use crate::topology::problem::KeyProblem;

pub(super) const KEYS: [&str; 2] = ["on_death", "adopt_within"];

const SPAN: &str = "a duration, as in 30s";
/// A guard starts the next supervisor within a second; the rest is for a machine under load.
const ADOPT_WITHIN: Span = Span::from_millis(30_000);

/// Whether anybody outlives a supervisor that is killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Survival {
    /// Nobody.
    #[default]
    End,
    /// Ingest and recorder go on and are adopted by the next; without one they end themselves after this.
    Adopt { within: Span },
}

impl fmt::Display for Survival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("end"),
            Self::Adopt { within } => write!(f, "adopt (within {within})"),
        }
    }
}

pub(super) fn read(top: &mut Section<'_>) -> Survival {
    let Some(mut section) = top.below("supervisor") else { return Survival::End };
    section.refuse_others(&KEYS);
    let within = one_of(&mut section, "adopt_within", SPAN, |text| text.parse().ok());
    let within = within.unwrap_or(ADOPT_WITHIN);
    let survival = one_of(&mut section, "on_death", "end or adopt", |text| match text {
        "end" => Some(Survival::End),
        "adopt" => Some(Survival::Adopt { within }),
        _ => None,
    });
    survival.unwrap_or_default()
}

fn one_of<T>(
    section: &mut Section<'_>,
    key: &str,
    expected: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let Located { value, place } = section.text(key, expected)?;
    let meant = read(value);
    if meant.is_none() {
        let (key, seen) = (key.to_owned(), value.to_owned());
        section.complain(place, KeyProblem::NotA { key, seen, expected: expected.to_owned() });
    }
    meant
}

impl Topology {
    /// How long the worker lives on without a supervisor; `None` for one that ends with it. What a worker
    /// gets from the broker ends with the broker.
    pub(crate) fn outlives(&self, worker: &WorkerSpec) -> Option<Span> {
        let Survival::Adopt { within } = self.survival else { return None };
        let Launch::Use(config) = &worker.launch else { return None };
        let brokered =
            |ring| self.ring(ring).is_some_and(|it| it.config.access == Access::Brokered);
        let is_free = !worker.inputs.iter().chain(worker.outputs()).any(brokered);
        (matches!(config.kind(), Kind::Ingest | Kind::Recorder) && is_free).then_some(within)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Overrides, parse};
    use super::*;

    fn topology(section: &str) -> Result<Topology, String> {
        let text = format!(
            "version: 1\n{section}workers:\n  cam1: {{use: ingest, source: 'test:'}}\n  \
             cam1-rec: {{use: recorder, in: cam1.packets, dir: /srv}}\n  \
             web: {{use: web, in: cam1.packets}}\n  own: {{run: [sleep, '1']}}\n"
        );
        let file = "/srv/yard/framevisor.yml".as_ref();
        parse(&text, file, &Overrides::default()).map_err(|report| report.to_string())
    }

    fn survivors(section: &str) -> Vec<String> {
        let topology = topology(section).unwrap();
        let survive = topology.workers.iter().filter(|worker| topology.outlives(worker).is_some());
        survive.map(|worker| worker.name.to_string()).collect()
    }

    #[test]
    fn only_ingest_and_recorder_outlive_a_supervisor_and_only_if_the_file_says_so() {
        assert!(survivors("").is_empty());
        assert!(survivors("supervisor: {on_death: end}\n").is_empty());
        assert_eq!(survivors("supervisor: {on_death: adopt}\n"), ["cam1", "cam1-rec"]);
        let brokered = "supervisor: {on_death: adopt}\nrings: {cam1.packets: {access: brokered}}\n";
        assert!(survivors(brokered).is_empty());
    }

    #[test]
    fn the_time_to_be_adopted_in_is_the_files() {
        let topology = topology("supervisor: {on_death: adopt, adopt_within: 3s}\n").unwrap();
        assert_eq!(topology.survival, Survival::Adopt { within: Span::from_millis(3_000) });
    }

    #[test]
    fn another_word_is_refused_with_the_known_ones() {
        let refused = topology("supervisor: {on_death: live}\n").unwrap_err();
        assert!(refused.contains("live") && refused.contains("end or adopt"), "{refused}");
        assert!(topology("supervisor: {on_deth: adopt}\n").unwrap_err().contains("on_death"));
    }
}
