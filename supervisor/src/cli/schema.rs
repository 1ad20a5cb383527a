//! `schema`: what a topology may say, for editors.

use std::process::ExitCode;

use super::{CliError, terminal};
use crate::topology;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor schema
  framevisor schema > framevisor.schema.json

Editors that know YAML find it by the first line of the topology:
  # yaml-language-server: $schema=framevisor.schema.json";

pub(super) fn run() -> Result<ExitCode, CliError> {
    terminal::data(&text())?;
    Ok(ExitCode::SUCCESS)
}

/// As it is printed, and as files have it.
pub(super) fn text() -> String {
    format!("{:#}\n", topology::schema())
}
