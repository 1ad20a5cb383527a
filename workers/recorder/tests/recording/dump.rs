//! `dump`: the last of what a ring holds, as it is, saying exactly what it wrote.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use protocol::units::Span;
use protocol::verb::{Dump, Dumped, Gap};
use recorder::{DumpError, dump};

use crate::feed::Feed;
use crate::media;
use crate::rig::Rig;

const NO_PAUSE: Duration = Duration::ZERO;

fn wanted(rig: &Rig, file: &str, last: Span) -> Dump {
    Dump {
        project: rig.project.clone(),
        ring: rig.ring.clone(),
        last,
        file: rig.dir.path().join(file),
        force: false,
    }
}

fn everything() -> Span {
    Span::from_millis(3_600_000)
}

fn only_file(dumped: &Dumped) -> PathBuf {
    assert_eq!(dumped.files.len(), 1, "{dumped:?}");
    dumped.files[0].file.clone()
}

#[test]
fn a_dump_plays_and_is_exactly_the_packets_it_names() {
    let rig = Rig::new();
    let Some(mut feed) = Feed::real(rig.dir.path()) else {
        println!("skipped: there is no ffmpeg here");
        return;
    };
    let mut writer = rig.writer(&feed.tracks);
    let ids = feed.publish(&mut writer, 200, NO_PAUSE);
    let dumped = dump(&wanted(&rig, "all.mp4", everything())).unwrap();
    let file = &dumped.files[0];
    assert_eq!((file.epoch, file.first, file.last), (ids[0].0, 1, 200));
    assert_eq!((file.items, &dumped.gaps, dumped.left_out.as_str()), (200, &vec![], ""));
    assert!(file.from_utc_ns < file.to_utc_ns && file.span_ns > 0);
    assert_eq!(file.bytes, fs::metadata(&file.file).unwrap().len());
    let said = media::complaints(&only_file(&dumped));
    assert_eq!(said, "");
}

#[test]
fn only_the_last_seconds_are_written_from_a_key_frame_on() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(100);
    let mut writer = rig.writer(&feed.tracks);
    // Groups of 40: key frames are packets 1, 41, 81.
    feed.publish(&mut writer, 60, NO_PAUSE);
    // Between these forty pictures no busy machine rests for as long as is asked for.
    let pause = Duration::from_millis(2_500);
    thread::sleep(pause);
    feed.publish(&mut writer, 40, NO_PAUSE);
    let dumped = dump(&wanted(&rig, "last.mp4", Span::from_millis(2_000))).unwrap();
    assert_eq!((dumped.files[0].first, dumped.files[0].last), (41, 100));
    assert!(Duration::from_nanos(dumped.files[0].span_ns) >= pause);
}

#[test]
fn a_dead_writers_ring_is_dumped_as_well() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(100);
    let mut writer = rig.writer(&feed.tracks);
    feed.publish(&mut writer, 50, NO_PAUSE);
    drop(writer);
    let dumped = dump(&wanted(&rig, "dead.mp4", everything())).unwrap();
    assert_eq!(dumped.files[0].items, 50);
}

#[test]
fn what_follows_a_restart_is_in_a_file_of_its_own() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(100);
    let mut writer = rig.writer(&feed.tracks);
    let first = feed.publish(&mut writer, 45, NO_PAUSE);
    drop(writer);
    feed.restart();
    let mut again = rig.writer(&feed.tracks);
    feed.publish(&mut again, 30, NO_PAUSE);
    let dumped = dump(&wanted(&rig, "two.mp4", everything())).unwrap();
    let parts: Vec<_> = dumped.files.iter().map(|file| (file.epoch, file.items)).collect();
    assert_eq!(parts, [(first[0].0, 45), (again.epoch(), 30)]);
    assert_eq!(dumped.files[1].file, rig.dir.path().join("two-2.mp4"));
    assert_eq!(dumped.gaps, [Gap { epoch: first[0].0, sequence: 45, missing: 0 }]);
}

#[test]
fn the_ending_chooses_the_stream_itself_or_a_list_of_packets() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(100);
    let mut writer = rig.writer(&feed.tracks);
    feed.publish(&mut writer, 45, NO_PAUSE);
    let stream = dump(&wanted(&rig, "a.h264", everything())).unwrap();
    let bytes = fs::read(only_file(&stream)).unwrap();
    assert!(bytes.starts_with(&[0, 0, 0, 1, 0x67]) && bytes.len() > 4500);
    let lines = dump(&wanted(&rig, "a.jsonl", everything())).unwrap();
    let text = fs::read_to_string(only_file(&lines)).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 45);
    assert_eq!((&lines[0]["key"], &lines[44]["sequence"]), (&true.into(), &45.into()));
}

#[test]
fn what_cannot_be_is_refused_with_what_can() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(100);
    let mut writer = rig.writer(&feed.tracks);
    let refused = |file: &str| dump(&wanted(&rig, file, everything())).unwrap_err();
    assert!(matches!(refused("a.mp4"), DumpError::Empty { .. }));
    feed.publish(&mut writer, 1, NO_PAUSE);
    let other = refused("a.h265").to_string();
    assert!(other.contains("carries H264, not H265") && other.contains("dump to .h264"), "{other}");
    let file = rig.dir.path().join("b.mp4");
    fs::write(&file, "mine").unwrap();
    let there = refused("b.mp4").to_string();
    assert!(there.contains("--force"), "{there}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    dump(&Dump { force: true, ..wanted(&rig, "b.mp4", everything()) }).unwrap();
    assert_ne!(fs::metadata(&file).unwrap().len(), 4);
    let gone =
        Dump { ring: "cam9.packets".parse().unwrap(), ..wanted(&rig, "c.mp4", everything()) };
    assert!(matches!(dump(&gone), Err(DumpError::Ring(shmring::Error::NoSuchRing { .. }))));
}
