//! Records of two analyzers, brought together by the picture that they are about. Pure.
//!
//! Boxes are `data.boxes` or `data.box`, each `{x, y, w, h}` or `[x, y, w, h]`, with `label` and `score` of its own or
//! of the record, as compositor and page read them. Of records without boxes their labels are compared, and numbers
//! of the same name.

use std::collections::BTreeMap;

use protocol::record::Record;
use protocol::stream::FrameId;
use protocol::time::MonoNs;
use serde::Serialize;
use serde_json::Value;

use crate::cli::table::real;

/// Boxes that overlap by less are two things (intersection over union, as detection is judged).
const ALIKE: f64 = 0.5;

/// Of each picture a side has so many things, and so many numbers; more are left out. An analyzer gone wrong tells of any
/// number, and each thing of one side is held against each of the other.
const THINGS_MAX: usize = 500;
/// So many pictures are kept, hours of a camera, with so many things and numbers in all: some hundred MB. What the other
/// side says of pictures that are kept has as much room again.
const PICTURES_MAX: usize = 500_000;
const KEPT_MAX: usize = 1_000_000;
/// Names of numbers and labels are cut there: they are for one line of a terminal.
const NAME_MAX_CHARS: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Used = 0,
    Tried = 1,
}

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pictures: BTreeMap<FrameId, [Seen; 2]>,
    /// Capture times of the first and the last record of each side.
    spans: [Option<(u64, u64)>; 2],
    missed: [u64; 2],
    /// Things and numbers of all pictures.
    kept: usize,
}

/// What one of the two says of a picture.
#[derive(Clone, Debug, Default)]
struct Seen {
    taken_utc_ns: u64,
    /// When its last record was published.
    told: Option<MonoNs>,
    things: Vec<Thing>,
    numbers: BTreeMap<String, f64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Thing {
    rect: Option<[f64; 4]>,
    label: Option<String>,
    score: Option<f64>,
}

/// How many of something both have, and each alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Shares {
    pub(super) both: u64,
    pub(super) used: u64,
    pub(super) tried: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Report {
    /// Pictures with records, of the time in which both were heard.
    pub(super) pictures: Shares,
    /// Things in pictures that both told of.
    pub(super) things: Shares,
    /// Of the things both have, those with another label.
    relabelled: u64,
    /// Of the boxes both have.
    overlap: Option<Spread>,
    /// What is tried minus what is in use.
    score: Option<Spread>,
    /// The same of each number of records without boxes.
    numbers: BTreeMap<String, Spread>,
    /// How much later what is tried told of a picture, in ms.
    later_ms: Option<Spread>,
    /// Records that were overwritten before they were read.
    missed: [u64; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    mean: f64,
    least: f64,
    most: f64,
}

impl Tally {
    pub(super) fn add(&mut self, side: Side, record: &Record, published: MonoNs) {
        let (at, time) = (side as usize, record.time_utc_ns);
        let span = self.spans[at].get_or_insert((time, time));
        *span = (span.0.min(time), span.1.max(time));
        let Some(frame) = &record.frame else { return };
        if self.is_full() && !self.pictures.contains_key(frame) {
            return;
        }
        let seen = &mut self.pictures.entry(frame.clone()).or_default()[at];
        seen.taken_utc_ns = time;
        seen.told = Some(published);
        let before = seen.size();
        let room = (2 * KEPT_MAX).saturating_sub(self.kept);
        seen.add(&record.data, room);
        self.kept += seen.size() - before;
    }

    /// Whether further pictures are left out.
    pub(super) fn is_full(&self) -> bool {
        self.pictures.len() >= PICTURES_MAX || self.kept >= KEPT_MAX
    }

    pub(super) fn missed(&mut self, side: Side, missed: u64) {
        self.missed[side as usize] += missed;
    }

    pub(super) fn report(&self) -> Report {
        let mut report = Report { missed: self.missed, ..Report::default() };
        let mut figures = Figures::default();
        for [used, tried] in self.pictures.values() {
            match (used.told, tried.told) {
                (Some(first), Some(second)) => {
                    report.pictures.both += 1;
                    figures.later.push((real(second.0) - real(first.0)) / 1e6);
                    pair(used, tried, &mut report, &mut figures);
                }
                (Some(_), None) => report.pictures.used += u64::from(self.heard_both(used)),
                (None, Some(_)) => report.pictures.tried += u64::from(self.heard_both(tried)),
                (None, None) => {}
            }
        }
        report.overlap = spread(&figures.overlap);
        report.score = spread(&figures.score);
        report.later_ms = spread(&figures.later);
        let numbers = figures.numbers.iter();
        report.numbers =
            numbers.filter_map(|(name, all)| Some((name.clone(), spread(all)?))).collect();
        report
    }

    /// Whether the other one could have told of it: it had begun, and had not ended.
    fn heard_both(&self, seen: &Seen) -> bool {
        let covers = |span: &Option<(u64, u64)>| {
            span.is_some_and(|(first, last)| (first..=last).contains(&seen.taken_utc_ns))
        };
        self.spans.iter().all(covers)
    }
}

impl Seen {
    fn size(&self) -> usize {
        self.things.len() + self.numbers.len()
    }

    /// At most `room` of all that is said.
    fn add(&mut self, data: &Value, room: usize) {
        let things = things(data);
        let left = |there: usize, room: usize| THINGS_MAX.saturating_sub(there).min(room);
        let before = self.size();
        if things.iter().all(|thing| thing.rect.is_none()) {
            let left = left(self.numbers.len(), room);
            self.numbers.extend(numbers(data).into_iter().take(left));
        }
        let left = left(self.things.len(), room.saturating_sub(self.size() - before));
        self.things.extend(things.into_iter().take(left));
    }
}

#[derive(Default)]
struct Figures {
    overlap: Vec<f64>,
    score: Vec<f64>,
    later: Vec<f64>,
    numbers: BTreeMap<String, Vec<f64>>,
}

/// The things of one picture, the most alike first.
fn pair(used: &Seen, tried: &Seen, report: &mut Report, figures: &mut Figures) {
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for (a, one) in used.things.iter().enumerate() {
        let alike = tried.things.iter().enumerate().map(|(b, other)| (likeness(one, other), a, b));
        pairs.extend(alike.filter(|(likeness, ..)| *likeness >= ALIKE));
    }
    pairs.sort_by(|one, other| other.0.total_cmp(&one.0));
    let (mut of_used, mut of_tried) = (Vec::new(), Vec::new());
    for (_, a, b) in pairs {
        if of_used.contains(&a) || of_tried.contains(&b) {
            continue;
        }
        of_used.push(a);
        of_tried.push(b);
        let (one, other) = (&used.things[a], &tried.things[b]);
        report.relabelled += u64::from(one.label != other.label);
        figures.overlap.extend(one.rect.zip(other.rect).map(|(one, other)| overlap(one, other)));
        figures.score.extend(one.score.zip(other.score).map(|(one, other)| other - one));
    }
    let count = |all: usize| u64::try_from(all).unwrap_or(u64::MAX);
    report.things.both += count(of_used.len());
    report.things.used += count(used.things.len() - of_used.len());
    report.things.tried += count(tried.things.len() - of_tried.len());
    for (name, one) in &used.numbers {
        if let Some(other) = tried.numbers.get(name) {
            figures.numbers.entry(name.clone()).or_default().push(other - one);
        }
    }
}

/// 0 to 1, and a little more for the same label, so that of two boxes in one place the right one is taken.
fn likeness(one: &Thing, other: &Thing) -> f64 {
    let label = if one.label == other.label { 1.0 } else { 0.0 };
    match (one.rect, other.rect) {
        (Some(one), Some(other)) => {
            let overlap = overlap(one, other);
            if overlap < ALIKE { overlap } else { overlap + label }
        }
        (None, None) => label,
        _ => 0.0,
    }
}

/// Intersection over union.
fn overlap([x, y, w, h]: [f64; 4], [u, v, p, q]: [f64; 4]) -> f64 {
    let across = ((x + w).min(u + p) - x.max(u)).max(0.0);
    let down = ((y + h).min(v + q) - y.max(v)).max(0.0);
    let both = across * down;
    let all = w * h + p * q - both;
    if all > 0.0 { both / all } else { 0.0 }
}

fn things(data: &Value) -> Vec<Thing> {
    let (label, score) = (text(data), sureness(data));
    let whole = |rect| Thing { rect, label: label.clone(), score };
    if let Some(boxes) = data["boxes"].as_array() {
        let own = |it: &Value| {
            let whole = whole(rect(it));
            let (label, score) = (text(it).or(whole.label), sureness(it).or(whole.score));
            Thing { rect: whole.rect, label, score }
        };
        return boxes.iter().map(own).filter(|thing| thing.rect.is_some()).collect();
    }
    match rect(&data["box"]) {
        Some(found) => vec![whole(Some(found))],
        None if label.is_some() => vec![whole(None)],
        None => Vec::new(),
    }
}

fn text(data: &Value) -> Option<String> {
    let label = data["label"].as_str().or_else(|| data["class"].as_str())?;
    Some(label.chars().take(NAME_MAX_CHARS).collect())
}

fn sureness(data: &Value) -> Option<f64> {
    data["score"].as_f64().or_else(|| data["confidence"].as_f64())
}

fn rect(value: &Value) -> Option<[f64; 4]> {
    let sides = |at: usize, keys: &[&str]| match value {
        Value::Array(_) => value[at].as_f64(),
        _ => keys.iter().find_map(|key| value[key].as_f64()),
    };
    Some([
        sides(0, &["x"])?,
        sides(1, &["y"])?,
        sides(2, &["w", "width"])?,
        sides(3, &["h", "height"])?,
    ])
}

fn numbers(data: &Value) -> Vec<(String, f64)> {
    let entries = data.as_object().into_iter().flatten();
    entries.filter_map(|(name, value)| Some((shown(name), value.as_f64()?))).collect()
}

/// A name of an analyzer's own, as it may stand on a terminal.
fn shown(name: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    name.chars().take(NAME_MAX_CHARS).map(visible).collect()
}

fn spread(all: &[f64]) -> Option<Spread> {
    let first = *all.first()?;
    let (least, most) =
        all.iter().fold((first, first), |(least, most), it| (least.min(*it), most.max(*it)));
    let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
    Some(Spread { mean: all.iter().sum::<f64>() / real(count), least, most })
}

impl Report {
    /// What it says beside the counts, for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut figure = |what: &str, spread: Option<Spread>, digits: usize| {
            if let Some(Spread { mean, least, most }) = spread {
                lines.push(format!(
                    "{what}: {mean:.digits$} on average, {least:.digits$} to {most:.digits$}"
                ));
            }
        };
        figure("overlap of boxes", self.overlap, 2);
        figure("score, tried minus used", self.score, 3);
        for (name, spread) in &self.numbers {
            figure(&format!("{name}, tried minus used"), Some(*spread), 3);
        }
        figure("told later by what is tried, ms", self.later_ms, 1);
        if self.relabelled > 0 {
            lines.push(format!("another label: {} of {}", self.relabelled, self.things.both));
        }
        if self.missed != [0, 0] {
            let [used, tried] = self.missed;
            lines.push(format!("overwritten before they were read: {used} and {tried} records"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(sequence: u64, data: Value) -> Record {
        let ring = "cam1.packets".parse().unwrap();
        Record {
            id: "x".to_owned(),
            kind: "detection".to_owned(),
            camera: "cam1".to_owned(),
            frame: Some(FrameId { ring, epoch: 7, sequence }),
            time_utc_ns: sequence * 1_000,
            data,
        }
    }

    /// Both say the same of pictures 1 and 9, so that all between were heard of both.
    fn heard(used: &[(u64, Value)], tried: &[(u64, Value)]) -> Report {
        let mut tally = Tally::default();
        for (side, records) in [(Side::Used, used), (Side::Tried, tried)] {
            let late = if side == Side::Used { 0 } else { 2_000_000 };
            for sequence in [1, 9] {
                tally.add(side, &record(sequence, json!({})), MonoNs(sequence + late));
            }
            for (sequence, data) in records {
                tally.add(side, &record(*sequence, data.clone()), MonoNs(sequence + late));
            }
        }
        tally.report()
    }

    #[test]
    fn pictures_are_told_apart_by_their_ids_within_the_time_of_both() {
        let data = || json!({});
        let report = heard(&[(2, data()), (3, data()), (12, data())], &[(3, data()), (4, data())]);
        // The first and the last are of both, the twelfth came when the other had ended.
        assert_eq!(report.pictures, Shares { both: 3, used: 1, tried: 1 });
        let later = report.later_ms.unwrap();
        assert_eq!((later.least, later.most), (2.0, 2.0));
    }

    #[test]
    fn boxes_are_paired_by_their_overlap_and_labels_tell_two_in_one_place_apart() {
        let used = json!({"boxes": [
            {"x": 0, "y": 0, "w": 10, "h": 10, "label": "cat", "score": 0.5},
            {"x": 0, "y": 0, "w": 10, "h": 10, "label": "dog", "score": 0.5},
            {"x": 50, "y": 50, "w": 10, "h": 10, "label": "cat", "score": 0.9},
        ]});
        let tried = json!({"boxes": [
            [0, 0, 10, 8],
            {"x": 0, "y": 0, "w": 10, "h": 10, "label": "dog", "score": 0.75},
            {"x": 80, "y": 0, "w": 10, "h": 10, "label": "cat"},
        ], "label": "cat", "score": 0.25});
        let report = heard(&[(2, used)], &[(2, tried)]);
        assert_eq!(report.things, Shares { both: 2, used: 1, tried: 1 });
        assert_eq!(report.relabelled, 0);
        let overlap = report.overlap.unwrap();
        assert_eq!((overlap.least, overlap.most), (0.8, 1.0));
        assert_eq!(report.score.unwrap(), Spread { mean: 0.0, least: -0.25, most: 0.25 });
    }

    #[test]
    fn another_label_of_one_box_is_counted() {
        let of = |label: &str| json!({"box": [1, 2, 30, 40], "label": label});
        let report = heard(&[(2, of("cat"))], &[(2, of("fox"))]);
        assert_eq!((report.things.both, report.relabelled), (1, 1));
        assert!(report.lines().iter().any(|line| line == "another label: 1 of 1"));
    }

    #[test]
    fn of_records_without_boxes_labels_and_numbers_are_compared() {
        let used = json!({"label": "day", "brightness": 100.0, "name": "x"});
        let tried = json!({"label": "night", "brightness": 90.5});
        let report = heard(&[(2, used)], &[(2, tried)]);
        assert_eq!(report.things, Shares { both: 0, used: 1, tried: 1 });
        let expected = Spread { mean: -9.5, least: -9.5, most: -9.5 };
        assert_eq!(report.numbers, BTreeMap::from([("brightness".to_owned(), expected)]));
    }

    #[test]
    fn what_an_analyzer_gone_wrong_tells_is_bounded_and_names_are_shown_as_text() {
        let many = vec![json!([0, 0, 10, 10]); 4_000];
        let flood = || json!({"boxes": many});
        let report = heard(&[(2, flood())], &[(2, flood())]);
        assert_eq!(report.things.both, u64::try_from(THINGS_MAX).unwrap());
        let named = |value: f64| json!({"red\u{1b}[31m": value});
        let lines = heard(&[(2, named(1.0))], &[(2, named(2.0))]).lines();
        assert_eq!(lines[0], "red [31m, tried minus used: 1.000 on average, 1.000 to 1.000");
    }

    #[test]
    fn all_pictures_together_are_bounded_and_what_is_kept_is_still_compared() {
        let crowd = || json!({"boxes": vec![json!([0, 0, 10, 10]); THINGS_MAX]});
        let mut tally = Tally { kept: KEPT_MAX - THINGS_MAX, ..Tally::default() };
        for sequence in 1..=3 {
            tally.add(Side::Used, &record(sequence, crowd()), MonoNs(sequence));
        }
        assert!(tally.is_full() && tally.pictures.len() == 1 && tally.kept == KEPT_MAX);
        tally.add(Side::Tried, &record(1, crowd()), MonoNs(9));
        assert_eq!(tally.report().things.both, u64::try_from(THINGS_MAX).unwrap());
        // However often it is said.
        tally.kept = 2 * KEPT_MAX - 7;
        tally.pictures.get_mut(&record(1, json!(null)).frame.unwrap()).unwrap()[0].things.clear();
        tally.add(Side::Used, &record(1, crowd()), MonoNs(10));
        assert_eq!(tally.kept, 2 * KEPT_MAX);
    }

    #[test]
    fn whoever_said_nothing_is_compared_with_nothing() {
        let mut tally = Tally::default();
        tally.add(Side::Used, &record(1, json!({"box": [0, 0, 1, 1]})), MonoNs(1));
        tally.missed(Side::Tried, 3);
        let report = tally.report();
        assert_eq!((report.pictures, report.things), (Shares::default(), Shares::default()));
        assert_eq!(report.lines(), ["overwritten before they were read: 0 and 3 records"]);
    }
}
