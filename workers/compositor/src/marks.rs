//! Boxes that analyzers tell of, and which of them hold at a tick. Pure.
//!
//! ```text
//!   motion.begin ──> boxes of an episode, by its id ──update──> its new boxes ──end──> none
//!   any other record ──> boxes of that kind and camera, until a newer picture's record replaces them
//! ```

use std::time::Duration;

use protocol::name::RingName;
use protocol::record::Record;
use serde_json::Value;

/// Records kept: a crowd, for as long as boxes hold.
const MARKS_MAX: usize = 4_096;
/// Boxes of one record; more would hide the picture.
const BOXES_MAX: usize = 64;
/// Letters of a label.
const LABEL_MAX: usize = 40;

/// A rectangle in pixels of the picture that the record is about, or in shares of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outline {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) w: f64,
    pub(crate) h: f64,
    /// Empty without any.
    pub(crate) label: String,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) camera: String,
    /// Size of the picture that it is about, 1x1 where boxes are in shares of it; `None`: as large as the one that is shown.
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) outlines: Vec<Outline>,
    /// Capture time of that picture, UTC.
    taken_ns: u64,
    group: Group,
}

/// What replaces each other.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Group {
    /// The records of one episode.
    Episode { ring: RingName, id: String },
    /// Those of one kind about one camera.
    Kind { ring: RingName, camera: String, kind: String },
}

impl Mark {
    /// `None` for a record that tells of no boxes, and ends none.
    pub(crate) fn of(ring: &RingName, record: &Record) -> Option<Self> {
        let phase = record.kind.rsplit('.').next().unwrap_or_default();
        let is_episode = matches!(phase, "begin" | "update" | "end");
        let outlines = if phase == "end" { Vec::new() } else { outlines(&record.data) };
        let is_told = !outlines.is_empty()
            || phase == "end"
            || record.data.get("boxes").is_some_and(Value::is_array);
        let ring = ring.clone();
        let group = if is_episode {
            Group::Episode { ring, id: record.id.clone() }
        } else {
            Group::Kind { ring, camera: record.camera.clone(), kind: record.kind.clone() }
        };
        is_told.then(|| Self {
            camera: record.camera.clone(),
            size: size(&record.data, &outlines),
            outlines,
            taken_ns: record.time_utc_ns,
            group,
        })
    }
}

/// What was told, as long as it may matter.
#[derive(Debug)]
pub(crate) struct Marks {
    hold_ns: u64,
    told: Vec<Mark>,
}

impl Marks {
    pub(crate) fn new(hold: Duration) -> Self {
        Self { hold_ns: u64::try_from(hold.as_nanos()).unwrap_or(u64::MAX), told: Vec::new() }
    }

    pub(crate) fn tell(&mut self, mark: Mark) {
        if self.told.len() >= MARKS_MAX {
            self.told.remove(0);
        }
        self.told.push(mark);
    }

    pub(crate) fn clear(&mut self) {
        self.told.clear();
    }

    /// Those about a camera's picture of this UTC time.
    pub(crate) fn at<'a>(
        &'a self,
        camera: &'a str,
        tick_ns: u64,
    ) -> impl Iterator<Item = &'a Mark> {
        let holds =
            move |mark: &&Mark| mark.taken_ns <= tick_ns && tick_ns - mark.taken_ns < self.hold_ns;
        let is_newest = move |mark: &&Mark| {
            let newer = |other: &Mark| {
                other.group == mark.group
                    && other.taken_ns > mark.taken_ns
                    && other.taken_ns <= tick_ns
            };
            !self.told.iter().any(newer)
        };
        let of_camera = move |mark: &&Mark| mark.camera == camera && !mark.outlines.is_empty();
        self.told.iter().filter(of_camera).filter(holds).filter(is_newest)
    }

    /// Ticks only rise: what no later one can show goes.
    pub(crate) fn forget(&mut self, tick_ns: u64) {
        let hold_ns = self.hold_ns;
        self.told.retain(|mark| mark.taken_ns.saturating_add(hold_ns) > tick_ns);
    }
}

fn side(data: &Value, key: &str) -> Option<u32> {
    data.get(key)?.as_u64().and_then(|side| u32::try_from(side).ok()).filter(|side| *side > 0)
}

/// Without a size told, numbers of at most 1 are shares: nobody looks for less than a pixel. The page reads them so too.
fn size(data: &Value, outlines: &[Outline]) -> Option<(u32, u32)> {
    let in_shares = |outline: &Outline| {
        [outline.x, outline.y, outline.w, outline.h].iter().all(|side| *side <= 1.0)
    };
    let told = side(data, "width").zip(side(data, "height"));
    told.or_else(|| outlines.iter().all(in_shares).then_some((1, 1)))
}

/// `boxes`, a list of `{x, y, w, h}` (or `width` and `height`) or `[x, y, w, h]`, or one of them as `box`: the forms that
/// the page reads.
fn outlines(data: &Value) -> Vec<Outline> {
    let many = data.get("boxes").and_then(Value::as_array).into_iter().flatten();
    let all = many.chain(data.get("box"));
    all.filter_map(|one| outline(one, data)).take(BOXES_MAX).collect()
}

fn outline(one: &Value, data: &Value) -> Option<Outline> {
    let number = |at: usize, keys: &[&str]| match one {
        Value::Array(items) => items.get(at)?.as_f64(),
        _ => keys.iter().find_map(|key| one.get(key))?.as_f64(),
    };
    let (x, y) = (number(0, &["x"])?, number(1, &["y"])?);
    let (w, h) = (number(2, &["w", "width"])?, number(3, &["h", "height"])?);
    let is_sane = [x, y, w, h].iter().all(|it| it.is_finite()) && w > 0.0 && h > 0.0;
    is_sane.then(|| Outline { x, y, w, h, label: label(one, data) })
}

/// What is found, and how surely: the box's own word before the record's.
fn label(one: &Value, data: &Value) -> String {
    let said = |keys: [&str; 2]| {
        let of = |from: &Value| keys.iter().find_map(|key| from.get(key).cloned());
        of(one).or_else(|| of(data)).unwrap_or_default()
    };
    let name = said(["label", "class"]);
    let Some(name) = name.as_str() else { return String::new() };
    let name: String = name.chars().take(LABEL_MAX).collect();
    let score = said(["score", "confidence"]).as_f64();
    match score.filter(|score| (0.0..=1.0).contains(score)) {
        Some(score) => format!("{name} {:.0}%", score * 100.0),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MS: u64 = 1_000_000;

    fn record(kind: &str, id: &str, at_ms: u64, data: Value) -> Record {
        Record {
            id: id.to_owned(),
            kind: kind.to_owned(),
            camera: "cam1".to_owned(),
            frame: None,
            time_utc_ns: at_ms * MS,
            data,
        }
    }

    fn told(records: &[Record]) -> Marks {
        let ring = "motion.events".parse().unwrap();
        let mut marks = Marks::new(Duration::from_millis(1_500));
        records.iter().filter_map(|it| Mark::of(&ring, it)).for_each(|mark| marks.tell(mark));
        marks
    }

    fn lefts(marks: &Marks, at_ms: u64) -> Vec<f64> {
        let of_camera = marks.at("cam1", at_ms * MS);
        of_camera.flat_map(|mark| mark.outlines.iter().map(|outline| outline.x)).collect()
    }

    fn boxed(x: u32) -> Value {
        json!({"boxes": [{"x": x, "y": 2, "w": 30, "h": 40}], "width": 640, "height": 480})
    }

    #[test]
    fn an_episode_is_shown_from_its_begin_to_its_end_as_last_told() {
        let marks = told(&[
            record("motion.begin", "a", 1_000, boxed(10)),
            record("motion.update", "a", 2_000, boxed(20)),
            record("motion.end", "a", 2_400, json!({"score": 0.0})),
        ]);
        let seen: Vec<Vec<f64>> =
            [999, 1_000, 1_999, 2_000, 2_399, 2_400].map(|at| lefts(&marks, at)).into();
        assert_eq!(seen, [vec![], vec![10.0], vec![10.0], vec![20.0], vec![20.0], vec![]]);
        assert_eq!(marks.at("cam1", 1_000 * MS).next().unwrap().size, Some((640, 480)));
        assert_eq!(marks.at("cam2", 1_000 * MS).count(), 0);
    }

    #[test]
    fn without_another_word_boxes_go() {
        let mut marks = told(&[record("motion.begin", "a", 1_000, boxed(10))]);
        assert_eq!((lefts(&marks, 2_499), lefts(&marks, 2_500)), (vec![10.0], vec![]));
        marks.forget(2_499 * MS);
        assert_eq!(marks.told.len(), 1);
        marks.forget(2_500 * MS);
        assert_eq!(marks.told.len(), 0);
    }

    #[test]
    fn what_is_found_in_a_newer_picture_replaces_the_older() {
        let find =
            |id: &str, at_ms, x| record("detection", id, at_ms, json!({"box": [x, 0, 9, 9]}));
        let marks = told(&[find("1", 100, 1), find("2", 100, 2), find("3", 200, 3)]);
        assert_eq!(lefts(&marks, 150), [1.0, 2.0]);
        assert_eq!(lefts(&marks, 200), [3.0]);
        let nothing = record("detection", "4", 300, json!({"boxes": []}));
        let marks = told(&[find("3", 200, 3), nothing]);
        assert_eq!(lefts(&marks, 300), [0.0; 0]);
    }

    #[test]
    fn labels_are_the_boxes_own_or_the_records() {
        let label = |data: Value| outlines(&data)[0].label.clone();
        let own =
            json!({"boxes": [{"x": 1, "y": 2, "w": 3, "h": 4, "label": "car", "score": 0.876}]});
        assert_eq!(label(own), "car 88%");
        assert_eq!(label(json!({"box": [1, 2, 3, 4], "label": "cat"})), "cat");
        assert_eq!(label(boxed(1)), "");
    }

    #[test]
    fn boxes_are_in_pixels_of_a_size_told_or_of_what_is_shown_or_in_shares() {
        let size = |data: Value| size(&data, &outlines(&data));
        assert_eq!(size(boxed(1)), Some((640, 480)));
        assert_eq!(size(json!({"box": [10, 20, 90, 120]})), None);
        assert_eq!(size(json!({"box": [0.5, 0.5, 0.25, 1]})), Some((1, 1)));
        assert_eq!(size(json!({"boxes": [[0, 0, 1, 1], [8, 0, 9, 9]]})), None, "one is in pixels");
        assert_eq!(size(json!({"boxes": [[0, 0, 9, 9]], "width": 640})), None, "half a size");
    }

    #[test]
    fn other_names_of_the_same_are_read_too() {
        let data = json!({"box": {"x": 1, "y": 2, "width": 3, "height": 4, "class": "car"},
            "confidence": 0.5});
        let found = &outlines(&data)[0];
        assert_eq!((found.w, found.h, found.label.as_str()), (3.0, 4.0, "car 50%"));
    }

    #[test]
    fn what_is_no_box_is_none() {
        for data in [
            json!({"boxes": [{"x": 1, "y": 2, "w": 0, "h": 4}]}),
            json!({"boxes": [[1, 2, 3]]}),
            json!({"boxes": "many"}),
            json!({"box": {"x": "1"}}),
            json!({}),
        ] {
            assert_eq!(outlines(&data), [], "{data}");
        }
    }
}
