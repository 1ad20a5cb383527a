//! `describe`: everything about one worker, ring or hook of a running project, without secrets.

use std::fs;
use std::process::ExitCode;

use protocol::name::{RingName, WorkerName};
use serde_json::{Map, Value, json};

use super::client::Client;
use super::why::{alone_or_parts, parts_of};
use super::{CliError, Context, FileArg, terminal};
use crate::admin::verbs::LogsWanted;
use crate::redact::{HIDDEN, Redactor, is_secret_name};
use crate::topology::{EVENTS, matches};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor describe motion1
  framevisor describe cam1.packets
  framevisor describe hook/tell
  framevisor describe recorder -o json";

/// The newest of each, beside all the rest.
const CHANGES: usize = 10;
const LINES: usize = 10;
/// How hooks are called among workers.
const HOOK: &str = "hook/";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The worker, the ring, or the hook, as hook/NAME
    name: String,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let described = match args.name.parse::<RingName>() {
        Ok(ring) => describe_ring(&mut client, &ring)?,
        Err(_) if args.name.starts_with(HOOK) => describe_hook(context, &mut client, &args.name)?,
        Err(_) => describe_parts(context, &mut client, &args.name)?,
    };
    if context.is_json() {
        terminal::json(&described)?;
    } else {
        let pages = match &described["parts"] {
            Value::Array(parts) => parts.iter().map(page).collect::<Vec<_>>().join("\n"),
            _ => page(&described),
        };
        terminal::data(&pages)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe_parts(context: &Context, client: &mut Client, name: &str) -> Result<Value, CliError> {
    let Ok(owner) = name.parse() else { return describe_worker(context, client, name) };
    let parts = parts_of(client, &owner)?;
    let described = parts.iter().map(|part| describe_worker(context, client, part.as_str()));
    Ok(alone_or_parts(described.collect::<Result<_, _>>()?))
}

fn describe_ring(client: &mut Client, ring: &RingName) -> Result<Value, CliError> {
    let graph: Value = client.ask("graph", &())?;
    let rings: Value = client.ask("rings", &())?;
    let Some(status) = named(&rings, ring.as_str()) else {
        let known = listed(&rings);
        return Err(CliError::NoNamed { what: "ring", wanted: ring.to_string(), known });
    };
    let edge = named(&graph["rings"], ring.as_str()).unwrap_or_default();
    Ok(json!({"ring": status, "writer": edge["writer"], "readers": edge["readers"]}))
}

/// How a hook runs, with the last that it printed.
fn describe_hook(context: &Context, client: &mut Client, name: &str) -> Result<Value, CliError> {
    let rows: Value = client.ask("hooks", &())?;
    let Some(row) = named(&rows, name) else {
        let known = listed(&rows);
        return Err(CliError::NoNamed { what: "hook", wanted: name.to_owned(), known });
    };
    let names = name.parse::<WorkerName>().into_iter().map(Into::into).collect();
    let lines: Value =
        client.ask("logs", &LogsWanted { names, lines: LINES, ..LogsWanted::all() })?;
    Ok(json!({"hook": shown(row, &redactor(context)), "lines": lines}))
}

/// Those of its life and, if it is a camera's, of the camera.
fn hooks_of(client: &mut Client, kind: &str, redactor: &Redactor) -> Result<Value, CliError> {
    let rows: Value = client.ask("hooks", &())?;
    let concerns = |event: &&&str| {
        event.starts_with("worker.") || (kind == "ingest" && event.starts_with("camera."))
    };
    let waits = |row: &&Value| {
        let patterns = row["on"].as_array().into_iter().flatten().filter_map(Value::as_str);
        patterns.into_iter().any(|on| EVENTS.iter().filter(concerns).any(|it| matches(on, it)))
    };
    let hooks = rows.as_array().into_iter().flatten().filter(waits);
    Ok(hooks.map(|row| shown(row.clone(), redactor)).collect())
}

/// Without the secrets of its command.
fn shown(mut row: Value, redactor: &Redactor) -> Value {
    for word in row["run"].as_array_mut().into_iter().flatten() {
        *word = redactor.text(word.as_str().unwrap_or_default()).into();
    }
    for (name, value) in row["env"].as_object_mut().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        *value = if is_secret_name(name) { HIDDEN.into() } else { redactor.text(text).into() };
    }
    row
}

fn describe_worker(context: &Context, client: &mut Client, name: &str) -> Result<Value, CliError> {
    let rows: Value = client.ask("ps", &())?;
    let Some(row) = named(&rows, name) else {
        let known = listed(&rows);
        return Err(CliError::NoNamed { what: "worker", wanted: name.to_owned(), known });
    };
    let graph: Value = client.ask("graph", &())?;
    let node = named(&graph["workers"], name).unwrap_or_default();
    let why: Value = client.ask("why", &json!({"name": name}))?;
    let wanted = json!({"names": [name], "count": CHANGES});
    let events: Value = client.ask("events", &wanted)?;
    let redactor = redactor(context);
    let process = row["pid"].as_u64().map(|pid| process(pid, &redactor));
    let hooks = hooks_of(client, row["kind"].as_str().unwrap_or_default(), &redactor)?;
    Ok(json!({
        "worker": row, "in": node["in"], "out": node["out"], "process": process,
        "reads": why["reads"], "writes": why["writes"], "progress": why["progress"],
        "deaths": why["deaths"].as_array().map(Vec::len), "events": events, "hooks": hooks,
    }))
}

/// Knows the topology's secrets where the topology can be read.
pub(super) fn redactor(context: &Context) -> Redactor {
    context
        .topology()
        .map_or_else(|_| Redactor::new(Vec::new()), |topology| Redactor::of(&topology))
}

/// What the system tells of it; it may end meanwhile.
fn process(pid: u64, redactor: &Redactor) -> Value {
    let words = |file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<String>>()
    };
    let text = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let command: Vec<String> = words("cmdline").iter().map(|word| redactor.text(word)).collect();
    let children = text(&format!("task/{pid}/children"));
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    json!({
        "command": command, "environment": environment(&words("environ"), redactor),
        "limits": limits(&text("limits")), "descriptors": descriptors,
        "children": children.split_whitespace().collect::<Vec<_>>(),
        "cgroup": text("cgroup").lines().find_map(|line| line.strip_prefix("0::")),
    })
}

fn environment(words: &[String], redactor: &Redactor) -> Map<String, Value> {
    let shown = |(name, value): (&str, &str)| {
        let hidden = is_secret_name(name);
        let value = if hidden { HIDDEN.to_owned() } else { redactor.text(value) };
        (name.to_owned(), Value::String(value))
    };
    words.iter().filter_map(|word| word.split_once('=')).map(shown).collect()
}

/// Soft limits that differ from none, by the kernel's names (proc_pid_limits(5)).
fn limits(text: &str) -> Map<String, Value> {
    let lines = text.lines().skip(1).filter_map(|line| Some((line.get(..26)?, line.get(26..)?)));
    let set = lines.filter_map(|(name, rest)| {
        let soft = rest.split_whitespace().next().filter(|soft| *soft != "unlimited")?;
        Some((name.trim().to_owned(), Value::String(soft.to_owned())))
    });
    set.collect()
}

fn named(rows: &Value, name: &str) -> Option<Value> {
    rows.as_array()?.iter().find(|row| row["name"] == name).cloned()
}

fn listed(rows: &Value) -> String {
    let names = rows.as_array().into_iter().flatten().filter_map(|row| row["name"].as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// A line a value, what belongs to a name indented below it; what is empty is left out.
fn page(value: &Value) -> String {
    let mut text = String::new();
    indent(value, 0, &mut text);
    text
}

fn indent(value: &Value, depth: usize, text: &mut String) {
    let Value::Object(entries) = value else { return };
    for (name, value) in entries.iter().filter(|(_, value)| !is_empty(value)) {
        text.push_str(&format!("{:depth$}{name}:", "", depth = 2 * depth));
        match value {
            Value::Object(_) => {
                text.push('\n');
                indent(value, depth + 1, text);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                text.push('\n');
                for item in items {
                    text.push_str(&format!(
                        "{:depth$}- {}\n",
                        "",
                        flat(item),
                        depth = 2 * depth + 2
                    ));
                }
            }
            other => text.push_str(&format!(" {}\n", flat(other))),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(flat).collect::<Vec<_>>().join(" "),
        Value::Object(entries) => {
            let shown = entries.iter().filter(|(_, value)| !is_empty(value));
            shown
                .map(|(name, value)| format!("{name} {}", flat(value)))
                .collect::<Vec<_>>()
                .join("  ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_shown_without_its_secrets() {
        let words = ["PLAIN=x", "MY_TOKEN=abc", "URL=rtsp://a:b@h/x", "odd"].map(str::to_owned);
        let shown = environment(&words, &Redactor::new(Vec::new()));
        assert_eq!(json!(shown), json!({"PLAIN": "x", "MY_TOKEN": "***", "URL": "rtsp://***@h/x"}));
    }

    #[test]
    fn limits_that_are_none_are_left_out() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max open files            1024                 4096                 files     \n";
        assert_eq!(json!(limits(text)), json!({"Max open files": "1024"}));
    }

    #[test]
    fn a_page_has_a_line_for_each_value_and_none_for_what_is_empty() {
        let value = json!({"a": {"b": 1, "c": ""}, "d": [{"e": "x", "f": null}], "g": ["y", "z"]});
        assert_eq!(page(&value), "a:\n  b: 1\nd:\n  - e x\ng: y z\n");
    }
}
