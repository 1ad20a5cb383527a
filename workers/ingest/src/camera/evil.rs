//! Cameras that fail: each one is told apart, bounded, and forgiven when it is well again.

use std::sync::OnceLock;

use protocol::stream::Codec;

use super::scripted::{End, Packet, SDP, Script, packets_of, pictures, serve};
use super::tests::{Seen, watch};

/// Fails as the scripts say, then plays; what was seen until pictures came after all.
fn recovers(mut scripts: Vec<Script>) -> Seen {
    let failures = scripts.len();
    scripts.push(Script::default());
    let (url, _) = serve(scripts);
    let seen = watch(&url, |seen| {
        let begins = seen.units.iter().rposition(|captured| captured.discontinuity);
        seen.downs.len() >= failures && begins.is_some_and(|at| seen.units.len() > at + 20)
    });
    let pictures: Vec<_> = seen.units.iter().filter(|captured| captured.unit.track == 0).collect();
    assert!(pictures.windows(2).all(|pair| pair[0].unit.dts_ns < pair[1].unit.dts_ns));
    assert!(seen.downs.iter().all(|why| !why.contains("secret")), "{:?}", seen.downs);
    seen
}

fn says(seen: &Seen, words: &str) {
    assert!(seen.downs[0].contains(words), "{:?} says nothing of {words:?}", seen.downs);
}

#[test]
fn a_camera_that_hangs_up_is_back_when_it_is() {
    let hangs_up = Script { pictures: 0..0, end: End::Close, ..Script::default() };
    let seen = recovers(vec![hangs_up.clone(), hangs_up]);
    says(&seen, "closed the connection");
    says(&seen, "next try in 1 s");
}

#[test]
fn a_camera_that_says_nothing_is_given_up() {
    let seen = recovers(vec![Script { end: End::Mute, ..Script::default() }]);
    says(&seen, "no answer within 9 s while OPTIONS");
}

#[test]
fn a_camera_that_answers_a_byte_a_second_is_given_up() {
    let seen = recovers(vec![Script { end: End::Drip, ..Script::default() }]);
    says(&seen, "bytes of an answer within 9 s");
}

#[test]
fn a_camera_that_stops_sending_is_told_from_one_that_sends_no_pictures() {
    let seen = recovers(vec![Script { pictures: 1..50, ..Script::default() }]);
    says(&seen, "nothing came for 9 s");
    let mute = |number: u64, packets: Vec<Packet>| {
        let hidden = packets.into_iter().map(|packet| Packet { payload_type: 50, ..packet });
        if number < 50 {
            hidden.map(|packet| Packet { payload_type: 96, ..packet }).collect()
        } else {
            hidden.collect()
        }
    };
    let seen = recovers(vec![Script { packets: mute, ..Script::default() }]);
    says(&seen, "no picture for 9 s, though");
    says(&seen, "bytes came");
}

#[test]
fn sound_without_its_picture_is_a_fault() {
    let sdp = format!("{SDP}m=audio 0 RTP/AVP 0\r\na=control:track2\r\n");
    let only_sound = |number: u64, mut packets: Vec<Packet>| {
        let ticks = u32::try_from(number * 80).unwrap();
        let sound = Packet {
            channel: 2,
            payload_type: 0,
            ssrc: 8,
            ticks,
            marker: false,
            skip: 0,
            payload: vec![0; 80],
        };
        if number > 50 {
            packets.clear();
        }
        packets.push(sound);
        packets
    };
    let seen = recovers(vec![Script { sdp, packets: only_sound, ..Script::default() }]);
    says(&seen, "packets of sound came");
}

#[test]
fn a_description_of_nothing_is_told() {
    for sdp in ["", "nonsense", "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 X-MAGIC/90000\r\n"] {
        let seen = recovers(vec![Script { sdp: sdp.to_owned(), ..Script::default() }]);
        says(&seen, "nothing to carry");
    }
}

#[test]
fn garbage_between_packets_is_passed_over() {
    let garbage = |number: u64| {
        if number % 7 == 3 { b"\0\xff\x13 RTSX/1.0 \r\n\r\n".to_vec() } else { Vec::new() }
    };
    let (url, _) = serve(vec![Script { before: garbage, ..Script::default() }]);
    let seen = watch(&url, |seen| seen.units.len() > 60);
    assert!(seen.downs.is_empty() && seen.units.iter().all(|captured| !captured.unit.corrupt));
}

#[test]
fn what_answers_and_is_no_rtsp_server_is_told() {
    let answer = |_: &str, _: String| format!("HTTP/1.0 400 Bad\r\n{}", "x".repeat(70_000));
    let seen = recovers(vec![Script { answer, ..Script::default() }]);
    says(&seen, "no RTSP server");
}

#[test]
fn a_redirect_loop_ends_after_five() {
    let answer = |request: &str, answer: String| {
        let url = request.split(' ').nth(1).unwrap();
        let location = format!("302 Moved\r\nLocation: {url}");
        if request.starts_with("DESCRIBE") { answer.replace("200 OK", &location) } else { answer }
    };
    // Six are one try; the next one finds a camera that plays.
    let mut scripts = vec![Script { answer, ..Script::default() }; 6];
    scripts.push(Script::default());
    let (url, asked) = serve(scripts);
    let seen = watch(&url, |seen| seen.units.len() > 20);
    says(&seen, "redirected more than 5 times");
    assert_eq!(seen.downs.len(), 1, "{:?}", seen.downs);
    let described = asked.lock().unwrap().iter().filter(|it| it.starts_with("DESCRIBE")).count();
    assert_eq!(described, 7);
}

#[test]
fn a_redirect_is_followed_and_the_password_stays_at_home() {
    let challenge = |request: &str, answer: String| {
        if request.contains("Authorization") || !request.starts_with("DESCRIBE") {
            return answer;
        }
        answer.replace("200 OK", "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"")
    };
    let (other, asked) = serve(vec![Script { answer: challenge, ..Script::default() }]);
    let port = other.rsplit(':').next().unwrap().to_owned();
    // The script cannot hold the port, so the description of the first camera does.
    let answer = |request: &str, answer: String| {
        let (head, port) = answer.split_once("\r\n\r\n").unwrap();
        let location = format!("302 Moved\r\nLocation: rtsp://localhost:{port}");
        if request.starts_with("DESCRIBE") {
            format!("{}\r\n\r\n", head.replace("200 OK", &location).replace("Content-Length", "X"))
        } else {
            answer
        }
    };
    let (url, _) = serve(vec![Script { sdp: port, answer, ..Script::default() }]);
    // While another test has all look-ups of names wait, this one's name has no address.
    let refused = |why: &String| why.contains("user or password refused");
    watch(&url, |seen| seen.downs.iter().any(refused));
    assert!(!asked.lock().unwrap().is_empty());
    assert!(asked.lock().unwrap().iter().all(|request| !request.contains("Authorization")));
}

#[test]
fn a_wrong_password_is_tried_once() {
    let answer = |_: &str, answer: String| {
        let challenge = "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"cam\", nonce=\"abc\"";
        answer.replace("200 OK", challenge)
    };
    let (url, asked) = serve(vec![Script { answer, ..Script::default() }]);
    let seen = watch(&url, |seen| !seen.downs.is_empty());
    says(&seen, "user or password refused (401)");
    let seconds: u64 = seen.downs[0].rsplit(' ').nth(1).unwrap().parse().unwrap();
    assert!(seconds >= 10, "{:?}", seen.downs);
    let asked = asked.lock().unwrap();
    let tried: Vec<&String> = asked.iter().filter(|it| it.contains("Authorization")).collect();
    assert_eq!(tried.len(), 1);
    assert!(tried[0].contains("Digest ") && tried[0].contains("username=\"user\""));
    assert!(!tried[0].contains("secret"));
}

#[test]
fn a_right_password_is_told_when_it_is_asked_for() {
    let answer = |request: &str, answer: String| {
        // user:secret
        if request.contains("Authorization: Basic dXNlcjpzZWNyZXQ=") {
            return answer;
        }
        answer.replace("200 OK", "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"cam\"")
    };
    let (url, asked) = serve(vec![Script { answer, ..Script::default() }]);
    let seen = watch(&url, |seen| seen.units.len() > 20);
    assert!(seen.downs.is_empty());
    let asked = asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|request| !request.contains("Authorization")).count(), 1);
}

#[test]
fn a_size_that_changes_is_told_before_its_first_picture() {
    let first = Script { pictures: 1..60, end: End::Close, ..Script::default() };
    let other = Script { size: "192x64", ..Script::default() };
    let (url, _) = serve(vec![first, other]);
    let seen = watch(&url, |seen| seen.tracks.len() > 1);
    let widths: Vec<u32> = seen.tracks.iter().map(|tracks| tracks[0].width).collect();
    assert_eq!(widths, [128, 192]);
}

/// Pictures of another size from number 50 on.
fn grown(number: u64, packets: Vec<Packet>) -> Vec<Packet> {
    static LARGER: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    if number < 50 {
        return packets;
    }
    let larger = LARGER.get_or_init(|| pictures("192x64"));
    let at = usize::try_from(number).unwrap() % larger.len();
    packets_of(number, &larger[at])
}

#[test]
fn a_size_that_changes_within_a_connection_is_told_and_nothing_is_lost() {
    let (url, _) = serve(vec![Script { packets: grown, ..Script::default() }]);
    let seen = watch(&url, |seen| seen.tracks.len() > 1 && seen.units.len() > 80);
    let widths: Vec<u32> = seen.tracks.iter().map(|tracks| tracks[0].width).collect();
    assert_eq!(widths, [128, 192]);
    assert!(seen.downs.is_empty(), "{:?}", seen.downs);
    for pair in seen.units.windows(2) {
        assert_eq!(pair[1].unit.pts_ns - pair[0].unit.pts_ns, 10_000_000);
    }
}

/// H.265 in place of what was to be sent; a client looks no further than into its parameter sets.
fn hevc(number: u64, packets: Vec<Packet>) -> Vec<Packet> {
    let sets =
        "420101016000000300900000030000030078a003c08010e5964a924caf016808000003000800000300c840";
    let byte = |at| u8::from_str_radix(&sets[at..at + 2], 16).unwrap();
    let sps: Vec<u8> = (0..sets.len()).step_by(2).map(byte).collect();
    let nals = if number.is_multiple_of(10) {
        vec![vec![0x40, 1, 12], sps, vec![0x44, 1, 0xc1], vec![0x26, 1, 0xaf, 7]]
    } else {
        vec![vec![0x02, 1, 0xd0, 7]]
    };
    let last = nals.len() - 1;
    let packet = |(at, payload)| Packet { marker: at == last, payload, ..packets[0].clone() };
    nals.into_iter().enumerate().map(packet).collect()
}

#[test]
fn a_codec_that_changes_within_a_connection_is_no_picture_and_the_next_one_has_it() {
    let changes = |number: u64, packets| if number < 50 { packets } else { hevc(number, packets) };
    let sdp = SDP.replace("H264", "H265").replace("a=fmtp:96 packetization-mode=1\r\n", "");
    let scripts = vec![
        Script { packets: changes, ..Script::default() },
        Script { packets: hevc, sdp, ..Script::default() },
    ];
    let (url, _) = serve(scripts);
    let codec = |seen: &Seen| seen.tracks.last().map(|tracks| tracks[0].codec);
    let seen = watch(&url, |seen| {
        let begins = seen.units.iter().rposition(|captured| captured.discontinuity);
        codec(seen) == Some(Codec::H265) && begins.is_some_and(|at| seen.units.len() > at + 20)
    });
    says(&seen, "no picture for 9 s, though");
    assert_eq!((seen.tracks.len(), seen.downs.len()), (2, 1));
    assert_eq!((seen.tracks[1][0].width, seen.tracks[1][0].height), (1920, 1080));
    assert!(seen.units.windows(2).all(|pair| pair[0].unit.dts_ns < pair[1].unit.dts_ns));
}

#[test]
fn a_burst_after_a_pause_loses_nothing() {
    let quiet_ms = |number: u64| match number {
        // Less than the patience with a silent camera, by what a slow machine may add to it.
        50 => 2000,
        51..150 => 0,
        _ => 10,
    };
    let (url, _) = serve(vec![Script { quiet_ms, pictures: 0..200, ..Script::default() }]);
    let seen = watch(&url, |seen| seen.units.len() >= 190);
    assert!(seen.downs.is_empty(), "{:?}", seen.downs);
    for pair in seen.units.windows(2) {
        assert_eq!(pair[1].unit.pts_ns - pair[0].unit.pts_ns, 10_000_000);
    }
}

#[test]
fn a_loss_marks_pictures_up_to_the_next_key_frame() {
    let lossy = |number: u64, mut packets: Vec<Packet>| {
        if number == 34 {
            packets[0].skip = 3;
        }
        packets
    };
    let (url, _) = serve(vec![Script { packets: lossy, ..Script::default() }]);
    let seen = watch(&url, |seen| seen.units.len() > 60);
    let corrupt: Vec<usize> = (seen.units.iter().enumerate())
        .filter(|(_, captured)| captured.unit.corrupt)
        .map(|(at, _)| at)
        .collect();
    // Groups of ten begin at 0: 34 to 39.
    assert_eq!(corrupt.len(), 6, "{corrupt:?}");
    assert!(seen.units[corrupt[5] + 1].unit.key);
}

#[test]
fn a_jump_of_the_timestamps_is_marked_and_the_line_goes_on() {
    let jumps = |number: u64, mut packets: Vec<Packet>| {
        if number >= 40 {
            packets.iter_mut().for_each(|packet| packet.ticks = packet.ticks.wrapping_add(1 << 30));
        }
        packets
    };
    let (url, _) = serve(vec![Script { packets: jumps, ..Script::default() }]);
    let seen = watch(&url, |seen| seen.units.len() > 60);
    let jumped: Vec<bool> = seen.units.iter().map(|captured| captured.jumped).collect();
    assert_eq!(jumped.iter().filter(|jumped| **jumped).count(), 1);
    for pair in seen.units.windows(2) {
        let step_ns = pair[1].unit.dts_ns - pair[0].unit.dts_ns;
        assert!((1..=20_000_000).contains(&step_ns), "{step_ns} ns");
    }
}
