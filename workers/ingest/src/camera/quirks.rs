//! Cameras that differ from the book, as captured from real ones: the picture arrives all the same.

use super::scripted::{Packet, SDP, Script, serve};
use protocol::config::ingest::Transport;

use super::tests::{Seen, watch, watch_by};

const ENOUGH: usize = 40;

/// Pictures come, all of them whole, at the right distance.
fn video_arrives(script: Script) -> Seen {
    let (url, _) = serve(vec![script]);
    let seen = watch(&url, |seen| {
        assert!(seen.downs.is_empty(), "{:?}", seen.downs);
        seen.units.iter().filter(|captured| captured.unit.track == 0).count() >= ENOUGH
    });
    let video: Vec<_> = seen.units.iter().filter(|captured| captured.unit.track == 0).collect();
    assert_eq!((seen.tracks[0][0].width, seen.tracks[0][0].height), (128, 64));
    assert!(video[0].unit.key && video.iter().all(|captured| !captured.unit.corrupt));
    for pair in video.windows(2) {
        assert_eq!(pair[1].unit.pts_ns - pair[0].unit.pts_ns, 10_000_000);
    }
    seen
}

/// `name: |request, answer| what is answered instead`.
macro_rules! answers {
    ($($name:ident: $answer:expr;)*) => {$(
        #[test]
        fn $name() {
            video_arrives(Script { answer: $answer, ..Script::default() });
        }
    )*};
}

answers! {
    a_blank_behind_the_cseq: |_, answer| answer.replacen("\r\nContent", " \r\nContent", 1);
    no_cseq: |_, answer| answer.replace("CSeq", "X");
    another_cseq: |_, answer| answer.replace("CSeq: ", "CSeq: 77");
    names_of_headers_in_lower_case: |_, answer| {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.replace("CSeq", "cseq").replace("Content-", "content-").replace("Transport", "transport");
        format!("{}\r\n\r\n{body}", head.replace("Session", "session"))
    };
    lines_that_end_with_a_feed_alone: |_, answer| {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        format!("{}\n\n{body}", head.replace("\r\n", "\n"))
    };
    an_ssrc_with_a_blank: |_, answer| answer.replace("ssrc=0", "ssrc= 0");
    an_ssrc_with_0x: |_, answer| answer.replace("ssrc=", "ssrc=0x");
    an_ssrc_of_four_digits: |_, answer| answer.replace("ssrc=0000", "ssrc=");
    an_ssrc_in_decimal: |_, answer| answer.replace("ssrc=00000007", "ssrc=4294967290");
    rtp_info_with_a_semicolon_at_its_end: |request, answer| {
        rtp_info(request, &answer, "url=track1;seq=1;rtptime=0;")
    };
    rtp_info_with_a_negative_time: |request, answer| {
        rtp_info(request, &answer, "url=track1;seq=1;rtptime=-1")
    };
    rtp_info_of_zeros: |request, answer| rtp_info(request, &answer, "url=track1;seq=0;rtptime=0");
    no_content_base: |_, answer| without(&answer, "Content-Base");
    a_content_base_without_a_slash: |_, answer| answer.replace("/cam/\r\n", "/cam\r\n");
    a_content_base_with_a_query: |_, answer| answer.replace("/cam/\r\n", "/cam?channel=1&subtype=0/\r\n");
    a_relative_content_base: |request, answer| {
        let base = request.split(' ').nth(1).unwrap();
        answer.replace(&format!("Content-Base: {base}/"), "Content-Base: /cam/")
    };
    no_content_type: |_, answer| without(&answer, "Content-Type");
    a_transport_without_unicast: |_, answer| answer.replace("unicast;", "");
    no_transport: |_, answer| without(&answer, "Transport");
    no_session_timeout: |_, answer| answer.replace(";timeout=60", "");
    options_refused: |request, answer| {
        if request.starts_with("OPTIONS") { answer.replace("200 OK", "501 Not Implemented") } else { answer }
    };
    an_answer_before_the_answer: |_, answer| format!("RTSP/1.0 100 Continue\r\n\r\n{answer}");
    a_question_of_the_camera: |_, answer| format!("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n{answer}");
}

fn rtp_info(request: &str, answer: &str, info: &str) -> String {
    if !request.starts_with("PLAY") {
        return answer.to_owned();
    }
    answer.replacen("\r\n", &format!("\r\nRTP-Info: {info}\r\n"), 1)
}

fn without(answer: &str, header: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head: Vec<&str> = head.lines().filter(|line| !line.starts_with(header)).collect();
    format!("{}\r\n\r\n{body}", head.join("\r\n"))
}

/// `name: (what stands in the description, what stands there instead)`.
macro_rules! descriptions {
    ($($name:ident: ($from:expr, $to:expr);)*) => {$(
        #[test]
        fn $name() {
            let sdp = SDP.replace($from, $to);
            assert_ne!(sdp, SDP);
            video_arrives(Script { sdp, ..Script::default() });
        }
    )*};
}

descriptions! {
    a_blank_behind_the_map: ("H264/90000", "H264/90000 ");
    a_map_in_lower_case: ("H264/90000", "h264/90000");
    parameters_without_any: ("a=fmtp:96 packetization-mode=1", "a=fmtp:96");
    no_parameters: ("a=fmtp:96 packetization-mode=1\r\n", "");
    a_private_address: ("IN IP4 0.0.0.0", "IN IP4 192.168.1.10");
    a_description_with_feeds_alone: ("\r\n", "\n");
    no_control_of_the_session: ("a=control:*\r\n", "");
    a_control_with_a_slash: ("track1", "/track1");
    parameter_sets_that_are_no_base64: ("packetization-mode=1", "sprop-parameter-sets=%%%%,!");
    an_application_track: ("m=video", "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:track9\r\nm=video");
    lines_nobody_knows: ("m=video", "x-broken\r\nz=\r\n=\r\na\r\nm=video");
}

/// `name: |number, packets| what is sent instead`.
macro_rules! packets {
    ($($name:ident: $packets:expr;)*) => {$(
        #[test]
        fn $name() {
            video_arrives(Script { packets: $packets, ..Script::default() });
        }
    )*};
}

packets! {
    packets_of_an_unknown_type: |_, mut packets| {
        let odd = Packet { payload_type: 50, ssrc: 9, skip: u16::MAX, marker: true, ..packets[0].clone() };
        packets.insert(0, odd);
        packets
    };
    parameter_sets_with_a_time_and_a_marker_of_their_own: |_, mut packets| {
        for packet in &mut packets {
            if matches!(packet.payload[0] & 0x1f, 7 | 8) {
                packet.ticks = packet.ticks.wrapping_sub(1);
                packet.marker = true;
            }
        }
        packets
    };
    no_markers: |_, mut packets| {
        packets.iter_mut().for_each(|packet| packet.marker = false);
        packets
    };
    fragments_that_begin_and_end_at_once: |_, mut packets| {
        for packet in packets.iter_mut().filter(|packet| packet.payload[0] & 0x1f == 1) {
            let header = packet.payload[0];
            packet.payload.splice(..1, [header & 0xe0 | 28, 0xc0 | header & 0x1f]);
        }
        packets
    };
    the_timestamp_wraps: |_, mut packets| {
        packets.iter_mut().for_each(|packet| packet.ticks = packet.ticks.wrapping_add(u32::MAX - 9000));
        packets
    };
}

#[test]
fn a_keep_alive_whose_challenge_has_grown_old_is_sent_again_with_the_new_one() {
    let answer = |request: &str, answer: String| {
        let challenge = |nonce: &str, more: &str| {
            let head = "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"cam\"";
            answer.replace("200 OK", &format!("{head}, nonce=\"{nonce}\"{more}"))
        };
        match request.split(' ').next() {
            Some("DESCRIBE") if !request.contains("Authorization") => challenge("one", ""),
            // The first one, before anything is known, is no keep-alive.
            Some("OPTIONS") if request.contains("nonce=\"one\"") => {
                challenge("two", ", stale=true")
            }
            _ => answer.replace("timeout=60", "timeout=2"),
        }
    };
    let (url, asked) = serve(vec![Script { answer, ..Script::default() }]);
    let kept =
        |request: &String| request.starts_with("OPTIONS") && request.contains("nonce=\"two\"");
    let seen = watch(&url, |_| asked.lock().unwrap().iter().any(kept));
    assert!(seen.downs.is_empty(), "{:?}", seen.downs);
}

#[test]
fn an_extra_track_that_is_refused_is_left_out() {
    let sdp = format!("{SDP}m=audio 0 RTP/AVP 0\r\na=control:track2\r\n");
    let answer = |request: &str, answer: String| {
        if request.starts_with("SETUP") && request.contains("track2") {
            return answer.replace("200 OK", "404 Not Found");
        }
        answer
    };
    let seen = video_arrives(Script { sdp, answer, ..Script::default() });
    assert_eq!(seen.tracks[0].len(), 1);
}

#[test]
fn an_extra_track_that_says_nothing_holds_nobody_up() {
    let sdp = format!("{SDP}m=audio 0 RTP/AVP 8\r\na=control:track2\r\n");
    let seen = video_arrives(Script { sdp, ..Script::default() });
    assert_eq!(seen.tracks[0].len(), 2);
}

#[test]
fn channels_are_those_that_the_camera_says() {
    let answer = |_: &str, answer: String| answer.replace("interleaved=0-1", "interleaved=6-7");
    let packets = |_: u64, mut packets: Vec<Packet>| {
        packets.iter_mut().for_each(|packet| packet.channel = 6);
        packets
    };
    video_arrives(Script { answer, packets, ..Script::default() });
}

#[test]
fn packets_by_udp_are_put_in_order_and_what_is_lost_is_marked() {
    // A key frame's first two packets change places; at 34 one never comes.
    let packets = |number: u64, mut packets: Vec<Packet>| {
        if packets.len() > 2 {
            packets.swap(0, 1);
            packets[0].skip = 1;
            packets[1].skip = u16::MAX - 1;
            packets[2].skip = 1;
        }
        if number == 34 {
            packets[0].skip += 1;
        }
        packets
    };
    let mut corrupt = 0;
    // A machine that is busy loses datagrams of its own: then once more.
    for _ in 0..10 {
        let (url, asked) = serve(vec![Script { packets, ..Script::default() }]);
        let seen = watch_by(Transport::Udp, &url, |seen| seen.units.len() > 60);
        assert!(asked.lock().unwrap().iter().any(|request| request.contains("client_port=")));
        assert!(seen.units.windows(2).all(|pair| pair[1].unit.pts_ns > pair[0].unit.pts_ns));
        corrupt = seen.units.iter().filter(|captured| captured.unit.corrupt).count();
        if corrupt == 6 && seen.downs.is_empty() {
            return;
        }
    }
    panic!("{corrupt} are marked, expected 6: 34 to 39");
}

#[test]
fn a_camera_that_does_not_do_udp_is_read_by_tcp_with_auto() {
    let answer = |request: &str, answer: String| {
        if request.contains("client_port=") {
            return answer.replace("200 OK", "461 Unsupported Transport");
        }
        answer
    };
    let (url, _) = serve(vec![Script { answer, ..Script::default() }]);
    let seen = watch_by(Transport::Auto, &url, |seen| seen.units.len() > 20);
    assert!(seen.downs[0].contains("does not send by"), "{:?}", seen.downs);
}

#[test]
fn udp_that_does_not_arrive_is_given_up_with_auto() {
    let silent = Script { pictures: 0..0, ..Script::default() };
    let (url, _) = serve(vec![silent, Script::default()]);
    let seen = watch_by(Transport::Auto, &url, |seen| seen.units.len() > 20);
    assert!(seen.downs[0].contains("nothing came by UDP"), "{:?}", seen.downs);
}

#[test]
fn udp_of_which_only_the_reports_arrive_is_given_up_with_auto() {
    let packets = |_: u64, mut packets: Vec<Packet>| {
        packets.iter_mut().for_each(|packet| packet.channel = 1);
        packets
    };
    let (url, _) = serve(vec![Script { packets, ..Script::default() }, Script::default()]);
    let seen = watch_by(Transport::Auto, &url, |seen| seen.units.len() > 20);
    assert!(seen.downs[0].contains("nothing came by UDP"), "{:?}", seen.downs);
}
