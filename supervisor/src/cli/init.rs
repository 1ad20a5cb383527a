//! `init`: a topology to begin with. It never writes over a file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use super::{CliError, Context, FileArg, terminal};

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

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let files = context.files();
    let path = files[0].as_path();
    let new = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = new.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => CliError::Exists { path: path.to_owned() },
        _ => CliError::Write { path: path.to_owned(), source },
    })?;
    file.write_all(args.template.text().as_bytes())
        .map_err(|source| CliError::Write { path: path.to_owned(), source })?;
    if context.is_json() {
        terminal::json(&json!({"file": path}))?;
    }
    terminal::talk(&format!(
        "wrote {}; look into it, then {} and {}",
        path.display(),
        context.hint("check"),
        context.hint("up"),
    ));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{self, Overrides};

    #[test]
    fn every_template_is_a_topology_without_mistakes() {
        for template in Template::value_variants() {
            let file = "/srv/yard/framevisor.yml".as_ref();
            let topology = topology::parse(template.text(), file, &Overrides::default());
            let topology = topology.unwrap_or_else(|report| panic!("{template:?}: {report}"));
            assert!(topology.workers.len() >= 5);
        }
    }
}
