//! A change of the topology, for people: what starts, stops or is replaced, why, and what it costs.

use std::process::ExitCode;

use protocol::name::WorkerName;
use protocol::units::Span;
use serde::Serialize;

use super::client::Client;
use super::{CliError, Context, table, terminal};
use crate::admin::changes::Changed;
use crate::topology::{Change, How};

/// A start deadline of 30 s, 60 s for those that wait for others, and the way back.
const DONE_WITHIN_S: u64 = 150;

/// Asks for a change and shows what came of it.
pub(super) fn ask(
    context: &Context,
    client: &mut Client,
    verb: &str,
    args: &impl Serialize,
    wait: Option<Span>,
) -> Result<ExitCode, CliError> {
    let limit = std::time::Duration::from_secs(DONE_WITHIN_S);
    let limit = limit + wait.map(Span::duration).unwrap_or_default();
    let changed: Changed = client.ask_within(verb, args, limit)?;
    show(context, &changed)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(context: &Context, changed: &Changed) -> Result<(), CliError> {
    if context.is_json() {
        return terminal::json(changed);
    }
    let change = &changed.change;
    if change.is_empty() {
        let (verb, all) =
            (if changed.applied { "changed" } else { "to change" }, change.keep.len());
        terminal::talk(&format!("nothing {verb}: {all} workers run on"));
        return Ok(());
    }
    terminal::data(&page(change))
}

fn page(change: &Change) -> String {
    let rows = rows(change);
    let mut page = match rows.is_empty() {
        // Nothing but hooks.
        true => String::new(),
        false => table::render(&["", "WORKER", "WHY", "WHO LOOKS ON LOSES"], &rows),
    };
    let mut line = |title: &str, items: Vec<String>| {
        if !items.is_empty() {
            page.push_str(&format!("{title}: {}\n", items.join(", ")));
        }
    };
    let rings = &change.rings;
    line(
        "rings",
        [("+", &rings.created), ("-", &rings.removed), ("~", &rings.resized)]
            .into_iter()
            .flat_map(|(sign, names)| names.iter().map(move |name| format!("{sign}{name}")))
            .collect(),
    );
    line(
        "ports",
        [("+", &change.ports.opened), ("-", &change.ports.closed)]
            .into_iter()
            .flat_map(|(sign, ports)| {
                ports.iter().map(move |port| format!("{sign}{} ({})", port.address, port.worker))
            })
            .collect(),
    );
    let hooks = &change.hooks;
    line(
        "hooks",
        [("+", &hooks.added), ("-", &hooks.removed), ("~", &hooks.changed)]
            .into_iter()
            .flat_map(|(sign, names)| names.iter().map(move |name| format!("{sign}{name}")))
            .collect(),
    );
    let memory = change.memory;
    let (before, after) = (table::bytes(memory.before_bytes), table::bytes(memory.after_bytes));
    line("shared memory", vec![format!("{before} before, {after} after")]);
    line("runs on", change.keep.iter().map(ToString::to_string).collect());
    page
}

fn rows(change: &Change) -> Vec<Vec<String>> {
    let loses = |worker: &WorkerName| {
        let loss = change.viewers.iter().find(|loss| loss.worker == *worker);
        loss.map_or_else(|| "-".to_owned(), |loss| loss.loses.clone())
    };
    let row = |verb: &str, worker: &WorkerName, why: String| {
        vec![verb.to_owned(), format!("{worker}"), why, loses(worker)]
    };
    let start = change.start.iter().map(|worker| row("start", worker, "new".to_owned()));
    let restart = change.restart.iter().map(|restart| {
        let verb = if restart.how == How::Beside { "replace" } else { "restart" };
        row(verb, &restart.worker, restart.why.join(", "))
    });
    let adjust = change.adjust.iter().map(|it| row("adjust", &it.worker, it.keys.join(", ")));
    let stop =
        change.stop.iter().map(|worker| row("stop", worker, "gone from the file".to_owned()));
    start.chain(restart).chain(adjust).chain(stop).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Laid, Overrides, difference, parse};

    #[test]
    fn a_change_is_told_in_one_page() {
        let topology = |workers: &str| {
            let text = format!("version: 1\nworkers:\n{workers}");
            parse(&text, "/srv/framevisor.yml".as_ref(), &Overrides::default()).unwrap()
        };
        let old =
            topology("  a: {use: ingest, source: 'test:'}\n  s: {use: rtsp, in: '*.packets'}\n");
        let new = topology(
            "  a: {use: ingest, source: 'test:'}\n  b: {use: ingest, source: 'test:?fps=5'}\n  \
             s: {use: rtsp, in: '*.packets'}\n",
        );
        let said = page(&difference(&old, &new, &Laid::new()));
        let lines: Vec<&str> = said.lines().map(str::trim).collect();
        assert!(lines[1].starts_with("start    b"), "{said}");
        assert!(lines[2].starts_with("replace  s") && lines[2].contains("nothing: "), "{said}");
        assert_eq!(lines[3], "rings: +b.packets");
        assert_eq!(lines[5], "runs on: a");
    }
}
