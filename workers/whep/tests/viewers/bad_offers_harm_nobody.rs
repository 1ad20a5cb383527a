//! Offers that cannot be answered are refused in words, and whoever else watches goes on.

use protocol::stream::Codec;
use str0m::RtcConfig;
use whep::Refusal;

use crate::client::Client;
use crate::system::{Camera, Make, System, filling, h264, track};

fn offer() -> String {
    Client::new(RtcConfig::new()).1
}

#[test]
fn an_unknown_camera_and_a_silent_one_are_told_apart() {
    let system = System::new();
    let unknown = system.offer("cam2", &offer()).unwrap_err();
    assert_eq!(unknown, Refusal::UnknownCamera { camera: "cam2".to_owned() });
    let silent = system.offer("cam1", &offer()).unwrap_err();
    assert!(
        matches!(&silent, Refusal::Silent { why, .. } if why.contains("no writer")),
        "{silent:?}"
    );
    let _camera = Camera::h264(&system.project, 25);
    system.offer("cam1", &offer()).unwrap();
}

#[test]
fn a_viewer_whose_formats_are_others_is_told_both_sides() {
    let system = System::new();
    let _camera = Camera::h264(&system.project, 25);
    let (_, offer) =
        Client::new(RtcConfig::new().clear_codecs().enable_vp8(true).enable_opus(true, false));
    let refusal = system.offer("cam1", &offer).unwrap_err();
    let text = refusal.to_string();
    assert_eq!(text, "cam1 sends H264, and the offer takes VP8");
    system.counts(|figures| figures.viewers() == 0 && figures.refused == 1);
}

#[test]
fn a_camera_that_no_browser_takes_says_what_it_sends() {
    let system = System::new();
    let make: Make = |number, _key| filling(number, 100);
    let _camera = Camera::start(&system.project, &[(track(Codec::Mjpeg), make)], 25, 0);
    let refusal = system.offer("cam1", &offer()).unwrap_err();
    assert!(matches!(&refusal, Refusal::Unfit { why, .. } if why.contains("MJPEG")), "{refusal:?}");
}

#[test]
fn hostile_offers_are_refused_and_viewers_go_on() {
    let system = System::new();
    let _camera = Camera::start(&system.project, &[(track(Codec::H264), h264)], 25, 0);
    let mut client = Client::of(&system);
    client.until("pictures", |client| client.pictures().count() >= 10);
    let good = offer();
    let line = good.lines().find(|line| line.starts_with("a=fingerprint")).unwrap();
    let fingerprint = format!("{line}\r\n");
    let pwd = good.lines().find(|line| line.starts_with("a=ice-pwd")).unwrap();
    let pwd = format!("{pwd}\r\n");
    let hostile: Vec<String> = vec![
        String::new(),
        "\0".repeat(100),
        "v=0".to_owned(),
        "m=video".to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replace("m=video", "m=application"),
        good.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        good.replace(&fingerprint, ""),
        good.replace(line, "a=fingerprint:sha-256 zz"),
        good.replace(line, "a=fingerprint:none"),
        good.replace(&pwd, ""),
        good.replace("a=rtpmap:", "a=rtpmap:9"),
        good.replace("a=rtpmap:1", "a=rtpmap:255"),
        good.replace("H264/90000", "H264/0"),
        good.replace("profile-level-id=", "profile-level-id=zz"),
        good.replace("a=mid:", "a=mid:same"),
        good.replace("apt=", "apt=255"),
        good.replace("a=group:BUNDLE", "a=group:BUNDLE nobody"),
        format!("{good}{}", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n".repeat(50)),
        format!("{good}{}", "a=x:y\r\n".repeat(20_000)),
        format!("{good}a={}\r\n", "x".repeat(10_000)),
        good.chars().rev().collect(),
    ];
    for offer in hostile {
        let answered = system.offer("cam1", &offer);
        if let Err(refusal) = &answered {
            let is_of_the_offer = matches!(
                refusal,
                Refusal::Malformed { .. }
                    | Refusal::TooLarge { .. }
                    | Refusal::NothingInCommon { .. }
            );
            assert!(is_of_the_offer, "{refusal:?}");
            let text = refusal.to_string();
            assert!(text.len() < 500 && !text.contains(['\r', '\n', '\0']), "{text:?}");
        }
        // An offer that still makes sense gets a viewer, which never comes.
    }
    // Every payload type there is, and some that are none.
    for payload in [0, 1, 63, 64, 95, 127, 128, 200, 255] {
        let text = good.replace("a=rtpmap:96", &format!("a=rtpmap:{payload}"));
        let _ = system.offer("cam1", &text);
    }
    let before = client.pictures().count();
    client.until("more pictures", |client| client.pictures().count() >= before + 30);
    system.counts(|figures| figures.refused >= 8);
}

#[test]
fn datagrams_of_strangers_harm_nobody() {
    let system = System::new();
    let _camera = Camera::h264(&system.project, 25);
    let mut client = Client::new(RtcConfig::new());
    let answered = system.offer("cam1", &client.1).unwrap();
    client.0.accept(&answered);
    let mut client = client.0;
    client.until("pictures", |client| client.pictures().count() >= 10);
    let candidate = answered.sdp.lines().find(|line| line.starts_with("a=candidate:")).unwrap();
    let port: u16 = candidate.split(' ').nth(5).unwrap().parse().unwrap();
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..2_000 {
        let mut datagram = filling(number, number % 1_400);
        // STUN, DTLS, RTP and RTCP by their first bytes (RFC 7983), each at all lengths.
        datagram[0] = [0, 1, 20, 22, 63, 128, 144, 200, 255][number % 9];
        datagram.truncate(number % 1_400);
        let _ = stranger.send_to(&datagram, ("127.0.0.1", port));
    }
    let before = client.pictures().count();
    client.until("more pictures", |client| client.pictures().count() >= before + 30);
    system.counts(|figures| figures.viewers() == 1);
}
