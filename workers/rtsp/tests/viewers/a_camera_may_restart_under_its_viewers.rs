//! A restarted camera is a new epoch of its ring. Viewers stay connected over it.

use std::time::Duration;

use rtp_types::RtpPacket;
use shmring::clock;

use crate::harness::{Camera, Clip, PATIENCE, RawClient, Site, has, sleep_until};

/// Reads RTP packets until `done` says so of a sequence number and timestamp.
fn read_until(client: &mut RawClient, mut done: impl FnMut(u16, u32) -> bool) {
    let deadline = clock::mono() + PATIENCE;
    loop {
        assert!(clock::mono() < deadline, "it does not come");
        let (channel, frame) = client.frame();
        if channel == 0 {
            let packet = RtpPacket::parse(&frame).unwrap();
            if done(packet.sequence_number(), packet.timestamp()) {
                return;
            }
        }
    }
}

#[test]
fn viewers_go_on_with_their_sequence_and_the_walls_time() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open(8);
    let camera = Camera::start(&site.project, Clip::plain());
    let mut client = site.connect();
    client.play(&site.url());

    let (mut sequence, mut ticks, mut units) = (None, None, 0);
    let mut step = |next_sequence: u16, next_ticks: u32| {
        assert!(sequence.is_none_or(|last: u16| last.wrapping_add(1) == next_sequence));
        let step = ticks.map_or(0, |last| next_ticks.wrapping_sub(last));
        (sequence, ticks) = (Some(next_sequence), Some(next_ticks));
        step
    };
    read_until(&mut client, |sequence, ticks| {
        units += u32::from(step(sequence, ticks) > 0);
        units == 30
    });
    // However long it had rested before that.
    let last = camera.die();
    sleep_until(clock::mono() + Duration::from_millis(500));
    let _camera = Camera::start(&site.project, Clip::plain());
    // The step over the gap is the wall's distance: half a second and the time a start takes here.
    read_until(&mut client, |sequence, ticks| match step(sequence, ticks) {
        0 | 3600 => false,
        gap => {
            let wall = clock::mono().saturating_since(last) + Duration::from_secs(1);
            let most = u32::try_from(wall.as_millis()).unwrap() * 90;
            assert!((45_000..most).contains(&gap), "{gap} ticks in {wall:?}");
            true
        }
    });
    units = 0;
    read_until(&mut client, |sequence, ticks| {
        let step = step(sequence, ticks);
        assert!(matches!(step, 0 | 3600), "{step} ticks");
        units += u32::from(step > 0);
        units == 30
    });
}

#[test]
fn viewers_of_a_camera_that_sends_something_else_now_are_sent_away() {
    if !has("ffmpeg") {
        return;
    }
    let clip = Clip::plain();
    let site = Site::open(8);
    let camera = Camera::start(&site.project, clip);
    let mut client = site.connect();
    client.play(&site.url());
    client.frame();
    camera.die();
    let mut track = clip.track();
    track.extradata.extend([0, 0, 0, 1, 0x68, 1, 2, 3]);
    let _camera = Camera::start_with(&site.project, clip, track);
    assert!(client.is_closed_within(PATIENCE));
    let described = site.connect().ask("DESCRIBE", &site.url(), "");
    assert!(described.contains("aAECAw=="), "{described}");
}
