//! `top --once`: two looks, a second apart, as a table or as JSON.

use std::process::ExitCode;
use std::thread;

use serde_json::{Value, json};

use super::super::{CliError, Context, table, terminal};
use super::draw;
use super::feed::{self, EVERY, Look};
use super::figures::{Figures, Key, figures};
use super::view::{Line, View};
use crate::place::Place;

pub(super) fn run(context: &Context, place: &Place) -> Result<ExitCode, CliError> {
    let before = feed::look(place)?;
    thread::sleep(EVERY);
    let now = feed::look(place)?;
    if context.is_json() {
        terminal::json(&data(&before, &now))?;
    } else {
        terminal::data(&page(&before, now))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn data(before: &Look, now: &Look) -> Value {
    let (figures, cameras) = (figures(Some(before), now), now.graph.cameras());
    let of = |key: Key| json!(figures.get(&key).copied().unwrap_or_default());
    let workers = now.workers.iter().map(|worker| {
        let mut row = json!(worker);
        row["camera"] = json!(cameras.get(&worker.name));
        merge(&mut row, of(Key::Worker(worker.name.clone())));
        row
    });
    let rings = now.rings.iter().map(|ring| {
        let Figures { rate_hz, lag, drops, .. } =
            figures.get(&Key::Ring(ring.name.clone())).copied().unwrap_or_default();
        let mut row = json!(ring);
        merge(&mut row, json!({"rate_hz": rate_hz, "lag": lag, "lost": drops}));
        row
    });
    json!({"project": now.status.project, "time_utc_ns": now.utc, "uptime_s": now.status.uptime_s,
           "stopping": now.status.stopping, "workers": workers.collect::<Vec<_>>(),
           "rings": rings.collect::<Vec<_>>()})
}

fn merge(row: &mut Value, more: Value) {
    if let (Value::Object(row), Value::Object(more)) = (row, more) {
        row.extend(more);
    }
}

fn page(before: &Look, now: Look) -> String {
    let figures = figures(Some(before), &now);
    let view = View { look: Some(now), ..View::default() };
    let mut rows = Vec::new();
    for line in view.tree() {
        match line {
            Line::Camera(name) => rows.push(vec![name]),
            Line::Worker(worker) => {
                let of = figures.get(&Key::Worker(worker.name.clone()));
                let mut cells = draw::cells(worker, &of.copied().unwrap_or_default()).to_vec();
                cells[0].insert_str(0, "  ");
                rows.push(cells);
            }
            Line::Ring(_) => {}
        }
    }
    table::render(&draw::head(), &rows)
}
