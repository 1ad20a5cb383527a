//! Without trouble: all is recorded once, in files that play, cut where they should be.

use std::time::Duration;

use protocol::control::Condition;
use recorder::Status;

use crate::feed::Feed;
use crate::rig::Rig;

const AT_ONCE: Duration = Duration::ZERO;

#[test]
fn every_packet_is_recorded_once_and_every_file_plays() {
    let rig = Rig::new();
    let Some(mut feed) = Feed::real(rig.dir.path()) else { return };
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    // 20 s of media in files of 6 s.
    let published = feed.publish(&mut writer, 1400, Duration::from_micros(200));
    writer.finish();
    recorder.stop();
    let recorded = rig.recorded();
    recorded.assert_all_of(&published);
    assert_eq!(recorded.files.len(), 4, "files of 6 s from {} packets", published.len());
    recorded.assert_clean();
    recorded.assert_plays();
}

#[test]
fn a_stop_drains_the_ring_and_writes_the_open_fragment() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    // Published before the recorder has looked: a group and a half, ending inside a second.
    let published = feed.publish(&mut writer, 67, AT_ONCE);
    let recorder = rig.recorder();
    recorder.wait_until("attached", |status: &Status| status.read().1 > 0);
    recorder.stop();
    rig.recorded().assert_all_of(&published);
}

#[test]
fn a_recorder_that_comes_before_its_ring_waits_for_it() {
    let rig = Rig::new();
    let recorder = rig.recorder();
    recorder.wait_until("waiting", |status| status.condition().0 == Condition::Waiting);
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let published = feed.publish(&mut writer, 50, AT_ONCE);
    recorder.wait_until("flowing", |status| status.condition().0 == Condition::Flowing);
    writer.finish();
    recorder.wait_until("all written", |status| status.written() == 50);
    recorder.stop();
    rig.recorded().assert_all_of(&published);
}

#[test]
fn a_new_life_of_the_camera_is_a_new_file_and_costs_nothing() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(1000);
    let recorder = rig.recorder();
    let mut published = Vec::new();
    for life in 0..3 {
        let mut writer = rig.writer(&feed.tracks);
        feed.restart();
        published.extend(feed.publish(&mut writer, 90, Duration::from_micros(100)));
        if life == 1 {
            writer.finish();
        }
        // Else it goes as after a crash.
        drop(writer);
        if life < 2 {
            // Of this life: the one before had as many packets.
            let last = *published.last().unwrap();
            recorder.wait_until("life read", |status| status.read() == last);
        }
    }
    recorder.wait_until("all read", |status| status.read() == *published.last().unwrap());
    recorder.stop();
    let recorded = rig.recorded();
    recorded.assert_all_of(&published);
    assert_eq!(recorded.files.len(), 3);
    recorded.assert_clean();
}

#[test]
fn packets_overwritten_before_they_were_read_are_counted_and_the_file_after_the_hole_plays() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(20_000);
    let mut writer = rig.writer(&feed.tracks);
    let before = feed.publish(&mut writer, 100, AT_ONCE);
    let recorder = rig.recorder();
    recorder.wait_until("the first read", |status| status.read().1 == 100);
    recorder.stop();
    // The ring holds 10 MB; these are 16.
    let after = feed.publish(&mut writer, 800, AT_ONCE);
    let recorder = rig.recorder();
    recorder.wait_until("all read", |status| status.read().1 == 900);
    recorder.wait_until("loss told", |status| status.take_missed() > 0);
    recorder.stop();
    let recorded = rig.recorded();
    recorded.assert_clean();
    let ids = recorded.ids();
    assert_eq!(ids[..100], before);
    let resumed = ids[100];
    assert!(resumed.1 > 300 && resumed.1 % 40 == 1, "resumed at {resumed:?}");
    let from = after.iter().position(|id| *id == resumed).unwrap();
    assert_eq!(ids[100..], after[from..]);
    assert!(recorded.files[1].1.fragments[0].origin.flags.discontinuity);
}
