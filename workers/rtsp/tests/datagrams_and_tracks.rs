//! The rules of sessions whose packets are datagrams, of single tracks, and of sessions that move: bytes in, response
//! and packets out, no socket and no clock.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use protocol::stream::{Codec, Track};
use protocol::time::{MonoNs, TimeBase, UtcNs};
use rtp_types::RtpPacket;
use rtsp::chance::Chance;
use rtsp::envelope::{Datagrams, Part};
use rtsp::inbox::{Inbound, Inbox};
use rtsp::playback::Outlet;
use rtsp::rtp::sender::Beginning;
use rtsp::sdp::Presentation;
use rtsp::session::{Camera, Cameras, Circumstances, Event, Reserved, Session, TIMEOUT};
use rtsp::transport::{Group, Ports};
use rtsp::unit::Unit;
use rtsp_types::{Response, headers};

const URL: &str = "rtsp://127.0.0.1:8554/cam1";
const START: MonoNs = MonoNs(1_000_000_000_000);
const CHANCE: Chance = Chance {
    session: 0x00c0_ffee,
    beginning: Beginning { ssrc: 0xaabb_ccdd, sequence: 65_535, ticks: u32::MAX - 10 },
};
const ID: &str = "00000000000000000000000000c0ffee";
const UDP: &str = "RTP/AVP;unicast;client_port=5000-5001";
const OTHER_UDP: &str = "RTP/AVP;unicast;client_port=5002-5003";
const TCP: &str = "RTP/AVP/TCP;unicast";
const BOTH: Reserved = Reserved {
    ports: Some(Ports { rtp: 20_000, rtcp: 20_001 }),
    group: Some(Group {
        address: Ipv4Addr::new(239, 255, 42, 1),
        ports: Ports { rtp: 20_002, rtcp: 20_003 },
        ttl: 4,
        ssrc: 0x1234_5678,
    }),
};

#[derive(Debug)]
struct Site(Arc<Presentation>);

impl Cameras for Site {
    fn camera(&self, path: &str) -> Camera {
        if path == "cam1" { Camera::Ready(Arc::clone(&self.0)) } else { Camera::Unknown }
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
        extradata: Vec::new(),
    }
}

/// A client with its connection.
struct Client {
    site: Site,
    session: Session,
    now: MonoNs,
    reserved: Reserved,
}

impl Client {
    fn connect() -> Self {
        let tracks = [track(Codec::H264), track(Codec::Aac)];
        let site = Site(Arc::new(Presentation::of("cam1", &tracks)));
        Self { site, session: Session::new(START), now: START, reserved: BOTH }
    }

    fn ask(&mut self, method: &str, url: &str, lines: &str) -> (Response<Vec<u8>>, Event) {
        let mut inbox = Inbox::default();
        let text = format!("{method} {url} RTSP/1.0\r\nCSeq: 1\r\n{lines}\r\n");
        inbox.push(text.as_bytes(), self.now);
        let Ok(Some(Inbound::Request(request))) = inbox.next(false, self.now) else {
            panic!("{text:?} is no request")
        };
        let around = Circumstances {
            now: self.now,
            chance: CHANCE,
            cameras: &self.site,
            local: [127, 0, 0, 1].into(),
            peer: [127, 0, 0, 1].into(),
            reserved: self.reserved,
        };
        self.session.answer(&request, &around)
    }

    fn set_up(&mut self, track: u32, transport: &str) -> (Response<Vec<u8>>, Event) {
        let session = match self.session.mode() {
            Some(_) => format!("Session: {ID}\r\n"),
            None => String::new(),
        };
        let lines = format!("Transport: {transport}\r\n{session}");
        self.ask("SETUP", &format!("{URL}/trackID={track}"), &lines)
    }

    fn in_session(&mut self, method: &str, path: &str) -> (Response<Vec<u8>>, Event) {
        self.ask(method, &format!("{URL}/{path}"), &format!("Session: {ID}\r\n"))
    }

    fn is_silent_for_too_long(&self) -> bool {
        self.session.silent_until().is_some_and(|until| self.now >= until)
    }

    /// What a unit becomes: track, kind and bytes of each datagram.
    fn receive(&mut self, unit: &Unit) -> Vec<(u32, Part, Vec<u8>)> {
        let mut datagrams = Datagrams::default();
        let playback = self.session.playing().expect("the session plays");
        playback.write(unit, self.now, Outlet::Datagrams(&mut datagrams));
        drained(datagrams)
    }

    /// Sequence number and timestamp of the packets of media.
    fn receive_rtp(&mut self, unit: &Unit) -> Vec<(u16, u32)> {
        let packets = self.receive(unit).into_iter().filter(|(_, part, _)| *part == Part::Rtp);
        let header = |(_, _, bytes): (u32, Part, Vec<u8>)| {
            let packet = RtpPacket::parse(&bytes).unwrap();
            (packet.sequence_number(), packet.timestamp())
        };
        packets.map(header).collect()
    }

    fn unit(&self, track: u32, ms: i64, entry: bool) -> Unit {
        let payload = [&[0, 0, 0, 1, 0x65][..], &[7; 100]].concat();
        let pieces = self.site.0.track(track).unwrap().format.cut(&payload);
        let captured = UtcNs(1_800_000_000_000_000_000 + u64::try_from(ms).unwrap() * 1_000_000);
        Unit { track, entry, pts_ns: ms * 1_000_000, captured, pieces, payload }
    }
}

fn drained(mut datagrams: Datagrams) -> Vec<(u32, Part, Vec<u8>)> {
    std::iter::from_fn(|| {
        let (track, part, bytes) = datagrams.first()?;
        let datagram = (track, part, bytes.to_vec());
        datagrams.pop();
        Some(datagram)
    })
    .collect()
}

fn status(answer: &(Response<Vec<u8>>, Event)) -> u16 {
    answer.0.status().into()
}

fn header<'a>(answer: &'a (Response<Vec<u8>>, Event), name: &rtsp_types::HeaderName) -> &'a str {
    answer.0.header(name).map_or("", rtsp_types::HeaderValue::as_str)
}

#[test]
fn ports_of_both_ends_are_told_and_the_place_is_known() {
    let mut client = Client::connect();
    let answer = client.set_up(0, UDP);
    let transport = header(&answer, &headers::TRANSPORT);
    assert!(
        transport.starts_with("RTP/AVP;unicast;client_port=5000-5001;server_port=20000-20001;")
    );
    assert!(transport.contains("ssrc=AABBCCDD"), "{transport}");
    assert_eq!(answer.1, Event::Placed { track: 0 });
    assert_eq!(header(&answer, &headers::SESSION), format!("{ID};timeout=60"));
}

#[test]
fn viewers_of_a_group_are_told_its_address_and_the_stream_that_all_share() {
    let mut client = Client::connect();
    let answer = client.set_up(0, "RTP/AVP;multicast");
    let transport = header(&answer, &headers::TRANSPORT);
    assert!(transport.contains("multicast;destination=239.255.42.1;ttl=4;port=20002-20003;"));
    assert!(transport.contains("ssrc=12345678"), "{transport}");
    let play = client.in_session("PLAY", "");
    assert_eq!((status(&play), play.1), (200, Event::Playing));
    assert_eq!(header(&play, &headers::RTP_INFO), "", "nobody knows which packet comes first");
}

#[test]
fn without_ports_the_next_offer_is_taken_and_without_another_one_it_is_461() {
    let mut client = Client::connect();
    client.reserved = Reserved::default();
    assert_eq!(status(&client.set_up(0, UDP)), 461);
    assert_eq!(status(&client.set_up(0, "RTP/AVP;multicast")), 461);
    assert!(client.session.mode().is_none(), "a refused SETUP leaves no session");
    let answer = client.set_up(0, &format!("{UDP},{TCP}"));
    assert!(header(&answer, &headers::TRANSPORT).contains("interleaved=0-1"));
}

#[test]
fn the_streams_of_a_session_travel_alike() {
    for (first, second) in [(UDP, TCP), (TCP, UDP), (UDP, "RTP/AVP;multicast")] {
        let mut client = Client::connect();
        assert_eq!(status(&client.set_up(0, first)), 200);
        assert_eq!(status(&client.set_up(1, second)), 461, "{first}, then {second}");
        assert_eq!(status(&client.set_up(1, &format!("{second},{first}"))), {
            // The client's own ports cannot be given twice, whatever it offers.
            if first == UDP { 461 } else { 200 }
        });
    }
}

#[test]
fn two_streams_never_share_a_port_of_the_client() {
    let mut client = Client::connect();
    client.set_up(0, UDP);
    for taken in ["5000-5001", "5001-5002", "4999-5000", "5001"] {
        let offer = format!("RTP/AVP;unicast;client_port={taken}");
        assert_eq!(status(&client.set_up(1, &offer)), 461, "{taken}");
    }
    assert_eq!(status(&client.set_up(1, OTHER_UDP)), 200);
    assert_eq!(status(&client.set_up(0, UDP)), 200, "again for itself");
}

#[test]
fn rtp_info_is_what_the_first_datagram_carries() {
    let mut client = Client::connect();
    client.set_up(0, UDP);
    client.set_up(1, OTHER_UDP);
    let play = client.in_session("PLAY", "");
    let info = header(&play, &headers::RTP_INFO);
    let promise = (CHANCE.beginning.sequence, CHANCE.beginning.ticks);
    let told = format!("url={URL}/trackID=0;seq={};rtptime={}", promise.0, promise.1);
    assert!(info.starts_with(&told), "{info}");
    let datagrams = client.receive(&client.unit(0, 5_000, true));
    assert_eq!((datagrams[0].0, datagrams[0].1), (0, Part::Rtcp), "a report comes first");
    let packet = RtpPacket::parse(&datagrams[1].2).unwrap();
    assert_eq!((packet.sequence_number(), packet.timestamp()), promise);
    assert_eq!(
        client.receive_rtp(&client.unit(1, 5_500, false))[0].1,
        promise.1.wrapping_add(24_000)
    );
}

#[test]
fn no_datagram_is_longer_than_an_ethernet_frame_carries() {
    let mut client = Client::connect();
    client.set_up(0, UDP);
    client.in_session("PLAY", "");
    let mut unit = client.unit(0, 0, true);
    unit.payload = [&[0, 0, 0, 1, 0x65][..], &vec![7; 300_000]].concat();
    unit.pieces = client.site.0.track(0).unwrap().format.cut(&unit.payload);
    let datagrams = client.receive(&unit);
    assert!(datagrams.len() > 200);
    assert!(datagrams.iter().all(|(_, _, bytes)| bytes.len() <= 1472));
}

#[test]
fn a_stream_without_units_is_reported_on_within_five_seconds_and_its_clock_goes_on() {
    let mut client = Client::connect();
    client.set_up(0, UDP);
    client.in_session("PLAY", "");
    assert_eq!(client.session.playback().unwrap().next_report(), None, "nothing to report yet");
    let first = client.receive(&client.unit(0, 0, true)).remove(0).2;
    let due = client.session.playback().unwrap().next_report().unwrap();
    assert!(due <= client.now + Duration::from_secs(5));
    client.now = due;
    let mut datagrams = Datagrams::default();
    client.session.playing().unwrap().report(due, Outlet::Datagrams(&mut datagrams));
    let second = drained(datagrams).remove(0).2;
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let waited = due.saturating_since(START).as_secs_f64();
    let ticks = f64::from(word(&second, 16).wrapping_sub(word(&first, 16)));
    assert!((ticks / 90_000.0 - waited).abs() < 0.001, "{ticks} ticks in {waited} s");
    let seconds =
        |bytes: &[u8]| f64::from(word(bytes, 8)) + f64::from(word(bytes, 12)) / 4_294_967_296.0;
    assert!((seconds(&second) - seconds(&first) - waited).abs() < 0.001);
    assert!(client.session.playback().unwrap().next_report().unwrap() > due);
}

#[test]
fn a_paused_stream_is_not_reported_on() {
    let mut client = Client::connect();
    client.set_up(0, UDP);
    client.in_session("PLAY", "");
    client.receive(&client.unit(0, 0, true));
    client.in_session("PAUSE", "");
    assert_eq!(client.session.playback().unwrap().next_report(), None);
}

#[test]
fn pictures_that_went_by_while_sound_played_are_missing_until_the_next_key_frame() {
    let mut client = Client::connect();
    client.set_up(0, UDP);
    client.set_up(1, OTHER_UDP);
    client.in_session("PLAY", "");
    assert_eq!(client.receive_rtp(&client.unit(0, 0, true)).len(), 1);
    client.in_session("PAUSE", "trackID=0");
    assert!(client.receive(&client.unit(0, 40, false)).is_empty());
    client.in_session("PAUSE", "");
    client.in_session("PLAY", "");
    assert!(client.receive(&client.unit(0, 80, false)).is_empty(), "it does not decode");
    assert_eq!(client.receive_rtp(&client.unit(1, 80, false)).len(), 1);
    assert_eq!(client.receive_rtp(&client.unit(0, 120, true)).len(), 1);
    // Where all paused nothing went by.
    client.in_session("PAUSE", "");
    client.in_session("PLAY", "");
    assert_eq!(client.receive_rtp(&client.unit(0, 160, false)).len(), 1);
}

#[test]
fn a_viewer_by_datagrams_has_to_give_a_sign_of_life() {
    for transport in [UDP, "RTP/AVP;multicast"] {
        let mut client = Client::connect();
        client.set_up(0, transport);
        client.in_session("PLAY", "");
        client.now = client.now + TIMEOUT / 2;
        client.session.hear_of(0, b"\x80\xc9\0\x01\0\0\0\0", client.now);
        client.now = client.now + TIMEOUT / 2;
        assert!(!client.is_silent_for_too_long(), "a report counts");
        client.in_session("OPTIONS", "");
        client.now = client.now + TIMEOUT / 2;
        client.session.hear_of(0, b"no report", client.now);
        assert!(!client.is_silent_for_too_long(), "a request counts");
        client.now = client.now + TIMEOUT / 2;
        assert!(client.is_silent_for_too_long(), "nothing else does");
    }
}

#[test]
fn what_a_client_says_of_its_reception_is_known_for_each_track() {
    let mut client = Client::connect();
    client.set_up(0, UDP);
    client.in_session("PLAY", "");
    client.receive(&client.unit(0, 0, true));
    let words = [0x81c9_0007, 1, CHANCE.beginning.ssrc, 0x4000_0007, 0, 900, 0, 0];
    let report: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
    client.session.hear_of(0, &report, client.now);
    let playback = client.session.playback().unwrap();
    let fare = playback.fares().next().unwrap();
    let reception = fare.reception.unwrap();
    assert_eq!((fare.packets, reception.loss, reception.lost), (1, 0.25, 7));
    assert_eq!(reception.jitter, Duration::from_millis(10));
}

#[test]
fn a_report_about_another_stream_is_a_sign_of_life_and_nothing_more() {
    let mut client = Client::connect();
    client.set_up(0, UDP);
    client.in_session("PLAY", "");
    let words = [0x81c9_0007, 1, 0xdead_beef, 0x4000_0007, 0, 900, 0, 0];
    let report: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
    client.session.hear_of(0, &report, client.now);
    assert!(client.session.playback().unwrap().fares().next().unwrap().reception.is_none());
}

#[test]
fn one_track_can_pause_and_play_again_while_the_other_goes_on() {
    let mut client = Client::connect();
    client.set_up(0, UDP);
    client.set_up(1, OTHER_UDP);
    client.in_session("PLAY", "");
    client.receive(&client.unit(0, 1_000, true));
    client.receive(&client.unit(1, 1_000, false));
    assert_eq!(client.in_session("PAUSE", "trackID=0").1, Event::None, "the sound goes on");
    assert!(client.receive(&client.unit(0, 1_040, false)).is_empty());
    assert!(!client.receive(&client.unit(1, 1_040, false)).is_empty());
    client.now = client.now + Duration::from_secs(1);
    let play = client.in_session("PLAY", "trackID=0");
    let info = header(&play, &headers::RTP_INFO);
    assert!(info.contains("trackID=0") && !info.contains("trackID=1"), "{info}");
    assert!(client.receive(&client.unit(0, 2_000, false)).is_empty(), "it waits for a key frame");
    let (sequence, ticks) = client.receive_rtp(&client.unit(0, 2_040, true))[0];
    assert!(info.contains(&format!("seq={sequence};rtptime={ticks}")), "{info}");
    assert_eq!(client.in_session("PAUSE", "").1, Event::Paused);
    assert!(client.session.playing().is_none());
}

#[test]
fn one_track_can_be_torn_down_and_the_session_ends_with_the_last() {
    let mut client = Client::connect();
    client.set_up(0, UDP);
    client.set_up(1, OTHER_UDP);
    client.in_session("PLAY", "");
    assert_eq!(client.in_session("TEARDOWN", "trackID=1").1, Event::Placed { track: 1 });
    assert_eq!(client.session.place(1), None);
    assert!(!client.receive(&client.unit(0, 0, true)).is_empty());
    assert_eq!(client.in_session("TEARDOWN", "trackID=0").1, Event::TornDown);
    assert_eq!(status(&client.in_session("PLAY", "")), 454);
}

#[test]
fn play_of_a_track_that_was_not_set_up_is_404() {
    let mut client = Client::connect();
    client.set_up(0, UDP);
    assert_eq!(status(&client.in_session("PLAY", "trackID=1")), 404);
    assert_eq!(status(&client.in_session("PLAY", "trackID=0")), 200);
}

#[test]
fn a_session_by_datagrams_goes_on_by_another_connection_where_it_was() {
    let mut first = Client::connect();
    first.set_up(0, UDP);
    first.in_session("PLAY", "");
    let (sequence, ticks) = first.receive_rtp(&first.unit(0, 0, true))[0];
    assert_eq!(first.session.movable(), Some(ID));
    let moving = first.session.give_up().unwrap();
    assert_eq!(status(&first.in_session("GET_PARAMETER", "")), 454, "it is not here any more");

    let mut second = Client::connect();
    second.site = first.site;
    second.session.take_over(moving, second.now);
    let expected = (sequence.wrapping_add(1), ticks.wrapping_add(3_600));
    assert_eq!(second.receive_rtp(&second.unit(0, 40, false)), [expected]);
    assert_eq!(status(&second.in_session("GET_PARAMETER", "")), 200);
    assert_eq!(second.in_session("TEARDOWN", "").1, Event::TornDown);
}

#[test]
fn a_session_over_tcp_stays_where_it_is() {
    let mut client = Client::connect();
    client.set_up(0, TCP);
    assert_eq!(client.session.movable(), None);
    assert!(client.session.give_up().is_none());
    assert_eq!(status(&client.in_session("PLAY", "")), 200);
}

#[test]
fn a_farewell_is_said_of_what_was_sent_alone() {
    let mut client = Client::connect();
    client.set_up(0, UDP);
    client.set_up(1, OTHER_UDP);
    client.in_session("PLAY", "");
    client.receive(&client.unit(0, 0, true));
    let mut datagrams = Datagrams::default();
    client.session.playback().unwrap().bye(Outlet::Datagrams(&mut datagrams));
    let said = drained(datagrams);
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].0, said[0].1), (0, Part::Rtcp));
    assert_eq!(said[0].2[said[0].2.len() - 8..][..2], [0x81, 203]);
}
