//! A configuration text as a tree in which every key and value knows its place.
//!
//! Formats differ in how a tree is read (`yaml`); from here on nobody asks which format it was.

use std::fmt;

/// Where something stands in a file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Which of the topology's files, counted from 0.
    pub(super) source: usize,
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
    /// A scalar without its quotes: whether `5` is a number or a name is the reader's decision,
    /// so a name of digits and an address need no quotes.
    Text(Text),
}

/// A scalar, as meant and as written.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Text {
    /// With its variables filled in.
    pub(super) value: String,
    /// Where that is something else.
    written: Option<String>,
    /// Holds a credential: only what was written may be shown.
    pub(super) is_secret: bool,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown().fmt(f)
    }
}

impl Text {
    pub(super) fn written(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.value)
    }

    /// For people.
    pub(super) fn shown(&self) -> &str {
        if self.is_secret { self.written() } else { &self.value }
    }

    pub(super) fn fill(&mut self, value: String) {
        if value != self.value {
            let before = std::mem::replace(&mut self.value, value);
            self.written.get_or_insert(before);
        }
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self { value: text.into(), written: None, is_secret: false }
    }
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
    pub(super) fn text(place: Place, text: impl Into<Text>) -> Self {
        Self { place, value: Value::Text(text.into()) }
    }

    /// Calls `each` for the place of everything in it, keys too.
    pub(super) fn visit_places(&mut self, each: &mut impl FnMut(&mut Place)) {
        self.visit(&mut |node| {
            each(&mut node.place);
            if let Value::Map(entries) = &mut node.value {
                entries.iter_mut().for_each(|entry| each(&mut entry.key.place));
            }
        });
    }

    pub(super) fn is_secret(&self) -> bool {
        matches!(&self.value, Value::Text(text) if text.is_secret)
    }

    /// Whether it means what `other` means, wherever both stand.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Broken, Value::Broken) | (Value::Null, Value::Null) => true,
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.says_the_same(b))
            }
            (Value::Map(a), Value::Map(b)) => {
                let same = |entry: &Entry| {
                    get(b, &entry.key.text).is_some_and(|node| entry.value.says_the_same(node))
                };
                a.len() == b.len() && a.iter().all(same)
            }
            (Value::Text(a), Value::Text(b)) => a.value == b.value,
            _ => false,
        }
    }

    /// Its text, if it is one.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(&text.value),
            _ => None,
        }
    }

    /// Calls `each` for itself and everything below it.
    pub(super) fn visit(&mut self, each: &mut impl FnMut(&mut Self)) {
        each(self);
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.visit(each)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| entry.value.visit(each)),
            Value::Broken | Value::Null | Value::Text(_) => {}
        }
    }
    /// What it is, for people.
    pub(super) fn shape(&self) -> String {
        match &self.value {
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a section".to_owned(),
            Value::Broken | Value::Null => "nothing".to_owned(),
            Value::Text(text) => format!("'{}'", text.shown()),
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

pub(super) fn get<'a>(map: &'a [Entry], key: &str) -> Option<&'a Node> {
    map.iter().find(|entry| entry.key.text == key).map(|entry| &entry.value)
}

pub(super) fn take(map: &mut Map, key: &str) -> Option<Entry> {
    let at = map.iter().position(|entry| entry.key.text == key)?;
    Some(map.remove(at))
}

/// What `base` has and `own` has not comes to `own`, section by section; the rest stays. The word
/// `true` where `base` has a section means that section.
pub(super) fn lay_beneath(own: &mut Map, base: &[Entry]) {
    for entry in base {
        let Some(there) = own.iter_mut().find(|there| there.key.text == entry.key.text) else {
            own.push(entry.clone());
            continue;
        };
        match (&mut there.value.value, &entry.value.value) {
            (Value::Map(own), Value::Map(base)) => lay_beneath(own, base),
            (Value::Text(text), Value::Map(_)) if text.value == "true" => {
                there.value = entry.value.clone();
            }
            _ => {}
        }
    }
}
