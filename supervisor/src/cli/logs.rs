//! `logs`: what the workers printed, and print.

use std::process::ExitCode;

use protocol::name::WorkerName;

use super::client::Client;
use super::{CliError, Context, terminal};
use crate::admin::verbs::LogsWanted;
use crate::logs::LogLine;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only of these workers
    names: Vec<WorkerName>,
    /// Go on with new lines as they come
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Newest lines of each worker
    #[arg(short = 'n', long, default_value_t = 100, value_name = "COUNT")]
    lines: usize,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let Args { names, follow, lines } = args;
    let past: Vec<LogLine> = client.ask("logs", &LogsWanted { names, lines, follow })?;
    let width = past.iter().map(|line| line.worker.as_str().len()).max().unwrap_or(0);
    for line in &past {
        show(context, line, width)?;
    }
    if follow {
        while let Some(line) = client.next_event::<LogLine>()? {
            show(context, &line, width)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(context: &Context, line: &LogLine, width: usize) -> Result<(), CliError> {
    if context.is_json() {
        return terminal::json(line);
    }
    terminal::data(&format!("{:width$} | {}\n", line.worker, line.text))
}
