//! A table for people and one JSON object for programs.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::stats::{Compared, holds};

/// What a line came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// A figure without a target: a floor or a peer.
    Figure,
    Met,
    Missed,
    /// A peer does it in less.
    Loss,
    /// As [`Self::Loss`], and docs/bench.md says why.
    Explained,
    Skipped,
    /// It could not be measured, or what it delivered was wrong.
    Failed,
}

impl Mark {
    fn as_str(self) -> &'static str {
        match self {
            Self::Figure => "",
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::Loss => "LOSS",
            Self::Explained => "loss",
            Self::Skipped => "skipped",
            Self::Failed => "FAIL",
        }
    }
}

#[derive(Debug)]
struct Line {
    row: String,
    what: String,
    mark: Mark,
    text: String,
    figures: Value,
}

/// All lines of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
    /// Text in which `row/peer` stands for every loss that is explained.
    explained: String,
}

/// What a figure ought to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Ratio(f64),
    Added(f64),
}

impl Report {
    pub(crate) fn new(explained: String) -> Self {
        Self { lines: Vec::new(), explained }
    }

    /// A figure for itself.
    pub(crate) fn figure(&mut self, row: &str, what: &str, value: f64, unit: &str) {
        let figures = json!({ "value": round(value), "unit": unit });
        self.note(row, what, Mark::Figure, format!("{} {unit}", round(value)), figures);
    }

    /// A figure and its floor, with neither target nor verdict.
    pub(crate) fn compared(&mut self, row: &str, what: &str, seen: &Compared, unit: &str) {
        let text = text_of(seen, unit);
        self.note(row, what, Mark::Figure, text, figures_of(seen, unit));
    }

    /// A figure and its floor that a target was set for.
    pub(crate) fn target(
        &mut self,
        row: &str,
        what: &str,
        seen: &Compared,
        unit: &str,
        target: Target,
    ) {
        let (met, wanted) = match target {
            Target::Ratio(limit) => {
                (holds(seen.ratio, limit, seen.ratio_spread), format!("at most {limit}x"))
            }
            Target::Added(limit) => {
                (holds(seen.added, limit, seen.added_spread), format!("at most +{limit} {unit}"))
            }
        };
        let text = format!("{}; {wanted}", text_of(seen, unit));
        let mut figures = figures_of(seen, unit);
        figures["target"] = json!(wanted);
        figures["met"] = json!(met);
        self.note(row, what, if met { Mark::Met } else { Mark::Missed }, text, figures);
    }

    /// A figure that ought to be at most `limit`.
    pub(crate) fn limit(&mut self, row: &str, what: &str, value: f64, unit: &str, limit: f64) {
        let met = value <= limit;
        let text = format!("{} {unit}; at most {limit}", round(value));
        let figures = json!({ "value": round(value), "unit": unit, "limit": limit, "met": met });
        self.note(row, what, if met { Mark::Met } else { Mark::Missed }, text, figures);
    }

    /// Ours against a peer's: `ratio` is ours by theirs, and `noise` the widest that is no difference.
    pub(crate) fn against(&mut self, row: &str, peer: &str, ratio: f64, noise: f64) {
        let mark = match ratio <= noise.max(1.0) {
            true => Mark::Met,
            false if self.explained.contains(&format!("`{row}/{peer}`")) => Mark::Explained,
            false => Mark::Loss,
        };
        let text = format!("{}x of {peer}", round(ratio));
        let figures = json!({ "ratio": round(ratio), "met": mark == Mark::Met });
        self.note(row, &format!("ours against {peer}"), mark, text, figures);
    }

    pub(crate) fn skipped(&mut self, row: &str, what: &str, why: &str) {
        let text = format!("skipped: {why}");
        self.note(row, what, Mark::Skipped, text, json!({ "skipped": why }));
    }

    pub(crate) fn failed(&mut self, row: &str, what: &str, why: &str) {
        self.note(row, what, Mark::Failed, why.to_owned(), json!({ "failed": why }));
    }

    /// A count that must be what it must be, whatever the speed.
    pub(crate) fn must(&mut self, row: &str, what: &str, holds: bool, text: &str) {
        let mark = if holds { Mark::Met } else { Mark::Failed };
        self.note(row, what, mark, text.to_owned(), json!({ "holds": holds, "seen": text }));
    }

    fn note(&mut self, row: &str, what: &str, mark: Mark, text: String, figures: Value) {
        let (row, what) = (row.to_owned(), what.to_owned());
        // Progress: a bench takes minutes.
        crate::say(&format!("{:7} {row}, {what}: {text}", mark.as_str()));
        self.lines.push(Line { row, what, mark, text, figures });
    }

    pub(crate) fn is_ok(&self) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(|line| line.mark != Mark::Failed)
    }

    pub(crate) fn targets_met(&self) -> bool {
        self.lines.iter().all(|line| !matches!(line.mark, Mark::Missed | Mark::Loss))
    }

    /// The table, then one line of JSON.
    pub(crate) fn print(&self, machine: Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let width = |of: fn(&Line) -> usize| self.lines.iter().map(of).max().unwrap_or(0);
        let (rows, whats) = (width(|line| line.row.len()), width(|line| line.what.len()));
        for line in &self.lines {
            let Line { row, what, mark, text, .. } = line;
            writeln!(out, "{row:rows$}  {what:whats$}  {:7}  {text}", mark.as_str())?;
        }
        writeln!(out, "{}", self.json(machine))
    }

    fn json(&self, machine: Value) -> Value {
        let mut rows = Map::new();
        for line in &self.lines {
            let row = rows.entry(line.row.clone()).or_insert_with(|| json!({}));
            row[&line.what] = line.figures.clone();
        }
        json!({
            "machine": machine,
            "rows": rows,
            "targets_met": self.targets_met(),
            "ok": self.is_ok(),
        })
    }
}

fn text_of(seen: &Compared, unit: &str) -> String {
    format!(
        "{} {unit}, floor {}, {}x, {:+}; floor against itself {} to {}x",
        round(seen.value),
        round(seen.floor),
        round(seen.ratio),
        round(seen.added),
        round(seen.ratio_spread.0),
        round(seen.ratio_spread.1),
    )
}

fn figures_of(seen: &Compared, unit: &str) -> Value {
    json!({
        "value": round(seen.value),
        "floor": round(seen.floor),
        "unit": unit,
        "ratio": round(seen.ratio),
        "added": round(seen.added),
        "control_ratio": [round(seen.ratio_spread.0), round(seen.ratio_spread.1)],
        "control_added": [round(seen.added_spread.0), round(seen.added_spread.1)],
    })
}

/// Three digits that mean something are enough for people, and shorter.
fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let places = (2.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as i32;
    let factor = 10f64.powi(places);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_counts_unless_the_docs_explain_it() {
        let mut report = Report::new("why: `packets/pipe` copies less".to_owned());
        report.against("packets", "pipe", 1.5, 1.1);
        assert!(report.targets_met() && report.is_ok());
        report.against("packets", "iceoryx2", 1.5, 1.1);
        assert!(!report.targets_met() && report.is_ok());
    }

    #[test]
    fn what_could_not_be_measured_is_not_ok_and_what_is_not_there_is() {
        let mut report = Report::default();
        assert!(!report.is_ok(), "nothing was measured");
        report.skipped("gstreamer", "frames", "not installed");
        assert!(report.is_ok());
        report.failed("wake", "ring", "a child does not answer");
        assert!(!report.is_ok());
    }

    #[test]
    fn three_digits_are_kept() {
        assert_eq!([round(12345.6), round(1.23456), round(0.012345)], [12346.0, 1.23, 0.0123]);
    }
}
