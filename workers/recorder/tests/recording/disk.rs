//! A directory that cannot be written is a state: told, tried again, over by itself.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use protocol::control::Condition;

use crate::feed::Feed;
use crate::rig::{InThread, Recorded, Rig};

/// A small file system, where this user may mount one.
pub(crate) struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    pub(crate) fn tmpfs(at: &'a Path, size: &str) -> Option<Self> {
        let size = format!("size={size}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        let mounted = mount.is_ok_and(|output| output.status.success());
        if !mounted {
            println!("skipped: no right to mount");
        }
        mounted.then_some(Self(at))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.0.display()
        );
    }
}

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
    let Some(_mount) = Mount::tmpfs(&folder, "2m") else { return };
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
