//! `why`: one screen that says why a worker does not run, or was started again; or all of it as files.

mod save;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use protocol::control::ItemId;
use protocol::name::WorkerName;
use protocol::time::UtcNs;
use protocol::units::Span;
use serde_json::Value;

use super::client::Client;
use super::events::time_of;
use super::{CliError, Context, FileArg, table, terminal};
use crate::admin::why::{Whose, Why};
use crate::dossier::{Death, RingHead};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor why motion1
  framevisor why motion1 -o json
  framevisor why motion1 --save motion1-died";

/// Deaths that fit on a screen beside the rest; JSON has them all.
const DEATHS_SHOWN: usize = 5;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The worker
    name: WorkerName,
    /// Write all of it into this folder, which must be new or empty: what is known, its lines and
    /// events, the item in hand, the last picture, and the last of its rings
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// How much of its rings goes with --save
    #[arg(long, value_name = "SPAN", default_value = "10s", requires = "save")]
    last: Span,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let answer: Value = client.ask("why", &Whose { name: args.name })?;
    if let Some(folder) = args.save {
        let saved = save::save(context, &mut client, &answer, (&folder, args.last))?;
        if context.is_json() {
            terminal::json(&saved)?;
        } else {
            terminal::data(&save::in_words(&saved))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if context.is_json() {
        // As it came: keys this command does not know stay.
        terminal::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let why: Why = serde_json::from_value(answer).map_err(CliError::skew("why"))?;
    terminal::data(&page(&why))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn page(why: &Why) -> String {
    let mut page = head(why);
    page.push_str(&deaths(&why.deaths));
    page.push_str(&rings(why));
    let lines = why.lines.iter().map(|line| (line.time_utc_ns, line.text.as_str()));
    page.push_str(&last_lines(lines));
    page.push_str("\ntry\n");
    let width = why.advice.iter().map(|advice| advice.command.chars().count()).max().unwrap_or(0);
    for advice in &why.advice {
        let _ = writeln!(page, "  {:width$}  {}", advice.command, advice.because);
    }
    page
}

fn head(why: &Why) -> String {
    let worker = &why.worker;
    let mut text = format!("{} ({}) is {}", worker.name, worker.kind, worker.state.as_str());
    if !worker.why.is_empty() {
        let _ = write!(text, ": {}", worker.why);
    }
    let _ = match worker.pid {
        Some(pid) => write!(text, "\npid {pid}, up {}", table::span(worker.uptime_s)),
        None => write!(text, "\nno process"),
    };
    let _ = write!(text, ", restarts {}", worker.restarts);
    if let Some(item) = why.item {
        let _ = write!(text, ", works on {}", in_words(item));
    }
    text.push('\n');
    for item in &why.passed_over {
        let _ = writeln!(text, "passes over {}: it died on it twice", in_words(*item));
    }
    text
}

fn deaths(deaths: &[Death]) -> String {
    if deaths.is_empty() {
        return "\nit has never died\n".to_owned();
    }
    let row = |death: &Death| {
        vec![
            time_of(death.time_utc_ns),
            table::span(death.uptime_s),
            death.item.map_or_else(|| "-".to_owned(), in_words),
            if death.asked_for {
                format!("{} (asked for)", death.reason)
            } else {
                death.reason.clone()
            },
        ]
    };
    let newest: Vec<Vec<String>> = deaths.iter().rev().take(DEATHS_SHOWN).map(row).collect();
    let table = table::render(&["LAST DEATHS", "AFTER", "ITEM IN HAND", "REASON"], &newest);
    format!("\n{table}")
}

fn rings(why: &Why) -> String {
    let row = |role: &str, ring: &RingHead, writer: &str| {
        vec![
            role.to_owned(),
            ring.name.to_string(),
            writer.to_owned(),
            if ring.live { "yes" } else { "no" }.to_owned(),
            ring.head.to_string(),
            ring.age_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms}ms")),
        ]
    };
    let mut rows = Vec::new();
    for reads in &why.reads {
        let writer = reads.writer.as_ref().map_or("(outside)", WorkerName::as_str);
        rows.push(row("reads", &reads.ring, writer));
    }
    rows.extend(why.writes.as_ref().map(|ring| row("writes", ring, why.worker.name.as_str())));
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", table::render(&["RINGS", "NAME", "WRITER", "LIVE", "HEAD", "AGE"], &rows))
}

fn last_lines<'a>(lines: impl Iterator<Item = (UtcNs, &'a str)>) -> String {
    let mut text = "\nlast lines\n".to_owned();
    for (time, line) in lines {
        let _ = writeln!(text, "  {} | {line}", time_of(time));
    }
    if text.lines().count() == 2 { "\nit has printed nothing\n".to_owned() } else { text }
}

fn in_words(item: ItemId) -> String {
    format!("{} of epoch {}", item.sequence, item.epoch)
}
