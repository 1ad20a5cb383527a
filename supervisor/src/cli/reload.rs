//! `reload`: brings a running project to what its topology says now, touching only what differs.

use std::process::ExitCode;

use protocol::units::Span;

use super::client::Client;
use super::{CliError, Context, FileArg, change};
use crate::admin::changes::ReloadWanted;
use crate::selector::Selector;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor reload --plan
  framevisor reload
  framevisor reload --wait 10s";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The only workers that may change, by name or pattern ('cam*'); without any, all may
    names: Vec<Selector>,
    /// Only show what would change
    #[arg(long)]
    plan: bool,
    /// How long a worker that does not come up has, beyond its start deadline, until all is undone
    #[arg(long, value_name = "SPAN")]
    wait: Option<Span>,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let files = if context.names_files() { context.readable_files()? } else { Vec::new() };
    let verb = if args.plan { "plan" } else { "reload" };
    let wanted = ReloadWanted { files, names: args.names, wait: args.wait };
    change::ask(context, &mut client, verb, &wanted, args.wait)
}
