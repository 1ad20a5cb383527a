//! A directory that cannot be written, or must not be, is a state: told, tried again, over by itself.

use std::fs;
use std::time::Duration;

use protocol::config::ACCEPT_FILE;
use protocol::control::Condition;
use recorder::MARKER;

use crate::disks::Mount;
use crate::feed::Feed;
use crate::rig::{InThread, Recorded, Rig, here};

fn is_degraded(recorder: &InThread, reason: &str) -> bool {
    let (condition, why) = recorder.job.status.condition();
    condition == Condition::Degraded && why.contains(reason)
}

#[test]
fn a_directory_that_cannot_be_made_is_told_and_waited_for() {
    let rig = Rig::new();
    std::fs::write(rig.folder(), b"a file is in the way").unwrap();
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    let published = feed.publish(&mut writer, 100, Duration::ZERO);
    recorder.wait_until("told", |_| is_degraded(&recorder, "cannot create"));
    std::fs::remove_file(rig.folder()).unwrap();
    recorder.wait_until("all read", |status| status.read().1 == 100);
    recorder.stop();
    rig.recorded().assert_all_of(&published);
}

#[test]
fn a_full_disk_costs_nothing_that_the_ring_still_holds() {
    let rig = Rig::new();
    std::fs::create_dir(rig.folder()).unwrap();
    let folder = rig.folder();
    let Some(_mount) = here(Mount::tmpfs(&folder, "2m")) else { return };
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let mut feed = Feed::made_up(10_000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    // 1.6 MB into the one that is free.
    let published = feed.publish(&mut writer, 160, Duration::from_millis(1));
    recorder.wait_until("told", |_| is_degraded(&recorder, "No space left"));
    assert!(is_degraded(&recorder, "free space there"));
    std::fs::remove_file(ballast).unwrap();
    recorder.wait_until("all read", |status| status.read().1 == 160);
    recorder.wait_until("flowing", |status| status.condition().0 == Condition::Flowing);
    recorder.stop();
    let recorded = rig.recorded();
    recorded.assert_all_of(&published);
    recorded.assert_clean();
}

#[test]
fn a_second_recorder_of_a_directory_waits_until_the_first_is_gone() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let first = rig.recorder();
    let published = feed.publish(&mut writer, 50, Duration::ZERO);
    first.wait_until("first flows", |status| status.read().1 == 50);
    let second = rig.recorder();
    second.wait_until("told", |_| is_degraded(&second, "another recorder writes here (pid "));
    first.stop();
    let rest = feed.publish(&mut writer, 50, Duration::ZERO);
    second.wait_until("second flows", |status| status.read().1 == 100);
    second.stop();
    let recorded: Recorded = rig.recorded();
    recorded.assert_all_of(&[published, rest].concat());
    recorded.assert_clean();
}

fn flows_again(recorder: &InThread, sequence: u64) {
    recorder.wait_until("all read", |status| status.read().1 == sequence);
    recorder.wait_until("flowing", |status| status.condition().0 == Condition::Flowing);
}

#[test]
fn a_disk_that_is_unmounted_is_told_and_nothing_is_written_in_its_place() {
    let rig = Rig::new();
    let disk = rig.dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let Some(_disk) = here(Mount::tmpfs(&disk, "20m")) else { return };
    let mounted = Mount::bind(&disk, &rig.root()).unwrap();
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    let mut published = feed.publish(&mut writer, 50, Duration::ZERO);
    flows_again(&recorder, 50);
    drop(mounted);
    recorder.wait_until("told", |_| is_degraded(&recorder, "disk missing: "));
    assert!(is_degraded(&recorder, "framevisor recordings accept"));
    published.extend(feed.publish(&mut writer, 100, Duration::ZERO));
    recorder.wait_until("told still", |_| is_degraded(&recorder, "disk missing: "));
    assert_eq!(fs::read_dir(rig.root()).unwrap().count(), 0, "written beneath the disk");
    let _mounted = Mount::bind(&disk, &rig.root()).unwrap();
    flows_again(&recorder, 150);
    recorder.stop();
    let recorded = rig.recorded();
    recorded.assert_all_of(&published);
    recorded.assert_clean();
}

#[test]
fn a_directory_below_a_disk_that_is_not_mounted_is_not_made_on_the_disk_beneath() {
    let mut rig = Rig::new();
    let place = rig.dir.path().join("recordings");
    rig.below = Some("deep/down".into());
    let Some(mounted) = here(Mount::tmpfs(&place, "20m")) else { return };
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    feed.publish(&mut writer, 50, Duration::ZERO);
    flows_again(&recorder, 50);
    recorder.stop();
    drop(mounted);
    let recorder = rig.recorder();
    recorder.wait_until("told", |_| is_degraded(&recorder, "disk missing: "));
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "made beneath the disk");
    recorder.stop();
}

#[test]
fn another_disk_is_refused_until_a_person_says_that_it_is_right() {
    let rig = Rig::new();
    let other = rig.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join(MARKER), format!("framevisor-recordings 1 {:032x}\n", 7)).unwrap();
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    let first = feed.publish(&mut writer, 50, Duration::ZERO);
    // What is not known to be on the first disk would be recorded again on the other one.
    recorder.wait_until("on the disk", |status| status.safe().is_some_and(|safe| safe.1 == 50));
    let Some(mounted) = here(Mount::bind(&other, &rig.root())) else {
        recorder.stop();
        return;
    };
    recorder.wait_until("told", |_| is_degraded(&recorder, "disk swapped: "));
    let second = feed.publish(&mut writer, 50, Duration::ZERO);
    recorder.wait_until("told still", |_| is_degraded(&recorder, "disk swapped: "));
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1, "written to another disk");
    fs::write(rig.root().join(ACCEPT_FILE), "").unwrap();
    flows_again(&recorder, 100);
    recorder.stop();
    // Each disk holds its part: nothing is missing, nothing is on both.
    let on_other = rig.recorded().ids();
    drop(mounted);
    let ids = [rig.recorded().ids(), on_other].concat();
    assert_eq!(ids, [first, second].concat());
    // The first disk is still known.
    let recorder = rig.recorder();
    let third = feed.publish(&mut writer, 50, Duration::ZERO);
    flows_again(&recorder, 150);
    recorder.stop();
    assert!(rig.recorded().ids().ends_with(&third));
}

#[test]
fn a_directory_that_is_moved_away_while_it_is_recorded_to_is_made_again_and_nothing_new_is_lost() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    feed.publish(&mut writer, 50, Duration::ZERO);
    flows_again(&recorder, 50);
    fs::rename(rig.root(), rig.dir.path().join("away")).unwrap();
    let published = feed.publish(&mut writer, 100, Duration::ZERO);
    recorder.wait_until("made again", |_| rig.folder().join(".lock").exists());
    flows_again(&recorder, 150);
    recorder.stop();
    assert!(rig.recorded().ids().ends_with(&published), "what was captured behind it is missing");
}
