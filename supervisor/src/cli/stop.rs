//! `stop`: end workers in order; they stay stopped until `start` or `restart`.

use std::process::ExitCode;

use protocol::admin::WorkerState;
use protocol::name::WorkerName;
use protocol::units::Span;

use super::client::Client;
use super::restart::Args;
use super::waiting::{self, Wait};
use super::{CliError, Context};
use crate::admin::verbs::Names;

/// Five groups, one after the other: at most 2.5 s each, and 5.5 s for recorders.
const STOPPED: Wait =
    Wait { what: "the end of the workers", limit: Span::from_millis(20_000), refuses_death: false };

pub(super) const EXAMPLES: &str = "Examples:
  framevisor stop cam2
  framevisor stop 'cam*' recorder";

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let names: Vec<WorkerName> = client.ask("stop", &Names { names: args.names })?;
    STOPPED.until(&mut client, &names, |worker| worker.state == WorkerState::Stopped)?;
    waiting::tell(context, "stopped", &names)?;
    Ok(ExitCode::SUCCESS)
}
