//! `restart`: stop workers and start them again, forgiving their past; waits until they are up.

use std::process::ExitCode;

use protocol::admin::WorkerStatus;
use protocol::name::WorkerName;
use protocol::units::Span;

use super::client::Client;
use super::waiting::{self, Wait};
use super::{CliError, Context, FileArg};
use crate::admin::verbs::Names;
use crate::selector::Selector;

/// A recorder may take 5 s to stop and 5 s to start.
pub(super) const UP: Wait =
    Wait { what: "readiness", limit: Span::from_millis(12_000), refuses_death: true };

pub(super) const EXAMPLES: &str = "Examples:
  framevisor restart motion1
  framevisor restart 'cam*'";

/// For `restart`, `start` and `stop`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The workers, by name or pattern ('cam*')
    #[arg(required = true)]
    pub(super) names: Vec<Selector>,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let before: Vec<WorkerStatus> = client.ask("ps", &())?;
    let names: Vec<WorkerName> = client.ask("restart", &Names { names: args.names })?;
    UP.until(&mut client, &names, |worker| waiting::is_started_again(worker, &before))?;
    waiting::tell(context, "restarted", &names)?;
    Ok(ExitCode::SUCCESS)
}
