//! A table for people and one JSON object for programs.

use std::io::{self, Write};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use protocol::time::MonoNs;
use serde_json::{Map, Value, json};
use shmring::clock;

use crate::Outcome;

/// A promise that can be looked at while others are.
pub type Check<'a> = Box<dyn FnOnce() -> Outcome<Value> + Send + 'a>;

/// The lines of one verification.
#[derive(Debug)]
pub struct Report {
    begun: MonoNs,
    rows: Vec<Row>,
    /// Promises whose names begin otherwise are not looked at.
    only: String,
}

impl Default for Report {
    fn default() -> Self {
        Self { begun: clock::mono(), rows: Vec::new(), only: String::new() }
    }
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    holds: bool,
    /// A target missed is about speed, a promise broken is about correctness.
    is_target: bool,
    /// What a promise took; side by side they take less together. `None` of a target.
    took: Option<Duration>,
    text: String,
    figures: Value,
}

impl Report {
    /// A report of the promises whose names begin so.
    pub fn of_rows(only: &str) -> Self {
        Self { only: only.to_owned(), ..Self::default() }
    }

    /// Whether a promise of this name is looked at: what several share is made only then.
    pub fn wants(&self, name: &str) -> bool {
        name.starts_with(&self.only)
    }

    /// Runs a promise, notes what it showed, and gives its figures.
    pub fn promise(&mut self, name: &'static str, check: impl FnOnce() -> Outcome<Value>) -> Value {
        if !self.wants(name) {
            return Value::Null;
        }
        let began = clock::mono();
        let outcome = check();
        self.promised(name, outcome, since(began))
    }

    /// Runs promises that mostly wait at the same time, and gives their figures in this order.
    pub fn side_by_side<const N: usize>(
        &mut self,
        checks: [(&'static str, Check<'_>); N],
    ) -> [Value; N] {
        let mut figures = [const { Value::Null }; N];
        thread::scope(|scope| {
            let (tell, told) = channel();
            let wanted = checks.into_iter().enumerate();
            for (at, (name, check)) in wanted.filter(|(_, (name, _))| name.starts_with(&self.only))
            {
                let tell = tell.clone();
                scope.spawn(move || {
                    let began = clock::mono();
                    let outcome = check();
                    // Somebody listens until all have told.
                    let _ = tell.send((at, name, outcome, since(began)));
                });
            }
            drop(tell);
            for (at, name, outcome, took) in told {
                figures[at] = self.promised(name, outcome, took);
            }
        });
        figures
    }

    fn promised(&mut self, name: &'static str, outcome: Outcome<Value>, took: Duration) -> Value {
        let (holds, text, figures) = match outcome {
            Ok(figures) => (true, brief(&figures), figures),
            Err(failure) => (false, failure.0, Value::Null),
        };
        let took = Some(took);
        self.note(Row { name, holds, is_target: false, took, text, figures: figures.clone() });
        figures
    }

    /// Notes whether a speed stayed below its target. Without a figure the promise it comes from
    /// has failed already.
    pub fn target_below(&mut self, name: &'static str, figure: &Value, limit: f64) {
        if let Some(seen) = figure.as_f64() {
            self.target(name, seen < limit, format!("{seen}, target below {limit}"), figure);
        }
    }

    /// As [`Self::target_below`], of a figure whose windows cost up to `most` of the one before them: a limit that lies within
    /// what the same thing differs from itself is met.
    pub fn target_within(&mut self, name: &'static str, figure: &Value, limit: f64, most: &Value) {
        if let (Some(seen), Some(most)) = (figure.as_f64(), most.as_f64()) {
            let text = format!("{seen}, target below {limit}, windows up to {most} of each other");
            self.target(name, seen < limit * most, text, figure);
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
        self.note(Row { name, holds, is_target: true, took: None, text, figures: figures.clone() });
    }

    fn note(&mut self, row: Row) {
        // Progress: a verification takes minutes.
        let (mark, name, text) = (row.mark(), row.name, &row.text);
        let _ = writeln!(io::stderr(), "{mark:6} {:>5}  {name}: {text}", row.seconds());
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
            let (name, mark, text) = (row.name, row.mark(), &row.text);
            writeln!(out, "{name:width$}  {mark:6}  {:>5}  {text}", row.seconds())?;
        }
        writeln!(out, "{} s in all", since(self.begun).as_secs())?;
        writeln!(out, "{}", self.json())
    }

    fn json(&self) -> Value {
        let mut all = Map::new();
        for row in &self.rows {
            let value =
                if row.holds { row.figures.clone() } else { Value::String(row.text.clone()) };
            all.insert(row.name.to_owned(), value);
        }
        let took = |row: &Row| Some((row.name.to_owned(), json!(row.took?.as_secs())));
        let seconds: Map<String, Value> = self.rows.iter().filter_map(took).collect();
        all.insert("seconds".into(), Value::Object(seconds));
        all.insert("seconds_in_all".into(), json!(since(self.begun).as_secs()));
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

    fn seconds(&self) -> String {
        self.took.map(|took| format!("{} s", took.as_secs())).unwrap_or_default()
    }
}

fn since(began: MonoNs) -> Duration {
    clock::mono().saturating_since(began)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;

    #[test]
    fn what_is_not_asked_for_is_not_looked_at_and_nothing_at_all_is_not_ok() {
        let mut report = Report::of_rows("kills");
        let looked_at = || -> Outcome<Value> { panic!("looked at") };
        assert_eq!(report.promise("page", looked_at), Value::Null);
        let [none] = report.side_by_side([("errors", Box::new(looked_at))]);
        assert!(none.is_null() && !report.is_ok());
        assert_eq!(report.promise("kills_recorder", || Ok(json!(3))), json!(3));
        assert!(report.is_ok());
    }

    #[test]
    fn what_runs_side_by_side_is_told_in_its_own_place_whoever_ends_first() {
        let mut report = Report::default();
        let (first, second) = channel();
        let waits = move || second.recv().map(|()| json!({"kills": 3})).map_err(Failure::new);
        let tells = move || first.send(()).map(|()| json!({"kills": 5})).map_err(Failure::new);
        let fails = || Err(Failure("a hole".to_owned()));
        let figures = report.side_by_side([
            ("waits", Box::new(waits)),
            ("tells", Box::new(tells)),
            ("fails", Box::new(fails)),
        ]);
        assert_eq!(figures, [json!({"kills": 3}), json!({"kills": 5}), Value::Null]);
        assert!(!report.is_ok() && report.rows.len() == 3);
        let json = report.json();
        assert_eq!((&json["tells"]["kills"], &json["fails"]), (&json!(5), &json!("a hole")));
        assert!(json["seconds"]["waits"].is_u64(), "{json}");
    }
}
