//! What stands in a record, as rules ask for it.

use std::collections::BTreeMap;

use protocol::config::{EventRule, Patterns};
use protocol::record::Record;
use serde_json::Value;

/// What a record says of the thing it is about, by the end of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `.begin` and `.update`: it goes on until its end.
    GoesOn,
    /// `.end`.
    Ended,
    /// Any other: a moment.
    Moment,
}

impl Phase {
    pub fn of(record: &Record) -> Self {
        match record.kind.rsplit_once('.').map(|(_, last)| last) {
            Some("begin" | "update") => Self::GoesOn,
            Some("end") => Self::Ended,
            _ => Self::Moment,
        }
    }
}

/// Whether a recorder's rule is meant by a record; `own` is the camera that is recorded.
pub fn fits(rule: &EventRule, record: &Record, own: &str) -> bool {
    let camera = if rule.camera.is_empty() {
        record.camera == own
    } else {
        rule.camera.matches(&record.camera)
    };
    let score = || record.data.get("score").and_then(Value::as_f64);
    camera
        && is_of_kind(&rule.kinds, &record.kind)
        && rule.min_score.is_none_or(|least| score().is_some_and(|score| score >= least))
        && has_data(&rule.data, &record.data)
}

/// `motion` stands for `motion.begin` too.
pub fn is_of_kind(kinds: &Patterns, kind: &str) -> bool {
    let mut ends = kind.match_indices('.').map(|(at, _)| at).chain([kind.len()]);
    ends.any(|end| kinds.matches(&kind[..end]))
}

/// Each key has one of the values that are wanted; of a list, one entry is enough.
pub fn has_data(wanted: &BTreeMap<String, Patterns>, data: &Value) -> bool {
    wanted.iter().all(|(key, wanted)| data.get(key).is_some_and(|value| says(value, wanted)))
}

/// Whether a value, or one of a list, is wanted.
pub(crate) fn says(value: &Value, wanted: &Patterns) -> bool {
    match value {
        Value::Array(values) => values.iter().any(|value| wanted.matches(&text_of(value))),
        value => wanted.matches(&text_of(value)),
    }
}

/// As a person writes it in a topology.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn record(kind: &str, camera: &str, data: Value) -> Record {
        let (id, kind, camera) = ("a".to_owned(), kind.to_owned(), camera.to_owned());
        Record { id, kind, camera, frame: None, time_utc_ns: 0, data }
    }

    #[test]
    fn a_records_phase_is_the_end_of_its_type() {
        let phase = |kind: &str| Phase::of(&record(kind, "cam1", Value::Null));
        assert_eq!((phase("motion.begin"), phase("a.b.update")), (Phase::GoesOn, Phase::GoesOn));
        assert_eq!(
            (phase("motion.end"), phase("end"), phase("door")),
            (Phase::Ended, Phase::Moment, Phase::Moment)
        );
    }

    #[test]
    fn a_type_stands_for_what_is_below_it_and_for_nothing_beside_it() {
        let is = |kinds: &str, kind: &str| is_of_kind(&kinds.into(), kind);
        assert!(is("motion", "motion.begin") && is("motion", "motion") && is("*", "x.y"));
        assert!(is("motion.*", "motion.end") && !is("motion.*", "motion"));
        assert!(!is("motion", "motions.begin") && !is("begin", "motion.begin"));
    }

    #[test]
    fn data_has_one_of_the_values_wanted_for_each_key() {
        let wanted = BTreeMap::from([
            ("label".to_owned(), Patterns(vec!["cat".into(), "d*".into()])),
            ("count".to_owned(), "2".into()),
        ]);
        assert!(has_data(&wanted, &json!({"label": "dog", "count": 2, "more": null})));
        assert!(has_data(&wanted, &json!({"label": ["cow", "cat"], "count": "2"})));
        assert!(!has_data(&wanted, &json!({"label": "cow", "count": 2})));
        assert!(!has_data(&wanted, &json!({"label": "cat"})));
        assert!(!has_data(&wanted, &Value::Null));
        assert!(has_data(&BTreeMap::new(), &Value::Null));
    }
}
