//! Mistakes of the text itself, before anybody asks what it means.

use super::super::FILE_MAX_BYTES;
use super::super::tree::Place;
use super::super::yaml::{DEPTH_MAX, NODES_MAX};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TextProblem {
    #[error("an alias inside its own anchor")]
    AliasInItself,
    #[error("cannot read the topology: {reason}")]
    CannotRead { reason: String },
    #[error("key '{key}' is written twice")]
    DuplicateKey { key: String, first: Place },
    #[error("the file holds no topology")]
    Empty,
    #[error("not valid JSON: {info}")]
    Json { info: String },
    #[error("a key is {seen}: expected a word")]
    KeyNotText { seen: String },
    #[error("the file is no UTF-8 text")]
    NotUtf8,
    #[error("a second document begins here")]
    SecondDocument,
    #[error("a tag ('!...'): topologies have none")]
    Tag,
    #[error("nested more than {DEPTH_MAX} levels deep")]
    TooDeep,
    #[error("the file is larger than {FILE_MAX_BYTES} bytes")]
    TooLarge,
    #[error("not valid TOML: {info}")]
    Toml { info: String },
    #[error("more than {NODES_MAX} values, aliases counted as what they repeat")]
    TooManyNodes,
    #[error("'{seen}' is no variable: expected ${{NAME}} or ${{NAME:-default}}")]
    VariableSyntax { seen: String },
    #[error("variable {name} is not set")]
    VariableUnset { name: String },
    #[error("not valid YAML: {info}")]
    Yaml { info: String, line: String },
}

impl TextProblem {
    pub(super) fn help(&self) -> String {
        match self {
            Self::AliasInItself => "write the value out".into(),
            Self::CannotRead { .. } => {
                "give a topology with -f FILE, or start in the folder that holds framevisor.yml"
                    .into()
            }
            Self::DuplicateKey { .. } => "keep one of the two".into(),
            Self::Json { .. } => {
                "JSON has quotes around every key and text, and no comma behind the last entry"
                    .into()
            }
            Self::Toml { .. } => {
                "write KEY = VALUE, texts in quotes, sections as [workers.cam1]".into()
            }
            Self::Empty => "begin with 'version: 1' and 'workers:'".into(),
            Self::KeyNotText { .. } => {
                "write KEY: VALUE; quote a value that begins with { or [".into()
            }
            Self::NotUtf8 => "save the file as UTF-8".into(),
            Self::SecondDocument => {
                "a file holds one topology: remove '---' and what follows".into()
            }
            Self::Tag => "quote a value that begins with !".into(),
            Self::TooDeep => {
                "a topology needs no more than five levels: look for a stray [ or {".into()
            }
            Self::TooLarge | Self::TooManyNodes => "split it into several projects".into(),
            Self::VariableSyntax { .. } => "for the characters ${ themselves write $${".into(),
            Self::VariableUnset { name } => {
                format!("set {name} in the environment, or give a default: ${{{name}:-value}}")
            }
            Self::Yaml { info, line } => yaml_help(info, line),
        }
    }
}

/// The parser speaks of its own state; these are the mistakes behind its most frequent messages.
fn yaml_help(info: &str, line: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|word| info.contains(word));
    let cure = if has(&["anchor", "alias"]) {
        "quote a name with a star: in: '*.events'"
    } else if has(&["tab"]) {
        "indent with spaces, not tabs"
    } else if has(&["escape"]) {
        "use single quotes, in which a backslash is only a backslash"
    } else if has(&["quoted scalar"]) {
        "close the quotes"
    } else if has(&["flow", "',' or"]) && line.contains("${") {
        "inside [ ] and { } quote a variable: '${NAME}'"
    } else if has(&["flow", "',' or"]) {
        "close every [ and {, put commas between, and quote values that hold one of []{},"
    } else if has(&["unexpected character"]) {
        "quote a value that begins with this character"
    } else {
        "write KEY: VALUE, the keys of one section under each other, indented with spaces"
    };
    cure.to_owned()
}
