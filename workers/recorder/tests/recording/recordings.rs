//! `framevisor recordings`: what the files say of themselves, and what a person may do with them.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use ::recordings::{hold, pin_of};
use protocol::verb::{Recording, Recordings, RecordingsWork};
use recorder::recordings;
use shmring::clock;

use crate::feed::Feed;
use crate::rig::Rig;

/// Pictures of most groups; each group is a file.
const GROUP: usize = 40;

/// Records as many pictures as `groups` have.
fn rig(groups: usize) -> Rig {
    let mut rig = Rig::new();
    rig.segment = Duration::from_secs(1);
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    feed.publish(&mut writer, groups * GROUP, Duration::ZERO);
    let all = (groups * GROUP) as u64;
    recorder.wait_until("all read", |status| status.read().1 == all);
    recorder.stop();
    // A child that another test has just forked shares the locks until it has become its program.
    let deadline = clock::mono() + Duration::from_secs(10);
    while list(&rig).iter().any(|file| file.open) && clock::mono() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    rig
}

fn ask(rig: &Rig, work: RecordingsWork) -> Result<Vec<Recording>, String> {
    let wanted = Recordings { folders: vec![rig.folder()], work };
    recordings(&wanted).map_err(|error| error.to_string())
}

fn list(rig: &Rig) -> Vec<Recording> {
    ask(rig, RecordingsWork::List).unwrap()
}

fn file(rig: &Rig, at: usize) -> PathBuf {
    list(rig)[at].file.clone()
}

/// Changes one byte of the last picture.
fn damage(path: &PathBuf) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let bytes = file.metadata().unwrap().len();
    file.write_all_at(&[0xaa], bytes - 10).unwrap();
}

#[test]
fn each_file_tells_its_time_its_packets_and_that_nothing_is_missing() {
    let rig = rig(3);
    let files = list(&rig);
    assert_eq!(files.iter().map(|file| file.packets).sum::<u64>(), 120);
    for (at, file) in files.iter().enumerate() {
        assert_eq!((file.number, file.missing, file.interrupted), (at as u64 + 1, 0, false));
        assert_eq!((&*file.camera, file.open, &file.damage), ("cam1", false, &None));
        assert_eq!(file.bytes, fs::metadata(&file.file).unwrap().len());
        let (from, to) = (file.from_utc_ns.unwrap(), file.to_utc_ns.unwrap());
        if let Some(next) = files.get(at + 1) {
            assert_eq!(next.from_utc_ns, Some(to), "one begins where the other ends");
            assert_eq!(to.0 - from.0, file.packets * 40_000_000);
        }
    }
}

#[test]
fn what_no_file_holds_is_counted_where_it_is_missing() {
    let rig = rig(4);
    assert_eq!(list(&rig)[1].packets, 40);
    fs::remove_file(file(&rig, 1)).unwrap();
    let missing: Vec<u64> = list(&rig).iter().map(|file| file.missing).collect();
    assert_eq!(missing, [0, 40, 0, 0]);
}

#[test]
fn a_new_life_of_the_camera_is_told_as_an_interruption() {
    let rig = rig(1);
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    feed.publish(&mut writer, GROUP, Duration::ZERO);
    recorder.wait_until("all read", |status| status.read() == (writer.epoch(), 40));
    recorder.stop();
    let files = list(&rig);
    let told: Vec<_> = files.iter().map(|file| (file.interrupted, file.missing)).collect();
    assert_eq!(told, [(false, 0), (true, 0)]);
}

#[test]
fn a_byte_that_changed_on_the_disk_is_found_by_reading_all_of_them() {
    let rig = rig(2);
    damage(&file(&rig, 0));
    assert_eq!(list(&rig)[0].damage, None, "headers are whole");
    let verified = ask(&rig, RecordingsWork::Verify).unwrap();
    let damage = verified[0].damage.as_ref().unwrap();
    assert!(damage.contains("checksum differs"), "{damage}");
    assert_eq!(verified[1].damage, None);
}

#[test]
fn a_torn_end_is_cut_off_and_kept_beside_the_file() {
    let rig = rig(3);
    let torn = file(&rig, 0);
    let whole_bytes = fs::metadata(&torn).unwrap().len();
    let mut bytes = fs::read(&torn).unwrap();
    bytes.extend_from_slice(b"half a fragm");
    fs::write(&torn, bytes).unwrap();
    assert!(list(&rig)[0].damage.is_some());
    let repaired = ask(&rig, RecordingsWork::Repair).unwrap();
    assert_eq!(repaired.iter().map(|file| &file.file).collect::<Vec<_>>(), [&torn]);
    assert_eq!(fs::metadata(&torn).unwrap().len(), whole_bytes);
    assert_eq!(fs::read(torn.with_added_extension("rest")).unwrap(), b"half a fragm");
    assert_eq!(ask(&rig, RecordingsWork::Repair), Ok(Vec::new()));
}

#[test]
fn a_pinned_file_is_not_removed_before_its_pin() {
    let rig = rig(3);
    let (first, second) = (file(&rig, 0), file(&rig, 1));
    let why = "the night of the storm".to_owned();
    let pinned = ask(&rig, RecordingsWork::Pin { files: vec![first.clone()], why }).unwrap();
    assert_eq!(pinned[0].pinned.as_deref(), Some("the night of the storm"));
    let both = RecordingsWork::Remove { files: vec![second.clone(), first.clone()] };
    let refused = ask(&rig, both.clone()).unwrap_err();
    assert!(refused.contains("pinned (the night of the storm)"), "{refused}");
    assert!(second.exists(), "all or none");
    ask(&rig, RecordingsWork::Unpin { files: vec![first.clone()] }).unwrap();
    assert_eq!(ask(&rig, both).unwrap().len(), 2);
    assert!(!first.exists() && !second.exists());
}

#[test]
fn the_file_being_written_and_files_that_are_no_recordings_stay() {
    let rig = rig(2);
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    feed.publish(&mut writer, 2 * GROUP, Duration::ZERO);
    recorder.wait_until("all written", |status| status.written() == 2 * GROUP as u64);
    let files = list(&rig);
    let [.., joined, open] = files.as_slice() else { panic!("two files") };
    assert!(open.open && !joined.open);
    for file in [open, joined] {
        let removed = RecordingsWork::Remove { files: vec![file.file.clone()] };
        let refused = ask(&rig, removed).unwrap_err();
        assert!(refused.contains("a recorder writes it"), "{refused}");
    }
    let foreign = rig.folder().join(".lock");
    let refused = ask(&rig, RecordingsWork::Remove { files: vec![foreign] }).unwrap_err();
    assert!(refused.contains("no recording"), "{refused}");
    recorder.stop();
}

#[test]
fn a_file_that_cannot_be_read_is_told_among_the_others() {
    let rig = rig(3);
    let (first, unread) = (file(&rig, 0), file(&rig, 1));
    // Opening it works, reading it does not.
    fs::remove_file(&unread).unwrap();
    fs::create_dir(&unread).unwrap();
    for work in [RecordingsWork::List, RecordingsWork::Verify] {
        let told = ask(&rig, work).unwrap();
        let damaged: Vec<_> = told.iter().filter(|file| file.damage.is_some()).collect();
        let [damaged] = damaged.as_slice() else { panic!("{damaged:?}") };
        let why = damaged.damage.as_ref().unwrap();
        assert!(damaged.file == unread && why.contains("cannot read"), "{why}");
        assert!(told.len() > 2);
    }
    let why = "the night of the storm".to_owned();
    ask(&rig, RecordingsWork::Pin { files: vec![first.clone()], why }).unwrap();
    assert!(pin_of(&first).exists());
}

#[test]
fn a_file_that_an_export_reads_is_not_removed() {
    let rig = rig(2);
    let (first, second) = (file(&rig, 0), file(&rig, 1));
    let held = hold(&second).unwrap().unwrap();
    let both = RecordingsWork::Remove { files: vec![first.clone(), second.clone()] };
    let refused = ask(&rig, both.clone()).unwrap_err();
    assert!(refused.contains("an export or a download reads it"), "{refused}");
    assert!(first.exists() && second.exists(), "all or none");
    drop(held);
    assert_eq!(ask(&rig, both).unwrap().len(), 2);
}

#[test]
fn a_directory_that_is_not_there_holds_nothing() {
    let rig = Rig::new();
    assert_eq!(list(&rig), []);
}
