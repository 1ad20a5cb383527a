//! A tree as YAML, with references where values were filled in: what `config` prints.

use super::starred::starred;
use super::tree::{Entry, Node, Value};

/// The whole tree; it means what it meant, but for passwords and other secrets, which are starred out.
pub(super) fn yaml(root: &Node) -> String {
    let mut out = String::new();
    if let Value::Map(entries) = &root.value {
        section(entries, 0, &mut out);
    }
    out
}

fn section(entries: &[Entry], depth: usize, out: &mut String) {
    for Entry { key, value } in entries {
        indent(depth, out);
        out.push_str(&scalar(&key.text));
        out.push(':');
        below(&key.text, value, depth, out);
    }
}

/// What stands behind a key, or behind a dash in the list of one.
fn below(key: &str, node: &Node, depth: usize, out: &mut String) {
    match &node.value {
        Value::Broken | Value::Null => out.push('\n'),
        Value::List(items) if items.is_empty() => out.push_str(" []\n"),
        Value::List(items) => {
            out.push('\n');
            for item in items {
                indent(depth + 1, out);
                out.push('-');
                below(key, item, depth + 1, out);
            }
        }
        Value::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Value::Map(entries) => {
            out.push('\n');
            section(entries, depth + 1, out);
        }
        Value::Text(text) => {
            out.push(' ');
            out.push_str(&scalar(&starred(key, text.written())));
            out.push('\n');
        }
    }
}

fn indent(depth: usize, out: &mut String) {
    out.push_str(&"  ".repeat(depth));
}

/// Plain where that is safe in every YAML, else in quotes that hold anything.
fn scalar(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._/-".contains(&b);
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.')
        && text.bytes().all(plain)
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&&*text.to_lowercase());
    let is_word = matches!(text, "true" | "false");
    if is_plain || is_word {
        text.to_owned()
    } else if text.chars().any(char::is_control) {
        // Every JSON text is a text of YAML.
        serde_json::Value::from(text).to_string()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml;

    #[test]
    fn what_is_printed_reads_back_as_it_was() {
        let text = "a: {b: [x, 'it''s', \"tab\\t\", '', '*', 'null', {c: 1}], d: {}, e: [], f: }\n'a: b': '${X:-y}'\n";
        let (tree, findings) = yaml::parse(text);
        assert!(findings.is_empty());
        let tree = tree.unwrap();
        let printed = super::yaml(&tree);
        let again = yaml::parse(&printed).0.unwrap();
        assert!(again.says_the_same(&tree), "{printed}");
    }

    #[test]
    fn passwords_in_urls_are_not_printed() {
        let tree = yaml::parse("url: rtsp://admin:s3cret@10.0.0.5/main").0.unwrap();
        assert_eq!(super::yaml(&tree), "url: 'rtsp://************@10.0.0.5/main'\n");
        let tree = yaml::parse("url: 'rtsp://admin:${cred:pw}@10.0.0.5/main'").0.unwrap();
        assert_eq!(super::yaml(&tree), "url: 'rtsp://admin:${cred:pw}@10.0.0.5/main'\n");
    }
}
