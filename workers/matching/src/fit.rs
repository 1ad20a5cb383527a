//! Whether a record fits a rule, and by which of its findings.

use protocol::config::rules::{LocalTime, Rule};
use protocol::config::zone::Zones;
use protocol::name::RingName;
use protocol::record::Record;
use serde_json::Value;

use crate::finding::{Finding, findings};
use crate::record::{has_data, is_of_kind};

/// Longer names are nobody's: programs outside the topology may write anything.
const NAME_MAX_BYTES: usize = 100;

/// Of all findings that fit, the surest.
pub(crate) fn best<'a>(
    rule: &Rule,
    zones: &Zones,
    ring: &RingName,
    record: &'a Record,
    local: LocalTime,
) -> Option<Finding<'a>> {
    let is_meant = is_about(rule, ring, record)
        && rule.schedule.holds(local)
        && has_data(&rule.data, &record.data);
    if !is_meant {
        return None;
    }
    let fitting = findings(&record.data).filter(|finding| {
        finding.has_label(&rule.label)
            && is_sure(finding, rule.min_score)
            && finding.is_in(&rule.zone, zones, &record.camera)
    });
    let score = |finding: &Finding<'_>| finding.score().unwrap_or(f64::NEG_INFINITY);
    fitting.max_by(|a, b| score(a).total_cmp(&score(b)))
}

/// Whether what it tells of is what the rule is about, whatever it found. What rules tell is for others: two
/// of them would keep each other going for ever.
fn is_about(rule: &Rule, ring: &RingName, record: &Record) -> bool {
    let is_of_a_rule = record.data.get("rule").is_some_and(Value::is_string);
    let is_sane = [&record.camera, &record.kind].iter().all(|it| it.len() <= NAME_MAX_BYTES);
    is_sane
        && !is_of_a_rule
        && rule.rings.matches(ring.as_str())
        && rule.camera.matches(&record.camera)
        && is_of_kind(&rule.kinds, &record.kind)
}

fn is_sure(finding: &Finding<'_>, least: Option<f64>) -> bool {
    least.is_none_or(|least| finding.score().is_some_and(|score| score >= least))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::tests::record;

    const NOON: LocalTime = LocalTime { weekday: 2, minute: 720 };

    fn rule(text: &str) -> Rule {
        serde_json::from_str(text).unwrap()
    }

    /// The score of the best finding that fits.
    fn score(rule: &Rule, kind: &str, data: Value) -> Option<Option<f64>> {
        let record = record(kind, "front", data);
        let ring = "detect.events".parse().unwrap();
        best(rule, &Zones::new(), &ring, &record, NOON).map(|finding| finding.score())
    }

    fn crowd() -> Value {
        json!({"boxes": [
            {"x": 0, "y": 0, "w": 1, "h": 1, "label": "person", "score": 0.5},
            {"x": 0, "y": 0, "w": 1, "h": 1, "label": "person", "score": 0.8},
            {"x": 0, "y": 0, "w": 1, "h": 1, "label": "car", "score": 0.9, "zone": "street"}]})
    }

    #[test]
    fn one_finding_must_have_all_that_a_rule_asks_for() {
        let all = rule(r#"{"type": "detect", "label": "person", "min_score": 0.6}"#);
        assert_eq!(score(&all, "detect", crowd()), Some(Some(0.8)));
        // A sure car and an unsure person are no sure person.
        let sure = rule(r#"{"label": "person", "min_score": 0.85}"#);
        assert_eq!(score(&sure, "detect", crowd()), None);
        let placed = rule(r#"{"label": "person", "zone": "street"}"#);
        assert_eq!(score(&placed, "detect", crowd()), None);
        assert_eq!(score(&rule(r#"{"zone": "street"}"#), "detect", crowd()), Some(Some(0.9)));
    }

    #[test]
    fn what_a_record_has_in_all_is_not_said_of_each_of_its_boxes() {
        // As a detector tells it.
        let mut seen = crowd();
        (seen["label"], seen["score"]) = (json!("car"), json!(0.9));
        (seen["labels"], seen["zones"]) = (json!(["car", "person"]), json!(["street"]));
        for (at, zones) in [json!(["porch"]), json!([]), json!(["street"])].into_iter().enumerate()
        {
            seen["boxes"][at]["zones"] = zones;
        }
        let of = |text: &str| score(&rule(text), "detect.objects", seen.clone());
        assert_eq!(of(r#"{"label": "person"}"#), Some(Some(0.8)));
        assert_eq!(of(r#"{"label": "person", "min_score": 0.85}"#), None, "the car is sure");
        assert_eq!(of(r#"{"label": "person", "zone": "street"}"#), None, "the car is there");
        assert_eq!(of(r#"{"label": "person", "zone": "porch"}"#), Some(Some(0.5)));
        // A box without a word of its own has the record's.
        seen["boxes"] = json!([[0, 0, 1, 1]]);
        let of = |text: &str| score(&rule(text), "detect.objects", seen.clone());
        assert_eq!(of(r#"{"label": "person", "zone": "street"}"#), Some(Some(0.9)));
    }

    #[test]
    fn who_asks_for_nothing_takes_everything_but_what_rules_tell() {
        let any = Rule::default();
        assert_eq!(score(&any, "door", Value::Null), Some(None));
        assert_eq!(score(&any, "night.begin", json!({"rule": "night", "score": 1})), None);
    }

    #[test]
    fn type_camera_ring_data_and_schedule_count() {
        let fits = |text: &str| {
            score(&rule(text), "motion.begin", json!({"score": 0.5, "side": "left"})).is_some()
        };
        assert!(fits(r#"{"type": "motion", "camera": "fr*", "events": "detect.events"}"#));
        assert!(fits(r#"{"data": {"side": ["left", "right"]}, "schedule": "wed 12:00-13:00"}"#));
        for text in [
            r#"{"type": "door"}"#,
            r#"{"camera": "back"}"#,
            r#"{"events": "motion.events"}"#,
            r#"{"data": {"side": "right"}}"#,
            r#"{"schedule": "12:01-13:00"}"#,
            r#"{"schedule": "thu"}"#,
            r#"{"label": "person"}"#,
            r#"{"zone": "porch"}"#,
            r#"{"min_score": 0.6}"#,
        ] {
            assert!(!fits(text), "{text}");
        }
    }
}
