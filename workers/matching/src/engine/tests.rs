//! Events, from records to what is told.

use super::*;

const LOCAL: LocalTime = LocalTime { weekday: 0, minute: 0 };

/// An engine and a clock.
struct Site {
    engine: Engine,
    ring: RingName,
    now_ms: u64,
    sequence: u64,
}

impl Site {
    fn new(rules: &str) -> Self {
        let config = serde_json::from_str(&format!(r#"{{"rules": {rules}}}"#)).unwrap();
        let ring = "detect.events".parse().unwrap();
        Self { engine: Engine::new(&config), ring, now_ms: 1_000, sequence: 0 }
    }

    fn hear(&mut self, after_ms: u64, kind: &str, camera: &str, data: Value) -> Vec<Told> {
        self.now_ms += after_ms;
        self.sequence += 1;
        let frame =
            FrameId { ring: "cam1.packets".parse().unwrap(), epoch: 1, sequence: self.sequence };
        let record = Record {
            id: format!("{kind}-{}", self.sequence),
            kind: kind.to_owned(),
            camera: camera.to_owned(),
            frame: Some(frame),
            time_utc_ns: self.now_ms * 1_000_000,
            data,
        };
        let now = MonoNs(self.now_ms * 1_000_000);
        let (ring, sequence, local) = (&self.ring, self.sequence, LOCAL);
        self.engine.hear(&Heard { ring, epoch: 7, sequence, record: &record, now, local })
    }

    fn tick(&mut self, after_ms: u64) -> Vec<Told> {
        self.now_ms += after_ms;
        self.engine.tick(MonoNs(self.now_ms * 1_000_000))
    }
}

fn person(score: f64) -> Value {
    json!({"label": "person", "score": score})
}

fn said(told: &[Told]) -> Vec<(&str, &str, &str)> {
    told.iter().map(|it| (it.rule.as_str(), it.camera.as_str(), it.stage.as_str())).collect()
}

#[test]
fn an_event_has_one_id_from_its_begin_to_its_end_and_says_what_was_seen() {
    let mut site = Site::new(r#"{"night": {"label": "person", "quiet": "2s", "update": "1s"}}"#);
    let begin = site.hear(0, "detect", "cam1", person(0.6)).remove(0);
    let update = site.hear(1_500, "detect", "cam1", person(0.9)).remove(0);
    assert!(site.hear(500, "detect", "cam1", person(0.7)).is_empty());
    let end = site.tick(2_500).remove(0);
    assert_eq!((begin.stage, update.stage, end.stage), (Stage::Begin, Stage::Update, Stage::End));
    assert_eq!((&begin.id, &update.id), (&end.id, &end.id));
    assert_eq!(begin.id, "night-7-1");
    assert_eq!(begin.record().kind, "night.begin");
    let sequence = |told: &Told| told.frame.as_ref().unwrap().sequence;
    assert_eq!((sequence(&begin), sequence(&update), sequence(&end)), (1, 2, 3));
    assert_eq!((begin.data["score"].as_f64(), end.data["score"].as_f64()), (Some(0.6), Some(0.9)));
    assert_eq!(
        (end.data["records"].as_u64(), end.data["duration_ms"].as_u64()),
        (Some(3), Some(2_000))
    );
    assert_eq!(end.data["of"]["type"], "detect");
    assert!(!begin.data.contains_key("duration_ms"));
    assert!(site.engine.entries.is_empty() || site.tick(1).is_empty());
}

#[test]
fn a_begin_is_about_the_first_sight_though_it_is_told_later() {
    let mut site = Site::new(r#"{"stays": {"for": "1s"}}"#);
    for _ in 0..3 {
        assert!(site.hear(400, "detect", "cam1", person(0.5)).is_empty());
    }
    let begin = site.hear(400, "detect", "cam1", person(0.5)).remove(0);
    assert_eq!((begin.frame.unwrap().sequence, begin.time_utc_ns), (1, 1_400_000_000));
}

#[test]
fn rules_and_cameras_do_not_mix() {
    let mut site = Site::new(r#"{"a": {"label": "person"}, "b": {"min_score": 0.8}}"#);
    assert_eq!(said(&site.hear(0, "detect", "cam1", person(0.5))), [("a", "cam1", "begin")]);
    assert_eq!(
        said(&site.hear(0, "detect", "cam2", person(0.9))),
        [("a", "cam2", "begin"), ("b", "cam2", "begin")]
    );
    assert_eq!(
        site.engine.open().collect::<Vec<_>>(),
        [("a", "cam1"), ("a", "cam2"), ("b", "cam2")]
    );
    assert_eq!(said(&site.tick(10_000)).len(), 3);
    site.tick(1);
    assert!(site.engine.entries.is_empty(), "nothing is kept of what is over");
}

#[test]
fn what_goes_on_ends_with_its_own_end() {
    let mut site = Site::new(r#"{"moves": {"type": "motion", "quiet": "1s"}}"#);
    assert_eq!(said(&site.hear(0, "motion.begin", "cam1", json!({}))).len(), 1);
    assert!(site.tick(30_000).is_empty());
    // Its end has the id of its begin.
    site.sequence = 0;
    let record = Record {
        id: "motion.begin-1".to_owned(),
        kind: "motion.end".to_owned(),
        camera: "cam1".to_owned(),
        frame: None,
        time_utc_ns: 40_000_000_000,
        data: json!({}),
    };
    let (ring, now) = (site.ring.clone(), MonoNs(site.now_ms * 1_000_000));
    let heard = Heard { ring: &ring, epoch: 7, sequence: 2, record: &record, now, local: LOCAL };
    assert!(site.engine.hear(&heard).is_empty());
    let end = site.tick(1_000).remove(0);
    assert_eq!((end.stage, end.time_utc_ns), (Stage::End, 40_000_000_000));
    // An end of what nobody followed begins nothing.
    assert!(site.hear(0, "motion.end", "cam1", json!({})).is_empty());
}

#[test]
fn an_event_that_is_overdue_ends_before_the_next_begins() {
    let mut site = Site::new(r#"{"a": {"quiet": "1s"}}"#);
    let first = site.hear(0, "detect", "cam1", person(0.5)).remove(0);
    let told = site.hear(5_000, "detect", "cam1", person(0.5));
    assert_eq!(said(&told), [("a", "cam1", "end"), ("a", "cam1", "begin")]);
    assert_eq!(told[0].id, first.id);
    assert_ne!(told[1].id, first.id);
}

#[test]
fn a_life_goes_on_where_the_one_before_was() {
    let rules = r#"{"a": {"quiet": "2s"}, "b": {"quiet": "2s"}}"#;
    let mut site = Site::new(rules);
    let begins = site.hear(0, "detect", "cam1", person(0.5));
    let kept = serde_json::to_string(&site.engine.kept()).unwrap();
    // Of the next one a rule is gone.
    let mut next = Site::new(r#"{"b": {"quiet": "2s"}}"#);
    next.engine.restore(serde_json::from_str(&kept).unwrap());
    (next.now_ms, next.sequence) = (site.now_ms, site.sequence);
    assert_eq!(said(&next.engine.again()), [("b", "cam1", "update")]);
    assert!(next.hear(1_000, "detect", "cam1", person(0.4)).is_empty(), "it goes on");
    let end = next.tick(2_000).remove(0);
    assert_eq!((end.rule.as_str(), &end.id), ("b", &begins[1].id));
    assert_eq!(end.data["records"], 2);
}

#[test]
fn finishing_ends_all_that_goes_on_once() {
    let mut site = Site::new(r#"{"a": {}}"#);
    site.hear(0, "detect", "cam1", person(0.5));
    site.hear(0, "detect", "cam2", person(0.5));
    assert_eq!(site.engine.finish(MonoNs(2_000_000_000)).len(), 2);
    assert!(site.engine.finish(MonoNs(2_000_000_000)).is_empty());
}

#[test]
fn what_is_told_is_short_whatever_an_analyzer_says() {
    let mut site = Site::new(r#"{"a": {"zone": "*"}}"#);
    let long = "\u{1}".repeat(10_000);
    let data = json!({"label": long, "zone": long, "score": 0.5, "box": [1e308, 1, 1, 1], "width": 1, "height": 1});
    let told = site.hear(0, &"x".repeat(100), &"c".repeat(100), data).remove(0);
    assert!(serde_json::to_string(&told.data).unwrap().len() < 4_096);
    assert!(site.hear(0, "x", &"c".repeat(101), json!({"zone": "z"})).is_empty());
}

#[test]
fn an_end_ends_what_goes_on_though_the_rule_asks_for_begins_alone() {
    let mut site = Site::new(r#"{"moves": {"type": "motion.begin", "quiet": "1s"}}"#);
    assert_eq!(said(&site.hear(0, "motion.begin", "cam1", json!({}))).len(), 1);
    let ring = site.ring.clone();
    let (id, camera) = ("motion.begin-1".to_owned(), "cam1".to_owned());
    let kind = "motion.end".to_owned();
    let record =
        Record { id, kind, camera, frame: None, time_utc_ns: 3_000_000_000, data: json!({}) };
    let now = MonoNs(3_000_000_000);
    let heard = Heard { ring: &ring, epoch: 7, sequence: 2, record: &record, now, local: LOCAL };
    assert!(site.engine.hear(&heard).is_empty());
    site.now_ms = 3_000;
    assert_eq!(said(&site.tick(1_000)), [("moves", "cam1", "end")]);
}

#[test]
fn who_makes_up_cameras_fills_no_memory_and_silences_nobody_else() {
    let mut site = Site::new(r#"{"a": {}, "b": {"events": "door.events"}}"#);
    for number in 0..CAMERAS_MAX + 10 {
        site.hear(0, "detect", &format!("cam{number}"), person(0.5));
    }
    assert_eq!(site.engine.entries.len(), CAMERAS_MAX);
    let liar = site.ring.clone();
    assert_eq!(site.engine.crowds(), [("a", liar)]);
    site.hear(0, "detect", "one-more", person(0.5));
    assert_eq!(site.engine.crowds(), [], "it is said once");
    site.ring = "door.events".parse().unwrap();
    let told = site.hear(0, "door", "entrance", json!({}));
    assert_eq!(said(&told), [("a", "entrance", "begin"), ("b", "entrance", "begin")]);
}
