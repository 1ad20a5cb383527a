//! What goes in comes out, of every format that is served.

use protocol::stream::{Codec, Track};

use crate::client::Client;
use crate::system::{Camera, Make, System, annexb, filling, h264, track};

fn arrives(codec: Codec, make: Make) {
    let system = System::new();
    let camera = Camera::start(&system.project, &[(track(codec), make)], 25, 0);
    let mut client = Client::of(&system);
    client.until("pictures", |client| client.pictures().count() >= 30);
    for unit in client.pictures() {
        let is_whole = camera.published.number_of(&unit.data).is_some();
        let (seen, bytes) = (&unit.data[..unit.data.len().min(24)], unit.data.len());
        assert!(is_whole, "{codec:?}: {bytes} bytes that nobody sent, {seen:02x?} ...");
    }
}

#[test]
fn h264_with_several_parameter_sets() {
    let make: Make = |number, key| {
        let slice = [vec![if key { 0x65 } else { 0x41 }], filling(number, 900)].concat();
        let sets: &[&[u8]] = if key { &[&[0x67, 0x4d, 0x40, 0x1f], &[0x68, 1, 2]] } else { &[] };
        annexb(sets.iter().copied().chain([&[0x06, 5, 1, 9, 0x80][..], &slice]))
    };
    arrives(Codec::H264, make);
}

#[test]
fn h265() {
    let make: Make = |number, key| {
        let head: &[u8] = if key { &[0x26, 1] } else { &[0x02, 1] };
        let slice = [head, &filling(number, 3_000)].concat();
        let sets: &[&[u8]] = if key {
            &[&[0x40, 1, 0x0c, 1], &[0x42, 1, 1, 1, 0x60], &[0x44, 1, 0xc1, 0x72]]
        } else {
            &[]
        };
        annexb(sets.iter().copied().chain([&slice[..]]))
    };
    arrives(Codec::H265, make);
}

#[test]
fn vp8() {
    // The lowest bit of a frame says that it is none of the key (RFC 6386 section 9.1).
    arrives(Codec::Vp8, |number, key| {
        [vec![if key { 0x10 } else { 0x11 }], filling(number, 3_000)].concat()
    });
}

#[test]
fn vp9() {
    // A marker of two bits, the profile, and whether it is of the key (VP9 section 6.2).
    arrives(Codec::Vp9, |number, key| {
        let head: &[u8] = if key { &[0x82, 0x49, 0x83, 0x42] } else { &[0x86] };
        [head, &filling(number, 3_000)].concat()
    });
}

#[test]
fn av1() {
    arrives(Codec::Av1, |number, key| {
        let frame = filling(number, 3_000);
        let (low, high) = (frame.len() & 0x7f | 0x80, frame.len() >> 7);
        // Frames have a size of two bytes (AV1 section 4.10.5).
        let size = [low, high].map(|byte| u8::try_from(byte).unwrap());
        let sequence: &[u8] = if key { &[0x0a, 3, 0x11, 0x22, 0x33] } else { &[] };
        [sequence, &[0x32], &size, &frame].concat()
    });
}

fn opus(number: usize, _key: bool) -> Vec<u8> {
    [vec![0xfc], filling(number, 120)].concat()
}

#[test]
fn sound_goes_along_and_what_browsers_do_not_take_is_named() {
    let system = System::new();
    let tracks: [(Track, Make); 3] =
        [(track(Codec::H264), h264), (track(Codec::Aac), opus), (track(Codec::Opus), opus)];
    let camera = Camera::start(&system.project, &tracks, 25, 0);
    let (mut client, offer) = Client::new(str0m::RtcConfig::new());
    let answered = system.offer("cam1", &offer).unwrap();
    assert_eq!(answered.left_out, ["AAC"]);
    assert_eq!(answered.sdp.matches("a=msid:cam1 ").count(), 2, "{}", answered.sdp);
    client.accept(&answered);
    client.until("pictures and sound", |client| {
        client.pictures().count() >= 30 && client.sounds().count() >= 30
    });
    for unit in &client.received {
        assert!(camera.published.number_of(&unit.data).is_some(), "bytes that nobody sent");
    }
}
