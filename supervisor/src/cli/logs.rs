//! `logs`: what the workers printed, and print.

use std::process::ExitCode;

use protocol::units::Span;

use super::client::Client;
use super::events::time_of;
use super::when::{Here, When};
use super::{CliError, Context, FormArg, terminal};
use crate::admin::verbs::LogsWanted;
use crate::logs::LogLine;
use crate::selector::Selector;

/// Newest lines of each worker, unless a time or text chooses.
const LINES: usize = 100;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor logs -f motion1
  framevisor logs 'cam*' --since 10s
  framevisor logs recorder --since 13:09
  framevisor logs --grep error -o json";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only of these workers, by name or pattern ('cam*')
    names: Vec<Selector>,
    /// Go on with new lines as they come
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Newest lines of each worker [default: 100; all that are kept with --since or --grep]
    #[arg(short = 'n', long, value_name = "COUNT")]
    lines: Option<usize>,
    /// Only lines that are not older: 10s, a local time such as 13:09, or one with its zone
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<When>,
    /// Only lines with this text in them
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    #[command(flatten)]
    pub(super) form: FormArg,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let follow = args.follow;
    let past: Vec<LogLine> = client.ask("logs", &wanted(args, &Here::now())?)?;
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

fn wanted(args: Args, here: &Here) -> Result<LogsWanted, CliError> {
    let Args { names, follow, lines, since, grep, form: _ } = args;
    let chosen = since.is_some() || grep.is_some();
    let lines = lines.unwrap_or(if chosen { usize::MAX } else { LINES });
    let from = since.map(|since| here.from(&since)).transpose().map_err(CliError::When)?;
    let since = from.map(|from| Span(here.now.0.saturating_sub(from.0)));
    Ok(LogsWanted { names, lines, follow, since, grep: grep.unwrap_or_default() })
}

fn show(context: &Context, line: &LogLine, width: usize) -> Result<(), CliError> {
    if context.is_json() {
        return terminal::json(line);
    }
    let LogLine { worker, time_utc_ns, text, .. } = line;
    terminal::data(&format!("{}  {worker:width$} | {text}\n", time_of(*time_utc_ns)))
}
