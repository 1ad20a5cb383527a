//! What is told of a picture. Pure.
//!
//! | type | when | data |
//! |---|---|---|
//! | `detect.objects` | something was found | `label`, `score` of the surest, `labels`, `zones`, `boxes` |
//! | `detect.none` | nothing, the first time after something | `boxes`, of which there are none |
//! | `detect.class` | a model of classes is sure enough | `label`, `score`, `classes` |

use protocol::config::zone::Field;
use protocol::record::Record;
use protocol::stream::FrameId;
use protocol::time::UtcNs;
use serde_json::{Map, Value, json};
use tensors::Sides;

use crate::find::Found;

pub const OBJECTS: &str = "detect.objects";
pub const NONE: &str = "detect.none";
pub const CLASS: &str = "detect.class";

/// The picture that is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub frame: FrameId,
    pub capture: UtcNs,
    pub size: Sides,
}

impl Seen {
    /// `found` is not empty, and the surest is first.
    pub fn objects(&self, found: &[Found], field: &Field) -> Record {
        let names: Vec<&str> = field.names().collect();
        let zones_of = |one: &Found| -> Vec<&str> {
            one.zones.iter().filter_map(|at| names.get(*at).copied()).collect()
        };
        let boxes = found.iter().map(|one| {
            let mut told = json!({
                "x": tenth(one.rect.x), "y": tenth(one.rect.y), "w": tenth(one.rect.w), "h": tenth(one.rect.h),
                "label": one.label, "score": share(one.score),
            });
            if !names.is_empty() {
                told["zones"] = json!(zones_of(one));
            }
            told
        });
        let boxes: Vec<Value> = boxes.collect();
        let surest = found.first();
        let labels = once(found.iter().map(|one| one.label.as_str()));
        let zones = once(found.iter().flat_map(zones_of));
        let data = json!({
            "label": surest.map(|one| one.label.as_str()), "score": surest.map(|one| share(one.score)),
            "labels": labels, "zones": zones, "boxes": boxes,
        });
        self.record(OBJECTS, data)
    }

    /// An empty list, for whoever reads boxes: of nothing, nothing fits a rule.
    pub fn none(&self) -> Record {
        self.record(NONE, json!({"boxes": []}))
    }

    /// `classes` is not empty, and the surest is first.
    pub fn class(&self, classes: &[(String, f32)]) -> Record {
        let all =
            classes.iter().map(|(label, score)| json!({"label": label, "score": share(*score)}));
        let all: Vec<Value> = all.collect();
        let mut data = all.first().cloned().unwrap_or_else(|| Value::Object(Map::new()));
        data["classes"] = all.into();
        self.record(CLASS, data)
    }

    fn record(&self, kind: &str, mut data: Value) -> Record {
        (data["width"], data["height"]) = (self.size.0.into(), self.size.1.into());
        let camera = self.frame.ring.camera();
        Record {
            id: format!("detect-{camera}-{}-{}", self.frame.epoch, self.frame.sequence),
            kind: kind.to_owned(),
            camera: camera.to_owned(),
            frame: Some(self.frame.clone()),
            time_utc_ns: self.capture.0,
            data,
        }
    }
}

/// Each of them once, in their order.
fn once<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

/// A tenth of a pixel is more than any model can tell.
fn tenth(pixels: f32) -> f64 {
    (f64::from(pixels) * 10.0).round() / 10.0
}

fn share(share: f32) -> f64 {
    (f64::from(share) * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::config::zone::Zones;
    use tensors::Rect;

    fn seen() -> Seen {
        let ring = "yard.packets".parse().unwrap();
        let frame = FrameId { ring, epoch: 7, sequence: 42 };
        Seen { frame, capture: UtcNs(5), size: (640, 480) }
    }

    fn found(label: &str, score: f32, zones: Vec<usize>) -> Found {
        let rect = Rect { x: 1.04, y: 2.06, w: 30.0, h: 40.0 };
        Found { label: label.to_owned(), score, rect, zones }
    }

    #[test]
    fn what_was_found_is_told_with_the_picture_it_was_found_in() {
        let zone = |text: &str| text.parse().unwrap();
        let zones = Zones::from([
            ("door".to_owned(), zone("0% 0%, 50% 50%")),
            ("drive".to_owned(), zone("0% 0%, 90% 90%")),
        ]);
        let field = Field::of(&zones, &Zones::new(), "yard");
        let all = [
            found("car", 0.9, vec![1]),
            found("person", 0.5, vec![0, 1]),
            found("car", 0.4, vec![1]),
        ];
        let record = seen().objects(&all, &field);
        assert_eq!((record.kind.as_str(), record.camera.as_str()), (OBJECTS, "yard"));
        assert_eq!((record.id.as_str(), record.time_utc_ns), ("detect-yard-7-42", 5));
        assert_eq!(record.frame, Some(seen().frame));
        let data = record.data;
        assert_eq!((&data["label"], &data["score"]), (&json!("car"), &json!(0.9)));
        assert_eq!(
            (&data["labels"], &data["zones"]),
            (&json!(["car", "person"]), &json!(["drive", "door"]))
        );
        let first = json!({
            "x": 1.0, "y": 2.1, "w": 30.0, "h": 40.0, "label": "car", "score": 0.9, "zones": ["drive"],
        });
        assert_eq!(data["boxes"][0], first);
        assert_eq!((&data["width"], &data["height"]), (&json!(640), &json!(480)));
    }

    #[test]
    fn without_zones_nothing_is_said_of_them_in_a_box() {
        let record = seen().objects(&[found("car", 0.9, Vec::new())], &Field::default());
        assert!(record.data["boxes"][0].get("zones").is_none());
        assert_eq!(record.data["zones"], json!([]));
    }

    #[test]
    fn classes_and_nothing_are_told_too() {
        let classes = [("red".to_owned(), 0.8), ("blue".to_owned(), 0.1)];
        let data = seen().class(&classes).data;
        assert_eq!((&data["label"], &data["classes"][1]["label"]), (&json!("red"), &json!("blue")));
        let none = seen().none();
        assert_eq!((none.kind.as_str(), &none.data["width"]), (NONE, &json!(640)));
        assert_eq!(none.data["boxes"], json!([]));
    }
}
