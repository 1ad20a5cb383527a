//! `start`: start workers that are stopped, held or waiting; waits until they are up.

use std::process::ExitCode;

use protocol::admin::WorkerStatus;
use protocol::name::WorkerName;

use super::client::Client;
use super::restart::{Args, UP};
use super::waiting;
use super::{CliError, Context};
use crate::admin::verbs::Names;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor start cam2
  framevisor start 'cam*' recorder";

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let before: Vec<WorkerStatus> = client.ask("ps", &())?;
    let names: Vec<WorkerName> = client.ask("start", &Names { names: args.names })?;
    let is_done = |worker: &WorkerStatus| {
        waiting::is_up(worker) || waiting::is_started_again(worker, &before)
    };
    UP.until(&mut client, &names, is_done)?;
    waiting::tell(context, "started", &names)?;
    Ok(ExitCode::SUCCESS)
}
