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

#[test]
fn a_report_moves_sound_that_was_placed_by_arrival_once() {
    let mut streams = streams(&[VIDEO, SOUND].concat());
    streams.packet(0, &rtp(96, 1, 0, 90_000, KEY), host(1000));
    streams.packet(1, &rtp(0, 2, 0, 555_000, &[0; 160]), host(1300));
    streams.reports(0, &report(1, 90_000, 900), host(1301).mono);
    streams.reports(1, &report(2, 555_000, 900), host(1301).mono);
    streams.packet(1, &rtp(0, 2, 1, 555_160, &[0; 160]), host(1320));
    let times: Vec<i64> =
        units(&mut streams).iter().map(|unit| unit.unit.pts_ns / 1_000_000).collect();
    assert_eq!(times, [0, 300, 20]);
}
