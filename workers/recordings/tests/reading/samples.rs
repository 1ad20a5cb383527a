//! The packets of a range.

use std::fs;

use recordings::{Error, PacketId, RecordingFile, Sample, Timeline};

use crate::camera::{Camera, STEP_NS, is_key, is_picture, packet, time_of};

fn samples(timeline: &Timeline) -> Vec<Sample> {
    timeline.samples().map(Result::unwrap).collect()
}

fn sequences(timeline: &Timeline) -> Vec<u64> {
    samples(timeline).iter().map(|sample| sample.id.sequence).collect()
}

#[test]
fn every_packet_is_there_once_in_the_rings_order_as_it_was() {
    let mut camera = Camera::new();
    camera.file(1..=200);
    camera.file(201..=330);
    let timeline = camera.all();
    assert_eq!(timeline.ring, Some("cam1.packets".parse().unwrap()));
    let mut samples = timeline.samples();
    let mut expected = 1;
    while let Some(sample) = samples.next() {
        let sample = sample.unwrap();
        let id = PacketId { epoch: 7, sequence: expected };
        assert_eq!((sample.id, sample.capture), (id, time_of(expected)));
        assert_eq!(sample.track, u32::from(!is_picture(expected)));
        if is_picture(expected) {
            assert_eq!(sample.key, is_key(expected));
        }
        assert_eq!(samples.packet(&sample).unwrap(), packet(expected), "packet {expected}");
        let stream = samples.stream(&sample).unwrap().unwrap();
        assert_eq!(stream.codec.is_video(), is_picture(expected));
        expected += 1;
    }
    assert_eq!(expected, 331);
    assert_eq!(samples.zero(), Some(time_of(1)));
}

#[test]
fn files_that_follow_each_other_share_one_clock_to_the_nanosecond() {
    let mut camera = Camera::new();
    for first in [1, 201, 401] {
        camera.file(first..=first + 199);
    }
    let step = i64::try_from(STEP_NS).unwrap();
    for (at, sample) in samples(&camera.all()).iter().enumerate() {
        let expected = i64::try_from(at).unwrap() * step;
        assert_eq!((sample.dts_ns, sample.pts_ns), (expected, expected), "{sample:?}");
        assert_eq!(sample.duration_ns, 2 * step);
    }
}

#[test]
fn a_range_begins_with_the_key_frame_before_it() {
    let mut camera = Camera::new();
    camera.file(1..=200);
    camera.file(201..=400);
    let timeline = camera.between(270, 320);
    let all = samples(&timeline);
    assert_eq!(all[0].id.sequence, 201);
    let wanted: Vec<u64> =
        all.iter().filter(|sample| sample.wanted).map(|sample| sample.id.sequence).collect();
    assert_eq!(wanted, (270..320).collect::<Vec<_>>());
    assert_eq!(all.last().unwrap().id.sequence, 350, "whole fragments");
}

#[test]
fn a_file_that_begins_inside_a_group_is_decoded_from_the_one_before() {
    let mut camera = Camera::new();
    camera.file(1..=250);
    camera.file(251..=400);
    let timeline = camera.between(260, 270);
    assert_eq!(sequences(&timeline), (201..=300).collect::<Vec<_>>());
    assert_eq!(timeline.spans.len(), 1);
}

#[test]
fn behind_a_hole_nothing_is_decoded_before_the_next_key_frame_and_times_tell_its_length() {
    let mut camera = Camera::new();
    camera.file(1..=100);
    camera.file(301..=400);
    let all = samples(&camera.all());
    let behind = all.iter().find(|sample| sample.behind_gap).unwrap();
    assert_eq!(behind.id.sequence, 301);
    assert_eq!(behind.dts_ns, i64::try_from(300 * STEP_NS).unwrap());
    assert_eq!(sequences(&camera.between(310, 311)), (301..=350).collect::<Vec<_>>());
}

#[test]
fn a_group_that_stands_in_two_files_is_read_once() {
    let mut camera = Camera::new();
    camera.file(1..=250);
    camera.file(201..=300);
    assert_eq!(sequences(&camera.all()), (1..=300).collect::<Vec<_>>());
    // The newer file has not come as far yet.
    let mut camera = Camera::new();
    camera.file(1..=300);
    camera.file(201..=250);
    assert_eq!(sequences(&camera.all()), (1..=300).collect::<Vec<_>>());
}

#[test]
fn a_file_that_goes_meanwhile_is_told_and_the_next_one_follows() {
    let mut camera = Camera::new();
    camera.file(1..=100);
    let gone = camera.file(101..=200);
    camera.file(201..=300);
    let timeline = camera.all();
    fs::remove_file(gone).unwrap();
    let (read, errors): (Vec<_>, Vec<_>) = timeline.samples().partition(Result::is_ok);
    assert_eq!((read.len(), errors.len()), (200, 1));
    assert!(matches!(&errors[0], Err(error) if error.is_gone()), "{errors:?}");
}

#[test]
fn a_range_without_recordings_is_empty() {
    let mut camera = Camera::new();
    assert!(camera.all().is_empty());
    camera.file(1..=100);
    assert!(camera.between(5000, 6000).is_empty());
    assert_eq!(sequences(&camera.between(5000, 6000)), Vec::<u64>::new());
}

#[test]
fn bytes_that_are_no_recording_are_told_with_their_place() {
    let mut camera = Camera::new();
    let path = camera.file(1..=100);
    let file = RecordingFile::open(&path).unwrap();
    let refused = file.read(0, u64::MAX, &mut Vec::new()).unwrap_err();
    assert!(matches!(refused, Error::File { .. }), "{refused}");
    fs::write(&path, b"no boxes here").unwrap();
    let refused = RecordingFile::open(&path).unwrap_err().to_string();
    assert!(refused.contains("byte 0") && refused.contains("00000001.mp4"), "{refused}");
}
