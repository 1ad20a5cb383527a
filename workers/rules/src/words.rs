//! What is told of an event, in words; and the time of the week. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use matching::{Stage, Told};
use protocol::config::rules::LocalTime;
use protocol::control::Happening;
use protocol::time::UtcNs;
use serde_json::Value;

/// What the supervisor is told of a stage.
pub(crate) fn happening(stage: Stage) -> Happening {
    match stage {
        Stage::Begin => Happening::RuleBegan,
        Stage::Update => Happening::RuleGoesOn,
        Stage::End => Happening::RuleEnded,
    }
}

/// For people: `night: person 90 % in porch`.
pub(crate) fn in_words(told: &Told) -> String {
    let text = |key: &str| told.data.get(key).and_then(Value::as_str);
    let what = text("label").or_else(|| told.data.get("of")?.get("type")?.as_str());
    let mut words = format!("{}: {}", told.rule, what.unwrap_or("something"));
    let score = told.data.get("score").and_then(Value::as_f64);
    if let Some(score) = score.filter(|score| (0.0..=1.0).contains(score)) {
        words += &format!(" {:.0} %", score * 100.0);
    }
    if let Some(zone) = text("zone") {
        words += &format!(" in {zone}");
    }
    if let Some(ms) = told.data.get("duration_ms").and_then(Value::as_u64) {
        words += &format!(", over after {}.{} s", ms / 1_000, ms % 1_000 / 100);
    }
    words
}

/// What clocks of this zone show.
pub(crate) fn local(at: UtcNs, zone: &TimeZone) -> LocalTime {
    let shown = Timestamp::from_nanosecond(i128::from(at.0)).unwrap_or_default();
    let shown = shown.to_zoned(zone.clone());
    let number = |part: i8| u8::try_from(part).unwrap_or(0);
    LocalTime {
        weekday: number(shown.weekday().to_monday_zero_offset()),
        minute: u16::from(number(shown.hour())) * 60 + u16::from(number(shown.minute())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn told(stage: Stage, data: Value) -> Told {
        let Value::Object(data) = data else { panic!("{data}") };
        let (rule, camera, id) = ("night".to_owned(), "front".to_owned(), "night-1-1".to_owned());
        Told { stage, rule, camera, id, frame: None, time_utc_ns: 0, data }
    }

    #[test]
    fn an_event_is_told_by_what_is_known_of_it() {
        let all = json!({"label": "person", "score": 0.9, "zone": "porch"});
        assert_eq!(in_words(&told(Stage::Begin, all)), "night: person 90 % in porch");
        let end = json!({"of": {"type": "motion.begin"}, "score": 40, "duration_ms": 12_345});
        assert_eq!(in_words(&told(Stage::End, end)), "night: motion.begin, over after 12.3 s");
        assert_eq!(in_words(&told(Stage::Begin, Value::Object(Map::new()))), "night: something");
    }

    #[test]
    fn the_time_of_the_week_is_that_of_the_place() {
        // Friday, 2026-11-20T23:30:00Z.
        let at = UtcNs(1_795_217_400_000_000_000);
        assert_eq!(local(at, &TimeZone::UTC), LocalTime { weekday: 4, minute: 23 * 60 + 30 });
        let east = TimeZone::fixed(jiff::tz::offset(1));
        assert_eq!(local(at, &east), LocalTime { weekday: 5, minute: 30 });
    }
}
