//! What a record says it has found. A box's own words come before the record's:
//!
//! ```json
//! {"width": 640, "height": 360, "score": 0.4, "boxes": [{"x": 10, "y": 20, "w": 30, "h": 40, "label": "person"}]}
//! ```

use protocol::config::Patterns;
use protocol::config::zone::{Zones, of_camera};
use serde_json::Value;

use crate::record::says;

/// One thing in one picture, or what a record without boxes says of all of it.
#[derive(Clone, Copy, Debug)]
pub struct Finding<'a> {
    one: Option<&'a Value>,
    data: &'a Value,
}

/// All that a record has found; of a record that says nothing of boxes, the record itself.
pub(crate) fn findings(data: &Value) -> impl Iterator<Item = Finding<'_>> {
    let many = data.get("boxes").and_then(Value::as_array);
    let one = data.get("box");
    let itself = (many.is_none() && one.is_none()).then_some(Finding { one: None, data });
    let boxes = many.into_iter().flatten().chain(one);
    boxes.map(move |one| Finding { one: Some(one), data }).chain(itself)
}

impl<'a> Finding<'a> {
    fn said(&self, key: &str) -> Option<&'a Value> {
        self.one.and_then(|one| one.get(key)).or_else(|| self.data.get(key))
    }

    /// What is said under any of these keys: by the box itself, or else by the record. A record's `labels` are those
    /// of all its boxes, and none of a box that has one of its own.
    fn all_said(&self, keys: [&'static str; 2]) -> impl Iterator<Item = &'a Value> {
        let own = self.one.filter(|one| keys.iter().any(|key| one.get(*key).is_some()));
        let from = own.unwrap_or(self.data);
        keys.into_iter().filter_map(move |key| from.get(key))
    }

    pub fn label(&self) -> Option<&'a str> {
        self.said("label")?.as_str()
    }

    pub fn score(&self) -> Option<f64> {
        self.said("score")?.as_f64().filter(|score| score.is_finite())
    }

    /// `x, y, w, h` as the record has them: in pixels of its `width` and `height`.
    pub fn outline(&self) -> Option<[f64; 4]> {
        let one = self.one?;
        let number = |at: usize, key: &str| match one {
            Value::Array(items) => items.get(at)?.as_f64(),
            _ => one.get(key)?.as_f64(),
        };
        Some([number(0, "x")?, number(1, "y")?, number(2, "w")?, number(3, "h")?])
    }

    /// Where it stands: the middle of the lower edge of its box, in parts of the picture's sides. A box of which
    /// nobody says how large the picture is stands nowhere.
    pub fn place(&self) -> Option<(f64, f64)> {
        let side = |key: &str| self.data.get(key)?.as_f64().filter(|side| *side > 0.0);
        let [x, y, w, h] = self.outline()?;
        let place = ((x + w / 2.0) / side("width")?, (y + h) / side("height")?);
        // A box that ends at the edge stands inside.
        let inside = |part: f64| part.clamp(0.0, 1.0 - f64::EPSILON);
        place.0.is_finite().then_some((inside(place.0), inside(place.1)))
    }

    pub(crate) fn has_label(&self, wanted: &Patterns) -> bool {
        wanted.is_empty() || self.all_said(["label", "labels"]).any(|value| says(value, wanted))
    }

    /// In one of these zones: of `known` by its place, of all others by what the analyzer says.
    pub(crate) fn is_in(&self, wanted: &Patterns, known: &Zones, camera: &str) -> bool {
        wanted.is_empty() || self.zone(wanted, known, camera).is_some()
    }

    /// The first of these zones that it is in.
    pub(crate) fn zone(&self, wanted: &Patterns, known: &Zones, camera: &str) -> Option<String> {
        let place = self.place();
        let ours = || of_camera(known, camera);
        let mut meant = ours().filter(|(name, _)| wanted.matches(name));
        let inside = meant.find(|(_, zone)| place.is_some_and(|(x, y)| zone.contains(x, y)));
        if let Some((name, _)) = inside {
            return Some(name.to_owned());
        }
        let names = self.all_said(["zone", "zones"]).flat_map(|value| match value {
            Value::Array(names) => names.as_slice(),
            one => std::slice::from_ref(one),
        });
        let mut names = names.filter_map(Value::as_str);
        let is_ours = |name: &str| ours().any(|(own, _)| own == name);
        names.find(|name| wanted.matches(name) && !is_ours(name)).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The porch of every camera, and a yard of another one.
    fn porch() -> Zones {
        let corners = |text: &str| text.parse().unwrap();
        Zones::from([
            ("porch".to_owned(), corners("0% 50%, 50% 50%, 50% 100%, 0% 100%")),
            ("back.gate".to_owned(), corners("0% 0%, 100% 100%")),
        ])
    }

    fn zones(data: &Value, wanted: &str) -> Vec<Option<String>> {
        findings(data).map(|it| it.zone(&wanted.into(), &porch(), "front")).collect()
    }

    #[test]
    fn each_box_is_a_finding_with_its_own_words_before_the_records() {
        let data = json!({"score": 0.4, "label": "thing", "boxes": [
            {"x": 0, "y": 0, "w": 1, "h": 1, "label": "person", "score": 0.9}, [1, 2, 3, 4]]});
        let found: Vec<_> = findings(&data).map(|it| (it.label(), it.score())).collect();
        assert_eq!(found, [(Some("person"), Some(0.9)), (Some("thing"), Some(0.4))]);
        let one = json!({"box": [1, 2, 3, 4], "label": "cat"});
        assert_eq!(
            findings(&one).map(|it| it.outline()).collect::<Vec<_>>(),
            [Some([1.0, 2.0, 3.0, 4.0])]
        );
    }

    #[test]
    fn a_record_without_boxes_is_one_finding_and_nonsense_finds_nothing() {
        let data = json!({"label": "bell", "score": 1});
        let found: Vec<_> =
            findings(&data).map(|it| (it.label(), it.score(), it.place())).collect();
        assert_eq!(found, [(Some("bell"), Some(1.0), None)]);
        assert_eq!(findings(&json!({"boxes": [], "score": 1})).count(), 0);
        for nonsense in [json!(null), json!([1]), json!({"boxes": "many"})] {
            let found: Vec<_> = findings(&nonsense).map(|it| (it.label(), it.score())).collect();
            assert_eq!(found, [(None, None)], "{nonsense}");
        }
        let odd = json!({"boxes": [{"x": "a"}, 7, {"label": 5}], "width": 0, "height": 1});
        assert!(findings(&odd).all(|it| it.place().is_none() && it.label().is_none()));
    }

    #[test]
    fn a_thing_is_where_its_feet_are() {
        let data = json!({"width": 200, "height": 100, "boxes": [
            {"x": 20, "y": 10, "w": 40, "h": 70},
            {"x": 20, "y": 0, "w": 40, "h": 40},
            {"x": 120, "y": 50, "w": 40, "h": 50},
            {"x": 0, "y": 60, "w": 20, "h": 40}]});
        let porch = Some("porch".to_owned());
        assert_eq!(zones(&data, "porch"), [porch.clone(), None, None, porch]);
        let unknown = json!({"boxes": [{"x": 20, "y": 10, "w": 40, "h": 70}]});
        assert_eq!(zones(&unknown, "porch"), [None], "nobody says how large the picture is");
    }

    #[test]
    fn a_zone_that_is_not_ours_is_the_analyzers_word() {
        let data = json!({"zones": ["yard", "gate"], "boxes": [{"x": 0, "y": 0, "w": 1, "h": 1, "zone": "door"}, [0, 0, 1, 1]]});
        assert_eq!(zones(&data, "gate"), [None, Some("gate".to_owned())]);
        assert_eq!(zones(&data, "door"), [Some("door".to_owned()), None]);
        assert_eq!(zones(&json!({"zone": "porch"}), "porch"), [None], "ours are by place alone");
        assert_eq!(zones(&json!({"zone": "p2"}), "p*"), [Some("p2".to_owned())]);
    }
}
