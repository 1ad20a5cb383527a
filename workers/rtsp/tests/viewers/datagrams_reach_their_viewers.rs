//! RTP over UDP to one client: what it is sent, who may go on with its session, and when that ends.

use std::io::Read;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rtp_types::RtpPacket;
use rtsp::datagram::ports::PortPool;
use rtsp::house::Terms;
use rtsp::transport::Ports;
use shmring::clock;

use crate::harness::{Camera, Clip, PATIENCE, RawClient, Site, has, sleep_until};

/// A client that set one track up and plays it.
pub struct Viewer {
    pub control: RawClient,
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub id: String,
    /// What PLAY was answered.
    pub played: String,
    /// Where its reports belong.
    server: Ports,
}

impl Viewer {
    pub fn play(site: &Site) -> Self {
        let mut control = site.connect();
        let (rtp, rtcp, client) = own_ports();
        let lines = format!("Transport: RTP/AVP;unicast;client_port={client}\r\n");
        let answer = control.ask("SETUP", &format!("{}/trackID=0", site.url()), &lines);
        assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
        let id = between(&answer, "Session: ", ';').to_owned();
        let ports = between(&answer, "server_port=", ';').split_once('-').unwrap();
        let server = Ports { rtp: ports.0.parse().unwrap(), rtcp: ports.1.parse().unwrap() };
        let played = control.ask("PLAY", &site.url(), &format!("Session: {id}\r\n"));
        assert!(played.starts_with("RTSP/1.0 200"), "{played}");
        Self { control, rtp, rtcp, id, played, server }
    }

    /// The next packet of media: its sequence number, timestamp and SSRC.
    pub fn packet(&self) -> (u16, u32, u32) {
        let bytes = datagram(&self.rtp);
        let packet = RtpPacket::parse(&bytes).unwrap();
        (packet.sequence_number(), packet.timestamp(), packet.ssrc())
    }

    /// Reads away what has come, so that there is room for what comes.
    fn forget(&self) {
        self.rtp.set_nonblocking(true).unwrap();
        while self.rtp.recv(&mut [0; 1500]).is_ok() {}
        self.rtp.set_nonblocking(false).unwrap();
    }
}

/// A pair that is free now, below those that the system hands out.
pub fn own_ports() -> (UdpSocket, UdpSocket, Ports) {
    let pair = PortPool::new("29000-29999".parse().unwrap());
    let pair = pair.bind(([127, 0, 0, 1], 0).into()).unwrap();
    for socket in [&pair.rtp, &pair.rtcp] {
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    (pair.rtp, pair.rtcp, pair.ports)
}

pub fn datagram(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = [0; 65536];
    let count = socket.recv(&mut bytes).unwrap();
    assert!(count <= 1472, "a datagram of {count} bytes");
    bytes[..count].to_vec()
}

/// What stands behind `before`, up to `after` or the end of the line.
pub fn between<'a>(text: &'a str, before: &str, after: char) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap();
    rest.split([after, '\r']).next().unwrap()
}

#[test]
fn packets_come_from_the_ports_that_were_told_and_begin_as_rtp_info_says() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let viewer = Viewer::play(&site);
    let first = viewer.packet();
    let told = format!("seq={};rtptime={}", first.0, first.1);
    assert!(viewer.played.contains(&told), "{told} in {}", viewer.played);
    let mut bytes = [0; 1500];
    let (_, from) = viewer.rtp.recv_from(&mut bytes).unwrap();
    assert_eq!(from.port(), viewer.server.rtp);
    for _ in 0..200 {
        assert_eq!(viewer.packet().2, first.2, "one stream has one SSRC");
    }
}

#[test]
fn a_sender_report_carries_the_time_of_capture() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let camera = Camera::start(&site.project, Clip::plain());
    while camera.published() == 0 {
        sleep_until(clock::mono() + Duration::from_millis(10));
    }
    let viewer = Viewer::play(&site);
    let report = datagram(&viewer.rtcp);
    assert_eq!(report[..2], [0x80, 200]);
    let seconds = u32::from_be_bytes(report[8..12].try_into().unwrap());
    let now = clock::now().utc.0 / 1_000_000_000 + 2_208_988_800;
    // Eight seconds of clip, and a machine may be slow.
    assert!(u64::from(seconds).abs_diff(now) < 100, "captured at {seconds}, now {now}");
}

#[test]
fn a_session_outlives_its_connection_and_goes_on_by_another() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let mut viewer = Viewer::play(&site);
    viewer.packet();
    let session = format!("Session: {}\r\n", viewer.id);
    drop(std::mem::replace(&mut viewer.control, site.connect()));
    // More than the sockets can hold of what was sent before.
    for _ in 0..1_000 {
        viewer.packet();
    }
    let answer = viewer.control.ask("GET_PARAMETER", &site.url(), &session);
    assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
    viewer.packet();
    // The connection that has it now is still open: the session may move again.
    let mut third = site.connect();
    let answer = third.ask("PAUSE", &site.url(), &session);
    assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
    let answer = viewer.control.ask("PAUSE", &site.url(), &session);
    assert!(answer.starts_with("RTSP/1.0 200"), "the way back: {answer}");
    assert!(viewer.control.ask("TEARDOWN", &site.url(), &session).starts_with("RTSP/1.0 200"));
    assert!(third.ask("PLAY", &site.url(), &session).starts_with("RTSP/1.0 454"));
}

#[test]
fn who_closes_its_half_of_the_connection_sees_the_end_of_it_and_keeps_the_session() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let mut viewer = Viewer::play(&site);
    viewer.control.socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(viewer.control.socket.read(&mut [0; 16]).unwrap(), 0);
    viewer.packet();
    let session = format!("Session: {}\r\n", viewer.id);
    let answer = site.connect().ask("GET_PARAMETER", &site.url(), &session);
    assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
}

#[test]
fn every_request_that_names_a_session_fetches_it() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let viewer = Viewer::play(&site);
    let session = format!("Session: {}\r\n", viewer.id);
    for method in ["OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "PLAY", "PAUSE", "TEARDOWN"] {
        let answer = site.connect().ask(method, &site.url(), &session);
        assert!(answer.starts_with("RTSP/1.0 200"), "{method}: {answer}");
    }
}

#[test]
fn a_session_is_not_given_to_who_guesses_or_has_one_of_its_own() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let (viewer, mut other) = (Viewer::play(&site), Viewer::play(&site));
    let session = format!("Session: {}\r\n", viewer.id);
    let answer = other.control.ask("PAUSE", &site.url(), &session);
    assert!(answer.starts_with("RTSP/1.0 454"), "one connection carries one session: {answer}");
    let guessed: String = viewer.id.chars().rev().collect();
    let guessed = format!("Session: {guessed}x\r\n");
    assert!(site.connect().ask("PAUSE", &site.url(), &guessed).starts_with("RTSP/1.0 454"));
    let mut tcp = site.connect();
    let lines = "Transport: RTP/AVP/TCP;unicast\r\n";
    let answer = tcp.ask("SETUP", &format!("{}/trackID=0", site.url()), lines);
    let session = format!("Session: {}\r\n", between(&answer, "Session: ", ';'));
    assert!(site.connect().ask("PLAY", &site.url(), &session).starts_with("RTSP/1.0 454"));
    viewer.packet();
}

#[test]
fn who_has_left_without_a_word_is_sent_nothing_more() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let viewer = Viewer::play(&site);
    viewer.packet();
    let Viewer { control, rtp, rtcp, server, .. } = viewer;
    // Its reports would keep the session alive for ever, so that only the closed port can end it.
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let alive = std::thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            let _ = rtcp.send_to(b"\x80\xc9\0\x01\0\0\0\0", ("127.0.0.1", server.rtcp));
            sleep_until(clock::mono() + Duration::from_millis(100));
        }
    });
    drop((control, rtp));
    site.wait_until_empty();
    over.store(true, Ordering::Relaxed);
    alive.join().unwrap();
}

#[test]
fn pause_and_play_again_continue_the_stream() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let mut viewer = Viewer::play(&site);
    viewer.packet();
    let session = format!("Session: {}\r\n", viewer.id);
    assert!(viewer.control.ask("PAUSE", &site.url(), &session).starts_with("RTSP/1.0 200"));
    viewer.forget();
    let played = viewer.control.ask("PLAY", &site.url(), &session);
    let promised = between(&played, "seq=", ';').parse::<u16>().unwrap();
    let deadline = clock::mono() + PATIENCE;
    while viewer.packet().0 != promised {
        assert!(clock::mono() < deadline, "packet {promised} did not come");
    }
}

/// A receiver report: a quarter of the packets was lost lately, seven in all, the jitter is 10 ms.
pub fn receiver_report(ssrc: u32) -> Vec<u8> {
    let words = [0x81c9_0007, 1, ssrc, 0x4000_0007, 0, 900, 0, 0];
    words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect()
}

#[test]
fn what_a_viewer_reports_of_its_reception_is_listed() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let viewer = Viewer::play(&site);
    let (_, _, ssrc) = viewer.packet();
    viewer.rtcp.send_to(&receiver_report(ssrc), ("127.0.0.1", viewer.server.rtcp)).unwrap();
    let client = site.wait_for_reception(|seen| (seen.loss, seen.lost) == (0.25, 7));
    assert_eq!((client.camera.as_str(), client.transport.as_str()), ("cam1", "udp"));
    assert!(client.playing && client.units > 0);
    assert!((client.reception.unwrap().jitter_ms - 10.0).abs() < 0.001);
}

/// Reads reports until one ends in BYE.
pub fn wait_for_farewell(rtcp: &UdpSocket) {
    let deadline = clock::mono() + PATIENCE;
    loop {
        let packet = datagram(rtcp);
        if packet[packet.len() - 8..][..2] == [0x81, 203] {
            return;
        }
        assert!(clock::mono() < deadline, "no farewell");
    }
}

#[test]
fn teardown_and_a_stop_of_the_server_say_farewell() {
    if !has("ffmpeg") {
        return;
    }
    let mut site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let (mut first, second) = (Viewer::play(&site), Viewer::play(&site));
    first.packet();
    second.packet();
    let session = format!("Session: {}\r\n", first.id);
    first.control.ask("TEARDOWN", &site.url(), &session);
    wait_for_farewell(&first.rtcp);
    site.stop();
    wait_for_farewell(&second.rtcp);
}

#[test]
fn with_all_ports_taken_a_client_is_sent_to_tcp() {
    if !has("ffmpeg") {
        return;
    }
    let taken = PortPool::new("28000-28999".parse().unwrap());
    let taken = taken.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let udp_ports = taken.ports.to_string().parse().unwrap();
    let site = Site::open_with(Terms { udp_ports, ..Terms::over_tcp(8) });
    let _camera = Camera::start(&site.project, Clip::plain());
    let (url, udp) =
        (format!("{}/trackID=0", site.url()), "RTP/AVP;unicast;client_port=29998-29999");
    let mut client = site.connect();
    let alone = client.ask("SETUP", &url, &format!("Transport: {udp}\r\n"));
    assert!(alone.starts_with("RTSP/1.0 461"), "{alone}");
    let both = client.ask("SETUP", &url, &format!("Transport: {udp},RTP/AVP/TCP;unicast\r\n"));
    assert!(both.contains("interleaved=0-1"), "{both}");
    drop(taken);
    let again = site.connect().ask("SETUP", &url, &format!("Transport: {udp}\r\n"));
    assert!(again.starts_with("RTSP/1.0 200"), "{again}");
}
