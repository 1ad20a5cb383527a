//! What a bug report needs, as one archive. Every text goes through the redactor on its way in, JSON by its
//! values, so that it stays JSON.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use shmring::clock;

use super::super::client::Client;
use super::super::{CliError, Context};
use super::archive::Archive;
use crate::admin::verbs::{EventsWanted, LogsWanted};
use crate::redact::Redactor;
use crate::topology::Topology;

pub(super) fn write(
    context: &Context,
    topology: Option<&Topology>,
    report: &Value,
    file: &Path,
) -> Result<(), CliError> {
    let redactor = topology.map_or_else(|| Redactor::new(Vec::new()), Redactor::of);
    let texts = texts(context, topology, report);
    let cannot = |source| CliError::Output { path: file.to_owned(), source };
    // Of the user alone: what a person forgets to hide is still in it.
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let out = options.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CliError::Exists { path: file.to_owned() },
        _ => CliError::Output { path: file.to_owned(), source },
    })?;
    let mut archive = Archive::new(out, clock::now().utc.0 / 1_000_000_000);
    for (name, text) in texts {
        let text = redacted(&redactor, &name, &text);
        archive.add(&format!("framevisor-report/{name}"), &text).map_err(cannot)?;
    }
    archive.finish().map_err(cannot)
}

fn redacted(redactor: &Redactor, name: &str, text: &str) -> String {
    let value = |text: &str| serde_json::from_str(text).map(|value| redactor.value(&value));
    let line = |line: &str| value(line).map_or_else(|_| redactor.text(line), |it| it.to_string());
    match name.rsplit('.').next() {
        Some("json") => value(text).map_or_else(|_| redactor.text(text), |value| pretty(&value)),
        Some("jsonl") => text.lines().map(|text| line(text) + "\n").collect(),
        _ => redactor.text(text),
    }
}

/// What cannot be had says why in its place.
fn texts(context: &Context, topology: Option<&Topology>, report: &Value) -> Vec<(String, String)> {
    let mut texts =
        vec![("doctor.json".to_owned(), pretty(report)), ("versions.txt".to_owned(), versions())];
    for (number, file) in context.files().iter().enumerate() {
        let text = fs::read_to_string(file).unwrap_or_else(|error| format!("# {error}\n"));
        texts.push((format!("topology-{number}.txt"), format!("# {}\n{text}", file.display())));
    }
    match running(context, topology) {
        Ok(told) => texts.extend(told),
        Err(error) => texts.push(("project.txt".to_owned(), format!("{error}\n"))),
    }
    texts
}

fn running(
    context: &Context,
    topology: Option<&Topology>,
) -> Result<Vec<(String, String)>, CliError> {
    let place = match topology {
        Some(topology) => context.place_of(topology)?,
        None => context.place()?,
    };
    let mut client = Client::connect(&place)?;
    let mut told = Vec::new();
    for verb in ["status", "graph", "ps", "rings"] {
        told.push((format!("{verb}.json"), pretty(&client.ask::<Value>(verb, &())?)));
    }
    let events = EventsWanted::all();
    told.push(("events.jsonl".to_owned(), lines(&client.ask::<Vec<Value>>("events", &events)?)));
    let logs = LogsWanted::all();
    told.push(("logs.jsonl".to_owned(), lines(&client.ask::<Vec<Value>>("logs", &logs)?)));
    let workers: Vec<Value> = client.ask("ps", &())?;
    for name in workers.iter().filter_map(|worker| worker["name"].as_str()) {
        let why: Value = client.ask("why", &json!({"name": name}))?;
        told.push((format!("why/{name}.json"), pretty(&why)));
    }
    Ok(told)
}

fn versions() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let system = read("/etc/os-release");
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    format!(
        "framevisor {}\nsystem {}\nkernel {}{}",
        env!("CARGO_PKG_VERSION"),
        system.unwrap_or("unknown"),
        read("/proc/version"),
        read("/proc/meminfo").lines().take(3).map(|line| format!("{line}\n")).collect::<String>(),
    )
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_json_stays_json_without_its_secrets() {
        let redactor = Redactor::new(Vec::new());
        let line = json!({"text": "password=x, \"y\""}).to_string();
        for name in ["logs.jsonl", "a.json"] {
            let text = redacted(&redactor, name, &line);
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["text"], "password=\"***\", \"y\"", "{name}");
        }
        assert_eq!(redacted(&redactor, "a.txt", "token: abc"), "token: \"***\"");
    }
}
