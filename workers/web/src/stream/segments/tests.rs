use proptest::prelude::*;

use super::*;
use crate::stream::playlist;
use crate::stream::testing::{EPOCH, FIRST_GROUP, MS, fragments, noise, picture, sound, video};
use shmring::{Packet, PacketMeta};

fn pictures(numbers: std::ops::Range<u64>) -> impl Iterator<Item = Packet> {
    numbers.map(|number| picture(EPOCH, number + 1, number))
}

fn segments(units: Vec<Arc<Unit>>) -> Segments {
    let mut segments = Segments::default();
    units.into_iter().for_each(|unit| segments.push(unit, false));
    segments
}

/// What each part of a segment lasts, in ms.
fn lengths(segment: &Segment) -> Vec<i64> {
    segment.parts.iter().map(|part| part.lasts_ns / MS).collect()
}

#[test]
fn a_group_of_pictures_is_a_segment_of_its_number_and_a_fifth_of_a_second_a_part() {
    let segments = segments(fragments(&[video()], pictures(0..62)));
    let list: Vec<&Segment> = segments.listed().collect();
    let numbers: Vec<u64> = list.iter().map(|segment| segment.number).collect();
    let first = FIRST_GROUP % NUMBER_WRAPS;
    assert_eq!(numbers, [first, first + 1, first + 2]);
    assert_eq!(lengths(list[0]), [200; 5]);
    assert_eq!(list[0].lasts_ns, Some(1_000 * MS));
    assert_eq!(lengths(list[2]), [200, 200]);
    assert_eq!((list[2].lasts_ns, list[2].so_far_ns()), (None, 480 * MS));
    let independent: Vec<bool> = list[0].parts.iter().map(|part| part.independent).collect();
    assert_eq!(independent, [true, false, false, false, false]);
    assert_eq!(list[0].cadence, Cadence { pictures: 5, target_ns: 220 * MS });
    assert_eq!(segments.target_s(), 1);
}

#[test]
fn the_parts_of_a_segment_are_the_segment() {
    let tracks = [video(), sound()];
    let packets =
        pictures(0..60).zip(0..).flat_map(|(picture, n)| [picture, noise(EPOCH, 0, n * 40)]);
    let numbered = (1..).zip(packets).map(|(sequence, packet)| Packet { sequence, ..packet });
    let units = fragments(&tracks, numbered);
    let whole: Vec<u64> = units.iter().map(|unit| unit.sequence).collect();
    let segments = segments(units);
    let of = |segment: &Segment| segment.units().map(|unit| unit.sequence).collect::<Vec<_>>();
    assert_eq!(segments.listed().flat_map(of).collect::<Vec<_>>(), whole);
    let first = segments.listed().next().unwrap();
    let in_parts: usize = first.parts.iter().map(Part::bytes).sum();
    assert_eq!(in_parts, first.bytes());
}

#[test]
fn parts_of_any_rate_are_alike_and_within_their_target() {
    for (fps, pictures_a_part) in
        [(1, 1), (4, 1), (5, 1), (8, 2), (10, 2), (12, 2), (15, 3), (24, 5), (30, 6), (60, 12)]
    {
        let of = |number: u64| {
            let at_ns = i64::try_from(number * 1_000_000_000 / fps).unwrap();
            let mut packet = picture(EPOCH, number + 1, number);
            packet.meta = PacketMeta { pts_ns: at_ns, dts_ns: at_ns, ..packet.meta };
            packet
        };
        let track = protocol::stream::Track { frame_rate: (0, 1), ..video() };
        let segments = segments(fragments(&[track], (0..80).map(of)));
        let list: Vec<&Segment> = segments.listed().collect();
        let measured = list[list.len() - 2];
        assert_eq!(measured.cadence.pictures, pictures_a_part, "{fps} a second");
        let (last, parts) = measured.parts.split_last().unwrap();
        assert!(last.lasts_ns <= measured.cadence.target_ns);
        for part in parts {
            let share = part.lasts_ns * 100 / measured.cadence.target_ns;
            assert!((85..=100).contains(&share), "{share} % of the target at {fps} a second");
        }
    }
}

#[test]
fn what_is_promised_of_parts_does_not_follow_every_jitter() {
    let near = [39_700_000, 40_000_000, 40_300_000].map(Cadence::of);
    assert_eq!(near, [Cadence { pictures: 5, target_ns: 220 * MS }; 3]);
    // 12.5 and 0.4 a second are themselves.
    assert_eq!(Cadence::of(80 * MS), Cadence { pictures: 3, target_ns: 264 * MS });
    assert_eq!(Cadence::of(2_500 * MS), Cadence { pictures: 1, target_ns: 2_750 * MS });
    assert_eq!(Cadence::of(i64::MAX / 4).pictures, 1);
}

#[test]
fn a_part_never_lasts_longer_than_was_promised_when_the_camera_slows_down() {
    let of = |number: u64| {
        let at_ns =
            i64::try_from(number.min(30) * 40 + number.saturating_sub(30) * 100).unwrap() * MS;
        let mut packet = picture(EPOCH, number + 1, number);
        packet.meta = PacketMeta { pts_ns: at_ns, dts_ns: at_ns, ..packet.meta };
        packet
    };
    let segments = segments(fragments(&[video()], (0..80).map(of)));
    for segment in segments.listed() {
        let most = segment.cadence.target_ns;
        assert!(segment.parts.iter().all(|part| part.lasts_ns <= most), "{:?}", lengths(segment));
    }
}

#[test]
fn a_restarted_camera_goes_on_behind_a_discontinuity() {
    let later = EPOCH + 5_000_000;
    let packets = pictures(0..40).chain((50..80).map(|number| picture(later, number - 49, number)));
    let segments = segments(fragments(&[video()], packets));
    let told: Vec<(u64, bool, Option<i64>)> = segments
        .listed()
        .map(|segment| {
            let number = segment.number - FIRST_GROUP % NUMBER_WRAPS;
            (number, segment.discontinuity, segment.lasts_ns.map(|ns| ns / MS))
        })
        .collect();
    let expected =
        [(0, false, Some(1_000)), (1, false, Some(600)), (2, true, Some(1_000)), (3, false, None)];
    assert_eq!(told, expected);
}

#[test]
fn a_camera_that_was_away_for_a_minute_makes_no_segment_of_a_minute() {
    let of = |number: u64| {
        // Away between 49 and 50, where a group begins, and inside the group after that.
        let away_s = u64::from(number >= 50) * 60 + u64::from(number >= 60) * 30;
        let mut packet = picture(EPOCH, number + 1, number);
        let at_ns = packet.meta.dts_ns + i64::try_from(away_s).unwrap() * 1_000 * MS;
        packet.meta = PacketMeta { pts_ns: at_ns, dts_ns: at_ns, ..packet.meta };
        packet
    };
    let segments = segments(fragments(&[video()], (0..110).map(of)));
    let lasts: Vec<i64> =
        segments.listed().filter_map(|segment| Some(segment.lasts_ns? / MS)).collect();
    assert_eq!(lasts, [1_000; 4]);
    assert_eq!(segments.target_s(), 1);
}

#[test]
fn a_list_that_would_have_a_hole_begins_anew() {
    let packets = pictures(0..30).chain(pictures(100..130));
    let segments = segments(fragments(&[video()], packets));
    let numbers: Vec<u64> = segments.listed().map(|segment| segment.group - FIRST_GROUP).collect();
    assert_eq!(numbers, [4, 5]);
}

#[test]
fn groups_that_nobody_counts_are_counted_here() {
    let packets = pictures(0..60).map(|mut packet| {
        packet.meta.gop_index = 0;
        packet
    });
    let segments = segments(fragments(&[video()], packets));
    assert_eq!(segments.listed().map(|segment| segment.number).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn ten_seconds_are_listed_and_twice_as_long_is_kept_while_somebody_plays() {
    for (all, kept) in [(false, 11), (true, 22)] {
        let mut segments = Segments::default();
        for unit in fragments(&[video()], pictures(0..1_000)) {
            segments.push(unit, all);
        }
        assert_eq!(segments.listed().count(), 11, "ten, and the one under way");
        assert_eq!(segments.list.len(), kept);
        assert_eq!(segments.last_complete().unwrap().group, FIRST_GROUP + 38);
    }
}

#[test]
fn who_began_later_lists_the_same() {
    let early = segments(fragments(&[video()], pictures(0..1_000)));
    let late = segments(fragments(&[video()], pictures(700..1_000)));
    let told = |segments: &Segments| -> Vec<(u64, Vec<i64>, Option<i64>)> {
        let each = segments.listed();
        each.map(|segment| (segment.number, lengths(segment), segment.lasts_ns)).collect()
    };
    assert_eq!(told(&early), told(&late));
}

#[test]
fn sound_alone_has_no_segments() {
    let packets = (0..50).map(|n| {
        let mut packet = noise(EPOCH, n + 1, n * 20);
        packet.meta.track = 0;
        packet
    });
    assert_eq!(segments(fragments(&[sound()], packets)).listed().count(), 0);
}

/// Epoch, whether it is sound and a key, times, group, and a step of groups.
type Said = (u64, bool, bool, i64, i64, i64, u64, u64);

proptest! {
    /// The ring's writer is another process: what it says may be anything.
    #[test]
    fn whatever_a_ring_says_makes_lists_that_keep_to_the_rules(
        packets in proptest::collection::vec(
            (0u64..3, any::<bool>(), any::<bool>(), any::<i64>(), any::<i64>(), any::<i64>(), any::<u64>(), 0u64..4),
            1..80,
        ),
        far in any::<bool>(),
    ) {
        let near = |ns: i64| if far { ns } else { ns % (20 * SECOND_NS) };
        let tracks = [video(), sound()];
        let of = |(sequence, told): (u64, Said)| {
            let (epoch, is_sound, key, pts_ns, dts_ns, duration_ns, group, step) = told;
            let mut packet = picture(EPOCH + epoch * 400_000, sequence, if key { 0 } else { 1 });
            let (pts_ns, dts_ns) = (near(pts_ns), near(dts_ns));
            let gop_index = if far { group } else { FIRST_GROUP + sequence / 10 + step / 3 };
            let track = u32::from(is_sound);
            packet.meta = PacketMeta { track, pts_ns, dts_ns, duration_ns, gop_index, ..packet.meta };
            packet
        };
        let mut segments = Segments::default();
        for unit in fragments(&tracks, (1..).zip(packets).map(of)) {
            segments.push(unit, true);
            let list = playlist::live(&segments);
            prop_assert!(list.is_some() && playlist::index(&segments).is_some());
            let most_ns = segments.target_s() * SECOND_NS + SECOND_NS / 2;
            for segment in segments.listed() {
                prop_assert!(segment.lasts_ns.is_none_or(|lasts_ns| (1..=most_ns).contains(&lasts_ns)));
                prop_assert!(segment.parts.iter().all(|part| part.lasts_ns > 0 && !part.units.is_empty()));
                let whole: Vec<u64> = segment.units().map(|unit| unit.sequence).collect();
                prop_assert!(whole.is_sorted(), "{:?}", whole);
            }
            let numbers: Vec<u64> = segments.listed().map(|segment| segment.number).collect();
            prop_assert!(numbers.windows(2).all(|pair| pair[1] == (pair[0] + 1) % NUMBER_WRAPS));
        }
    }
}
