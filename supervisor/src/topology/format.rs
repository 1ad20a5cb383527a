//! Which text is in which format; all of them have the same shape.

use std::ops::Range;

use super::Source;
use super::problem::{Finding, Subject, TextProblem};
use super::tree::{Node, Place};
use super::{toml, yaml};

/// What `source`, the topology's `number`th text, says, and what is wrong with it. The tree is `None`
/// when nothing can be read.
pub(super) fn parse(source: &Source, number: usize) -> (Option<Node>, Vec<Finding>) {
    let ending = source.name.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let (mut root, mut findings) = match ending.as_str() {
        "json" => json(&source.text),
        "toml" => toml::parse(&source.text),
        _ => yaml::parse(&source.text),
    };
    if let Some(root) = &mut root {
        root.visit_places(&mut |place| place.source = number);
    }
    findings.iter_mut().for_each(|finding| {
        finding.place.iter_mut().for_each(|place| place.source = number);
        finding.problem.other_mut().into_iter().for_each(|place| place.source = number);
    });
    (root, findings)
}

/// JSON is YAML, but not the other way round.
fn json(text: &str) -> (Option<Node>, Vec<Finding>) {
    let strict = serde_json::from_str::<serde::de::IgnoredAny>(text);
    match strict {
        Err(error) if !text.trim().is_empty() => {
            let place = Place {
                source: 0,
                line: error.line().max(1),
                column: error.column().max(1),
                width: 1,
            };
            let info = error.to_string();
            // It ends with the place, which is said already.
            let info = info.split(" at line ").next().unwrap_or_default().to_owned();
            (None, vec![finding(place, TextProblem::Json { info })])
        }
        _ => yaml::parse(&untabbed(text)),
    }
}

/// YAML has no tabs before its words; in JSON they are spaces, and inside of texts they cannot be.
fn untabbed(text: &str) -> String {
    text.replace('\t', " ")
}

pub(super) fn finding(place: Place, problem: TextProblem) -> Finding {
    Finding { place: Some(place), subject: Subject::Topology, problem: problem.into() }
}

/// Where each line of a text begins.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(starts).collect() }
    }

    /// The place of the bytes of `span`.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let line = self.starts.partition_point(|start| *start <= span.start).max(1);
        let characters =
            |from: usize, to: usize| self.text.get(from..to).map_or(0, |part| part.chars().count());
        let column = characters(self.starts[line - 1], span.start) + 1;
        Place { source: 0, line, column, width: characters(span.start, span.end).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let lines = Lines::of("a = 1\nü = 'xy'\n");
        let place = |line, column, width| Place { source: 0, line, column, width };
        assert_eq!(lines.place(&(0..1)), place(1, 1, 1));
        assert_eq!(lines.place(&(11..15)), place(2, 5, 4));
    }
}
