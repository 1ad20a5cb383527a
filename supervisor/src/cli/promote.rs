//! `promote`: a shadow and the worker that it was tried beside change places.

use std::process::ExitCode;

use protocol::name::WorkerName;

use super::client::Client;
use super::{CliError, Context, FileArg, change, terminal};
use crate::admin::changes::ShadowNamed;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor promote counter-next
  framevisor promote counter-next --plan

A second time it is undone. It holds until `framevisor down`; to keep it, change the places of `run` (or of what they
are otherwise) in the topology. `framevisor compare counter-next` shows what the two find.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The worker with `shadow: NAME`
    name: WorkerName,
    /// Only show what would change
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let (name, plan) = (args.name, args.plan);
    let wanted = ShadowNamed { name, plan };
    let code = change::ask(context, &mut client, "promote", &wanted, None)?;
    if !plan {
        terminal::talk(
            "holds until `framevisor down`; to keep it, let the two change places in the topology",
        );
    }
    Ok(code)
}
