//! `init`: a topology to begin with, and its schema for editors. It never writes over a file.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use super::{CliError, Context, FileArg, schema, terminal};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor init
  framevisor init rtsp
  framevisor -f yard.yml init file";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to begin with
    #[arg(default_value = "demo")]
    template: Template,
    #[command(flatten)]
    pub(super) file: FileArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Template {
    /// Two synthetic cameras through everything; needs no hardware
    Demo,
    /// A media file as a camera
    File,
    /// Sixteen network cameras, the short way: ranges, a template, defaults
    Nvr16,
    /// A network camera
    Rtsp,
}

impl Template {
    fn text(self) -> &'static str {
        match self {
            Self::Demo => include_str!("templates/demo.yml"),
            Self::File => include_str!("templates/file.yml"),
            Self::Nvr16 => include_str!("../../../scripts/topologies/nvr16.yml"),
            Self::Rtsp => include_str!("templates/rtsp.yml"),
        }
    }
}

/// Beside the topology: what its first line names.
const SCHEMA: &str = "framevisor.schema.json";

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let files = context.files();
    let [path] = files.as_slice() else {
        return Err(CliError::ManyFiles { count: files.len() });
    };
    refuse_other_forms(path)?;
    create(path, &text(args.template)).map_err(|source| failure(path, source))?;
    let beside = path.with_file_name(SCHEMA);
    match create(&beside, &schema::text()) {
        // That of another topology in this folder, or one that somebody keeps.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        written => {
            written.map_err(|source| failure(&beside, source))?;
            terminal::talk(&format!("wrote {}, for editors", beside.display()));
        }
    }
    if context.is_json() {
        terminal::json(&json!({"file": path, "schema": beside}))?;
    }
    terminal::talk(&format!(
        "wrote {}; look into it, then {} and {}",
        path.display(),
        context.hint("check"),
        context.hint("up"),
    ));
    Ok(ExitCode::SUCCESS)
}

/// What is written is YAML, and is read by its name.
fn refuse_other_forms(path: &Path) -> Result<(), CliError> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match ending.as_str() {
        "json" | "toml" => {
            Err(CliError::Ending { path: path.to_owned(), expected: ".yml: init writes YAML" })
        }
        _ => Ok(()),
    }
}

/// With the line by which editors find the schema.
fn text(template: Template) -> String {
    format!("# yaml-language-server: $schema={SCHEMA}\n{}", template.text())
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn failure(path: &Path, source: io::Error) -> CliError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::AlreadyExists => CliError::Exists { path },
        _ => CliError::Write { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{self, Overrides};

    #[test]
    fn a_name_that_would_be_read_in_another_form_is_refused() {
        for name in ["yard.toml", "yard.JSON"] {
            let refused = refuse_other_forms(Path::new(name)).unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains("ends in .yml"), "{refused}");
        }
        for name in ["yard.yml", "yard.yaml", "yard", "-"] {
            refuse_other_forms(Path::new(name)).unwrap();
        }
    }

    #[test]
    fn every_template_is_a_topology_without_mistakes() {
        for template in Template::value_variants() {
            let file = "/srv/yard/framevisor.yml".as_ref();
            let text = text(*template);
            let topology = topology::parse(&text, file, &Overrides::default());
            let topology = topology.unwrap_or_else(|report| panic!("{template:?}: {report}"));
            assert!(topology.workers.len() >= 5);
            assert_eq!(topology::schema_refusal(&text), None, "{template:?}");
        }
    }
}
