//! SIGKILL at any instant: no packet missing, none doubled, every file plays.

use std::fs;
use std::path::Path;
use std::time::Duration;

use protocol::stream::Codec;
use shmring::{Next, PacketOptions, PacketReader, Start};

use crate::feed::Feed;
use crate::rig::{Rig, wait_until};

/// A fixed sequence of waits, so that a failure comes back: xorshift.
struct Waits(u64);

impl Waits {
    fn packets(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % 160).unwrap() + 5
    }
}

/// So that a life is longer, or shorter, than the recorder rests between looks into the ring.
const PACE: Duration = Duration::from_millis(2);

fn killed(rig: &Rig, feed: &mut Feed, kills: usize) -> Vec<(u64, u64)> {
    let mut writer = rig.writer(&feed.tracks);
    let mut waits = Waits(0x9e37_79b9_7f4a_7c15);
    let mut published = Vec::new();
    for _ in 0..kills {
        let recorder = rig.process();
        published.extend(feed.publish(&mut writer, waits.packets(), PACE));
        recorder.kill();
    }
    let recorder = rig.process();
    published.extend(feed.publish(&mut writer, 200, Duration::from_micros(200)));
    recorder.stop();
    published
}

#[test]
fn thirty_kills_lose_nothing_and_double_nothing() {
    let rig = Rig::new();
    let Some(mut feed) = Feed::real(rig.dir.path()) else { return };
    let published = killed(&rig, &mut feed, 30);
    let recorded = rig.recorded();
    recorded.assert_all_of(&published);
    recorded.assert_clean();
    recorded.assert_plays();
    println!("{} packets, 30 kills, {} files", published.len(), recorded.files.len());
}

#[test]
fn kills_cost_nothing_whatever_the_codec() {
    for codec in [Codec::Mjpeg, Codec::Vp9, Codec::Av1] {
        let rig = Rig::new();
        let Some(mut feed) = Feed::of(rig.dir.path(), codec) else { continue };
        // What a ring says of VP9 and AV1 is what the container did; key frames tell the rest.
        feed.tracks[0].extradata.clear();
        let published = killed(&rig, &mut feed, 8);
        let recorded = rig.recorded();
        recorded.assert_all_of(&published);
        recorded.assert_clean();
        recorded.assert_plays();
        println!("{codec:?}: {} packets, {} files", published.len(), recorded.files.len());
    }
}

#[test]
fn kills_in_every_state_of_a_joint_are_settled() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(1500);
    // Groups of 1.6 s: nearly each life begins with a repeated group.
    let published = killed(&rig, &mut feed, 40);
    let recorded = rig.recorded();
    recorded.assert_all_of(&published);
    recorded.assert_clean();
}

#[test]
fn a_recorder_that_was_away_while_the_camera_began_anew_misses_nothing() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.process();
    let mut published = feed.publish(&mut writer, 70, Duration::from_millis(2));
    // One that has recorded nothing yet begins with the camera's newest life.
    wait_until("recording", || has_recording(&rig.folder()));
    recorder.kill();
    published.extend(feed.publish(&mut writer, 30, Duration::ZERO));
    drop(writer);
    feed.restart();
    let mut writer = rig.writer(&feed.tracks);
    published.extend(feed.publish(&mut writer, 60, Duration::ZERO));
    writer.finish();
    let recorder = rig.recorder();
    recorder.wait_until("all read", |status| status.read() == *published.last().unwrap());
    recorder.stop();
    let recorded = rig.recorded();
    recorded.assert_all_of(&published);
    recorded.assert_clean();
}

#[test]
fn a_group_whose_key_frame_left_the_ring_is_continued_without_a_hole() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(20_000);
    let mut writer = rig.writer(&feed.tracks);
    // When the recorder stops, the group that began at 81 has got as far as 95.
    let mut published = feed.publish(&mut writer, 95, Duration::ZERO);
    let recorder = rig.recorder();
    recorder.wait_until("read", |status| status.read().1 == 95);
    recorder.stop();
    while oldest(&rig) < 88 {
        published.extend(feed.publish(&mut writer, 1, Duration::ZERO));
    }
    let recorder = rig.recorder();
    recorder.wait_until("all read", |status| status.read() == *published.last().unwrap());
    recorder.stop();
    let recorded = rig.recorded();
    recorded.assert_all_of(&published);
    let second = &recorded.files[1].1;
    assert_eq!(second.fragments[0].origin.first, 96);
    assert!(!second.fragments[0].origin.flags.discontinuity);
}

fn has_recording(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files = entries.filter(|entry| entry.path().extension().is_some_and(|it| it == "mp4"));
    files.any(|entry| entry.metadata().is_ok_and(|file| file.len() > 0))
}

/// Sequence of the oldest packet in the ring.
fn oldest(rig: &Rig) -> u64 {
    let options = PacketOptions { reader: "test".to_owned(), start: Start::Oldest };
    let mut reader = PacketReader::attach(&rig.project, &rig.ring, &options).unwrap();
    match reader.next(Duration::ZERO).unwrap() {
        Next::Item(packet) => packet.sequence,
        other => panic!("{other:?}"),
    }
}
