//! `rings`: what flows, how far it is, and who reads it.

use std::process::ExitCode;

use protocol::admin::{ReaderStatus, RingStatus};
use serde_json::Value;

use super::client::Client;
use super::{CliError, Context, table, terminal};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor rings
  framevisor rings -o json";

const HEAD: [&str; 8] = ["NAME", "WRITER", "EPOCH", "HEAD", "AGE", "SIZE", "MEMORY", "READERS"];

pub(super) fn run(context: &Context) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    if context.is_json() {
        terminal::json(&client.ask::<Value>("rings", &())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rings: Vec<RingStatus> = client.ask("rings", &())?;
    let rows: Vec<Vec<String>> = rings.iter().map(row).collect();
    terminal::data(&table::render(&HEAD, &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn row(ring: &RingStatus) -> Vec<String> {
    let writer = match ring.writer_pid {
        Some(pid) if ring.live => pid.to_string(),
        _ if ring.live => "alive".to_owned(),
        _ => "none".to_owned(),
    };
    let size =
        if ring.width > 0 { format!("{}x{}", ring.width, ring.height) } else { "-".to_owned() };
    let readers: Vec<String> = ring.readers.iter().map(reader).collect();
    vec![
        ring.name.to_string(),
        writer,
        ring.epoch.to_string(),
        ring.head.to_string(),
        ring.age_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms}ms")),
        size,
        table::bytes(ring.bytes),
        if readers.is_empty() { "-".to_owned() } else { readers.join(", ") },
    ]
}

fn reader(reader: &ReaderStatus) -> String {
    let missed =
        if reader.missed > 0 { format!(" missed {}", reader.missed) } else { String::new() };
    format!("{} (lag {}{missed})", reader.name, reader.lag)
}
