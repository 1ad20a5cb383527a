//! Disks that fail, hang or go away under the recorder: what the ring holds is recorded all the same.

use std::time::Duration;

use protocol::control::Condition;

use crate::disks::{Frozen, Injected, Mount, pull_out};
use crate::feed::Feed;
use crate::rig::{InThread, Rig, here, wait_until};

/// Publishes while a system call of the recorder fails, and before and after.
fn records_all_although(call: &str, what: &str) {
    let rig = Rig::new();
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.process();
    let pause = Duration::from_millis(8);
    let mut published = feed.publish(&mut writer, 100, pause);
    wait_until("recording", || rig.folder().join(".lock").exists());
    let injected = here(Injected::into(recorder.pid(), call, what));
    let skipped = injected.is_none();
    published.extend(feed.publish(&mut writer, if skipped { 1 } else { 500 }, pause));
    drop(injected);
    published.extend(feed.publish(&mut writer, 100, pause));
    recorder.stop();
    let recorded = rig.recorded();
    recorded.assert_all_of(&published);
    recorded.assert_clean();
}

#[test]
fn syncs_that_fail_cost_nothing_that_the_ring_still_holds() {
    records_all_although("fdatasync", "error=EIO");
}

#[test]
fn every_third_sync_that_fails_costs_nothing() {
    records_all_although("fdatasync", "error=EIO:when=1+3");
}

#[test]
fn writes_that_fail_cost_nothing_that_the_ring_still_holds() {
    records_all_although("write", "error=EIO");
}

#[test]
fn files_that_cannot_be_opened_cost_nothing_that_the_ring_still_holds() {
    records_all_although("openat", "error=EIO");
}

#[test]
fn a_sync_that_takes_longer_than_the_ring_holds_costs_nothing() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(20_000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.process();
    let pause = Duration::from_millis(10);
    let mut published = feed.publish(&mut writer, 50, pause);
    wait_until("recording", || rig.folder().join(".lock").exists());
    // The ring holds 8 MiB: some 400 of these pictures, four seconds of them here.
    let slow = here(Injected::into(recorder.pid(), "fdatasync", "delay_enter=5000000"));
    let skipped = slow.is_none();
    let count = if skipped { 1 } else { 1000 };
    published.extend(feed.publish(&mut writer, count, pause));
    drop(slow);
    published.extend(feed.publish(&mut writer, 50, pause));
    recorder.stop();
    let recorded = rig.recorded();
    recorded.assert_all_of(&published);
    recorded.assert_clean();
}

fn is_degraded(recorder: &InThread, state: &str) -> bool {
    let (condition, why) = recorder.job.status.condition();
    condition == Condition::Degraded && why.contains(state)
}

#[test]
fn a_disk_that_does_not_answer_is_told_as_slow_while_it_does_not() {
    let rig = Rig::new();
    let root = rig.root();
    let image = rig.dir.path().join("disk.img");
    let Some(_disk) = here(Mount::ext4(&image, 32, &root)) else { return };
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    let mut published = feed.publish(&mut writer, 50, Duration::ZERO);
    recorder.wait_until("all read", |status| status.read().1 == 50);
    let Some(frozen) = here(Frozen::new(&root)) else { return };
    published.extend(feed.publish(&mut writer, 100, Duration::ZERO));
    recorder.wait_until("told", |_| is_degraded(&recorder, "disk slow: a write took 2 s"));
    drop(frozen);
    recorder.wait_until("all read", |status| status.read().1 == 150);
    recorder.wait_until("flowing", |status| status.condition().0 == Condition::Flowing);
    recorder.stop();
    rig.recorded().assert_all_of(&published);
}

#[test]
fn a_disk_that_is_pulled_out_and_put_back_costs_nothing_that_the_ring_still_holds() {
    let rig = Rig::new();
    let (image, root) = (rig.dir.path().join("disk.img"), rig.root());
    let Some(disk) = here(Mount::ext4(&image, 32, &root)) else { return };
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    let mut published = feed.publish(&mut writer, 50, Duration::ZERO);
    recorder.wait_until("on the disk", |status| status.safe().is_some_and(|safe| safe.1 == 50));
    // What is written now is lost with the page cache.
    published.extend(feed.publish(&mut writer, 60, Duration::ZERO));
    recorder.wait_until("all read", |status| status.read().1 == 110);
    if here(pull_out(&root)).is_none() {
        recorder.stop();
        return;
    }
    published.extend(feed.publish(&mut writer, 60, Duration::ZERO));
    recorder.wait_until("told", |_| is_degraded(&recorder, "disk failing: "));
    drop(disk);
    recorder.wait_until("told", |_| is_degraded(&recorder, "disk missing: "));
    let _disk = Mount::image(&image, &root);
    recorder.wait_until("all read", |status| status.read().1 == 170);
    recorder.wait_until("flowing", |status| status.condition().0 == Condition::Flowing);
    recorder.stop();
    rig.recorded().assert_all_of(&published);
}
