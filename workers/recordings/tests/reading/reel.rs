//! Recordings as segments and cuts: all of what is there, once, on one clock, whatever part is asked for.

use std::io::Cursor;
use std::sync::Arc;

use fmp4::{OriginFlags, Scan};
use recordings::cut::Footage;
use recordings::{Growth, Range, RecordingFile, Reel, Stretch, Strip, pictures};

use crate::camera::{Camera, STEP_NS, is_picture, time_of};

const SECOND: i64 = 1_000_000_000;

fn reel(camera: &Camera, range: Range) -> Reel {
    Reel::read(&camera.path(), range, Growth::None).unwrap()
}

fn stretch(reel: &Reel, at: usize) -> Stretch {
    let segment = reel.segments[at];
    let stem = reel.files[segment.file].file_stem().unwrap().to_str().unwrap();
    Stretch {
        file: recordings::file_name(stem).unwrap(),
        at_bytes: segment.at_bytes,
        bytes: segment.bytes,
        shift_ns: segment.shift_ns,
    }
}

fn all_of(strip: &Arc<Strip>) -> Vec<u8> {
    strip.read(0..u64::MAX).map(Result::unwrap).collect::<Vec<_>>().concat()
}

/// Everything behind the first segment's init, as one file.
fn played(camera: &Camera, reel: &Reel) -> Scan {
    let init = &reel.inits[reel.segments[0].init];
    let mut bytes = RecordingFile::open(&reel.files[init.file]).unwrap().init_segment().unwrap();
    for at in 0..reel.segments.len() {
        let strip = Arc::new(Strip::of_segment(&camera.path(), &stretch(reel, at)).unwrap());
        let segment = all_of(&strip);
        assert_eq!(segment.len() as u64, strip.bytes());
        bytes.extend(segment);
    }
    let scan = fmp4::scan(&mut Cursor::new(bytes)).unwrap();
    assert_eq!(scan.damage, None);
    scan
}

/// (sequence, decode time in ticks) of each packet, in the order of the ring.
fn packets(scan: &Scan) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    for fragment in &scan.fragments {
        for track in [0, 1] {
            let numbered = (fragment.origin.first..).zip(&fragment.origin.packets);
            let own = numbered.filter(|(_, of)| **of == Some(track)).map(|(sequence, _)| sequence);
            let samples = fragment.samples.iter().filter(|sample| sample.track == u32::from(track));
            all.extend(own.zip(samples.map(|sample| sample.decode_ticks)));
        }
    }
    all.sort_unstable();
    all
}

/// What a packet's decode time should be when the first one is at zero.
fn ticks(sequence: u64, first: u64) -> u64 {
    let base = if is_picture(sequence) { 90_000 } else { 48_000 };
    (sequence - first) * STEP_NS * base / 1_000_000_000
}

#[test]
fn segments_hold_every_packet_once_on_one_clock_over_all_files() {
    let mut camera = Camera::new();
    for first in [1, 301, 601] {
        camera.file(first..=first + 299);
    }
    let reel = reel(&camera, Range::ALL);
    let packets = packets(&played(&camera, &reel));
    let expected: Vec<(u64, u64)> = (1..=900).map(|n| (n, ticks(n, 1))).collect();
    assert_eq!(packets, expected);
    assert_eq!(reel.segments.iter().map(|segment| segment.packets).sum::<u64>(), 900);
    assert_eq!(reel.inits.len(), 1, "the same tracks need no other");
    // Files of six seconds: a segment of four and one of two each.
    let lasts: Vec<i64> = reel.segments.iter().map(|s| s.lasts_ns / 1_000_000).collect();
    assert_eq!(lasts, [4000, 2000, 4000, 2000, 4000, 2000]);
    for segment in &reel.segments {
        assert_eq!(segment.utc.0, time_of(1).0 + u64::try_from(segment.begin_ns).unwrap());
        assert!(segment.key);
    }
}

#[test]
fn a_file_whose_last_fragment_is_all_sound_goes_on_where_its_pictures_ended() {
    let mut camera = Camera::new();
    // Of three packets each; that of packet 100 and that of 200 are sound alone.
    camera.fragment = 3;
    for first in [1, 101, 201] {
        camera.file(first..=first + 99);
    }
    let reel = reel(&camera, Range::ALL);
    let expected: Vec<(u64, u64)> = (1..=300).map(|n| (n, ticks(n, 1))).collect();
    assert_eq!(packets(&played(&camera, &reel)), expected);
    let lasts: Vec<i64> = reel.segments.iter().map(|s| s.lasts_ns / 1_000_000).collect();
    assert_eq!(lasts[..2], [2000, 2000]);
    assert!(lasts[2] >= 1980, "{lasts:?}");
}

#[test]
fn what_was_not_recorded_is_as_long_as_it_was() {
    let mut camera = Camera::new();
    camera.file(1..=200);
    camera.flags = OriginFlags { discontinuity: true, ..OriginFlags::default() };
    camera.file(1001..=1200);
    let reel = reel(&camera, Range::ALL);
    let gaps: Vec<bool> = reel.segments.iter().map(|segment| segment.behind_gap).collect();
    assert_eq!(gaps, [true, true]);
    assert_eq!(reel.segments[1].begin_ns, 20 * SECOND);
    assert_eq!(reel.gaps.len(), 1);
    let (sequence, decoded) = packets(&played(&camera, &reel))[200];
    assert_eq!((sequence, decoded), (1001, ticks(1001, 1)));
}

#[test]
fn a_range_begins_with_the_key_frame_before_it_and_ends_with_the_fragment_of_its_end() {
    let mut camera = Camera::new();
    camera.file(1..=300);
    camera.file(301..=600);
    let reel = reel(&camera, Range { from: time_of(240), to: time_of(420) });
    let packets = packets(&played(&camera, &reel));
    assert_eq!((packets[0].0, packets[packets.len() - 1].0), (201, 450));
    assert_eq!(packets.len(), 250);
}

#[test]
fn a_recording_under_way_tells_less_and_nothing_else() {
    let mut camera = Camera::new();
    let mut told: Vec<recordings::Segment> = Vec::new();
    for first in [1, 301, 601, 901] {
        camera.file(first..=first + 299);
        let open = Reel::read(&camera.path(), Range::ALL, Growth::UnderWay).unwrap();
        assert_eq!(open.segments[..told.len()], told, "what was told changed");
        told = open.segments;
    }
    let whole = reel(&camera, Range::ALL);
    assert_eq!(told.len() + 1, whole.segments.len());
    assert_eq!(told[..], whole.segments[..told.len()]);
}

#[test]
fn the_pictures_of_a_segment_have_their_ids_and_the_times_that_players_tell() {
    let mut camera = Camera::new();
    camera.file(1..=300);
    camera.file(301..=600);
    let reel = reel(&camera, Range::ALL);
    let (ring, shown) = pictures(&camera.path(), &stretch(&reel, 2)).unwrap();
    assert_eq!(ring.unwrap().as_str(), "cam1.packets");
    let first = &shown[0];
    assert_eq!((first.id.epoch, first.id.sequence, first.key), (7, 301, true));
    assert_eq!(first.pts_ns, reel.segments[2].begin_ns);
    for (at, picture) in shown.iter().enumerate() {
        assert_eq!(picture.id.sequence, 301 + 2 * at as u64);
        assert_eq!(picture.pts_ns, first.pts_ns + i64::try_from(at).unwrap() * SECOND / 25);
    }
}

#[test]
fn a_place_that_is_no_segment_is_refused() {
    let mut camera = Camera::new();
    camera.file(1..=300);
    let right = stretch(&reel(&camera, Range::ALL), 0);
    assert!(Strip::of_segment(&camera.path(), &right).is_ok());
    let mut other = right;
    other.file.number += 1;
    for wrong in [
        Stretch { at_bytes: right.at_bytes + 1, ..right },
        Stretch { bytes: right.bytes - 1, ..right },
        Stretch { bytes: 0, ..right },
        Stretch { bytes: u64::MAX, ..right },
        Stretch { at_bytes: u64::MAX, ..right },
        Stretch { at_bytes: 0, ..right },
        other,
    ] {
        assert!(Strip::of_segment(&camera.path(), &wrong).is_err(), "{wrong:?}");
        assert!(pictures(&camera.path(), &wrong).is_err(), "{wrong:?}");
    }
    // Moved to before the beginning of time it is still a segment.
    let early = Stretch { shift_ns: i64::MIN, ..right };
    let late = Stretch { shift_ns: i64::MAX, ..right };
    for far in [early, late] {
        assert_eq!(
            all_of(&Arc::new(Strip::of_segment(&camera.path(), &far).unwrap())).len() as u64,
            right.bytes
        );
    }
}

#[test]
fn a_cut_reads_the_same_in_parts_as_at_once() {
    let mut camera = Camera::new();
    camera.file(1..=300);
    camera.file(301..=600);
    let footage =
        Footage::read("cam1", &camera.path(), Range { from: time_of(150), to: time_of(500) })
            .unwrap();
    let strip = Arc::new(Strip::of_cut(&footage, 0).unwrap().unwrap());
    assert_eq!(Strip::of_cut(&footage, 1).unwrap(), None);
    let whole = all_of(&strip);
    assert_eq!(whole.len() as u64, strip.bytes());
    let scan = fmp4::scan(&mut Cursor::new(&whole)).unwrap();
    assert_eq!(scan.damage, None);
    let packets = packets(&scan);
    assert_eq!((packets[0], packets[packets.len() - 1].0), ((101, 0), 500));
    let bytes = strip.bytes();
    for (from, to) in [
        (0, 1),
        (0, bytes),
        (5, 900),
        (700, bytes - 1),
        (bytes / 2, bytes),
        (bytes - 1, bytes),
        (bytes, bytes),
        (9, 3),
    ] {
        let part = strip.read(from..to).map(Result::unwrap).collect::<Vec<_>>().concat();
        let (from, to) = (usize::try_from(from).unwrap(), usize::try_from(to).unwrap());
        assert_eq!(part, whole.get(from..to).unwrap_or_default(), "{from} to {to}");
    }
}

#[test]
fn files_of_a_cut_stay_until_it_is_let_go() {
    let mut camera = Camera::new();
    let path = camera.file(1..=300);
    let footage = Footage::read("cam1", &camera.path(), Range::ALL).unwrap();
    assert!(recordings::claim(&path).unwrap().is_none(), "retention may take it");
    drop(footage);
    assert!(recordings::claim(&path).unwrap().is_some());
}
