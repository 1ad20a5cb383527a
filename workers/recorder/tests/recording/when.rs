//! Recording around events and by command: from a key frame before the pre-roll to the end of the
//! post-roll, exactly, whatever becomes of the recorder; and what nobody wanted is not missing.

use std::time::Duration;

use protocol::config::{EventRule, When};
use protocol::control::Condition;
use protocol::record::Record;
use protocol::recorder::Order;
use protocol::stream::FrameId;
use protocol::time::UtcNs;
use protocol::units::Span;
use protocol::verb::{Recordings, RecordingsWork};
use recorder::Command;
use shmring::{RecordWriter, clock};

use crate::feed::Feed;
use crate::rig::{InThread, Rig};

const AT_ONCE: Duration = Duration::ZERO;
/// Pictures of the feed: a second, a group, and all before it begins again with a key frame.
const RATE: u64 = 25;
const GROUP: u64 = 40;
const ROUND: u64 = 100;
const PRE_S: u64 = 5;
const POST_S: u64 = 4;

fn around_events() -> When {
    When::on(EventRule {
        kinds: "door".into(),
        pre: Span(PRE_S * 1_000_000_000),
        post: Span(POST_S * 1_000_000_000),
        ..EventRule::default()
    })
}

fn rig(when: When) -> Rig {
    let mut rig = Rig::new();
    rig.when = when;
    rig
}

/// Something at picture `sequence`, as an analyzer of pictures tells it.
fn tell(teller: &mut RecordWriter, feed: &Feed, sequence: u64) {
    let record = Record {
        id: format!("door-{sequence}"),
        kind: "door".to_owned(),
        camera: "cam1".to_owned(),
        frame: Some(FrameId { ring: "cam1.packets".parse().unwrap(), epoch: 1, sequence }),
        time_utc_ns: feed.capture_of(sequence).0,
        data: serde_json::Value::Null,
    };
    teller.emit(&record).unwrap();
}

/// The key frame of the group of picture `sequence`.
fn key_of(sequence: u64) -> u64 {
    let in_round = (sequence - 1) % ROUND;
    sequence - in_round % GROUP
}

/// What is to be recorded of events at these pictures, oldest first, when all is told in time.
fn expected(events: &[u64]) -> Vec<u64> {
    let mut pictures: Vec<u64> = Vec::new();
    for event in events {
        let first = event.saturating_sub(PRE_S * RATE).max(1);
        let behind = pictures.last().map_or(1, |last| last + 1);
        let last = event + POST_S * RATE - 1;
        pictures.extend(key_of(first).max(behind)..=last);
    }
    pictures
}

fn sequences(rig: &Rig) -> Vec<u64> {
    rig.recorded().ids().into_iter().map(|(_, sequence)| sequence).collect()
}

fn wait_read(recorder: &InThread, sequence: u64) {
    recorder.wait_until("all read", |status| status.read().1 == sequence);
}

fn missing(rig: &Rig) -> u64 {
    let wanted = Recordings { folders: vec![rig.folder()], work: RecordingsWork::List };
    recorder::recordings(&wanted).unwrap().iter().map(|recording| recording.missing).sum()
}

#[test]
fn an_event_is_recorded_from_a_key_frame_before_its_pre_roll_to_the_end_of_its_post_roll() {
    let rig = rig(around_events());
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let mut teller = rig.teller();
    let recorder = rig.recorder();
    feed.publish(&mut writer, 500, AT_ONCE);
    wait_read(&recorder, 500);
    assert!(!recorder.job.status.is_recording());
    let (condition, why) = recorder.job.status.condition();
    assert_eq!((condition, why.as_str()), (Condition::Flowing, "cam1: waits for events"));
    // Told late, as by a slow analyzer: two seconds of pictures have come since.
    tell(&mut teller, &feed, 450);
    recorder.wait_until("recording", |status| status.is_recording());
    feed.publish(&mut writer, 300, AT_ONCE);
    recorder.wait_until("paused", |status| status.read().1 == 800 && !status.is_recording());
    let turns: Vec<(bool, String)> =
        recorder.job.status.take_turns().into_iter().map(|turn| (turn.began, turn.why)).collect();
    assert_eq!(turns[0], (true, "door of motion1.events".to_owned()));
    assert_eq!(turns[1], (false, "no event".to_owned()));
    recorder.stop();
    // 450 - 125 = 325 lies in the group of 301; 450 + 100 = 550 is the first that is not recorded.
    assert_eq!(sequences(&rig), (301..=549).collect::<Vec<_>>());
    rig.recorded().assert_clean();
}

#[test]
fn a_second_event_repeats_nothing_and_leaves_no_hole_where_it_meets_the_first() {
    let rig = rig(around_events());
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let mut teller = rig.teller();
    let recorder = rig.recorder();
    feed.publish(&mut writer, 400, AT_ONCE);
    tell(&mut teller, &feed, 390);
    recorder.wait_until("recording", |status| status.is_recording());
    feed.publish(&mut writer, 180, AT_ONCE);
    recorder.wait_until("paused", |status| status.read().1 == 580 && !status.is_recording());
    tell(&mut teller, &feed, 575);
    recorder.wait_until("recording", |status| status.is_recording());
    feed.publish(&mut writer, 200, AT_ONCE);
    recorder.wait_until("paused", |status| status.read().1 == 780 && !status.is_recording());
    // A third one, far from both.
    feed.publish(&mut writer, 400, AT_ONCE);
    tell(&mut teller, &feed, 1170);
    feed.publish(&mut writer, 200, AT_ONCE);
    recorder.wait_until("the end", |status| status.written() == 1269);
    assert_eq!(recorder.job.status.take_missed(), 0);
    recorder.stop();
    assert_eq!(sequences(&rig), expected(&[390, 575, 1170]));
    rig.recorded().assert_clean();
    assert_eq!(missing(&rig), 0, "a pause is no loss");
}

#[test]
fn kills_in_the_middle_of_events_leave_no_hole_and_double_nothing() {
    let rig = rig(around_events());
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let mut teller = rig.teller();
    let events = [260, 330, 620, 1010, 1100, 1180, 1660];
    let mut told = 0;
    let mut waits: u64 = 0x9e37_79b9;
    while feed.sent() < 1900 {
        let recorder = rig.process();
        waits =
            waits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let count = 20 + usize::try_from(waits >> 58).unwrap();
        feed.publish(&mut writer, count, Duration::from_millis(4));
        for event in events.iter().skip(told).take_while(|event| **event + 10 < feed.sent() as u64)
        {
            tell(&mut teller, &feed, *event);
            told += 1;
        }
        recorder.kill();
    }
    assert_eq!(told, events.len());
    let recorder = rig.recorder();
    // While the last event is not heard, nothing says that any of it is to be recorded.
    recorder.wait_until("all is heard", |_| recorder.job.gate.lock().is_caught_up());
    // At the first of these it goes back to what it passed over, and reads up to the second then.
    feed.publish(&mut writer, 2, AT_ONCE);
    let last = feed.sent() as u64;
    recorder.wait_until("the end", |status| status.read().1 == last && !status.is_recording());
    recorder.stop();
    let (recorded, expected) = (sequences(&rig), expected(&events));
    let lost: Vec<_> = expected.iter().filter(|picture| !recorded.contains(picture)).collect();
    assert_eq!((lost, recorded.len()), (Vec::new(), expected.len()));
    assert_eq!(recorded, expected);
    rig.recorded().assert_clean();
    assert_eq!(missing(&rig), 0);
}

#[test]
fn events_that_were_told_while_no_recorder_ran_are_recorded() {
    let rig = rig(around_events());
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let mut teller = rig.teller();
    let recorder = rig.recorder();
    feed.publish(&mut writer, 100, AT_ONCE);
    wait_read(&recorder, 100);
    recorder.stop();
    feed.publish(&mut writer, 500, AT_ONCE);
    tell(&mut teller, &feed, 300);
    // Its teller is gone, too; its last words are still there.
    drop(teller);
    let recorder = rig.recorder();
    recorder.wait_until("recorded", |status| status.written() == 399);
    recorder.stop();
    assert_eq!(sequences(&rig), expected(&[300]));
}

#[test]
fn recording_starts_and_stops_by_command_and_a_restart_changes_nothing() {
    let rig = rig(When::by_command());
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    let command = |recorder: &InThread, order| {
        let at = clock::now().utc;
        recorder.job.gate.lock().command(Command { order, at, until: None });
        recorder.wait_until("kept", |_| recorder.job.gate.lock().unkept().is_none());
    };
    feed.publish(&mut writer, 95, AT_ONCE);
    wait_read(&recorder, 95);
    command(&recorder, Order::Start);
    feed.publish(&mut writer, 100, AT_ONCE);
    recorder.wait_until("recording", |status| status.is_recording());
    recorder.stop();
    // Still started, in another life.
    let recorder = rig.recorder();
    feed.publish(&mut writer, 50, AT_ONCE);
    wait_read(&recorder, 245);
    command(&recorder, Order::Stop);
    feed.publish(&mut writer, 100, AT_ONCE);
    recorder.wait_until("stopped", |status| status.read().1 == 345 && !status.is_recording());
    recorder.stop();
    let recorder = rig.recorder();
    feed.publish(&mut writer, 60, AT_ONCE);
    wait_read(&recorder, 405);
    let why = recorder.job.status.condition().1;
    assert_eq!(why, "cam1: stopped by command");
    recorder.stop();
    // The group of picture 96 began with 81.
    assert_eq!(sequences(&rig), (81..=245).collect::<Vec<_>>());
    rig.recorded().assert_clean();
}

#[test]
fn a_stop_for_a_while_is_over_by_itself_and_reaches_into_no_recording() {
    let rig = rig(When::default());
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    feed.publish(&mut writer, 90, AT_ONCE);
    wait_read(&recorder, 90);
    let at = clock::now().utc;
    // All that is published next is to come before, on a busy machine too.
    let until = UtcNs(at.0 + 4_000_000_000);
    recorder.job.gate.lock().command(Command { order: Order::Stop, at, until: Some(until) });
    feed.publish(&mut writer, 60, AT_ONCE);
    recorder.wait_until("stopped", |status| status.read().1 == 150 && !status.is_recording());
    while clock::now().utc <= until {
        std::thread::sleep(Duration::from_millis(20));
    }
    feed.publish(&mut writer, 100, AT_ONCE);
    wait_read(&recorder, 250);
    recorder.stop();
    // 151 is the first that may be recorded again; the next group begins with 181.
    let wanted: Vec<u64> = (1..=90).chain(181..=250).collect();
    assert_eq!(sequences(&rig), wanted);
    assert_eq!(missing(&rig), 0);
}
