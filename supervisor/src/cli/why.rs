//! `why`: one screen that says why a worker does not run, or was started again; or all of it as files.

mod save;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use protocol::admin::WorkerStatus;
use protocol::control::ItemId;
use protocol::name::WorkerName;
use protocol::time::UtcNs;
use protocol::units::Span;
use serde_json::{Value, json};

use super::client::Client;
use super::events::time_of;
use super::{CliError, Context, FileArg, table, terminal};
use crate::admin::why::{Reading, Whose, Why};
use crate::dossier::{Death, RingHead};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor why motion1
  framevisor why motion1 -o json
  framevisor why motion1 --save motion1-died";

/// Deaths that fit on a screen beside the rest; JSON has them all.
const DEATHS_SHOWN: usize = 5;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The worker; of a command with rings at stdin and stdout both its parts
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
    let mut answers: Vec<Value> = Vec::new();
    for name in parts_of(&mut client, &args.name)? {
        answers.push(client.ask("why", &Whose { name })?);
    }
    if let Some(folder) = &args.save {
        return save_all(context, &mut client, &answers, (folder, args.last));
    }
    if context.is_json() {
        // As it came: keys this command does not know stay.
        terminal::json(&alone_or_parts(answers))?;
        return Ok(ExitCode::SUCCESS);
    }
    let pages = answers.into_iter().map(|answer| {
        let why: Why = serde_json::from_value(answer).map_err(CliError::skew("why"))?;
        Ok(page(&why))
    });
    terminal::data(&pages.collect::<Result<Vec<_>, CliError>>()?.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The worker of this name, or what a command with rings at stdin and stdout consists of.
pub(super) fn parts_of(
    client: &mut Client,
    name: &WorkerName,
) -> Result<Vec<WorkerName>, CliError> {
    let workers: Vec<WorkerStatus> = client.ask("ps", &())?;
    let names = || workers.iter().map(|worker| &worker.name);
    if names().any(|other| other == name) {
        return Ok(vec![name.clone()]);
    }
    let parts: Vec<WorkerName> =
        names().filter(|part| part.owner() == Some(name.as_str())).cloned().collect();
    // Of one that is not there the supervisor says which are.
    Ok(if parts.is_empty() { vec![name.clone()] } else { parts })
}

/// What is told of one worker, or `parts` of several.
pub(super) fn alone_or_parts(mut told: Vec<Value>) -> Value {
    if told.len() == 1 { told.remove(0) } else { json!({ "parts": told }) }
}

/// Parts go to a folder each.
fn save_all(
    context: &Context,
    client: &mut Client,
    answers: &[Value],
    (folder, last): (&Path, Span),
) -> Result<ExitCode, CliError> {
    let mut told = Vec::new();
    for answer in answers {
        let part = answer["worker"]["name"].as_str().and_then(|name| name.rsplit_once('/'));
        let folder = match part {
            Some((_, part)) if answers.len() > 1 => folder.join(part),
            _ => folder.to_owned(),
        };
        let saved = save::save(context, client, answer, (&folder, last))?;
        if context.is_json() {
            told.push(json!(saved));
        } else {
            terminal::data(&save::in_words(&saved))?;
        }
    }
    if context.is_json() {
        terminal::json(&alone_or_parts(told))?;
    }
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
    let row = |role: &str, ring: &RingHead, writer: &str, reader: Option<Reading>| {
        let of_reader = |figure: fn(Reading) -> Option<String>| {
            reader.and_then(figure).unwrap_or_else(|| "-".to_owned())
        };
        vec![
            role.to_owned(),
            ring.name.to_string(),
            writer.to_owned(),
            if ring.live { "yes" } else { "no" }.to_owned(),
            ring.head.to_string(),
            ring.age_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms}ms")),
            of_reader(|reader| Some(reader.lag.to_string())),
            of_reader(|reader| Some(reader.missed.to_string())),
            of_reader(|reader| Some(format!("{}ms", reader.held_ms?))),
        ]
    };
    let mut rows = Vec::new();
    for reads in &why.reads {
        let writer = reads.writer.as_ref().map_or("(outside)", WorkerName::as_str);
        rows.push(row("reads", &reads.ring, writer, reads.reader));
    }
    let own = why.worker.name.as_str();
    rows.extend(why.writes.as_ref().map(|ring| row("writes", ring, own, None)));
    if rows.is_empty() {
        return String::new();
    }
    let columns = ["RINGS", "NAME", "WRITER", "LIVE", "HEAD", "AGE", "BEHIND", "MISSED", "HELD"];
    format!("\n{}", table::render(&columns, &rows))
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
