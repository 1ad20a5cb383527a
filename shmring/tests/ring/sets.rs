//! Pictures of several cameras read together.

use std::time::Duration;

use protocol::time::{MonoNs, Stamp};
use shmring::{
    Error, FrameGroup, FrameMeta, FrameOptions, FrameReader, FrameSet, FrameWriter, Next, Policy,
    clock,
};

use crate::frames::gray;
use crate::{NOW, Project, SOON};

const SIDE: u32 = 16;
const TOLERANCE: Duration = Duration::from_millis(20);
/// Longer than any test waits.
const EVER: Duration = Duration::from_secs(600);

const NAMES: [&str; 3] = ["a.frames", "b.frames", "c.frames"];

fn writer(project: &Project, ring: &str) -> FrameWriter {
    FrameWriter::create(&project.0, &project.contract(ring, 2), None).unwrap()
}

fn set(project: &Project) -> FrameSet {
    let options = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("set") };
    let attach =
        |name: &str| FrameReader::attach(&project.0, &name.parse().unwrap(), &options).unwrap();
    FrameSet::new(NAMES.map(attach).into(), TOLERANCE).with_patience(EVER)
}

/// A picture taken so many ms after some instant.
fn send(writer: &FrameWriter, taken_ms: u64) {
    let mut loan = writer.loan((SIDE * SIDE) as usize, 1).unwrap();
    loan.bytes_mut().fill(1);
    let mono = MonoNs(1_000_000_000 + taken_ms * 1_000_000);
    let capture = Stamp { mono, ..Stamp::default() };
    writer.publish(loan.slot(), &FrameMeta { capture, ..gray(SIDE) }).unwrap();
}

fn group(next: Next<FrameGroup>) -> FrameGroup {
    match next {
        Next::Item(group) => group,
        other => panic!("expected a group, got {other:?}"),
    }
}

/// Which pictures a group has: ms of each camera's.
fn times(group: &FrameGroup) -> [Option<u64>; 3] {
    let times = group.frames.iter().map(|frame| {
        let taken = frame.as_ref()?.meta().capture.mono;
        Some((taken.0 - 1_000_000_000) / 1_000_000)
    });
    times.collect::<Vec<_>>().try_into().unwrap()
}

fn missing(group: &FrameGroup) -> Vec<&str> {
    group.missing.iter().map(protocol::name::RingName::as_str).collect()
}

#[test]
fn pictures_taken_at_about_the_same_time_come_as_a_group_with_its_skew() {
    let project = Project::new();
    let writers = NAMES.map(|name| writer(&project, name));
    let mut set = set(&project);
    for taken_ms in [0, 40, 80] {
        for (writer, late_ms) in writers.iter().zip([0, 7, 3]) {
            send(writer, taken_ms + late_ms);
        }
        let group = group(set.next(SOON).unwrap());
        assert_eq!(times(&group), [Some(taken_ms), Some(taken_ms + 7), Some(taken_ms + 3)]);
        assert_eq!((group.skew, missing(&group)), (Duration::from_millis(7), Vec::new()));
    }
    assert!(matches!(set.next(NOW).unwrap(), Next::Quiet));
}

#[test]
fn a_picture_too_late_for_its_group_begins_the_next_and_the_missing_one_is_named() {
    let project = Project::new();
    let [a, b, c] = NAMES.map(|name| writer(&project, name));
    let mut set = set(&project);
    send(&a, 0);
    send(&b, 25);
    send(&c, 20);
    let first = group(set.next(SOON).unwrap());
    assert_eq!((times(&first), missing(&first)), ([Some(0), None, Some(20)], vec!["b.frames"]));
    send(&a, 40);
    send(&c, 60);
    let second = group(set.next(SOON).unwrap());
    assert_eq!((times(&second), missing(&second)), ([Some(40), Some(25), None], vec!["c.frames"]));
    assert_eq!(second.skew, Duration::from_millis(15));
}

#[test]
fn a_camera_that_stops_holds_up_one_group_for_tolerance_and_patience_and_no_more_until_it_is_back()
{
    let project = Project::new();
    let patience = Duration::from_secs(1);
    let [a, b, c] = NAMES.map(|name| writer(&project, name));
    let mut set = set(&project).with_patience(patience);
    let both = |taken_ms| [&a, &b].iter().for_each(|writer| send(writer, taken_ms));
    both(0);
    let before = clock::mono();
    assert!(matches!(set.next(NOW).unwrap(), Next::Quiet), "c may yet come");
    let first = group(set.next(SOON).unwrap());
    assert!(clock::mono().saturating_since(before) >= TOLERANCE + patience);
    assert_eq!((times(&first), missing(&first)), ([Some(0), Some(0), None], vec!["c.frames"]));
    for taken_ms in [40, 80, 120] {
        both(taken_ms);
        let group = group(set.next(NOW).unwrap());
        assert_eq!(times(&group), [Some(taken_ms), Some(taken_ms), None]);
    }
    send(&c, 160);
    both(160);
    assert_eq!(times(&group(set.next(SOON).unwrap())), [Some(160); 3]);
    both(200);
    assert!(matches!(set.next(NOW).unwrap(), Next::Quiet), "waited for again");
}

#[test]
fn a_camera_without_a_writer_is_not_waited_for() {
    let project = Project::new();
    let [a, b, c] = NAMES.map(|name| writer(&project, name));
    let mut set = set(&project);
    drop(c);
    send(&a, 0);
    send(&b, 0);
    assert_eq!(times(&group(set.next(SOON).unwrap())), [Some(0), Some(0), None]);
    let c = writer(&project, "c.frames");
    assert!(matches!(set.next(SOON).unwrap(), Next::NewEpoch { .. }));
    assert_eq!(set.told_by(), Some(2));
    [&a, &b, &c].iter().for_each(|writer| send(writer, 40));
    assert_eq!(times(&group(set.next(SOON).unwrap())), [Some(40); 3]);
}

#[test]
fn a_slow_camera_holds_nobody_up_between_its_pictures() {
    let project = Project::new();
    let [a, b, c] = NAMES.map(|name| writer(&project, name));
    let mut set = set(&project);
    let mut given = Vec::new();
    for sent_ms in (0..2_000).step_by(40) {
        send(&a, sent_ms);
        send(&b, sent_ms);
        if sent_ms % 400 == 0 {
            send(&c, sent_ms);
        }
        loop {
            match set.next(NOW).unwrap() {
                Next::Item(group) => given.push((sent_ms, times(&group))),
                Next::Quiet => break,
                // What was overwritten while nothing was known of the slow one's pace.
                _ => {}
            }
        }
    }
    given.retain(|(sent_ms, _)| *sent_ms > 400);
    let slow = |taken_ms: u64| taken_ms.is_multiple_of(400).then_some(taken_ms);
    // The last one waits for the next one of the slow camera.
    for ((sent_ms, times), taken_ms) in given.iter().zip((440..1_960).step_by(40)) {
        assert_eq!(*times, [Some(taken_ms), Some(taken_ms), slow(taken_ms)]);
        let is_just_before = slow(taken_ms + 40).is_some();
        assert_eq!(*sent_ms, if is_just_before { taken_ms + 40 } else { taken_ms });
    }
    assert_eq!(given.len(), 38);
}

#[test]
fn a_set_works_within_two_leases_a_ring_while_the_caller_keeps_one_group() {
    let project = Project::new();
    let writers = NAMES.map(|name| writer(&project, name));
    let mut set = set(&project);
    let mut kept = None;
    for taken_ms in (0..400).step_by(40) {
        writers.iter().for_each(|writer| send(writer, taken_ms));
        let group = group(set.next(SOON).unwrap());
        assert_eq!(times(&group), [Some(taken_ms); 3]);
        kept = Some(group);
    }
    writers.iter().for_each(|writer| send(writer, 400));
    let second = group(set.next(SOON).unwrap());
    writers.iter().for_each(|writer| send(writer, 440));
    assert!(matches!(set.next(SOON), Err(Error::NoLease { .. })));
    drop(kept);
    assert_eq!(times(&group(set.next(SOON).unwrap())), [Some(440); 3]);
    drop(second);
}

#[test]
fn a_set_ends_when_all_its_rings_have() {
    let project = Project::new();
    let writers = NAMES.map(|name| writer(&project, name));
    let mut set = set(&project);
    send(&writers[0], 0);
    writers.iter().for_each(FrameWriter::finish);
    assert_eq!(times(&group(set.next(SOON).unwrap())), [Some(0), None, None]);
    assert!(matches!(set.next(SOON).unwrap(), Next::Ended));
}
