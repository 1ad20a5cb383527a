//! `ps`: the workers, their states and why.

use std::process::ExitCode;

use protocol::admin::WorkerStatus;
use serde_json::Value;
use shmring::clock;

use super::client::Client;
use super::{CliError, Context, clients, table, terminal};
use crate::admin::verbs::Status;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor ps
  framevisor ps -o json";

const HEAD: [&str; 8] = ["NAME", "KIND", "STATE", "PID", "UP", "RESTARTS", "LAST EXIT", "WHY"];

pub(super) fn run(context: &Context) -> Result<ExitCode, CliError> {
    let place = context.place()?;
    let mut client = Client::connect(&place)?;
    if context.is_json() {
        // As it came: keys this command does not know stay.
        let mut list = client.ask::<Value>("ps", &())?;
        clients::add_to(&mut list, place.path(), clock::now().utc);
        terminal::json(&list)?;
        return Ok(ExitCode::SUCCESS);
    }
    let workers: Vec<WorkerStatus> = client.ask("ps", &())?;
    let status: Status = client.ask("status", &())?;
    let rows: Vec<Vec<String>> = workers.iter().map(row).collect();
    terminal::data(&table::render(&HEAD, &rows))?;
    terminal::talk(&format!(
        "project {}, supervisor {}, guard {}, up {}{}",
        status.project,
        status.supervisor,
        status.guard,
        table::span(status.uptime_s),
        if status.stopping { ", stopping" } else { "" },
    ));
    Ok(ExitCode::SUCCESS)
}

fn row(worker: &WorkerStatus) -> Vec<String> {
    let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    vec![
        worker.name.to_string(),
        worker.kind.clone(),
        worker.state.as_str().to_owned(),
        worker.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        worker.pid.map_or_else(|| "-".to_owned(), |_| table::span(worker.uptime_s)),
        worker.restarts.to_string(),
        dash(&worker.last_exit),
        dash(&worker.why),
    ]
}
