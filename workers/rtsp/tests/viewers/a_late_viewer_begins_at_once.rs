//! A viewer that comes in the middle of a group of pictures is sent that group from its key frame at
//! once, and then what follows, without a seam.

use std::time::Duration;

use protocol::time::MonoNs;
use rtp_types::RtpPacket;
use shmring::clock;

use crate::harness::{Camera, Clip, FRAME, GOP, RawClient, Site, has, sleep_until};

/// The RTP packets of the next access unit: its timestamp and the type of its last NAL unit.
fn access_unit(client: &mut RawClient, next_sequence: &mut Option<u16>) -> (u32, u8) {
    loop {
        let (channel, frame) = client.frame();
        if channel != 0 {
            continue;
        }
        let packet = RtpPacket::parse(&frame).unwrap();
        let sequence = packet.sequence_number();
        assert!(next_sequence.is_none_or(|next| next == sequence), "a packet is missing");
        *next_sequence = Some(sequence.wrapping_add(1));
        if packet.marker_bit() {
            let payload = packet.payload();
            let kind = payload[0] & 0x1f;
            return (packet.timestamp(), if kind == 28 { payload[1] & 0x1f } else { kind });
        }
    }
}

#[test]
fn the_cached_group_comes_in_a_burst_and_meets_the_live_pictures() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open(8);
    let begun = clock::mono();
    let _camera = Camera::start(&site.project, Clip::plain());
    // Twenty pictures into the second group.
    let joined = 45;
    sleep_until(begun + FRAME * joined);

    let mut client = site.connect();
    let response = client.play(&site.url());
    let asked = clock::mono();
    let promised: u32 =
        response.split("rtptime=").nth(1).unwrap().lines().next().unwrap().parse().unwrap();

    let mut next = None;
    let (first_ticks, kind) = access_unit(&mut client, &mut next);
    assert_eq!(
        (first_ticks, kind),
        (promised, 5),
        "the first picture is a key frame and as promised"
    );
    let mut burst_end = MonoNs(0);
    for number in 1..3 * GOP {
        let (ticks, kind) = access_unit(&mut client, &mut next);
        let steps = ticks.wrapping_sub(first_ticks) / 3600;
        assert_eq!(usize::try_from(steps).unwrap(), number, "a picture is missing or repeated");
        assert_eq!(kind == 5, number % GOP == 0);
        if number == 15 {
            burst_end = clock::mono();
        }
    }
    let burst = burst_end.saturating_since(asked);
    assert!(burst < Duration::from_millis(300), "15 cached pictures took {burst:?}");
}

#[test]
fn a_camera_that_comes_after_the_request_is_waited_for() {
    if !has("ffmpeg") {
        return;
    }
    let clip = Clip::plain();
    let site = Site::open(8);
    let (url, mut client) = (site.url(), site.connect());
    let asked = std::thread::spawn(move || client.ask("DESCRIBE", &url, ""));
    sleep_until(clock::mono() + Duration::from_millis(300));
    let _camera = Camera::start(&site.project, clip);
    let response = asked.join().unwrap();
    assert!(response.starts_with("RTSP/1.0 200 OK"), "{response}");
    assert!(response.contains("sprop-parameter-sets="), "{response}");
}

#[test]
fn a_camera_that_never_comes_is_answered_503() {
    let site = Site::open(8);
    let response = site.connect().ask("DESCRIBE", &site.url(), "");
    assert!(response.starts_with("RTSP/1.0 503"), "{response}");
}
