//! `use: rules`: what of all that analyzers tell is worth doing something about.

mod schedule;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::when::Patterns;
use super::zone::Zones;
use crate::units::Span;

pub use schedule::{Hours, LocalTime, Schedule, ScheduleError};

/// What the user writes under `use: rules`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesConfig {
    /// By names, which their events have.
    pub rules: BTreeMap<String, Rule>,
    /// Parts of the picture, by names that rules use.
    #[serde(default)]
    pub zones: Zones,
    /// The folder for pictures of rules with `snapshot`.
    #[serde(default)]
    pub snapshots: Option<PathBuf>,
    /// Older pictures are removed. Default: none is.
    #[serde(default)]
    pub keep_for: Option<Span>,
    /// Of the pictures, 1 to 100. Default 85.
    #[serde(default = "fine")]
    pub jpeg_quality: u8,
}

impl RulesConfig {
    /// Everything at its default.
    pub fn of(rules: BTreeMap<String, Rule>) -> Self {
        Self { rules, jpeg_quality: fine(), ..Self::default() }
    }

    /// For what is only tried out.
    pub fn keep_no_pictures(&mut self) {
        self.rules.values_mut().for_each(|rule| rule.snapshot = false);
    }
}

fn fine() -> u8 {
    85
}

/// Which records are one event, from when to when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Record rings among the inputs, by names or patterns. Default: all.
    #[serde(rename = "events")]
    pub rings: Patterns,
    /// Types of records; `motion` stands for `motion.begin` and all others of it. Default: all.
    #[serde(rename = "type")]
    pub kinds: Patterns,
    /// Cameras that the records name. Default: all.
    pub camera: Patterns,
    /// What is found. Empty: anything, and what has no label.
    pub label: Patterns,
    /// Where it is found: names of zones, ours or the analyzer's. Empty: anywhere.
    pub zone: Patterns,
    /// It is found as surely as this at least.
    pub min_score: Option<f64>,
    /// Keys of the record's `data` that have one of these values.
    pub data: BTreeMap<String, Patterns>,
    /// When records count, by the machine's own time. Empty: always.
    pub schedule: Schedule,
    /// It begins when records have fitted for so long, without a pause of two seconds. Default 0s.
    #[serde(rename = "for")]
    pub lasting: Span,
    /// It ends when none has fitted for so long. Default 10s.
    pub quiet: Span,
    /// While it goes on, hooks and servers are told of it once in so long at most. Default 10s.
    pub update: Span,
    /// None begins within so long after an end. Default 0s.
    pub cooldown: Span,
    /// A picture is kept of each begin.
    pub snapshot: bool,
}

impl Default for Rule {
    fn default() -> Self {
        let all = || Patterns(vec!["*".to_owned()]);
        Self {
            rings: all(),
            kinds: all(),
            camera: all(),
            label: Patterns::default(),
            zone: Patterns::default(),
            min_score: None,
            data: BTreeMap::new(),
            schedule: Schedule::default(),
            lasting: Span::default(),
            // What walks behind a tree is the same when it comes out.
            quiet: Span::from_millis(10_000),
            update: Span::from_millis(10_000),
            cooldown: Span::default(),
            snapshot: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn a_section_becomes_rules_and_survives_both_forms() {
        let text = r#"{"rules": {"night": {"type": "detect", "label": ["person", "car"], "zone": "porch",
            "min_score": 0.6, "schedule": "mon-fri 22:00-06:00", "for": "1s", "snapshot": true}},
            "zones": {"porch": "10% 50%, 90% 50%, 50% 100%"}, "snapshots": "pictures", "keep_for": "30d"}"#;
        let config: RulesConfig = serde_json::from_str(text).unwrap();
        let night = &config.rules["night"];
        assert!(night.kinds.matches("detect") && night.rings.matches("a.events"));
        assert_eq!((night.lasting, night.quiet), (Span::from_millis(1_000), Rule::default().quiet));
        assert!(night.snapshot && config.jpeg_quality == 85);
        let again = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<RulesConfig>(&again).unwrap(), config, "{again}");
        let frame = codec::encode(&config).unwrap();
        assert_eq!(codec::decode::<RulesConfig>(&frame).unwrap(), config);
    }

    #[test]
    fn what_no_rule_has_is_refused() {
        for bad in [
            r#"{"rules": {"a": {"lable": "x"}}}"#,
            r#"{"rules": {"a": {"schedule": "sometimes"}}}"#,
            r#"{"rules": {}, "zones": {"z": "0% 0%"}}"#,
            r#"{"zones": {}}"#,
        ] {
            assert!(serde_json::from_str::<RulesConfig>(bad).is_err(), "{bad}");
        }
    }
}
