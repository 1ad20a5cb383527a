//! `${NAME}` and `${NAME:-default}` in values, filled from the caller's variables.

use std::collections::BTreeMap;

use super::problem::{Finding, Subject, TextProblem};
use super::tree::{Node, Value};

/// Replaces variables everywhere below `node`. A value whose variable cannot be had becomes
/// [`Value::Broken`], so that nobody complains about it twice.
pub(super) fn fill(node: &mut Node, variables: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    fill_into(node, variables, &mut findings);
    findings
}

fn fill_into(node: &mut Node, variables: &BTreeMap<String, String>, findings: &mut Vec<Finding>) {
    match &mut node.value {
        Value::Broken | Value::Null => {}
        Value::List(items) => {
            for item in items {
                fill_into(item, variables, findings);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                fill_into(&mut entry.value, variables, findings);
            }
        }
        Value::Text(text) => match filled(&text.value, variables) {
            Ok(done) => text.fill(done),
            Err(problem) => {
                let place = Some(node.place);
                findings.push(Finding {
                    place,
                    subject: Subject::Topology,
                    problem: problem.into(),
                });
                node.value = Value::Broken;
            }
        },
    }
}

fn filled(text: &str, variables: &BTreeMap<String, String>) -> Result<String, TextProblem> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &from[2..];
            continue;
        }
        out.push_str(before);
        let (opened, after) = from.split_once('}').ok_or_else(|| syntax(from))?;
        out.push_str(value(opened, variables)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The value of `opened`, which is a variable without its closing brace. As in a shell, `:-` also
/// stands in for a variable that is set to nothing.
fn value<'a>(
    opened: &'a str,
    variables: &'a BTreeMap<String, String>,
) -> Result<&'a str, TextProblem> {
    let inner = &opened[2..];
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_variable_name(name) || default.is_some_and(|text| text.contains("${")) {
        return Err(syntax(&format!("{opened}}}")));
    }
    match (variables.get(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default),
        (None, None) => Err(TextProblem::VariableUnset { name: name.to_owned() }),
    }
}

fn syntax(seen: &str) -> TextProblem {
    TextProblem::VariableSyntax { seen: seen.to_owned() }
}

/// Letters, digits and `_`, not beginning with a digit.
pub(super) fn is_variable_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill_text(text: &str) -> Result<String, TextProblem> {
        let variables = [("DIR", "/data"), ("EMPTY", "")].map(|(k, v)| (k.into(), v.into()));
        filled(text, &variables.into())
    }

    #[test]
    fn variables_and_defaults_are_filled_in() {
        assert_eq!(fill_text("${DIR}/rec").unwrap(), "/data/rec");
        assert_eq!(fill_text("a${NONE:-test:?fps=25&gop=5}b").unwrap(), "atest:?fps=25&gop=5b");
        assert_eq!(fill_text("${EMPTY:-x}${EMPTY}").unwrap(), "x");
        assert_eq!(fill_text("$${DIR} costs 5$").unwrap(), "${DIR} costs 5$");
    }

    #[test]
    fn a_text_knows_what_was_written_in_its_place() {
        let mut text = super::super::tree::Text::from("${DIR}/rec");
        let filled = fill_text(&text.value).unwrap();
        text.fill(filled);
        assert_eq!((text.value.as_str(), text.written()), ("/data/rec", "${DIR}/rec"));
    }

    #[test]
    fn an_unset_variable_without_default_is_refused() {
        assert_eq!(fill_text("${NONE}"), Err(TextProblem::VariableUnset { name: "NONE".into() }));
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for bad in ["${", "${}", "${1A}", "${A B}", "${cred:x}", "${A:-${B}}", "${DIR"] {
            assert!(matches!(fill_text(bad), Err(TextProblem::VariableSyntax { .. })), "{bad:?}");
        }
    }
}
