//! As much of Prometheus' language as it takes to say which metrics and labels an expression needs.

use std::collections::BTreeSet;

/// A metric, and its labels that are asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) metric: String,
    pub(crate) labels: BTreeSet<String>,
}

/// Every `framevisor_...` of the expression, and `up`.
pub(crate) fn uses(expression: &str) -> Vec<Used> {
    let mut found = Vec::new();
    let bytes = expression.as_bytes();
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'"' {
            at += 2 + expression[at + 1..].find('"').unwrap_or(bytes.len());
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|b| is_word(**b)).count();
        let word = &expression[at..end];
        if word.starts_with("framevisor_") || word == "up" {
            let behind = &expression[end..];
            let labels = behind.strip_prefix('{').map_or_else(BTreeSet::new, names);
            found.push(Used { metric: word.to_owned(), labels });
        }
        at = end.max(at + 1);
    }
    found
}

/// Of `a="x", b=~"y,z"} ...`, up to the brace that no text holds.
fn names(selector: &str) -> BTreeSet<String> {
    let mut quoted = false;
    let outside: String = selector
        .chars()
        .take_while(|c| {
            quoted ^= *c == '"';
            quoted || *c != '}'
        })
        .collect();
    let texts = outside.split('"').step_by(2);
    let name = |part: &str| part.trim().trim_end_matches(['=', '~', '!']).to_owned();
    texts.flat_map(|part| part.split(',')).map(name).filter(|it| !it.is_empty()).collect()
}

/// `$name` and `${name}` of a dashboard.
pub(crate) fn variables(text: &str) -> BTreeSet<String> {
    let after = text.split('$').skip(1);
    let name = |rest: &str| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
    };
    after.map(name).filter(|name| !name.is_empty()).collect()
}

#[test]
fn metrics_and_their_labels_are_found() {
    let used = uses(
        r#"rate(framevisor_a_total{b="x}",c=~"y,z", d!="up"}[5m]) > 0 and up == 1 or vector(0)"#,
    );
    let labels = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<_>>();
    let use_of =
        |metric: &str, names: &[&str]| Used { metric: metric.to_owned(), labels: labels(names) };
    assert_eq!(used, [use_of("framevisor_a_total", &["b", "c", "d"]), use_of("up", &[])]);
    let plain = uses(r#"framevisor_b{x=~"1,2",y!="3"}"#);
    assert_eq!(plain[0].labels, labels(&["x", "y"]));
    assert_eq!(variables("a $b ${c} $__d 5$"), labels(&["b", "c", "__d"]));
}
