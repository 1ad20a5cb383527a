//! Several files as one: they add to each other, none overrides.

use super::problem::{ExpandProblem, Finding, Subject};
use super::tree::{Map, Node, Value};
use super::written::SCHEMA;

/// All of `trees` in the first. A key may have its value in one file only, or the same in several.
pub(super) fn merge(mut trees: Vec<Node>, findings: &mut Vec<Finding>) -> Option<Node> {
    // Each may name the schema from where it lies.
    for tree in trees.iter_mut().skip(1) {
        if let Value::Map(entries) = &mut tree.value {
            entries.retain(|entry| entry.key.text != SCHEMA);
        }
    }
    trees.into_iter().reduce(|mut all, tree| {
        add(&mut all, tree, "the topology", findings);
        all
    })
}

fn add(all: &mut Node, more: Node, key: &str, findings: &mut Vec<Finding>) {
    match (&mut all.value, more.value) {
        (_, Value::Null) => {}
        (Value::Null, value) => *all = Node { place: more.place, value },
        (Value::Map(all), Value::Map(more)) => add_keys(all, more, findings),
        (value, other) => {
            let other = Node { place: more.place, value: other };
            let all = Node { place: all.place, value: value.clone() };
            if !all.says_the_same(&other) {
                let problem = ExpandProblem::Conflict { key: key.to_owned(), first: all.place };
                let (place, subject) = (Some(other.place), Subject::Topology);
                findings.push(Finding { place, subject, problem: problem.into() });
            }
        }
    }
}

fn add_keys(all: &mut Map, more: Map, findings: &mut Vec<Finding>) {
    for entry in more {
        match all.iter_mut().find(|there| there.key.text == entry.key.text) {
            Some(there) => add(&mut there.value, entry.value, &entry.key.text, findings),
            None => all.push(entry),
        }
    }
}
