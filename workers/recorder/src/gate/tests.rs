use protocol::config::Patterns;
use protocol::stream::FrameId;
use protocol::units::Span;
use serde_json::{Value, json};

use super::*;

const SECOND: u64 = 1_000_000_000;
/// The camera's own clock is this much behind the machine's.
const BEHIND: u64 = 3600;

fn s(seconds: u64) -> UtcNs {
    UtcNs(seconds * SECOND)
}

/// Second `seconds` of the camera's clock.
fn at(seconds: u64) -> Moment {
    Moment { capture: s(seconds), arrival: s(seconds + BEHIND) }
}

fn rule() -> EventRule {
    EventRule {
        rings: "*.events".into(),
        kinds: "motion".into(),
        pre: Span(10 * SECOND),
        post: Span(20 * SECOND),
        ..EventRule::default()
    }
}

fn gate(when: When) -> Gate {
    Gate::new(&"cam1.packets".parse().unwrap(), when)
}

fn record(kind: &str, id: &str, seconds: u64, data: Value) -> Record {
    Record {
        id: id.to_owned(),
        kind: kind.to_owned(),
        camera: "cam1".to_owned(),
        frame: Some(FrameId { ring: "cam1.packets".parse().unwrap(), epoch: 1, sequence: 1 }),
        time_utc_ns: seconds * SECOND,
        data,
    }
}

fn hear(gate: &mut Gate, record: &Record) {
    let now = UtcNs(record.time_utc_ns + BEHIND * SECOND);
    gate.hear(&"motion1.events".parse().unwrap(), record, now);
}

/// The first and last of these seconds that are wanted.
fn wanted(gate: &Gate, seconds: std::ops::Range<u64>) -> Option<(u64, u64)> {
    let mut wanted = seconds.filter(|second| gate.wants(at(*second)));
    let first = wanted.next()?;
    Some((first, wanted.next_back().unwrap_or(first)))
}

#[test]
fn an_event_is_recorded_from_before_it_until_after_its_end() {
    let mut gate = gate(When::on(rule()));
    assert_eq!(wanted(&gate, 0..300), None);
    hear(&mut gate, &record("motion.begin", "a", 100, json!({})));
    // It goes on, until it says otherwise or nobody speaks of it.
    assert_eq!(wanted(&gate, 0..300), Some((90, 159)));
    hear(&mut gate, &record("motion.update", "a", 130, json!({})));
    assert_eq!(wanted(&gate, 0..300), Some((90, 189)));
    hear(&mut gate, &record("motion.end", "a", 140, json!({})));
    assert_eq!(wanted(&gate, 0..300), Some((90, 159)));
}

#[test]
fn what_has_no_begin_and_end_is_a_moment() {
    let mut gate = gate(When::on(EventRule { kinds: "door".into(), ..rule() }));
    hear(&mut gate, &record("door", "a", 100, json!({})));
    hear(&mut gate, &record("door", "b", 110, json!({})));
    assert_eq!(wanted(&gate, 0..300), Some((90, 129)));
}

#[test]
fn only_records_that_fit_count() {
    let rule = EventRule {
        min_score: Some(0.5),
        data: [("label".to_owned(), Patterns(vec!["cat".into(), "dog".into()]))].into(),
        ..rule()
    };
    let heard = |kind: &str, camera: &str, data: Value| {
        let mut gate = gate(When::on(rule.clone()));
        let record = Record { camera: camera.to_owned(), ..record(kind, "a", 100, data) };
        hear(&mut gate, &record);
        gate.wants(at(100))
    };
    let cat = json!({"score": 0.5, "label": "cat"});
    assert!(heard("motion.begin", "cam1", cat.clone()));
    assert!(heard("motion", "cam1", json!({"score": 1, "label": ["cow", "dog"]})));
    assert!(!heard("motion.begin", "cam2", cat.clone()));
    assert!(!heard("motions.begin", "cam1", cat));
    assert!(!heard("motion.begin", "cam1", json!({"score": 0.4, "label": "cat"})));
    assert!(!heard("motion.begin", "cam1", json!({"label": "cat"})));
    assert!(!heard("motion.begin", "cam1", json!({"score": 0.5})));
}

#[test]
fn an_event_that_counts_ends_by_its_end_whatever_that_says() {
    let mut gate = gate(When::on(EventRule { min_score: Some(0.5), ..rule() }));
    hear(&mut gate, &record("motion.begin", "a", 100, json!({"score": 0.9})));
    hear(&mut gate, &record("motion.end", "a", 105, json!({"score": 0.0})));
    hear(&mut gate, &record("motion.end", "b", 200, json!({"score": 0.0})));
    assert_eq!(wanted(&gate, 0..300), Some((90, 124)));
}

#[test]
fn another_programs_event_has_the_machines_time() {
    let mut gate = gate(When::on(EventRule { kinds: "door".into(), ..rule() }));
    let seconds = 100 + BEHIND;
    let told = Record { frame: None, ..record("door", "a", seconds, json!({})) };
    gate.hear(&"ext.door.events".parse().unwrap(), &told, s(seconds));
    assert_eq!(wanted(&gate, 0..300), Some((90, 119)));
    // A time that makes no sense is that of hearing it.
    let told = Record { frame: None, time_utc_ns: u64::MAX, ..told };
    gate.hear(&"ext.gate.events".parse().unwrap(), &told, s(200 + BEHIND));
    assert!(gate.wants(at(219)) && !gate.wants(at(220)));
}

#[test]
fn a_command_wins_until_it_is_over() {
    let mut gate = gate(When::default());
    let command = |order, seconds: u64, until: Option<u64>| Command {
        order,
        at: s(seconds + BEHIND),
        until: until.map(|until| s(until + BEHIND)),
    };
    gate.command(command(Order::Stop, 10, Some(20)));
    assert_eq!(wanted(&gate, 0..10), Some((0, 9)));
    assert_eq!(wanted(&gate, 10..100), Some((20, 99)));
    gate.command(command(Order::Stop, 30, None));
    gate.command(command(Order::Auto, 40, None));
    // What was decided before stays so.
    assert!(!gate.wants(at(15)) && gate.wants(at(25)) && !gate.wants(at(35)));
    assert!(gate.wants(at(45)));
    assert!(!gate.lets_through(at(35)));
    assert_eq!(gate.verdict(at(35)), Verdict::Stopped);
}

#[test]
fn a_clock_that_is_set_back_takes_no_command_back() {
    let by_machine = |seconds| Moment { capture: s(0), arrival: s(seconds) };
    let mut gate = gate(When::default());
    gate.command(Command { order: Order::Start, at: s(9000), until: None });
    gate.command(Command { order: Order::Stop, at: s(9010), until: Some(s(9100)) });
    gate.clock(s(9020));
    assert!(!gate.wants(by_machine(9099)) && gate.wants(by_machine(9100)));
    // An hour back: it was to hold for another 90 s.
    gate.clock(s(5000));
    assert!(!gate.wants(by_machine(5000)) && !gate.wants(by_machine(5089)));
    assert!(gate.wants(by_machine(5090)));
    assert!(gate.unkept().is_some(), "the file has times of the clock that was ahead");
    gate.command(Command { order: Order::Stop, at: s(5200), until: None });
    assert!(!gate.wants(by_machine(5200)) && gate.wants(by_machine(5199)));
}

#[test]
fn an_event_that_goes_on_while_the_clock_is_set_back_is_recorded_on() {
    let mut gate = gate(When::on(rule()));
    hear(&mut gate, &record("motion.begin", "a", 9000, json!({})));
    hear(&mut gate, &record("motion.update", "a", 5000, json!({})));
    assert_eq!(wanted(&gate, 4000..6000), Some((4990, 5059)));
    // One that has the machine's time, and says nothing more.
    let mut gate = self::gate(When::on(EventRule { kinds: "door".into(), ..rule() }));
    let told = Record { frame: None, ..record("door", "a", 9000, json!({})) };
    gate.hear(&"ext.door.events".parse().unwrap(), &told, s(9000));
    gate.clock(s(5000));
    let by_machine = |seconds| Moment { capture: s(0), arrival: s(seconds) };
    assert!(gate.wants(by_machine(5000)) && gate.wants(by_machine(5029)));
    assert!(!gate.wants(by_machine(5030)));
}

#[test]
fn no_event_reaches_back_into_a_time_that_was_stopped() {
    let mut gate = gate(When::on(rule()));
    gate.command(Command { order: Order::Stop, at: s(80 + BEHIND), until: None });
    gate.command(Command { order: Order::Auto, at: s(95 + BEHIND), until: None });
    hear(&mut gate, &record("motion", "a", 100, json!({})));
    assert_eq!(wanted(&gate, 0..300), Some((95, 119)));
}

#[test]
fn a_start_that_reaches_back_does_not_take_back_another_command() {
    let mut gate = gate(When::by_command());
    gate.command(Command { order: Order::Stop, at: s(90), until: None });
    gate.command(Command { order: Order::Start, at: s(80), until: None });
    let by_machine = |seconds| Moment { capture: s(0), arrival: s(seconds) };
    assert!(!gate.wants(by_machine(85)) && gate.wants(by_machine(90)));
}

#[test]
fn a_start_reaches_back_to_the_end_of_a_stop_and_no_farther() {
    let mut gate = gate(When::by_command());
    assert_eq!(gate.reach_back(s(80), s(100)), s(80));
    gate.command(Command { order: Order::Stop, at: s(85), until: Some(s(90)) });
    assert_eq!(gate.reach_back(s(80), s(100)), s(90));
    assert_eq!(gate.reach_back(s(95), s(100)), s(95));
    gate.command(Command { order: Order::Stop, at: s(96), until: None });
    assert_eq!(gate.reach_back(s(80), s(100)), s(100));
    assert_eq!(gate.waits_for(s(100)), "stopped by command");
    gate.command(Command { order: Order::Start, at: s(100), until: None });
    assert_eq!(gate.waits_for(s(100)), "starts");
}

#[test]
fn what_was_heard_is_bounded() {
    let mut gate = gate(When::on(rule()));
    for number in 0..2 * WINDOWS_MAX as u64 {
        hear(&mut gate, &record("motion", &number.to_string(), number, json!({})));
    }
    assert_eq!(gate.windows.len(), WINDOWS_MAX);
}
