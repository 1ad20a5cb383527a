//! `${NAME}`, `${NAME:-default}` and `${cred:NAME}` in values, filled with what the caller gives.

use std::collections::BTreeMap;

use super::problem::{CredentialProblem, Finding, Problem, Subject, TextProblem};
use super::tree::{Node, Value};
use super::{Overrides, credentials};

/// Replaces variables everywhere below `node`. A value whose variable cannot be had becomes
/// [`Value::Broken`], so that nobody complains about it twice.
pub(super) fn fill(node: &mut Node, overrides: &Overrides) -> Vec<Finding> {
    let mut findings = Vec::new();
    node.visit(&mut |node| {
        let Value::Text(text) = &mut node.value else { return };
        match filled(&text.value, overrides) {
            Ok((value, is_secret)) => {
                text.fill(value);
                text.is_secret = is_secret;
            }
            Err(problem) => {
                let (place, subject) = (Some(node.place), Subject::Topology);
                findings.push(Finding { place, subject, problem });
                node.value = Value::Broken;
            }
        }
    });
    findings
}

/// The text, and whether it holds a credential.
fn filled(text: &str, overrides: &Overrides) -> Result<(String, bool), Problem> {
    let mut out = String::with_capacity(text.len());
    let mut is_secret = false;
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
        match opened[2..].strip_prefix(credentials::PREFIX) {
            Some(name) => {
                out.push_str(credential(name, overrides)?);
                is_secret = true;
            }
            None => out.push_str(value(opened, &overrides.variables)?),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok((out, is_secret))
}

fn credential<'a>(name: &str, overrides: &'a Overrides) -> Result<&'a str, Problem> {
    if !credentials::is_name(name) {
        return Err(CredentialProblem::Name { seen: name.to_owned() }.into());
    }
    match overrides.credentials.get(name) {
        Some(Ok(secret)) => Ok(secret.reveal()),
        Some(Err(problem)) => Err(problem.clone().into()),
        None => {
            Err(CredentialProblem::NotThere { name: name.to_owned(), looked: Vec::new() }.into())
        }
    }
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

    fn fill_text(text: &str) -> Result<String, Problem> {
        let variables = [("DIR", "/data"), ("EMPTY", "")].map(|(k, v)| (k.into(), v.into()));
        let overrides = Overrides { variables: variables.into(), ..Overrides::default() };
        filled(text, &overrides).map(|(text, _)| text)
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
        assert_eq!(
            fill_text("${NONE}"),
            Err(TextProblem::VariableUnset { name: "NONE".into() }.into())
        );
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for bad in ["${", "${}", "${1A}", "${A B}", "${A:-${B}}", "${DIR"] {
            assert!(
                matches!(fill_text(bad), Err(Problem::Text(TextProblem::VariableSyntax { .. }))),
                "{bad:?}"
            );
        }
    }
}
