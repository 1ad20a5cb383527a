//! `add`: workers and cameras beside those that run.

use std::path::PathBuf;
use std::process::ExitCode;

use protocol::units::Span;

use super::client::Client;
use super::{CliError, Context, FileArg, change};
use crate::admin::changes::FilesAdded;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor add cam9.yml
  framevisor add cam10.yml cam11.yml --wait 10s";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files in the form of a topology, with what is new
    #[arg(required = true, value_name = "FILE")]
    additions: Vec<PathBuf>,
    /// How long a worker that does not come up has, beyond its start deadline, until all is undone
    #[arg(long, value_name = "SPAN")]
    wait: Option<Span>,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let files = args.additions.iter().map(std::path::absolute).collect::<Result<_, _>>();
    let files = files.map_err(CliError::io("current directory"))?;
    change::ask(context, &mut client, "add", &FilesAdded { files, wait: args.wait }, args.wait)
}
