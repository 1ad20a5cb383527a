//! YAML as JSON values; every scalar is a text.

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

/// # Panics
/// On what is no YAML, has tags, anchors or a key twice.
pub(crate) fn parse(text: &str) -> Value {
    let (mut open, mut root) = (Vec::new(), Value::Null);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.unwrap_or_else(|error| panic!("{error}"));
        let done = match event {
            Event::Scalar(text, ..) => Value::String(text.into_owned()),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Value::Array(items),
                Some(Open::Map(entries, _)) => Value::Object(entries),
                None => panic!("an end without its begin"),
            },
            Event::Alias(_) => panic!("line {}: an alias", span.start.line()),
            _ => continue,
        };
        match open.last_mut() {
            None => root = done,
            Some(Open::List(items)) => items.push(done),
            Some(Open::Map(entries, key)) => match key.take() {
                Some(key) => {
                    assert!(entries.insert(key.clone(), done).is_none(), "'{key}' is there twice");
                }
                None => *key = Some(done.as_str().expect("a key that is a text").to_owned()),
            },
        }
    }
    assert!(open.is_empty() && !root.is_null(), "no whole document");
    root
}
