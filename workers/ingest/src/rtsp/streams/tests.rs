//! Tracks of one camera beside each other, and what their packets say.

use super::*;
use crate::rtsp::format::{self, Choice};
use crate::rtsp::sdp;
use protocol::time::{ClockSource, UtcNs};
use rtp_types::RtpPacketBuilder;
use std::time::Duration;

const NOON_S: u64 = 1_800_000_000;
const VIDEO: &str = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n\
    a=fmtp:96 sprop-parameter-sets=Z0LACtkCCbARAAADAAEAAAMAMg8SJkg=,aO48gA==\n";
const SOUND: &str = "m=audio 0 RTP/AVP 0\n";

fn streams(sdp: &str) -> Streams {
    let description = sdp::read(sdp.as_bytes());
    let lanes = (0..).zip(&description.medias).map(|(number, media)| {
        let Choice::Ours(format) = format::of(media) else { panic!("{media:?}") };
        Lane::new(number, media.payload_type, *format, Duration::ZERO)
    });
    Streams::new(lanes.collect())
}

fn host(ms: u64) -> Stamp {
    let utc = UtcNs(NOON_S * 1_000_000_000 + ms * 1_000_000);
    Stamp { mono: MonoNs(utc.0 - 1_000_000), utc }
}

fn rtp(payload_type: u8, ssrc: u32, sequence: u16, ticks: u32, payload: &[u8]) -> Vec<u8> {
    RtpPacketBuilder::<&[u8], &[u8]>::new()
        .payload_type(payload_type)
        .sequence_number(sequence)
        .timestamp(ticks)
        .ssrc(ssrc)
        .marker_bit(true)
        .payload(payload)
        .write_vec()
        .unwrap()
}

/// A report that `ticks` were captured `ms` after noon.
fn report(ssrc: u32, ticks: u32, ms: u64) -> Vec<u8> {
    let ntp_s = NOON_S + 2_208_988_800 + ms / 1000;
    let fraction = ((ms % 1000) << 32) / 1000;
    let mut out = vec![0x80, 200, 0, 6];
    let words = [u64::from(ssrc), ntp_s, fraction, u64::from(ticks), 0, 0];
    for word in words {
        out.extend(u32::try_from(word & 0xffff_ffff).unwrap().to_be_bytes());
    }
    out
}

fn units(streams: &mut Streams) -> Vec<Received> {
    let all = std::iter::from_fn(|| streams.pop());
    all.filter_map(|happening| match happening {
        Happening::Unit(received) => Some(received),
        Happening::Tracks(_) => None,
    })
    .collect()
}

const KEY: &[u8] = &[0x65, 0x88, 1];
const NEXT: &[u8] = &[0x41, 0x9a, 1];

#[test]
fn tracks_are_told_before_the_first_unit() {
    let mut streams = streams(VIDEO);
    streams.packet(0, &rtp(96, 1, 0, 0, KEY), host(0));
    let Some(Happening::Tracks(tracks)) = streams.pop() else { panic!("no tracks") };
    assert_eq!((tracks[0].width, tracks[0].height), (128, 64));
    assert!(matches!(streams.pop(), Some(Happening::Unit(_))));
}

#[test]
fn packets_of_other_types_and_other_sources_are_passed_over() {
    let mut streams = streams(VIDEO);
    streams.packet(0, &rtp(96, 1, 0, 0, KEY), host(0));
    streams.packet(0, &rtp(50, 1, 1, 0, KEY), host(1));
    streams.packet(0, &rtp(96, 2, 900, 7, KEY), host(2));
    streams.packet(0, b"nonsense", host(3));
    streams.packet(0, &rtp(96, 1, 1, 3600, NEXT), host(40));
    let units = units(&mut streams);
    assert_eq!(units.len(), 2);
    assert!(units.iter().all(|unit| !unit.anew && !unit.unit.corrupt));
}

#[test]
fn a_stream_that_changes_its_source_begins_anew() {
    let mut streams = streams(VIDEO);
    streams.packet(0, &rtp(96, 1, 0, 0, KEY), host(0));
    for (number, ms) in [(0u16, 40), (1, 80), (2, 120)] {
        let ticks = 9_000_000 + 3600 * u32::from(number);
        streams.packet(0, &rtp(96, 2, 500 + number, ticks, KEY), host(ms));
    }
    let units = units(&mut streams);
    let told: Vec<(bool, i64)> =
        units.iter().map(|unit| (unit.anew, unit.unit.pts_ns / 1_000_000)).collect();
    assert_eq!(told, [(false, 0), (true, 80), (false, 120)]);
}

#[test]
fn times_go_on_when_the_timestamp_wraps_and_reports_hold_over_it() {
    let mut streams = streams(VIDEO);
    let begin = u32::MAX - 3600 * 10;
    streams.reports(0, &report(1, begin, 0), host(5).mono);
    for number in 0..30u32 {
        let ticks = begin.wrapping_add(3600 * number);
        let packet = rtp(96, 1, u16::try_from(number).unwrap(), ticks, KEY);
        streams.packet(0, &packet, host(u64::from(number) * 40 + 25));
    }
    for (number, unit) in (0i64..).zip(units(&mut streams)) {
        assert_eq!(unit.unit.pts_ns, number * 40_000_000);
        assert_eq!(unit.clock, ClockSource::Camera);
        let off_ns = unit.capture.utc.0.abs_diff(host(u64::try_from(number).unwrap() * 40).utc.0);
        assert!(off_ns < 1000, "{off_ns} ns off at {number}");
    }
}

/// A picture and a sound of the same moment, whose packets come 300 ms apart.
fn apart_ms(prepare: impl Fn(&mut Streams)) -> i64 {
    let mut streams = streams(&[VIDEO, SOUND].concat());
    prepare(&mut streams);
    streams.packet(0, &rtp(96, 1, 0, 90_000, KEY), host(1000));
    streams.packet(1, &rtp(0, 2, 0, 555_000, &[0; 160]), host(1300));
    let units = units(&mut streams);
    (units[1].unit.pts_ns - units[0].unit.pts_ns) / 1_000_000
}

#[test]
fn sound_is_placed_beside_its_picture_by_reports_else_by_the_beginning_else_by_arrival() {
    assert_eq!(apart_ms(|_| ()), 300);
    assert_eq!(apart_ms(|streams| streams.begin(&[Some(90_000), Some(555_000)])), 0);
    // Of one track alone, or far from what came: nothing to go by.
    assert_eq!(apart_ms(|streams| streams.begin(&[Some(90_000), None])), 300);
    assert_eq!(apart_ms(|streams| streams.begin(&[Some(90_000), Some(7)])), 300);
}

/// Pictures and sound of the same moments, of which those of `late` come 300 ms late, by their tracks: at which ms on
/// the line they are placed. Reports come after 100 ms.
fn beside_by_reports(late: usize) -> [Vec<i64>; 2] {
    let mut streams = streams(&[VIDEO, SOUND].concat());
    for number in 0..100u16 {
        let ms = u64::from(number) * 20;
        let came = |lane: usize| ms.checked_sub(if lane == late { 300 } else { 0 });
        for lane in [late, 1 - late] {
            let Some(own_ms) = came(lane) else { continue };
            let (sequence, own) =
                (u16::try_from(own_ms / 20).unwrap(), u32::try_from(own_ms).unwrap());
            let packet = match lane {
                0 => rtp(96, 1, sequence, 90_000 + own * 90, KEY),
                _ => rtp(0, 2, sequence, 555_000 + own * 8, &[0; 160]),
            };
            streams.packet(lane, &packet, host(1000 + ms));
        }
        if number == 20 {
            streams.reports(0, &report(1, 90_000, 900), host(1000 + ms).mono);
            streams.reports(1, &report(2, 555_000, 900), host(1000 + ms).mono);
        }
    }
    let (pictures, sounds): (Vec<_>, Vec<_>) =
        units(&mut streams).into_iter().partition(|it| it.unit.track == 0);
    [pictures, sounds].map(|units| units.iter().map(|it| it.unit.pts_ns / 1_000_000).collect())
}

#[test]
fn sound_that_a_report_moves_back_leaves_its_pictures_where_they_are() {
    let [pictures, sounds] = beside_by_reports(1);
    assert_eq!(pictures, (0..100).map(|number| number * 20).collect::<Vec<_>>());
    // Six were told from 300 on, by arrival; those that belong there are left out.
    let told: Vec<i64> = (15..85).map(|number| number * 20).collect();
    assert_eq!(sounds, told);
}

#[test]
fn of_pictures_that_a_report_moves_none_is_left_out_and_none_jumps() {
    let [pictures, sounds] = beside_by_reports(0);
    assert_eq!(pictures, (15..100).map(|number| number * 20).collect::<Vec<_>>());
    // On the line sound is where the pictures of its moment are.
    assert_eq!((sounds[20], sounds[21], sounds[99]), (400, 720, 1980 + 300));
}

#[test]
fn half_a_picture_of_the_source_before_is_not_handed_on() {
    let mut streams = streams(VIDEO);
    streams.packet(0, &rtp(96, 1, 0, 0, KEY), host(0));
    let begun = [0x7c, 0x81, 0x9a, 1];
    let mut half = rtp(96, 1, 1, 3600, &[0x78, 0, 3, 0x41, 0x9a, 1]);
    half[1] &= 0x7f; // no marker
    streams.packet(0, &half, host(40));
    let mut half = rtp(96, 1, 2, 3600, &begun);
    half[1] &= 0x7f;
    streams.packet(0, &half, host(41));
    for (number, ms) in [(0u16, 80), (1, 120), (2, 160)] {
        streams.packet(
            0,
            &rtp(96, 2, 500 + number, 9_000_000 + 3600 * u32::from(number), KEY),
            host(ms),
        );
    }
    let units = units(&mut streams);
    let told: Vec<_> =
        units.iter().map(|unit| (unit.anew, unit.unit.key, unit.unit.corrupt)).collect();
    assert_eq!(told, [(false, true, false), (true, true, false), (false, true, false)]);
}

/// Two seconds of pictures and sound; after one, the counts of the tracks jump by so many ticks.
fn jumped(video: u32, sound: u32) -> [Vec<Received>; 2] {
    let mut streams = streams(&[VIDEO, SOUND].concat());
    for number in 0..100u32 {
        let (sequence, at) = (u16::try_from(number).unwrap(), host(u64::from(number) * 20));
        let jump = |ticks: u32| if number < 50 { 0 } else { ticks };
        let ticks = jump(video).wrapping_add(1800 * number);
        streams.packet(0, &rtp(96, 1, sequence, ticks, KEY), at);
        let ticks = jump(sound).wrapping_add(160 * number);
        streams.packet(1, &rtp(0, 2, sequence, ticks, &[0; 160]), at);
    }
    let (pictures, sounds) = units(&mut streams).into_iter().partition(|it| it.unit.track == 0);
    [pictures, sounds]
}

#[test]
fn a_track_whose_timestamps_jump_does_not_take_the_other_along() {
    for (video, sound) in [(1 << 30, 0), (0, 1 << 30), (0, u32::MAX - 100_000), (1 << 29, 1 << 28)]
    {
        for (units, jump) in jumped(video, sound).iter().zip([video, sound]) {
            let jumps = units.iter().filter(|unit| unit.jumped).count();
            assert_eq!((units.len(), jumps), (100, usize::from(jump != 0)), "{video} {sound}");
            for pair in units.windows(2) {
                // As long as the parameter sets say that a picture lasts.
                let step_ns = pair[1].unit.pts_ns - pair[0].unit.pts_ns;
                let longest_ns = if pair[1].jumped { 100_000_000 } else { 20_000_000 };
                assert!((1..=longest_ns).contains(&step_ns), "{step_ns} ns, {video} {sound}");
            }
        }
    }
}

#[test]
fn sound_that_pauses_is_where_it_belongs_when_it_goes_on() {
    let mut streams = streams(&[VIDEO, SOUND].concat());
    for (number, at_s) in [(0, 0), (1, 20)] {
        streams.packet(0, &rtp(96, 1, number, 90_000 * u32::from(number), KEY), host(at_s * 1000));
        let ticks = 8000 * u32::try_from(at_s).unwrap();
        streams.packet(1, &rtp(0, 2, number, ticks, &[0; 160]), host(at_s * 1000));
    }
    let last = units(&mut streams).pop().unwrap();
    assert_eq!((last.unit.track, last.unit.pts_ns), (1, 20_000_000_000));
}

#[test]
fn sound_whose_clock_drifts_is_led_after_its_picture() {
    const SOUNDS: u32 = 250; // between reports: 5 s
    let mut streams = streams(&[VIDEO, SOUND].concat());
    let mut sounds = Vec::new();
    let mut number = 0u32;
    for round in 0..60u64 {
        let at_ms = round * 5000;
        // The sound's clock is too fast: a thousandth of a second in five.
        let ticks = 160 * number;
        streams.packet(
            0,
            &rtp(96, 1, u16::try_from(round).unwrap(), u32::try_from(at_ms * 90).unwrap(), KEY),
            host(at_ms),
        );
        streams.reports(0, &report(1, u32::try_from(at_ms * 90).unwrap(), at_ms), host(at_ms).mono);
        for _ in 0..SOUNDS {
            let sequence = u16::try_from(number % 65_536).unwrap();
            let came = host(at_ms + u64::from(number % SOUNDS) * 20);
            streams.packet(1, &rtp(0, 2, sequence, 160 * number, &[0; 160]), came);
            number += 1;
        }
        streams.reports(1, &report(2, ticks, at_ms + round), host(at_ms).mono);
        sounds.extend(units(&mut streams).into_iter().filter(|unit| unit.unit.track == 1));
    }
    for pair in sounds[300..].windows(2) {
        let step_ns = pair[1].unit.pts_ns - pair[0].unit.pts_ns;
        assert!(step_ns.abs_diff(20_000_000) <= LEAD_NS.unsigned_abs(), "{step_ns} ns");
    }
    // By the count alone it would be 59 ms off.
    let last_ns = sounds.last().unwrap().unit.pts_ns;
    let true_ns = i64::from(number - 1) * 20_000_000 + 59_000_000;
    assert!(last_ns.abs_diff(true_ns) < 25_000_000, "{} ns off", true_ns - last_ns);
}

#[test]
fn counts_that_are_out_of_all_measure_are_survived() {
    let mut streams = streams(
        "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/1\n\
        a=fmtp:96 sprop-parameter-sets=Z0LACtkCCbARAAADAAEAAAMAMg8SJkg=,aO48gA==\n\
        m=audio 0 RTP/AVP 97\na=rtpmap:97 PCMU/1\n",
    );
    streams.begin(&[Some(u32::MAX), Some(0)]);
    let mut ticks = 0u32;
    for number in 0..40u16 {
        ticks = ticks.wrapping_sub((1 << 31) - 1);
        for (lane, payload_type) in [(0, 96), (1, 97)] {
            streams.packet(
                lane,
                &rtp(payload_type, 1, number, ticks, KEY),
                host(u64::from(number)),
            );
            streams.reports(lane, &report(1, !ticks, 0), host(u64::from(number)).mono);
        }
    }
    assert!(!units(&mut streams).is_empty());
}
