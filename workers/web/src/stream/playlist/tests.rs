use super::*;
use std::sync::Arc;

use crate::stream::numbers::Numbers;
use crate::stream::testing::{EPOCH, FIRST_GROUP, fragments, numbered_fragments, picture, video};
use shmring::Packet;

fn pictures(epoch: u64, numbers: std::ops::Range<u64>) -> impl Iterator<Item = Packet> {
    let first = numbers.start;
    numbers.map(move |number| picture(epoch, number - first + 1, number))
}

fn of(packets: impl IntoIterator<Item = Packet>) -> Segments {
    let mut segments = Segments::default();
    fragments(&[video()], packets).into_iter().for_each(|unit| segments.push(unit, false));
    segments
}

/// The number that a group of pictures has as a segment.
fn numbered(group: u64) -> u64 {
    (FIRST_GROUP + group) % (1 << 31)
}

fn value<'a>(text: &'a str, tag: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(tag))
        .unwrap_or_else(|| panic!("no {tag} in {text}"))
}

#[test]
fn a_list_tells_segments_and_the_parts_of_the_newest() {
    let text = live(&of(pictures(EPOCH, 0..112))).unwrap();
    let first = numbered(0);
    let begin = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.661,HOLD-BACK=3\n\
         #EXT-X-PART-INF:PART-TARGET=0.220\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    assert!(text.starts_with(&begin), "{text}");
    assert_eq!(text.matches("#EXTINF:1.000000,").count(), 4);
    assert_eq!(text.matches("#EXT-X-MAP:").count(), 1);
    assert_eq!(text.matches("#EXT-X-PROGRAM-DATE-TIME:2026-11-20T12:00:0").count(), 5);
    // Three seconds of parts, of which the segment under way has not half a one.
    assert!(!text.contains(&format!("\"{first}.0.m4s\"")), "{text}");
    let part =
        format!("#EXT-X-PART:DURATION=0.200000,URI=\"{}.0.m4s\",INDEPENDENT=YES\n", numbered(4));
    assert!(text.contains(&part), "{text}");
    let hint = format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}.2.m4s\"\n", numbered(4));
    assert!(text.ends_with(&hint), "{text}");
    assert!(!text.contains("ENDLIST") && !text.contains("DISCONTINUITY\n"));
}

#[test]
fn numbers_go_on_over_a_restart_of_the_camera_and_of_this_worker() {
    let later = EPOCH + 40_000_000;
    let all: Vec<Packet> = pictures(EPOCH, 0..200).chain(pictures(later, 200..750)).collect();
    let (mut sequence, mut discontinuity) = (0, 0);
    let mut segments = Segments::default();
    let mut seen = Vec::new();
    let numbers: Arc<Numbers> = Arc::default();
    for unit in numbered_fragments(Arc::clone(&numbers), &[video()], all.clone()) {
        segments.push(unit, true);
        let text = live(&segments).unwrap();
        let now = value(&text, "#EXT-X-MEDIA-SEQUENCE:").parse::<u64>().unwrap();
        let cut = value(&text, "#EXT-X-DISCONTINUITY-SEQUENCE:").parse::<u64>().unwrap();
        assert!(now >= sequence && cut >= discontinuity, "{text}");
        (sequence, discontinuity) = (now, cut);
        seen.push(text.matches("#EXT-X-DISCONTINUITY\n").count());
    }
    assert!(seen.contains(&1) && seen.last() == Some(&0));
    // A worker that goes on with these numbers when the restart has left the list counts the same.
    let rest = all.into_iter().filter(|packet| packet.epoch == later).skip(200);
    let mut fresh = Segments::default();
    for unit in numbered_fragments(numbers, &[video()], rest) {
        fresh.push(unit, true);
    }
    let text = live(&fresh).unwrap();
    assert_eq!(value(&text, "#EXT-X-DISCONTINUITY-SEQUENCE:"), discontinuity.to_string());
    assert_eq!(value(&text, "#EXT-X-MEDIA-SEQUENCE:"), sequence.to_string());
}

#[test]
fn the_index_says_what_players_choose_by() {
    let text = index(&of(pictures(EPOCH, 0..60))).unwrap();
    assert!(
        text.ends_with(",CODECS=\"avc1.64001e\",RESOLUTION=640x480,FRAME-RATE=25.000\nlive.m3u8\n"),
        "{text}"
    );
    let bits: u64 =
        value(&text, "#EXT-X-STREAM-INF:BANDWIDTH=").split(',').next().unwrap().parse().unwrap();
    let segment_bits = of(pictures(EPOCH, 0..60)).listed().next().unwrap().bytes() as u64 * 8;
    assert_eq!(bits, segment_bits, "of a second");
    assert_eq!(index(&Segments::default()), None);
}

#[test]
fn a_request_waits_for_the_part_it_names_and_not_for_what_is_far_away() {
    let segments = of(pictures(EPOCH, 0..62)); // two segments, and two parts of the third
    let asked = |number, part| has(&segments, Wanted { number: numbered(number), part });
    assert_eq!(asked(1, None), Has::Now);
    assert_eq!(asked(2, None), Has::Later);
    assert_eq!([asked(2, Some(1)), asked(2, Some(2))], [Has::Now, Has::Later]);
    assert_eq!(asked(3, Some(0)), Has::Later);
    assert_eq!(asked(4, Some(0)), Has::TooFar);
    // Beyond the last part of a segment the next one is meant.
    assert_eq!(asked(1, Some(9)), Has::Now);
    assert_eq!(has(&Segments::default(), Wanted { number: 7, part: None }), Has::Later);
}

#[test]
fn names_are_read_strictly() {
    assert_eq!(File::parse("live.m3u8"), Some(File::Live));
    assert_eq!(File::parse("12.m4s"), Some(File::Segment(12)));
    assert_eq!(File::parse("12.3.m4s"), Some(File::Part { number: 12, part: 3 }));
    assert_eq!(File::parse("init-0a.mp4"), Some(File::Init("0a".to_owned())));
    for odd in [
        "",
        "x.m4s",
        "+1.m4s",
        "1.+2.m4s",
        "1.2.3.m4s",
        ".m4s",
        "1..m4s",
        "-1.m4s",
        "1.m4",
        "live.m3u",
        "init-.mp3",
    ] {
        assert_eq!(File::parse(odd), None, "{odd}");
    }
}
