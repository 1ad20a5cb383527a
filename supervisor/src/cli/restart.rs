//! `restart`: stop workers and start them again, forgiving their past; waits until they are up.

use std::process::ExitCode;
use std::time::Duration;

use protocol::admin::{WorkerState, WorkerStatus};
use protocol::name::WorkerName;
use protocol::units::Span;
use serde_json::Value;
use shmring::clock;

use super::client::Client;
use super::{CliError, Context, FileArg};
use crate::admin::verbs::Names;

/// A recorder may take 5 s to stop and 5 s to start.
const UP_WITHIN: Span = Span::from_millis(12_000);
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The workers
    #[arg(required = true)]
    names: Vec<WorkerName>,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let names = Names { names: args.names };
    let before: Vec<WorkerStatus> = client.ask("ps", &())?;
    let _: Value = client.ask("restart", &names)?;
    let deadline = clock::mono() + UP_WITHIN.duration();
    loop {
        let now: Vec<WorkerStatus> = client.ask("ps", &())?;
        let mut named = now.iter().filter(|worker| names.names.contains(&worker.name));
        if let Some(held) = named.clone().find(|worker| is_down(worker.state)) {
            return Err(CliError::Degraded(format!(
                "{} is {}: {}",
                held.name,
                held.state.as_str(),
                held.why
            )));
        }
        let waiting = named.find(|worker| !is_up_again(worker, &before));
        let Some(waiting) = waiting else { return Ok(ExitCode::SUCCESS) };
        if clock::mono() > deadline {
            let missing = format!(": {} is {}", waiting.name, waiting.state.as_str());
            return Err(CliError::Timeout { what: "readiness", limit: UP_WITHIN, missing });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn is_down(state: WorkerState) -> bool {
    matches!(state, WorkerState::Held | WorkerState::Backoff)
}

fn is_up_again(worker: &WorkerStatus, before: &[WorkerStatus]) -> bool {
    let old = before.iter().find(|old| old.name == worker.name);
    let started = old.is_none_or(|old| old.restarts < worker.restarts || old.pid.is_none());
    let up =
        matches!(worker.state, WorkerState::Ready | WorkerState::Running | WorkerState::Degraded);
    started && up
}
