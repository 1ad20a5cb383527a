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
    /// A target missed is about speed, a promise broken is about correctness.
    is_target: bool,
    text: String,
    figures: Value,
}

impl Report {
    /// Runs a promise, notes what it showed, and gives its figures.
    pub fn promise(&mut self, name: &'static str, check: impl FnOnce() -> Outcome<Value>) -> Value {
        let (holds, text, figures) = match check() {
            Ok(figures) => (true, brief(&figures), figures),
            Err(failure) => (false, failure.0, Value::Null),
        };
        self.note(Row { name, holds, is_target: false, text, figures: figures.clone() });
        figures
    }

    /// Notes whether a speed stayed below its target. Without a figure the promise it comes from
    /// has failed already.
    pub fn target_below(&mut self, name: &'static str, figure: &Value, limit: f64) {
        if let Some(seen) = figure.as_f64() {
            self.target(name, seen < limit, format!("{seen}, target below {limit}"), figure);
        }
    }

    /// As [`Self::target_below`], for what should be much.
    pub fn target_at_least(&mut self, name: &'static str, figure: &Value, limit: f64) {
        if let Some(seen) = figure.as_f64() {
            self.target(name, seen >= limit, format!("{seen}, target {limit} or more"), figure);
        }
    }

    /// Notes what a tool with targets of its own said of them.
    pub fn target_met(&mut self, name: &'static str, verdict: &Value) {
        if let Some(met) = verdict.as_bool() {
            self.target(name, met, format!("all met: {met}"), verdict);
        }
    }

    fn target(&mut self, name: &'static str, holds: bool, text: String, figures: &Value) {
        self.note(Row { name, holds, is_target: true, text, figures: figures.clone() });
    }

    fn note(&mut self, row: Row) {
        // Progress: a verification takes minutes.
        let _ = writeln!(io::stderr(), "{:6} {}: {}", row.mark(), row.name, row.text);
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
            writeln!(out, "{:width$}  {:6}  {}", row.name, row.mark(), row.text)?;
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

impl Row {
    fn mark(&self) -> &'static str {
        match (self.holds, self.is_target) {
            (true, _) => "ok",
            (false, true) => "missed",
            (false, false) => "FAIL",
        }
    }
}

fn brief(figures: &Value) -> String {
    match figures {
        Value::Object(map) => {
            // What is nested is for programs: a tool's whole report would fill the screen.
            let plain = map.iter().filter(|(_, value)| !value.is_object());
            plain.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
