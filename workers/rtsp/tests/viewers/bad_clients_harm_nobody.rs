//! Garbage, half requests, crowds and clients that stop reading: each costs its own connection.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rtp_types::RtpPacket;
use rtsp::fanout::Intake;
use rtsp::feed::Feed;
use rtsp::server::Server;
use shmring::{Packet, PacketMeta, clock};

use crate::harness::{Camera, Clip, PATIENCE, RawClient, Site, has, sleep_until};

/// That a well-behaved client is served as ever.
fn assert_served(site: &Site) {
    let response = site.connect().ask("OPTIONS", &site.url(), "");
    assert!(response.starts_with("RTSP/1.0 200 OK"), "{response}");
}

#[test]
fn garbage_is_answered_400_and_closed_at_once() {
    let site = Site::open(8);
    for garbage in [&[0xa5; 600][..], b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]]
    {
        let mut client = site.connect();
        client.socket.write_all(garbage).unwrap();
        assert!(client.response().starts_with("RTSP/1.0 400"));
        assert!(client.is_closed_within(PATIENCE));
    }
    assert_served(&site);
}

#[test]
fn a_header_of_two_hundred_kilobytes_ends_the_connection() {
    let site = Site::open(8);
    let mut client = site.connect();
    let header = [b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: ", &[b'x'; 200_000][..]].concat();
    // The rest may meet a closed socket.
    let _ = client.socket.write_all(&header);
    assert!(client.is_closed_within(PATIENCE));
    assert_served(&site);
}

#[test]
fn a_request_sent_byte_by_byte_and_two_sent_at_once_are_answered() {
    let site = Site::open(8);
    let mut client = site.connect();
    for byte in b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n" {
        client.socket.write_all(&[*byte]).unwrap();
        sleep_until(clock::mono() + Duration::from_millis(5));
    }
    assert!(client.response().contains("CSeq: 7\r\n"));
    let two = "OPTIONS * RTSP/1.0\r\nCSeq: 8\r\n\r\nFROB * RTSP/1.0\r\nCSeq: 9\r\n\r\n";
    client.socket.write_all(two.as_bytes()).unwrap();
    assert!(client.response().contains("CSeq: 8\r\n"));
    let second = client.response();
    assert!(second.contains("CSeq: 9\r\n") && second.starts_with("RTSP/1.0 501"), "{second}");
}

#[test]
fn one_client_too_many_is_answered_503_and_a_place_that_is_given_back_is_taken() {
    let site = Site::open(2);
    let mut first = site.connect();
    first.ask("OPTIONS", "*", "");
    let mut second = site.connect();
    second.ask("OPTIONS", "*", "");
    let mut third = site.connect();
    assert!(third.ask("OPTIONS", "*", "").starts_with("RTSP/1.0 503"));
    assert!(third.is_closed_within(PATIENCE));
    drop(first);
    let deadline = clock::mono() + PATIENCE;
    while !site.connect().ask("OPTIONS", "*", "").starts_with("RTSP/1.0 200") {
        assert!(clock::mono() < deadline, "the place stays taken");
        sleep_until(clock::mono() + Duration::from_millis(20));
    }
    assert!(second.ask("OPTIONS", "*", "").starts_with("RTSP/1.0 200"));
}

#[test]
fn idle_and_half_open_connections_leave_after_ten_seconds_and_viewers_do_not_notice() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open(300);
    let _camera = Camera::start(&site.project, Clip::plain());
    let mut viewer = site.connect();
    viewer.play(&site.url());
    let opened = clock::mono();
    let mut idle: Vec<RawClient> = (0..200).map(|_| site.connect()).collect();
    for client in &mut idle[..100] {
        client.socket.write_all(b"OPTIONS * RTSP/1.0\r\nCS").unwrap();
    }
    while clock::mono().saturating_since(opened) < Duration::from_secs(6) {
        viewer.frame();
    }
    assert!(!idle[0].is_closed_within(Duration::from_millis(1)));
    for client in &mut idle {
        assert!(client.is_closed_within(PATIENCE));
    }
    viewer.frame();
}

/// A camera of fifty units a second, every tenth a key frame. Beside it a server.
struct Flood {
    server: Server,
    stop: Arc<AtomicBool>,
    camera: Option<JoinHandle<()>>,
}

impl Flood {
    fn start(unit_bytes: usize) -> Self {
        let feed = Arc::new(Feed::new("cam1"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let feeds = [Arc::clone(&feed)].into_iter().collect();
        let server = Server::start(listener, feeds, 8).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let camera = std::thread::spawn(move || flood(&feed, unit_bytes, &stopped));
        Self { server, stop, camera: Some(camera) }
    }

    fn viewer(&self) -> RawClient {
        let address = self.server.address();
        let mut viewer = RawClient::connect(address);
        viewer.play(&format!("rtsp://{address}/cam1"));
        viewer
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.camera.take().unwrap().join().unwrap();
    }
}

fn flood(feed: &Feed, unit_bytes: usize, stop: &AtomicBool) {
    let payloads =
        [0x65, 0x41].map(|kind| [&[0, 0, 0, 1, kind][..], &vec![7; unit_bytes]].concat());
    let tracks = [Clip::track_with(Vec::new())];
    let mut intake = Intake::default();
    for sequence in 1.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let published = clock::mono();
        let pts_ns = i64::try_from(sequence).unwrap() * 20_000_000;
        let key = sequence % 10 == 1;
        let meta = PacketMeta { key, pts_ns, dts_ns: pts_ns, ..PacketMeta::default() };
        let payload = payloads[usize::from(!key)].clone();
        let packet = Packet { epoch: 1, sequence, meta, published, payload };
        intake.take(packet, &tracks, feed, published);
        sleep_until(published + Duration::from_millis(20));
    }
}

/// The next RTP packet: sequence number, timestamp, and the type of the NAL unit it is a part of.
fn packet(client: &mut RawClient) -> (u16, u32, u8) {
    loop {
        let (channel, frame) = client.frame();
        if channel == 0 {
            let packet = RtpPacket::parse(&frame).unwrap();
            return (packet.sequence_number(), packet.timestamp(), packet.payload()[1] & 0x1f);
        }
    }
}

#[test]
fn a_viewer_that_stops_reading_is_ended_after_ten_seconds_and_the_others_miss_nothing() {
    // 1 MB/s: the log holds four seconds, which the other viewer may be late on a busy machine.
    let flood = Flood::start(20_000);
    let (mut stuck, mut viewer) = (flood.viewer(), flood.viewer());
    // The sockets of the stuck one hold some seconds; it is ended ten seconds after that.
    let (begun, mut last_ticks) = (clock::mono(), None);
    while clock::mono().saturating_since(begun) < Duration::from_secs(20) {
        let (_, ticks, _) = packet(&mut viewer);
        // The sequence would not show it: a viewer's own numbering goes on over what it missed.
        let step = last_ticks.map_or(0, |last| ticks.wrapping_sub(last));
        assert!(matches!(step, 0 | 1800), "the other viewer missed a unit: {step} ticks");
        last_ticks = Some(ticks);
    }
    // What its socket still holds is read within a moment; a live connection would go on for ever.
    assert!(stuck.is_closed_within(PATIENCE), "the stuck viewer is still there");
}

#[test]
fn a_viewer_that_fell_behind_goes_on_at_a_key_frame() {
    let flood = Flood::start(100_000);
    let mut slow = flood.viewer();
    let (mut last_sequence, mut last_ticks, _) = packet(&mut slow);
    // 30 MB: far more than its socket and the log hold.
    sleep_until(clock::mono() + Duration::from_secs(6));
    let deadline = clock::mono() + PATIENCE;
    loop {
        let (sequence, ticks, kind) = packet(&mut slow);
        assert_eq!(sequence, last_sequence.wrapping_add(1), "its own numbering has no hole");
        // The units are 20 ms apart; a jump of more than a second is the skip.
        if ticks.wrapping_sub(last_ticks) > 90_000 {
            assert_eq!(kind, 5, "it goes on at a key frame");
            return;
        }
        assert!(clock::mono() < deadline, "it never skipped");
        (last_sequence, last_ticks) = (sequence, ticks);
    }
}
