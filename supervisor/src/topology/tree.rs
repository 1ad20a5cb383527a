//! A configuration text as a tree in which every key and value knows its place.
//!
//! Formats differ in how a tree is read (`yaml`); from here on nobody asks which format it was.

/// Where something stands in the file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    /// Characters of its first line, at least 1.
    pub(super) width: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Its mistake is already known: whoever needs it goes without, and says nothing.
    Broken,
    List(Vec<Node>),
    Map(Map),
    /// Nothing was written where a value may stand.
    Null,
    /// A scalar as written, quotes removed: whether `5` is a number or a name is the reader's
    /// decision, so a name of digits and an address need no quotes.
    Text(String),
}

/// Each key once, in the order of the file.
pub(super) type Map = Vec<Entry>;

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) value: Node,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) place: Place,
}

impl Node {
    /// What it is, for people.
    pub(super) fn shape(&self) -> String {
        match &self.value {
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a section".to_owned(),
            Value::Broken | Value::Null => "nothing".to_owned(),
            Value::Text(text) => format!("'{text}'"),
        }
    }

    /// Itself and everything below it.
    pub(super) fn count(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.value.count()).sum(),
            Value::Broken | Value::Null | Value::Text(_) => 0,
        }
    }
}
