//! Whatever analyzers tell and whenever a process ends, events are whole: one begin, then updates, one end, one id.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use matching::{Engine, Heard, Stage, Told};
use proptest::prelude::*;
use protocol::config::RulesConfig;
use protocol::config::rules::LocalTime;
use protocol::name::RingName;
use protocol::record::Record;
use protocol::time::MonoNs;
use serde_json::json;

/// What happens, after some ms.
#[derive(Clone, Debug)]
enum Act {
    Tell {
        camera: u8,
        kind: u8,
        id: u8,
        label: u8,
        score: u8,
    },
    Tick,
    /// The process is killed, and its next life goes on.
    Restart,
}

fn act() -> impl Strategy<Value = (u32, Act)> {
    let tell = (0..3u8, 0..5u8, 0..4u8, 0..3u8, 0..11u8)
        .prop_map(|(camera, kind, id, label, score)| Act::Tell { camera, kind, id, label, score });
    let act = prop_oneof![6 => tell, 3 => Just(Act::Tick), 1 => Just(Act::Restart)];
    (prop_oneof![4 => 0..800u32, 1 => 0..70_000u32], act)
}

fn config() -> RulesConfig {
    let rules = json!({ "rules": {
        "any": {"quiet": "1s", "update": "500ms"},
        "sure": {"label": ["person", "car"], "min_score": 0.5, "for": "600ms", "quiet": "2s", "cooldown": "3s"},
        "moves": {"type": "motion", "camera": "cam1", "quiet": "0s"},
    }});
    serde_json::from_value(rules).unwrap()
}

fn record(at_ms: u64, act: &Act) -> Option<Record> {
    let Act::Tell { camera, kind, id, label, score } = act else { return None };
    let kinds = ["motion.begin", "motion.update", "motion.end", "detect", "x.y.end"];
    let labels = ["person", "car", "cat"];
    Some(Record {
        id: id.to_string(),
        kind: kinds[usize::from(*kind)].to_owned(),
        camera: format!("cam{camera}"),
        frame: None,
        time_utc_ns: at_ms * 1_000_000,
        data: json!({"label": labels[usize::from(*label)], "score": f64::from(*score) / 10.0}),
    })
}

/// Plays it; `restarts`: whether the process is killed where the script says so.
fn play(script: &[(u32, Act)], restarts: bool) -> Vec<Told> {
    let config = config();
    let ring: RingName = "a.events".parse().unwrap();
    let (mut engine, mut told, mut now_ms, mut sequence) = (Engine::new(&config), Vec::new(), 1, 0);
    for (after_ms, act) in script {
        now_ms += u64::from(*after_ms);
        let now = MonoNs(now_ms * 1_000_000);
        match record(now_ms, act) {
            Some(record) => {
                sequence += 1;
                let local = LocalTime { weekday: 0, minute: 0 };
                let heard = Heard { ring: &ring, epoch: 1, sequence, record: &record, now, local };
                told.extend(engine.hear(&heard));
            }
            None => told.extend(engine.tick(now)),
        }
        if restarts && matches!(act, Act::Restart) {
            let kept = serde_json::to_string(&engine.kept()).unwrap();
            engine = Engine::new(&config);
            engine.restore(serde_json::from_str(&kept).unwrap());
        }
    }
    told.extend(engine.finish(MonoNs((now_ms + 1) * 1_000_000)));
    told
}

proptest! {
    #[test]
    fn every_event_is_whole(script in prop::collection::vec(act(), 0..120)) {
        let mut open: BTreeMap<(String, String), (String, u64)> = BTreeMap::new();
        let mut ended: Vec<String> = Vec::new();
        for told in play(&script, false) {
            let key = (told.rule.clone(), told.camera.clone());
            let records = told.data["records"].as_u64().unwrap();
            prop_assert_eq!(told.data["rule"].as_str(), Some(told.rule.as_str()));
            match told.stage {
                Stage::Begin => {
                    prop_assert!(!ended.contains(&told.id), "{} begins again", told.id);
                    let before = open.insert(key, (told.id, records));
                    prop_assert!(before.is_none(), "begun twice");
                }
                Stage::Update => {
                    let (id, seen) = open.get_mut(&key).expect("an update of nothing");
                    prop_assert_eq!(&*id, &told.id);
                    prop_assert!(records > *seen);
                    *seen = records;
                }
                Stage::End => {
                    let (id, seen) = open.remove(&key).expect("an end of nothing");
                    prop_assert_eq!(&id, &told.id);
                    prop_assert!(records >= seen);
                    ended.push(id);
                }
            }
        }
        prop_assert!(open.is_empty(), "what began has no end: {open:?}");
    }

    #[test]
    fn a_kill_changes_nothing_of_what_is_told(script in prop::collection::vec(act(), 0..120)) {
        prop_assert_eq!(play(&script, true), play(&script, false));
    }
}
