//! A viewer that comes in the middle of a group of pictures is sent that group from its key frame at
//! once, and then what follows, without a seam.

use std::time::Duration;

use rtp_types::RtpPacket;
use rtsp::house::Terms;
use shmring::clock;

use crate::harness::{Camera, Clip, FRAME, GOP, PATIENCE, RawClient, Site, has, sleep_until};

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
    let camera = Camera::start(&site.project, Clip::plain());
    // What is sent at once may come late on a busy machine, now and then; what is sent live never comes early.
    let came: Vec<_> = (0..5).map(|_| burst_and_live(&site, &camera)).collect();
    assert!(came.iter().any(|(burst, live)| burst < live), "(burst, live): {came:?}");
}

/// What the pictures of a begun group took to come, and what they take live.
fn burst_and_live(site: &Site, camera: &Camera) -> (Duration, Duration) {
    let (mut client, response, cached) = join_in_mid_group(site, camera);
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
    let mut burst = Duration::ZERO;
    for number in 1..3 * GOP {
        let (ticks, kind) = access_unit(&mut client, &mut next);
        let steps = ticks.wrapping_sub(first_ticks) / 3600;
        assert_eq!(usize::try_from(steps).unwrap(), number, "a picture is missing or repeated");
        assert_eq!(kind == 5, number % GOP == 0);
        if number + 1 == cached {
            burst = clock::mono().saturating_since(asked);
        }
    }
    (burst, FRAME * u32::try_from(cached).unwrap())
}

/// A viewer that begins fifteen pictures or more into a group: with it the response to its PLAY,
/// and how many pictures of the group there were by then. A busy machine may need a second try.
fn join_in_mid_group(site: &Site, camera: &Camera) -> (RawClient, String, usize) {
    let deadline = clock::mono() + PATIENCE;
    loop {
        assert!(clock::mono() < deadline, "no viewer came in the middle of a group");
        let before = camera.published();
        if before < GOP || !(15..20).contains(&(before % GOP)) {
            sleep_until(clock::mono() + FRAME / 4);
            continue;
        }
        let mut client = site.connect();
        let response = client.play(&site.url());
        let after = camera.published();
        if after / GOP == before / GOP {
            return (client, response, before % GOP);
        }
    }
}

#[test]
fn a_camera_that_comes_after_the_request_is_waited_for() {
    if !has("ffmpeg") {
        return;
    }
    let clip = Clip::plain();
    // Longer than any thread of a busy machine rests between the request and the camera.
    let site = Site::open_with(Terms { camera_time: PATIENCE, ..Terms::over_tcp(8) });
    let (url, mut client) = (site.url(), site.connect());
    let asked = std::thread::spawn(move || client.ask("DESCRIBE", &url, ""));
    sleep_until(clock::mono() + Duration::from_millis(100));
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
