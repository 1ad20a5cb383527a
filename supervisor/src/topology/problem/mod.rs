//! Every mistake a topology can hold: what was seen, what was expected, what to do.
//!
//! One file a stage of the reading: the text, the keys, how workers and rings fit together, and
//! what this machine lacks. A problem knows neither file nor line: a [`Finding`] adds the place.

mod credential;
mod expand;
mod key;
mod machine;
mod text;
pub(super) mod wiring;

use std::fmt;

use super::tree::Place;

pub(super) use credential::CredentialProblem;
pub(super) use expand::ExpandProblem;
pub(super) use key::KeyProblem;
pub(crate) use machine::MachineProblem;
pub(super) use text::TextProblem;
pub(super) use wiring::WiringProblem;

/// One mistake and where it is; no place when it concerns the file as a whole.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) place: Option<Place>,
    pub(super) subject: Subject,
    pub(super) problem: Problem,
}

/// Whose mistake it is; the start of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Camera(String),
    /// The `defaults` of cameras, rings, workers or a kind.
    Defaults(String),
    Hook(String),
    Ring(String),
    Topology,
    Worker(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Camera(name) => write!(f, "camera {name}: "),
            Self::Defaults(name) => write!(f, "defaults of {name}: "),
            Self::Hook(name) => write!(f, "hook {name}: "),
            Self::Ring(name) => write!(f, "ring {name}: "),
            Self::Topology => Ok(()),
            Self::Worker(name) => write!(f, "worker {name}: "),
        }
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Problem {
    #[error(transparent)]
    Credential(#[from] CredentialProblem),
    #[error(transparent)]
    Expand(#[from] ExpandProblem),
    #[error(transparent)]
    Key(#[from] KeyProblem),
    #[error(transparent)]
    Machine(#[from] MachineProblem),
    #[error(transparent)]
    Text(#[from] TextProblem),
    #[error(transparent)]
    Wiring(#[from] WiringProblem),
}

impl Problem {
    /// The other place of a mistake that has two, and a word before it.
    pub(super) fn other(&self) -> Option<(&'static str, Place)> {
        match self {
            Self::Expand(problem) => problem.other(),
            Self::Text(TextProblem::DuplicateKey { first, .. }) => Some(("first in ", *first)),
            Self::Wiring(
                WiringProblem::AddressTaken { first, .. } | WiringProblem::TwoWriters { first, .. },
            ) => Some(("", *first)),
            Self::Credential(_)
            | Self::Key(_)
            | Self::Machine(_)
            | Self::Text(_)
            | Self::Wiring(_) => None,
        }
    }

    /// As [`Self::other`], for those that a text's reader finds.
    pub(super) fn other_mut(&mut self) -> Option<&mut Place> {
        match self {
            Self::Text(TextProblem::DuplicateKey { first, .. }) => Some(first),
            _ => None,
        }
    }

    /// What the user can do about it.
    pub(super) fn help(&self) -> String {
        match self {
            Self::Credential(problem) => problem.help(),
            Self::Expand(problem) => problem.help(),
            Self::Key(problem) => problem.help(),
            Self::Machine(problem) => problem.help(),
            Self::Text(problem) => problem.help(),
            Self::Wiring(problem) => problem.help(),
        }
    }
}

/// The word of `known` that `seen` was probably meant to be.
pub(super) fn did_you_mean<'a>(seen: &str, known: &'a [String]) -> Option<&'a str> {
    // One slip in three letters: 'sensitivty' is found, 'fps' is not offered for 'gop'.
    let slips_max = (seen.chars().count() / 3).max(1);
    known
        .iter()
        .map(|word| (strsim::damerau_levenshtein(seen, word), word))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, word)| word.as_str())
}

/// `did you mean 'x'?`, or the words there are.
fn suggest(seen: &str, known: &[String], otherwise: &str) -> String {
    match did_you_mean(seen, known) {
        Some(word) => format!("did you mean '{word}'?"),
        None if known.is_empty() => otherwise.to_owned(),
        None => format!("{otherwise}: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_offered_and_a_far_one_is_not() {
        let known = ["sensitivity".to_owned(), "fps".to_owned()];
        assert_eq!(did_you_mean("sensitivty", &known), Some("sensitivity"));
        assert_eq!(did_you_mean("fsp", &known), Some("fps"));
        assert_eq!(did_you_mean("gop", &known), None);
    }
}
