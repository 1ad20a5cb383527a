//! A table for people and one JSON object for programs.

use std::io::{self, Write};

use serde_json::{Map, Value};

use crate::Outcome;

/// The lines of one verification.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    holds: bool,
    /// A target missed is about speed, a promise broken is about correctness (decisions 25).
    is_target: bool,
    text: String,
    figures: Value,
}

impl Report {
    /// Runs a promise and notes what it showed.
    pub fn promise(&mut self, name: &'static str, check: impl FnOnce() -> Outcome<Value>) {
        self.note(name, false, check());
    }

    /// Notes whether a speed target was met.
    pub fn target(&mut self, name: &'static str, met: bool, figures: Value) {
        self.rows.push(Row { name, holds: met, is_target: true, text: brief(&figures), figures });
    }

    fn note(&mut self, name: &'static str, is_target: bool, outcome: Outcome<Value>) {
        let row = match outcome {
            Ok(figures) => Row { name, holds: true, is_target, text: brief(&figures), figures },
            Err(failure) => {
                Row { name, holds: false, is_target, text: failure.0, figures: Value::Null }
            }
        };
        let mark = if row.holds { "ok  " } else { "FAIL" };
        // Progress: a verification takes minutes.
        let _ = writeln!(io::stderr(), "{mark} {name}: {}", row.text);
        self.rows.push(row);
    }

    pub fn is_ok(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.holds || row.is_target)
    }

    pub fn targets_met(&self) -> bool {
        self.rows.iter().all(|row| row.holds || !row.is_target)
    }

    /// The table, then one line of JSON.
    pub fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        for row in &self.rows {
            let mark = match (row.holds, row.is_target) {
                (true, _) => "ok",
                (false, true) => "missed",
                (false, false) => "FAIL",
            };
            writeln!(out, "{:width$}  {mark:6}  {}", row.name, row.text)?;
        }
        writeln!(out, "{}", self.json())
    }

    fn json(&self) -> Value {
        let mut all = Map::new();
        for row in &self.rows {
            let value =
                if row.holds { row.figures.clone() } else { Value::String(row.text.clone()) };
            all.insert(row.name.to_owned(), value);
        }
        all.insert("targets_met".into(), Value::Bool(self.targets_met()));
        all.insert("ok".into(), Value::Bool(self.is_ok()));
        Value::Object(all)
    }
}

fn brief(figures: &Value) -> String {
    match figures {
        Value::Object(map) => {
            map.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
