//! `events`: what became of the workers, and becomes.

use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use protocol::time::UtcNs;

use super::client::Client;
use super::{CliError, Context, FormArg, terminal};
use crate::admin::verbs::EventsWanted;
use crate::history::Change;
use crate::selector::Selector;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor events
  framevisor events -f 'cam*'
  framevisor events -f -o json";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only of these workers, by name or pattern ('cam*')
    names: Vec<Selector>,
    /// Go on with new ones as they come
    #[arg(short, long)]
    follow: bool,
    /// Newest events; the last 1000 are kept
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1000)]
    count: usize,
    #[command(flatten)]
    pub(super) form: FormArg,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let Args { names, follow, count, form: _ } = args;
    let past: Vec<Change> = client.ask("events", &EventsWanted { names, count, follow })?;
    let width = past.iter().map(|change| change.worker.as_str().len()).max().unwrap_or(0);
    for change in &past {
        show(context, change, width)?;
    }
    if follow {
        while let Some(change) = client.next_event::<Change>()? {
            show(context, &change, width)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One line each in either form, so that a program need not wait for an end.
fn show(context: &Context, change: &Change, width: usize) -> Result<(), CliError> {
    if context.is_json() {
        return terminal::json(change);
    }
    let Change { time_utc_ns, worker, from, to, reason } = change;
    let (time, from, to) = (time_of(*time_utc_ns), from.as_str(), to.as_str());
    let line = format!("{time}  {worker:width$}  {from} -> {to}  {reason}");
    terminal::data(&format!("{}\n", line.trim_end()))
}

/// `2026-11-20T13:09:00.123Z`.
pub(super) fn time_of(time: UtcNs) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(time.0)).to_string()
}
