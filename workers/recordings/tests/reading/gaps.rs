//! Spans, and what is missing between them.

use std::fs::{self, OpenOptions};

use fmp4::OriginFlags;
use recordings::{GapReason, Timeline};

use crate::camera::{Camera, time_of};

fn told(timeline: &Timeline) -> Vec<(GapReason, u64, u64)> {
    let gaps = timeline.gaps.iter();
    gaps.map(|gap| (gap.reason, gap.missing, gap.after.sequence)).collect()
}

#[test]
fn a_recording_without_a_hole_is_one_span_over_all_its_files() {
    let mut camera = Camera::new();
    camera.file(1..=200);
    camera.file(201..=300);
    let timeline = camera.all();
    assert_eq!(told(&timeline), []);
    let [span] = timeline.spans[..] else { panic!("{:?}", timeline.spans) };
    assert_eq!((span.from, span.packets), (time_of(1), 300));
    // The last sound begins with packet 300 and lasts as long as two steps.
    assert_eq!(span.to, time_of(302));
    assert_eq!((span.first.sequence, span.last.sequence), (1, 300));
}

#[test]
fn each_gap_has_its_reason() {
    let mut camera = Camera::new();
    camera.file(1..=100);
    let removed = camera.file(101..=200);
    let torn = camera.file(201..=300);
    camera.file(301..=400);
    camera.flags = OriginFlags { discontinuity: true, ..OriginFlags::default() };
    camera.file(401..=500);
    camera.epoch = 8;
    camera.file(3..=100);
    fs::remove_file(removed).unwrap();
    let bytes = fs::metadata(&torn).unwrap().len();
    OpenOptions::new().write(true).open(torn).unwrap().set_len(bytes - 1).unwrap();
    let timeline = camera.all();
    let expected = [
        (GapReason::Removed, 100, 201),
        (GapReason::Damage, 50, 301),
        (GapReason::Discontinuity, 0, 401),
        (GapReason::SourceRestart, 2, 3),
    ];
    assert_eq!(told(&timeline), expected);
    assert_eq!(timeline.spans.len(), 5);
    let missing = timeline.gaps[0];
    assert_eq!(missing.to, time_of(201));
    assert_eq!((missing.before.sequence, missing.from), (100, time_of(102)));
}

#[test]
fn a_gap_at_the_edge_of_a_range_is_told() {
    let mut camera = Camera::new();
    camera.file(1..=100);
    camera.file(501..=600);
    camera.file(901..=1000);
    assert_eq!(told(&camera.between(450, 550)), [(GapReason::Missing, 400, 501)]);
    assert_eq!(told(&camera.between(550, 700)), [(GapReason::Missing, 300, 901)]);
    assert_eq!(told(&camera.between(520, 530)), []);
}

#[test]
fn a_file_of_which_nothing_is_whole_is_the_reason_of_what_is_missing() {
    let mut camera = Camera::new();
    camera.file(1..=100);
    let damaged = camera.file(101..=200);
    camera.file(201..=300);
    fs::write(damaged, b"zeros, mostly").unwrap();
    assert_eq!(told(&camera.all()), [(GapReason::Damage, 100, 201)]);
}
