//! One section of the file, read key by key; every mistake is recorded and reading goes on.

use std::str::FromStr;

use serde::de::DeserializeOwned;

use super::problem::{CredentialProblem, Finding, KeyProblem, Problem, Subject};
use super::tree::{Entry, Key, Node, Place, Value};
use super::typed::{self, Why, Wrong};

/// More mistakes in one section say nothing new, and each costs another reading of it.
const MISTAKES_MAX: usize = 20;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) struct Section<'a> {
    subject: Subject,
    /// Its name in the file: where a missing key is shown.
    place: Place,
    entries: &'a [Entry],
    /// Whether others say the rest: nothing is missing in it.
    is_partial: bool,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Section<'a> {
    /// The section under `key`; one without any keys is a section too. `None`, after a complaint,
    /// for anything else.
    pub(super) fn of(
        subject: Subject,
        key: &Key,
        node: &'a Node,
        findings: &'a mut Vec<Finding>,
    ) -> Option<Self> {
        let mut section =
            Self { subject, place: key.place, entries: &[], is_partial: false, findings };
        match &node.value {
            Value::Map(entries) => section.entries = entries,
            Value::Null => {}
            Value::Broken => return None,
            Value::List(_) | Value::Text(_) => {
                section.not_a_section(&key.text, node);
                return None;
            }
        }
        Some(section)
    }

    pub(super) fn partial(self) -> Self {
        Self { is_partial: true, ..self }
    }

    pub(super) fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    pub(super) fn findings(&mut self) -> &mut Vec<Finding> {
        self.findings
    }

    /// Where the value of `key` stands, or the section when it has none.
    pub(super) fn place(&self, key: &str) -> Place {
        self.get(key).map_or(self.place, |node| node.place)
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The section that is the value of `key`.
    pub(super) fn below(&mut self, key: &str) -> Option<Section<'_>> {
        let entry = self.entry(key)?;
        Section::of(self.subject.clone(), &entry.key, &entry.value, self.findings)
            .map(|section| Section { is_partial: self.is_partial, ..section })
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key.text == key)
    }

    pub(super) fn complain(&mut self, place: Place, problem: impl Into<Problem>) {
        let (subject, problem) = (self.subject.clone(), problem.into());
        self.findings.push(Finding { place: Some(place), subject, problem });
    }

    pub(super) fn missing(&mut self, key: &str) {
        if self.is_partial {
            return;
        }
        self.complain(self.place, KeyProblem::Missing { key: key.to_owned() });
    }

    /// Complains of every key that is not in `known`.
    pub(super) fn refuse_others(&mut self, known: &[&str]) {
        let unknown = self.entries.iter().filter(|entry| !known.contains(&entry.key.text.as_str()));
        for entry in unknown.take(MISTAKES_MAX) {
            let known = known.iter().map(|key| (*key).to_owned()).collect();
            self.complain(
                entry.key.place,
                KeyProblem::Unknown { key: entry.key.text.clone(), known },
            );
        }
    }

    /// A value that is one text.
    pub(super) fn text(&mut self, key: &str, expected: &str) -> Option<Located<&'a str>> {
        let node = self.get(key)?;
        self.text_of(key, node, expected)
    }

    pub(super) fn text_of(
        &mut self,
        key: &str,
        node: &'a Node,
        expected: &str,
    ) -> Option<Located<&'a str>> {
        match &node.value {
            Value::Text(text) => Some(Located { value: &text.value, place: node.place }),
            _ => {
                self.not_a(key, node, expected);
                None
            }
        }
    }

    /// A value that is one text of its own grammar.
    pub(super) fn parsed<T: FromStr>(&mut self, key: &str, expected: &str) -> Option<Located<T>>
    where
        T::Err: Into<KeyProblem>,
    {
        let Located { value, place } = self.text(key, expected)?;
        match value.parse() {
            Ok(value) => Some(Located { value, place }),
            Err(problem) => {
                self.complain(place, problem.into());
                None
            }
        }
    }

    /// A value that is a list of texts.
    pub(super) fn texts(&mut self, key: &str, expected: &str) -> Option<Vec<Located<&'a str>>> {
        let node = self.get(key)?;
        let Value::List(items) = &node.value else {
            self.not_a(key, node, expected);
            return None;
        };
        // Every item is looked at before one bad one makes the list unusable.
        let texts: Vec<_> = items.iter().map(|item| self.text_of(key, item, "a text")).collect();
        texts.into_iter().collect()
    }

    pub(super) fn not_a(&mut self, key: &str, node: &Node, expected: &str) {
        if matches!(node.value, Value::Broken) {
            return;
        }
        let (key, seen, expected) = (key.to_owned(), node.shape(), expected.to_owned());
        self.complain(node.place, KeyProblem::NotA { key, seen, expected });
    }

    fn not_a_section(&mut self, key: &str, node: &Node) {
        match &self.subject {
            Subject::Ring(name) | Subject::Worker(name) if name == key => {
                self.complain(node.place, KeyProblem::NotASection { seen: node.shape() });
            }
            _ => self.not_a(key, node, "a section with keys"),
        }
    }

    /// The keys that are not in `common`, as one `T` whose numbers `ranges` has looked at. After a
    /// mistake its key is dropped and the rest read again, so that all mistakes are found; the
    /// answer is `None` then.
    pub(super) fn typed<T: DeserializeOwned>(
        &mut self,
        common: &[&str],
        ranges: fn(&T) -> Vec<(&'static str, KeyProblem)>,
    ) -> Option<T> {
        let entries = self.entries.iter();
        let mut left: Vec<Entry> =
            entries.filter(|entry| !common.contains(&&*entry.key.text)).cloned().collect();
        let mut dropped: Vec<String> = Vec::new();
        let mut is_whole = true;
        let mut stood_in: Vec<&str> = Vec::new();
        // Each round complains of one key and takes it away, or stands in for one.
        for _ in 0..MISTAKES_MAX {
            let wrong = match typed::read::<T>(&left.iter().collect::<Vec<_>>()) {
                Ok(value) => {
                    for (key, problem) in ranges(&value) {
                        self.complain(self.place(key), problem);
                        is_whole = false;
                    }
                    return Some(value).filter(|_| is_whole);
                }
                Err(wrong) => wrong,
            };
            is_whole = false;
            let missing = match wrong.why {
                Why::Missing(key) if wrong.entry.is_none() => Some(key),
                _ => None,
            };
            let culprit = wrong.entry.map(|at| left.remove(at));
            if let Some(key) = stood_in
                .iter()
                .position(|key| culprit.as_ref().is_some_and(|it| it.key.text == *key))
            {
                // Of this kind it means something else; nobody wrote it.
                let key = stood_in.remove(key);
                let text = other_stand_in(key)?;
                left.push(self.stand_in(key, text));
                continue;
            }
            self.wrong(culprit.as_ref(), wrong, &dropped, common);
            match (culprit, missing.and_then(stand_in)) {
                (Some(culprit), _) => dropped.push(culprit.key.text),
                (None, Some((key, text))) => {
                    left.push(self.stand_in(key, text));
                    stood_in.push(key);
                }
                (None, None) => return None,
            }
        }
        None
    }

    fn stand_in(&self, key: &str, text: &str) -> Entry {
        let key = Key { text: key.to_owned(), place: self.place };
        Entry { key, value: Node::text(self.place, text) }
    }

    fn wrong(
        &mut self,
        culprit: Option<&Entry>,
        wrong: Wrong,
        dropped: &[String],
        common: &[&str],
    ) {
        let (place, key_place, key) = match culprit {
            Some(entry) => (entry.value.place, entry.key.place, entry.key.text.clone()),
            None => (self.place, self.place, "section".to_owned()),
        };
        match wrong.why {
            Why::Known => {}
            Why::Missing(key) if dropped.iter().any(|other| other == key) => {}
            Why::Missing(key) => self.missing(key),
            Why::NotA { seen, expected } => {
                self.complain(place, KeyProblem::NotA { key, seen, expected });
            }
            Why::UnknownKey { key: unknown, known } if unknown != key => {
                self.complain(place, KeyProblem::Unknown { key: unknown, known });
            }
            Why::UnknownKey { mut known, .. } => {
                known.extend(common.iter().map(|key| (*key).to_owned()));
                self.complain(key_place, KeyProblem::Unknown { key, known });
            }
            Why::Value(_) if culprit.is_some_and(|entry| entry.value.is_secret()) => {
                let written = culprit.map(|entry| entry.value.shape()).unwrap_or_default();
                self.complain(place, CredentialProblem::Unfit { key, written });
            }
            Why::Value(why) => self.complain(place, KeyProblem::Value { key, why }),
        }
    }
}

/// What could be right for a key that must be there: the other keys are read with it.
fn stand_in(key: &'static str) -> Option<(&'static str, &'static str)> {
    match key {
        "dir" | "from" | "model" => Some((key, ".")),
        "source" => Some((key, "test:")),
        "to" => Some((key, "s3://bucket")),
        "url" => Some((key, "http://127.0.0.1/")),
        "on" => Some((key, "*")),
        _ => None,
    }
}

/// Of who sends to servers, where the first one is of who uploads.
fn other_stand_in(key: &str) -> Option<&'static str> {
    (key == "to").then_some("udp://127.0.0.1:1")
}
