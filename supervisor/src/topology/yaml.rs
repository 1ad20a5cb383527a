//! YAML text into a located tree.
//!
//! Built from the parser's events with a stack of our own, so that depth and size are bounded
//! whatever the text is, and duplicate keys are found with their places.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::problem::{Finding, Subject, TextProblem};
use super::tree::{Entry, Key, Map, Node, Place, Value};

/// Deeper nesting is no topology; the reader recurses over the tree.
pub(super) const DEPTH_MAX: usize = 64;
/// A wall of 200 cameras needs 10 000; an alias bomb is stopped here, not by memory.
pub(super) const NODES_MAX: usize = 100_000;

/// What the text says, and what is wrong with it. The tree is `None` when nothing can be read.
pub(super) fn parse(text: &str) -> (Option<Node>, Vec<Finding>) {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let taken = event
            .map_err(|error| syntax(&error, text))
            .and_then(|(event, span)| builder.take(event, span));
        if let Err(stop) = taken {
            builder.findings.push(stop.into());
            return (None, builder.findings);
        }
    }
    (builder.root, builder.findings)
}

/// A mistake after which the text cannot be read on.
struct Stop {
    place: Place,
    problem: TextProblem,
}

impl From<Stop> for Finding {
    fn from(stop: Stop) -> Self {
        Self { place: Some(stop.place), subject: Subject::Topology, problem: stop.problem.into() }
    }
}

fn stop(place: Place, problem: TextProblem) -> Result<(), Stop> {
    Err(Stop { place, problem })
}

fn syntax(error: &ScanError, text: &str) -> Stop {
    let place = place_of(*error.marker(), 1);
    let problem = match error.info() {
        // The parser looks ahead, and so finds some of them first.
        "recursion limit exceeded" => TextProblem::TooDeep,
        info => {
            let line = text.lines().nth(place.line - 1).unwrap_or_default().to_owned();
            TextProblem::Yaml { info: info.to_owned(), line }
        }
    };
    Stop { place, problem }
}

fn place_of(marker: Marker, width: usize) -> Place {
    Place { source: 0, line: marker.line().max(1), column: marker.col() + 1, width: width.max(1) }
}

/// A text over several lines is marked on its first; the report cuts at the line's end.
fn place(span: Span) -> Place {
    place_of(span.start, span.end.index().saturating_sub(span.start.index()))
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    /// Open lists and sections, outermost first.
    open: Vec<Open>,
    /// Finished nodes that an alias may repeat, and their size.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    documents: usize,
    findings: Vec<Finding>,
}

struct Open {
    anchor: usize,
    node: Node,
    /// Sections: the key that waits for its value; `Bad` for one already complained about.
    key: Option<PendingKey>,
    /// Sections: where each key stands.
    seen: HashMap<String, Place>,
}

enum PendingKey {
    Bad,
    Good(Key),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let place = place(span);
        match event {
            Event::Alias(anchor) => self.repeat(anchor, place),
            Event::DocumentStart(_) => self.document(place),
            Event::MappingEnd | Event::SequenceEnd => self.close(),
            Event::MappingStart(anchor, tag) => {
                no_tag(tag.is_some(), place)?;
                self.open(anchor, place, Value::Map(Map::new()))
            }
            Event::Scalar(text, style, anchor, tag) => {
                no_tag(tag.is_some(), place)?;
                let value = scalar(text.into_owned(), style);
                self.finish(anchor, Node { place, value })
            }
            Event::SequenceStart(anchor, tag) => {
                no_tag(tag.is_some(), place)?;
                self.open(anchor, place, Value::List(Vec::new()))
            }
            Event::DocumentEnd | Event::Nothing | Event::StreamEnd | Event::StreamStart => Ok(()),
        }
    }

    fn document(&mut self, place: Place) -> Result<(), Stop> {
        self.documents += 1;
        if self.documents > 1 {
            return stop(place, TextProblem::SecondDocument);
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, place: Place, value: Value) -> Result<(), Stop> {
        if self.open.len() >= DEPTH_MAX {
            return stop(place, TextProblem::TooDeep);
        }
        let place = Place { width: 1, ..place };
        self.open.push(Open {
            anchor,
            node: Node { place, value },
            key: None,
            seen: HashMap::new(),
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Stop> {
        match self.open.pop() {
            Some(open) => self.finish(open.anchor, open.node),
            None => Ok(()),
        }
    }

    fn repeat(&mut self, anchor: usize, place: Place) -> Result<(), Stop> {
        // The parser refuses unknown names; a name inside its own anchor is still open here.
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return stop(place, TextProblem::AliasInItself);
        };
        let node = node.clone();
        self.nodes += size;
        self.room(place)?;
        self.put(node)
    }

    fn finish(&mut self, anchor: usize, node: Node) -> Result<(), Stop> {
        self.nodes += 1;
        if anchor > 0 {
            let size = node.count();
            self.nodes += size;
            self.room(node.place)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        self.room(node.place)?;
        self.put(node)
    }

    fn room(&self, place: Place) -> Result<(), Stop> {
        if self.nodes > NODES_MAX {
            return stop(place, TextProblem::TooManyNodes);
        }
        Ok(())
    }

    fn put(&mut self, node: Node) -> Result<(), Stop> {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut parent.node.value {
            Value::Map(entries) => match parent.key.take() {
                None => {
                    let (key, wrong) = key(&mut parent.seen, node);
                    parent.key = Some(key);
                    self.findings.extend(wrong);
                }
                Some(PendingKey::Bad) => {}
                Some(PendingKey::Good(key)) => entries.push(entry(key, node)),
            },
            Value::List(items) => items.push(node),
            Value::Broken | Value::Null | Value::Text(_) => {}
        }
        Ok(())
    }
}

fn no_tag(tagged: bool, place: Place) -> Result<(), Stop> {
    if tagged { stop(place, TextProblem::Tag) } else { Ok(()) }
}

fn scalar(text: String, style: ScalarStyle) -> Value {
    let null = style == ScalarStyle::Plain && matches!(text.as_str(), "" | "~" | "null");
    if null { Value::Null } else { Value::Text(text.into()) }
}

fn key(seen: &mut HashMap<String, Place>, node: Node) -> (PendingKey, Option<Finding>) {
    let Value::Text(text) = node.value else {
        let problem = TextProblem::KeyNotText { seen: node.shape() };
        return (PendingKey::Bad, Some(Stop { place: node.place, problem }.into()));
    };
    if let Some(first) = seen.get(&text.value) {
        let problem = TextProblem::DuplicateKey { key: text.value, first: *first };
        return (PendingKey::Bad, Some(Stop { place: node.place, problem }.into()));
    }
    seen.insert(text.value.clone(), node.place);
    (PendingKey::Good(Key { text: text.value, place: node.place }), None)
}

/// A value that is not there is shown where its key is.
fn entry(key: Key, mut value: Node) -> Entry {
    if matches!(value.value, Value::Null) {
        value.place = key.place;
    }
    Entry { key, value }
}

#[cfg(test)]
mod tests {
    use super::super::problem::Problem;
    use super::*;

    fn problems(text: &str) -> Vec<Problem> {
        parse(text).1.into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let (root, findings) = parse("a:\n  b: 'x y'\n");
        assert!(findings.is_empty());
        let Value::Map(top) = root.unwrap().value else { panic!("no section") };
        let Value::Map(inner) = &top[0].value.value else { panic!("no section") };
        assert_eq!(inner[0].key.place, Place { source: 0, line: 2, column: 3, width: 1 });
        assert_eq!(inner[0].value.place, Place { source: 0, line: 2, column: 6, width: 5 });
    }

    #[test]
    fn a_key_written_twice_is_refused_and_names_the_first_line() {
        let first = Place { source: 0, line: 1, column: 1, width: 1 };
        let expected = TextProblem::DuplicateKey { key: "a".into(), first };
        assert_eq!(problems("a: 1\nb: 2\na: 3\n"), [expected.into()]);
    }

    #[test]
    fn an_alias_repeats_its_anchor() {
        let (root, findings) = parse("a: &x [1, 2]\nb: *x\n");
        assert!(findings.is_empty());
        assert_eq!(root.unwrap().count(), 7);
    }

    #[test]
    fn an_alias_bomb_is_stopped() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            text += &format!("a{level}: &a{level} [{}]\n", below.trim_end_matches(", "));
        }
        assert_eq!(problems(&text), [TextProblem::TooManyNodes.into()]);
    }

    #[test]
    fn nesting_is_bounded() {
        assert_eq!(problems(&"[".repeat(100_000)), [TextProblem::TooDeep.into()]);
        assert_eq!(problems(&"- ".repeat(5_000)), [TextProblem::TooDeep.into()]);
    }

    #[test]
    fn an_alias_inside_its_own_anchor_is_refused() {
        assert_eq!(problems("a: &x [*x]\n"), [TextProblem::AliasInItself.into()]);
    }

    #[test]
    fn tags_and_second_documents_are_refused() {
        assert_eq!(problems("a: !secret x\n"), [TextProblem::Tag.into()]);
        assert_eq!(problems("a: 1\n---\nb: 1\n"), [TextProblem::SecondDocument.into()]);
    }
}
