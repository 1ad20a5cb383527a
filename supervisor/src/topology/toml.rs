//! TOML text into a located tree.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::format::{Lines, finding};
use super::problem::{Finding, TextProblem};
use super::tree::{Entry, Key, Map, Node, Value};

/// What the text says, and what is wrong with it. The tree is `None` when nothing can be read.
pub(super) fn parse(text: &str) -> (Option<Node>, Vec<Finding>) {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problem = |error: toml::de::Error| {
            let place = lines.place(&error.span().unwrap_or(0..0));
            finding(place, TextProblem::Toml { info: error.message().to_owned() })
        };
        return (None, errors.into_iter().map(problem).collect());
    }
    if table.get_ref().is_empty() {
        return (None, Vec::new());
    }
    let place = lines.place(&(0..0));
    (Some(Node { place, value: Value::Map(entries(table.into_inner(), &lines)) }), Vec::new())
}

/// In the order of the file; the parser sorts them by their names.
fn entries(table: DeTable<'_>, lines: &Lines<'_>) -> Map {
    let mut entries: Map = table
        .into_iter()
        .map(|(key, value)| {
            let place = lines.place(&key.span());
            Entry {
                key: Key { text: key.into_inner().into_owned(), place },
                value: node(value, lines),
            }
        })
        .collect();
    entries.sort_by_key(|entry| entry.key.place);
    entries
}

fn node(value: Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    let span = value.span();
    let place = lines.place(&span);
    let text = |text: &str| Value::Text(text.into());
    let value = match value.into_inner() {
        DeValue::Array(items) => {
            Value::List(items.into_iter().map(|item| node(item, lines)).collect())
        }
        DeValue::Boolean(value) => text(if value { "true" } else { "false" }),
        DeValue::Datetime(value) => text(&value.to_string()),
        DeValue::Float(value) => text(value.as_str()),
        DeValue::Integer(value) => text(value.as_str()),
        DeValue::String(value) => text(&value),
        DeValue::Table(table) => Value::Map(entries(table, lines)),
    };
    Node { place, value }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Place;
    use super::*;

    #[test]
    fn keys_and_values_know_their_places() {
        let (root, findings) = parse("version = 1\n[workers.cam1]\nuse = 'ingest'\nloop = true\n");
        assert!(findings.is_empty());
        let Value::Map(top) = root.unwrap().value else { panic!("no section") };
        let place = |line, column, width| Place { source: 0, line, column, width };
        assert_eq!((top[0].key.text.as_str(), top[0].value.as_text()), ("version", Some("1")));
        let Value::Map(workers) = &top[1].value.value else { panic!("no section") };
        assert_eq!(workers[0].key.place, place(2, 10, 4));
        let Value::Map(cam1) = &workers[0].value.value else { panic!("no section") };
        assert_eq!(cam1[0].value.place, place(3, 7, 8));
        assert_eq!(cam1[1].value.as_text(), Some("true"));
    }

    #[test]
    fn every_mistake_of_the_text_has_its_place() {
        let findings = parse("a = \nb = 1\nc = ]\n").1;
        let lines: Vec<_> = findings.iter().map(|it| it.place.unwrap().line).collect();
        assert!(lines.contains(&1) && lines.contains(&3), "{findings:?}");
        assert!(parse("a = 1\na = 2\n").0.is_none());
    }
}
