//! Old recordings make room for new ones, before they are written; what is pinned stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::recordings::{self, Remark};
use protocol::config::{EventRule, FreeSpace, Keep, When};
use protocol::control::Condition;
use protocol::record::Record;
use protocol::stream::FrameId;
use protocol::units::{Bytes, Span};

use crate::disks::Mount;
use crate::feed::Feed;
use crate::rig::{Rig, here};

/// One group of 40 pictures a file.
const A_GROUP: Duration = Duration::from_secs(1);
const GROUP: usize = 40;
const PICTURE_BYTES: usize = 10_000;
/// The payload of a group; boxes come on top.
const GROUP_BYTES: u64 = (GROUP * PICTURE_BYTES) as u64;

/// A file a group, and what `wanted` changes.
fn rig(wanted: impl FnOnce(&mut Rig)) -> Rig {
    let mut rig = Rig::new();
    rig.segment = A_GROUP;
    wanted(&mut rig);
    rig
}

/// Epochs and sequences of packets.
type Ids = Vec<(u64, u64)>;

fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "mp4")).collect();
    files.sort_by_key(|path| path.to_string_lossy().rsplit('-').next().unwrap().to_owned());
    files
}

/// Records `groups` groups, one a file: what was published, and what of it is left.
fn record(rig: &Rig, groups: usize) -> (Ids, Ids) {
    let mut feed = Feed::made_up(PICTURE_BYTES);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    let mut published = Vec::new();
    for _ in 0..groups {
        published.extend(feed.publish(&mut writer, GROUP, Duration::ZERO));
        let all = published.len() as u64;
        recorder.wait_until("all read", |status| status.read().1 == all);
    }
    recorder.stop();
    (published, rig.recorded().ids())
}

#[test]
fn files_beyond_the_size_go_oldest_first_and_the_rest_has_no_hole() {
    let size = 4 * GROUP_BYTES;
    let keep = Keep { size: Some(Bytes(size)), ..Keep::default() };
    let rig = rig(|rig| rig.keep = keep);
    let (published, recorded) = record(&rig, 9);
    assert!(published.ends_with(&recorded), "a hole in {recorded:?}");
    let files = files(&rig.folder());
    let bytes: u64 = files.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!((3..=5).contains(&files.len()), "{files:?}");
    assert!(bytes <= size + 2 * GROUP_BYTES, "{bytes} bytes of {size} are kept");
}

#[test]
fn files_older_than_the_age_go() {
    let keep = Keep { age: Some(Span(1)), ..Keep::default() };
    let rig = rig(|rig| rig.keep = keep);
    let (published, recorded) = record(&rig, 5);
    assert!(published.ends_with(&recorded), "a hole in {recorded:?}");
    // The one being written, and the one before it, which a restart may have to join.
    assert!((2..=3).contains(&files(&rig.folder()).len()));
}

#[test]
fn what_an_event_asked_for_outlives_what_was_recorded_anyway() {
    let door = EventRule {
        kinds: "door".into(),
        pre: Span(0),
        post: Span(200_000_000),
        ..EventRule::default()
    };
    let rig = rig(|rig| {
        rig.when = When { always: true, events: vec![door] };
        rig.keep = Keep { age: Some(Span(1)), events: Some(Span(u64::MAX)), ..Keep::default() };
    });
    let mut feed = Feed::made_up(PICTURE_BYTES);
    let (mut writer, mut teller) = (rig.writer(&feed.tracks), rig.teller());
    let recorder = rig.recorder();
    feed.publish(&mut writer, 100, Duration::ZERO);
    recorder.wait_until("all read", |status| status.read().1 == 100);
    let record = Record {
        id: "door-60".to_owned(),
        kind: "door".to_owned(),
        camera: "cam1".to_owned(),
        frame: Some(FrameId { ring: rig.ring.clone(), epoch: 1, sequence: 60 }),
        time_utc_ns: feed.capture_of(60).0,
        data: serde_json::Value::Null,
    };
    let unheard = recorder.job.gate.lock().version();
    teller.emit(&record).unwrap();
    recorder.wait_until("heard", |_| recorder.job.gate.lock().version() > unheard);
    feed.publish(&mut writer, 400, Duration::ZERO);
    recorder.wait_until("all read", |status| status.read().1 == 500);
    recorder.stop();
    let left: Vec<u64> = rig.recorded().ids().into_iter().map(|(_, sequence)| sequence).collect();
    // The second group, and the newest files.
    assert_eq!(left[..GROUP], (41..=80).collect::<Vec<_>>(), "{left:?}");
    assert!(left[GROUP] > 300, "{left:?}");
    assert_eq!(recordings::marks(&rig.folder()).unwrap().into_keys().collect::<Vec<_>>(), [2]);
}

#[test]
fn comments_go_with_the_recordings_they_are_about() {
    let keep = Keep { age: Some(Span(1)), ..Keep::default() };
    let rig = rig(|rig| rig.keep = keep);
    let mut feed = Feed::made_up(PICTURE_BYTES);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    feed.publish(&mut writer, GROUP, Duration::ZERO);
    recorder.wait_until("all read", |status| status.read().1 == GROUP as u64);
    for sequence in [5, 390] {
        let said = Remark { utc_ns: feed.capture_of(sequence), ..Remark::default() };
        recordings::add_comment(&rig.folder(), &said, said.utc_ns).unwrap();
    }
    feed.publish(&mut writer, 400 - GROUP, Duration::ZERO);
    recorder.wait_until("all read", |status| status.read().1 == 400);
    recorder.stop();
    let left = recordings::comments(&rig.folder()).unwrap();
    assert_eq!(left.iter().map(|comment| comment.id).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_pinned_file_stays_and_does_not_count() {
    let keep = Keep { size: Some(Bytes(2 * GROUP_BYTES)), ..Keep::default() };
    let mut rig = rig(|_| {});
    let (published, _) = record(&rig, 3);
    let pinned = files(&rig.folder()).remove(0);
    fs::write(pinned.with_added_extension("pin"), "the night of the storm\n").unwrap();
    rig.keep = keep;
    let mut feed = Feed::made_up(PICTURE_BYTES);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    for group in 1..=6 {
        feed.publish(&mut writer, GROUP, Duration::ZERO);
        let all = (group * GROUP) as u64;
        recorder.wait_until("all read", |status| status.read().1 == all);
    }
    recorder.stop();
    assert!(pinned.exists());
    let ids = rig.recorded().ids();
    assert_eq!(ids[..GROUP], published[..GROUP], "the pinned file is whole");
    assert!((3..=5).contains(&files(&rig.folder()).len()), "{:?}", files(&rig.folder()));
}

#[test]
fn the_oldest_files_go_for_free_space_and_nothing_new_is_lost() {
    let floor: FreeSpace = "1500KB".parse().unwrap();
    let rig = rig(|rig| rig.min_free = Some(floor));
    let folder = rig.folder();
    fs::create_dir(&folder).unwrap();
    let Some(_mount) = here(Mount::tmpfs(&folder, "4m")) else { return };
    // 6.4 MB through 4 MiB.
    let (published, recorded) = record(&rig, 16);
    assert!(published.ends_with(&recorded), "a hole in {recorded:?}");
    assert!(recorded.len() >= 3 * GROUP, "{} packets are left", recorded.len());
}

#[test]
fn space_that_cannot_be_freed_is_told_while_recording_goes_on() {
    let rig = rig(|rig| rig.min_free = Some(FreeSpace::Percent(99)));
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let recorder = rig.recorder();
    let published = feed.publish(&mut writer, 100, Duration::ZERO);
    recorder.wait_until("told", |status| {
        let (condition, why) = status.condition();
        condition == Condition::Degraded && why.contains("min_free wants")
    });
    recorder.stop();
    rig.recorded().assert_all_of(&published);
}
