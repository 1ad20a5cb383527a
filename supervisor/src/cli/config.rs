//! `config`: the topology in one piece, as it was written or as it is understood.

use std::process::ExitCode;

use serde_json::json;

use super::{CliError, Context, FileArg, terminal};
use crate::topology;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor config
  framevisor config --expanded";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Plain workers and rings: without cameras, defaults, templates, ranges
    #[arg(long)]
    expanded: bool,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let text = topology::config(&context.files(), &context.overrides(), args.expanded);
    let text = text.map_err(CliError::Topology)?;
    if context.is_json() {
        terminal::json(&json!({"expanded": args.expanded, "topology": text}))?;
    } else {
        terminal::data(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}
