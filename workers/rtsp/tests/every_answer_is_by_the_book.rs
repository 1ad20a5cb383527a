//! The rules of the RTSP conversation, each as a sentence: bytes in, response and event out, no
//! socket and no clock.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use protocol::stream::{Codec, Track};
use protocol::time::{MonoNs, TimeBase, UtcNs};
use rtp_types::RtpPacket;
use rtsp::chance::Chance;
use rtsp::inbox::{Inbound, Inbox};
use rtsp::playback::Outlet;
use rtsp::rtp::sender::Beginning;
use rtsp::sdp::Presentation;
use rtsp::session::{
    Camera, Cameras, Circumstances, Event, FIRST_REQUEST, Reserved, Session, TIMEOUT,
};
use rtsp::unit::Unit;
use rtsp_types::{Request, Response, headers};

const URL: &str = "rtsp://127.0.0.1:8554/cam1";
const PEER: [u8; 4] = [127, 0, 0, 1];
const TCP: &str = "RTP/AVP/TCP;unicast";
const START: MonoNs = MonoNs(1_000_000_000_000);
/// The `Chance` of every request here.
const CHANCE: Chance = Chance {
    session: 0x00c0_ffee,
    beginning: Beginning { ssrc: 0xaabb_ccdd, sequence: 65_535, ticks: u32::MAX - 10 },
};
const ID: &str = "00000000000000000000000000c0ffee";

/// `cam1` has two tracks, `cam2` one, `late` has not been seen, all else does not exist.
#[derive(Debug)]
struct Site {
    cam1: Arc<Presentation>,
    cam2: Arc<Presentation>,
}

impl Cameras for Site {
    fn camera(&self, path: &str) -> Camera {
        match path {
            "cam1" => Camera::Ready(Arc::clone(&self.cam1)),
            "cam2" => Camera::Ready(Arc::clone(&self.cam2)),
            "late" => Camera::Silent,
            _ => Camera::Unknown,
        }
    }
}

fn track(codec: Codec) -> Track {
    Track {
        codec,
        time_base: TimeBase::VIDEO_90K,
        width: 640,
        height: 480,
        sample_rate_hz: 48_000,
        channels: 1,
        frame_rate: (25, 1),
        extradata: vec![0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0, 0, 0, 1, 0x68, 2],
    }
}

/// A client with its connection.
struct Client {
    site: Site,
    session: Session,
    now: MonoNs,
    cseq: u32,
    /// What was made ready for its requests: nothing, as over TCP alone.
    reserved: Reserved,
}

impl Client {
    fn connect() -> Self {
        let presentation = |path, tracks: &[_]| Arc::new(Presentation::of(path, tracks));
        let site = Site {
            cam1: presentation("cam1", &[track(Codec::H264), track(Codec::Aac)]),
            cam2: presentation("cam2", &[track(Codec::H264)]),
        };
        let reserved = Reserved::default();
        Self { site, session: Session::new(START), now: START, cseq: 0, reserved }
    }

    /// Sends the request as bytes, through the parser.
    fn send(&mut self, text: &str) -> (Response<Vec<u8>>, Event) {
        let mut inbox = Inbox::default();
        inbox.push(text.as_bytes(), self.now);
        match inbox.next(false, self.now) {
            Ok(Some(Inbound::Request(request))) => self.answer(&request),
            other => panic!("{text:?} reads as {other:?}"),
        }
    }

    fn answer(&mut self, request: &Request<Vec<u8>>) -> (Response<Vec<u8>>, Event) {
        let around = Circumstances {
            now: self.now,
            chance: CHANCE,
            cameras: &self.site,
            local: [127, 0, 0, 1].into(),
            peer: PEER.into(),
            reserved: self.reserved,
        };
        self.session.answer(request, &around)
    }

    /// A request with a right CSeq and these further header lines.
    fn ask(&mut self, method: &str, url: &str, lines: &[&str]) -> Response<Vec<u8>> {
        self.cseq += 1;
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let text = format!("{method} {url} RTSP/1.0\r\nCSeq: {}\r\n{lines}\r\n", self.cseq);
        let (response, _) = self.send(&text);
        assert_eq!(header(&response, &headers::CSEQ), Some(self.cseq.to_string().as_str()));
        response
    }

    fn status(&mut self, method: &str, url: &str, lines: &[&str]) -> u16 {
        self.ask(method, url, lines).status().into()
    }

    /// SETUP of one track; the id is known here.
    fn set_up(&mut self, track: u32, transport: &str, named: bool) -> Response<Vec<u8>> {
        let (transport, session) = (format!("Transport: {transport}"), format!("Session: {ID}"));
        let lines: &[&str] = if named { &[&transport, &session] } else { &[&transport] };
        self.ask("SETUP", &format!("{URL}/trackID={track}"), lines)
    }

    fn in_session(&mut self, method: &str) -> Response<Vec<u8>> {
        self.ask(method, &format!("{URL}/"), &[&format!("Session: {ID}")])
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    fn is_silent_for_too_long(&self) -> bool {
        self.session.silent_until().is_some_and(|until| self.now >= until)
    }

    /// The interleaved frames that a unit becomes.
    fn receive(&mut self, unit: &Unit) -> Vec<(u8, Vec<u8>)> {
        let mut bytes = Vec::new();
        let playback = self.session.playing().expect("the session plays");
        playback.write(unit, self.now, Outlet::Interleaved(&mut bytes));
        let mut inbox = Inbox::default();
        inbox.push(&bytes, self.now);
        std::iter::from_fn(|| match inbox.next(true, self.now) {
            Ok(Some(Inbound::Frame { channel, payload })) => Some((channel, payload)),
            _ => None,
        })
        .collect()
    }

    /// As [`Self::receive`], without the sender reports.
    fn receive_rtp(&mut self, unit: &Unit) -> Vec<(u16, u32)> {
        let frames = self.receive(unit).into_iter().filter(|(channel, _)| channel % 2 == 0);
        let header = |(_, packet): (u8, Vec<u8>)| {
            let packet = RtpPacket::parse(&packet).unwrap();
            (packet.sequence_number(), packet.timestamp())
        };
        frames.map(header).collect()
    }
}

fn header<'a>(response: &'a Response<Vec<u8>>, name: &rtsp_types::HeaderName) -> Option<&'a str> {
    response.header(name).map(rtsp_types::HeaderValue::as_str)
}

fn transport(response: &Response<Vec<u8>>) -> &str {
    assert_eq!(u16::from(response.status()), 200);
    header(response, &headers::TRANSPORT).unwrap()
}

/// A unit of the video track at `ms`, in `packets` packets.
fn unit(site: &Site, ms: i64, packets: usize) -> Unit {
    let payload = [&[0, 0, 0, 1, 0x65][..], &vec![7; packets * 1300]].concat();
    let pieces = site.cam1.track(0).unwrap().format.cut(&payload);
    assert_eq!(pieces.len(), packets);
    Unit { track: 0, entry: true, pts_ns: ms * 1_000_000, captured: UtcNs(0), pieces, payload }
}

/// `seq` and `rtptime` that RTP-Info promises of track 0.
fn promised(response: &Response<Vec<u8>>) -> (u16, u32) {
    let info = header(response, &headers::RTP_INFO).unwrap();
    let first = info.split(',').next().unwrap();
    let field = |name: &str| first.split(';').find_map(|part| part.strip_prefix(name)).unwrap();
    assert_eq!(field("url="), format!("{URL}/trackID=0"));
    (field("seq=").parse().unwrap(), field("rtptime=").parse().unwrap())
}

#[test]
fn a_request_without_a_readable_cseq_is_answered_400() {
    let mut client = Client::connect();
    for lines in ["", "CSeq: x\r\n", "CSeq: -1\r\n", "CSeq:\r\n", "CSeq: 1\r\nCSeq: 1\r\n"] {
        let (response, _) = client.send(&format!("OPTIONS {URL} RTSP/1.0\r\n{lines}\r\n"));
        assert_eq!(u16::from(response.status()), 400, "{lines:?}");
    }
    assert_eq!(client.status("OPTIONS", URL, &[]), 200, "the connection stays usable");
}

#[test]
fn options_lists_every_method_that_works() {
    let mut client = Client::connect();
    for url in [URL, "*", "rtsp://127.0.0.1:8554"] {
        let response = client.ask("OPTIONS", url, &[]);
        let public = header(&response, &headers::PUBLIC).unwrap();
        for method in ["DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"] {
            assert!(public.contains(method), "{public}");
        }
    }
}

#[test]
fn an_unknown_method_is_refused_and_the_connection_stays_usable() {
    let mut client = Client::connect();
    assert_eq!(client.status("FROBNICATE", URL, &[]), 501);
    assert_eq!(client.status("ANNOUNCE", URL, &[]), 405);
    assert_eq!(client.status("RECORD", URL, &[]), 405);
    assert_eq!(client.status("OPTIONS", URL, &[]), 200);
}

#[test]
fn another_version_is_answered_505() {
    let (response, _) = Client::connect().send("OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n");
    assert_eq!(u16::from(response.status()), 505);
}

#[test]
fn an_unknown_path_is_answered_404() {
    let mut client = Client::connect();
    for path in ["", "/", "/cam3", "/cam1/x", "/../cam3", "/CAM1"] {
        let url = format!("rtsp://127.0.0.1:8554{path}");
        assert_eq!(client.status("DESCRIBE", &url, &[]), 404, "{path}");
        assert_eq!(client.status("SETUP", &url, &[&format!("Transport: {TCP}")]), 404, "{path}");
    }
    assert_eq!(client.set_up(9, TCP, false).status(), rtsp_types::StatusCode::NotFound);
}

#[test]
fn a_camera_that_was_never_seen_is_answered_503() {
    let response = Client::connect().ask("DESCRIBE", "rtsp://127.0.0.1:8554/late", &[]);
    assert_eq!(u16::from(response.status()), 503);
    assert_eq!(header(&response, &headers::RETRY_AFTER), Some("1"));
}

#[test]
fn a_required_feature_is_answered_551_and_named() {
    let mut client = Client::connect();
    for name in ["Require", "Proxy-Require"] {
        let response = client.ask("OPTIONS", URL, &[&format!("{name}: funky-feature")]);
        assert_eq!(u16::from(response.status()), 551);
        assert_eq!(header(&response, &headers::UNSUPPORTED), Some("funky-feature"));
    }
}

#[test]
fn describe_gives_the_sdp_and_the_base_of_its_urls() {
    let response = Client::connect().ask("DESCRIBE", URL, &["Accept: application/sdp"]);
    assert_eq!(header(&response, &headers::CONTENT_BASE), Some("rtsp://127.0.0.1:8554/cam1/"));
    assert_eq!(header(&response, &headers::CONTENT_TYPE), Some("application/sdp"));
    let sdp = sdp_types::Session::parse(response.body()).unwrap();
    assert_eq!(sdp.medias.len(), 2);
    assert_eq!(Client::connect().status("DESCRIBE", URL, &["Accept: text/html"]), 406);
}

#[test]
fn play_without_a_session_or_with_a_bogus_one_is_answered_454() {
    let mut client = Client::connect();
    for method in ["PLAY", "PAUSE", "TEARDOWN"] {
        assert_eq!(client.status(method, URL, &[]), 454, "{method}");
        assert_eq!(client.status(method, URL, &["Session: 12345678"]), 454, "{method}");
    }
    client.set_up(0, TCP, false);
    assert_eq!(client.status("PLAY", URL, &[]), 454);
    assert_eq!(client.status("PLAY", URL, &["Session: 12345678"]), 454);
    assert_eq!(client.status("GET_PARAMETER", URL, &["Session: 12345678"]), 454);
}

#[test]
fn a_session_id_opens_nothing_from_another_connection() {
    let mut owner = Client::connect();
    owner.set_up(0, TCP, false);
    let mut thief = Client::connect();
    for method in ["PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"] {
        assert_eq!(u16::from(thief.in_session(method).status()), 454, "{method}");
    }
    assert_eq!(u16::from(owner.in_session("PLAY").status()), 200);
}

#[test]
fn a_transport_that_is_not_served_is_answered_461_and_leaves_no_session() {
    let mut client = Client::connect();
    for offer in ["RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP;multicast", "RAW/RAW/UDP"] {
        assert_eq!(u16::from(client.set_up(0, offer, false).status()), 461, "{offer}");
    }
    assert_eq!(u16::from(client.in_session("PLAY").status()), 454);
    let no_transport = client.status("SETUP", &format!("{URL}/trackID=0"), &[]);
    assert_eq!(no_transport, 400);
    let both = "RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=0-1";
    assert_eq!(u16::from(client.set_up(0, both, false).status()), 200);
}

#[test]
fn setup_states_the_session_its_timeout_and_the_ssrc() {
    let mut client = Client::connect();
    let response = client.set_up(0, TCP, false);
    let session = format!("{ID};timeout=60");
    assert_eq!(header(&response, &headers::SESSION), Some(session.as_str()));
    assert!(transport(&response).contains("ssrc=AABBCCDD"));
}

#[test]
fn interleaved_channels_asked_for_are_honoured() {
    let response = Client::connect().set_up(0, "RTP/AVP/TCP;unicast;interleaved=4-5", false);
    assert!(transport(&response).contains("interleaved=4-5;"));
}

#[test]
fn interleaved_channels_not_asked_for_are_assigned_free() {
    let mut client = Client::connect();
    assert!(transport(&client.set_up(0, TCP, false)).contains("interleaved=0-1;"));
    assert!(transport(&client.set_up(1, TCP, true)).contains("interleaved=2-3;"));
}

#[test]
fn two_streams_never_share_a_channel() {
    for (first, second, given) in [
        ("0-1", "0-1", "2-3"),
        ("0-1", "1-2", "2-3"),
        ("1-2", "0-1", "4-5"),
        ("5-6", "4-5", "0-1"),
        ("0-1", "0-1", "2-3"),
    ] {
        let mut client = Client::connect();
        let offer = |pair| format!("RTP/AVP/TCP;unicast;interleaved={pair}");
        client.set_up(0, &offer(first), false);
        let response = client.set_up(1, &offer(second), true);
        let given = format!("interleaved={given};");
        assert!(transport(&response).contains(&given), "{first}, then {second}");
    }
}

#[test]
fn a_track_set_up_again_keeps_its_place() {
    let mut client = Client::connect();
    client.set_up(0, "RTP/AVP/TCP;unicast;interleaved=0-1", false);
    let again = client.set_up(0, "RTP/AVP/TCP;unicast;interleaved=0-1", true);
    assert!(transport(&again).contains("interleaved=0-1;"));
}

#[test]
fn a_camera_with_one_track_may_be_set_up_by_its_own_url() {
    let mut client = Client::connect();
    let line = format!("Transport: {TCP}");
    assert_eq!(client.status("SETUP", "rtsp://127.0.0.1:8554/cam2", &[&line]), 200);
    assert_eq!(Client::connect().status("SETUP", URL, &[&line]), 459, "which of the two?");
}

#[test]
fn one_connection_carries_one_session_of_one_camera() {
    let mut client = Client::connect();
    client.set_up(0, TCP, false);
    assert_eq!(u16::from(client.set_up(1, TCP, false).status()), 455, "a second session");
    let lines = [&*format!("Transport: {TCP}"), &*format!("Session: {ID}")];
    assert_eq!(client.status("SETUP", "rtsp://127.0.0.1:8554/cam2", &lines), 459);
    assert_eq!(client.status("PLAY", "rtsp://127.0.0.1:8554/cam2", &lines), 404);
    client.in_session("PLAY");
    assert_eq!(u16::from(client.set_up(1, TCP, true).status()), 455, "while packets are under way");
}

#[test]
fn lower_case_header_names_are_the_same_headers() {
    let mut client = Client::connect();
    let text = format!("SETUP {URL}/trackID=0 RTSP/1.0\r\ncseq: 7\r\ntransport: {TCP}\r\n\r\n");
    let (response, _) = client.send(&text);
    assert_eq!(u16::from(response.status()), 200);
    assert_eq!(header(&response, &headers::CSEQ), Some("7"));
}

#[test]
fn rtp_info_is_what_the_first_packet_carries() {
    let mut client = Client::connect();
    client.set_up(0, TCP, false);
    let promise = promised(&client.in_session("PLAY"));
    assert_eq!(promise, (CHANCE.beginning.sequence, CHANCE.beginning.ticks));
    let first = unit(&client.site, 123_456, 3);
    let packets = client.receive_rtp(&first);
    assert_eq!(packets[0], promise);
    assert_eq!(packets[1..], [(0, promise.1), (1, promise.1)], "the sequence number wraps");
    let next = unit(&client.site, 123_496, 1);
    assert_eq!(client.receive_rtp(&next), [(2, promise.1.wrapping_add(3600))]);
}

#[test]
fn after_a_pause_rtp_info_is_right_again_and_time_has_gone_on() {
    let mut client = Client::connect();
    client.set_up(0, TCP, false);
    client.in_session("PLAY");
    let before = unit(&client.site, 1000, 1);
    let (sequence, ticks) = client.receive_rtp(&before)[0];
    assert_eq!(u16::from(client.in_session("PAUSE").status()), 200);
    assert!(client.session.playing().is_none());
    client.wait(Duration::from_secs(10));
    let promise = promised(&client.in_session("PLAY"));
    assert_eq!(promise.0, sequence.wrapping_add(1));
    assert_eq!(promise.1, ticks.wrapping_add(900_001));
    let after = unit(&client.site, 77_000, 1);
    assert_eq!(client.receive_rtp(&after), [promise]);
}

#[test]
fn play_while_playing_changes_nothing() {
    let mut client = Client::connect();
    client.set_up(0, TCP, false);
    client.in_session("PLAY");
    let first = unit(&client.site, 0, 1);
    let (sequence, ticks) = client.receive_rtp(&first)[0];
    let again = client.in_session("PLAY");
    assert_eq!(u16::from(again.status()), 200);
    assert_eq!(header(&again, &headers::RTP_INFO), None);
    let second = unit(&client.site, 40, 1);
    let expected = (sequence.wrapping_add(1), ticks.wrapping_add(3600));
    assert_eq!(client.receive_rtp(&second), [expected]);
}

#[test]
fn a_report_comes_before_the_first_packet_and_then_within_five_seconds() {
    let mut client = Client::connect();
    client.set_up(0, TCP, false);
    client.in_session("PLAY");
    let mut reports = Vec::new();
    for frame in 0..500 {
        let unit = unit(&client.site, frame * 40, 1);
        let frames = client.receive(&unit);
        if frames[0].0 == 1 {
            reports.push(frame);
        }
        client.wait(Duration::from_millis(40));
    }
    assert_eq!(reports[0], 0);
    assert!(reports.windows(2).all(|pair| (pair[1] - pair[0]) * 40 <= 5000), "{reports:?}");
    assert!(reports.len() < 7, "{reports:?}");
}

#[test]
fn units_of_a_track_that_was_not_set_up_are_not_sent() {
    let mut client = Client::connect();
    client.set_up(1, TCP, false);
    client.in_session("PLAY");
    let video = unit(&client.site, 0, 1);
    assert!(client.receive(&video).is_empty());
}

#[test]
fn sound_and_picture_are_counted_from_the_same_instant() {
    let mut client = Client::connect();
    client.set_up(0, TCP, false);
    client.set_up(1, TCP, true);
    client.in_session("PLAY");
    let picture = unit(&client.site, 1000, 1);
    let start = CHANCE.beginning.ticks;
    assert_eq!(client.receive_rtp(&picture)[0].1, start);
    let payload = vec![7; 100];
    let pieces = client.site.cam1.track(1).unwrap().format.cut(&payload);
    let sound = Unit { track: 1, pts_ns: 1_500_000_000, pieces, payload, ..picture };
    assert_eq!(client.receive_rtp(&sound)[0].1, start.wrapping_add(24_000), "half a second");
}

#[test]
fn teardown_ends_the_session_and_the_connection_can_begin_another() {
    let mut client = Client::connect();
    client.set_up(0, TCP, false);
    client.in_session("PLAY");
    assert_eq!(u16::from(client.in_session("TEARDOWN").status()), 200);
    assert!(client.session.playing().is_none());
    assert_eq!(u16::from(client.in_session("PLAY").status()), 454);
    assert_eq!(u16::from(client.set_up(0, TCP, false).status()), 200);
}

#[test]
fn parameters_keep_a_session_alive_and_none_is_known() {
    let mut client = Client::connect();
    client.set_up(0, TCP, false);
    assert_eq!(u16::from(client.in_session("GET_PARAMETER").status()), 200);
    assert_eq!(u16::from(client.in_session("SET_PARAMETER").status()), 200);
    let text = format!("SET_PARAMETER {URL} RTSP/1.0\r\nCSeq: 9\r\nContent-Length: 4\r\n\r\na: b");
    assert_eq!(u16::from(client.send(&text).0.status()), 451);
}

#[test]
fn a_connection_without_a_request_is_given_ten_seconds() {
    let mut client = Client::connect();
    assert!(!client.is_silent_for_too_long());
    client.wait(FIRST_REQUEST);
    assert!(client.is_silent_for_too_long());
}

#[test]
fn a_session_that_nobody_keeps_alive_ends_after_its_timeout() {
    let mut client = Client::connect();
    client.set_up(0, TCP, false);
    client.wait(TIMEOUT / 2);
    client.in_session("GET_PARAMETER");
    client.wait(TIMEOUT / 2);
    assert!(!client.is_silent_for_too_long());
    client.wait(TIMEOUT / 2);
    assert!(client.is_silent_for_too_long());
}

#[test]
fn a_receiver_report_keeps_a_session_alive_and_other_frames_do_not() {
    let report = [0x80, 201, 0, 1, 0, 0, 0, 0];
    for (channel, packet, alive) in
        [(1, &report[..], true), (7, &report, false), (1, b"junk", false)]
    {
        let mut client = Client::connect();
        client.set_up(0, TCP, false);
        client.wait(TIMEOUT / 2);
        client.session.hear(channel, packet, client.now);
        client.wait(TIMEOUT / 2);
        assert_eq!(!client.is_silent_for_too_long(), alive, "channel {channel}");
    }
}

#[test]
fn a_playing_client_may_be_silent() {
    let mut client = Client::connect();
    client.set_up(0, TCP, false);
    client.in_session("PLAY");
    client.wait(TIMEOUT * 10);
    assert!(!client.is_silent_for_too_long());
}

fn any_request() -> impl Strategy<Value = String> {
    let method = prop::sample::select(vec![
        "OPTIONS",
        "DESCRIBE",
        "SETUP",
        "PLAY",
        "PAUSE",
        "TEARDOWN",
        "GET_PARAMETER",
        "RECORD",
        "X",
    ]);
    let url = prop::sample::select(vec![
        "*",
        URL,
        "rtsp://h/cam1/trackID=1",
        "rtsp://h",
        "rtsp://h/cam2",
    ]);
    let lines = prop::collection::vec(
        prop::sample::select(vec![
            "CSeq: 1".to_owned(),
            format!("Session: {ID}"),
            "Session: ;;".to_owned(),
            format!("Transport: {TCP}"),
            "Transport: RTP/AVP/TCP;interleaved=254-255".to_owned(),
            "Transport: RTP/AVP/TCP;dest_addr=\"/\"".to_owned(),
            "Require: x".to_owned(),
            "Range: npt=0.000-".to_owned(),
            "Accept: */*".to_owned(),
        ]),
        0..5,
    );
    (method, url, lines).prop_map(|(method, url, lines)| {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        format!("{method} {url} RTSP/1.0\r\n{lines}\r\n")
    })
}

proptest! {
    #[test]
    fn no_order_of_requests_confuses_a_session(requests in prop::collection::vec(any_request(), 1..40)) {
        let mut client = Client::connect();
        for text in requests {
            let (response, event) = client.send(&text);
            let mut bytes = Vec::new();
            response.write(&mut bytes).unwrap();
            prop_assert_eq!(event == Event::Playing && client.session.playing().is_none(), false);
            if client.session.playing().is_some() {
                let unit = unit(&client.site, 0, 2);
                let frames = client.receive(&unit);
                prop_assert!(frames.iter().all(|(_, packet)| packet.len() <= 1400));
            }
        }
    }
}
