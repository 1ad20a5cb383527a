//! Cameras that publish by themselves, as they are and as they should not be. A thread does what an rtsp worker
//! does with their connection: it reads up to the ANNOUNCE and hands it on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use protocol::config::ingest::Second;
use protocol::time::{ClockSource, UtcNs};
use protocol::units::BitRate;
use worker::door::{Visitor, hand_on, of_publishers};

use super::scripted::{Packet, packets_of, pictures};
use super::*;
use crate::rtsp::message::{Inbox, Incoming};

mod by_programs;

/// Everything here is over far sooner, or broken.
const LIMIT: Duration = Duration::from_secs(120);
const VIDEO: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n";
const SOUND: &str = "m=audio 0 RTP/AVP 0\r\na=control:streamid=1\r\n";

/// A camera that waits for publishers, and the address they send to.
struct Host {
    camera: Camera,
    address: SocketAddr,
    folder: PathBuf,
    seen: Vec<CapturedUnit>,
    downs: Vec<String>,
    tracks: Vec<Vec<Track>>,
}

impl Host {
    fn open(second: Second, most: u64) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("framevisor-publishers-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let awaited =
            Awaited { doors: folder.clone(), path: "cam".to_owned(), second, most: BitRate(most) };
        let mut camera = Camera::await_publisher(awaited, Arc::default()).unwrap();
        let Event::Preparing(begins) = camera.next(Duration::ZERO).unwrap() else { panic!() };
        assert_eq!(begins, "waiting for somebody to publish to /cam");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let doors = folder.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                // Who leaves before its ANNOUNCE is nobody's.
                let _ = receive(connection.unwrap(), &doors);
            }
        });
        let (seen, downs, tracks) = (Vec::new(), Vec::new(), Vec::new());
        Self { camera, address, folder, seen, downs, tracks }
    }

    fn url(&self) -> String {
        format!("rtsp://{}/cam", self.address)
    }

    /// Takes what comes until `enough`; `meanwhile` is done again and again.
    fn watch(&mut self, mut meanwhile: impl FnMut(), enough: impl Fn(&Self) -> bool) {
        let deadline = clock::mono() + LIMIT;
        while !enough(self) {
            assert!(clock::mono() < deadline, "not enough seen in {LIMIT:?}: {:?}", self.downs);
            meanwhile();
            match self.camera.next(Duration::from_millis(5)).unwrap() {
                Event::Unit(captured) => self.seen.push(captured),
                Event::Down(why) => self.downs.push(why),
                Event::Tracks(tracks) => self.tracks.push(tracks),
                _ => {}
            }
        }
    }

    /// Until somebody is gone, for a reason that has these words.
    fn watch_it_end(&mut self, words: &str) {
        let before = self.downs.len();
        self.watch(|| (), |host| host.downs.len() > before);
        assert!(self.downs[before].contains(words), "{:?} lacks {words:?}", self.downs[before]);
    }

    /// Pictures of track 0, all of them whole and 10 ms apart.
    fn pictures(&self) -> Vec<&CapturedUnit> {
        let pictures: Vec<_> = self.seen.iter().filter(|it| it.unit.track == 0).collect();
        assert!(pictures.iter().all(|captured| !captured.unit.corrupt));
        pictures
    }

    fn close(mut self) {
        self.camera.close();
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn receive(mut connection: TcpStream, doors: &std::path::Path) -> std::io::Result<()> {
    let (mut inbox, mut unread, mut buffer) = (Inbox::default(), Vec::new(), [0; 4096]);
    loop {
        let bytes = connection.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(());
        }
        inbox.push(&buffer[..bytes]);
        unread.extend_from_slice(&buffer[..bytes]);
        match inbox.next() {
            Ok(Some(Incoming::Request(request))) if request.method != "ANNOUNCE" => {
                unread.clear(); // nobody sends more before this is answered
                let answer = format!("RTSP/1.0 200 OK\r\nCSeq: {}\r\n\r\n", request.sequence());
                connection.write_all(answer.as_bytes())?;
            }
            Ok(Some(_)) => break,
            Ok(None) => {}
            Err(_) => return Ok(()),
        }
    }
    let (peer, local) = (connection.peer_addr()?, connection.local_addr()?.ip());
    let visitor = Visitor { peer, local, bytes: unread };
    hand_on(doors, &of_publishers("cam"), connection.as_fd(), &visitor).unwrap();
    Ok(())
}

/// Who publishes.
struct Publisher {
    connection: TcpStream,
    sequence: u32,
    session: String,
    heard: Vec<u8>,
    rtp_sequence: u16,
    next: u64,
    /// With UDP: from where, and to which port.
    datagrams: Option<(UdpSocket, u16)>,
}

impl Publisher {
    fn at(host: &Host) -> Self {
        let connection = TcpStream::connect(host.address).unwrap();
        connection.set_read_timeout(Some(LIMIT)).unwrap();
        Self {
            connection,
            sequence: 0,
            session: String::new(),
            heard: Vec::new(),
            rtp_sequence: 65_500,
            next: 0,
            datagrams: None,
        }
    }

    /// One that sends pictures from now on.
    fn recording(host: &Host) -> Self {
        let mut publisher = Self::at(host);
        publisher.announce(VIDEO, 200);
        publisher.set_up(0, 200);
        publisher.expect("RECORD", "", "", "", 200);
        publisher
    }

    fn ask(&mut self, method: &str, track: &str, headers: &str, body: &str) -> String {
        self.sequence += 1;
        let (sequence, length) = (self.sequence, body.len());
        let text = format!(
            "{method} rtsp://h/cam{track} RTSP/1.0\r\nCSeq: {sequence}\r\n{}{headers}Content-Length: {length}\r\n\r\n{body}",
            self.session
        );
        self.connection.write_all(text.as_bytes()).unwrap();
        let answer = self.answer();
        assert!(answer.contains(&format!("CSeq: {sequence}\r\n")), "{answer}");
        answer
    }

    /// The next answer; receiver reports before it are passed over.
    fn answer(&mut self) -> String {
        loop {
            while let [b'$', _, high, low, ..] = *self.heard {
                let end = 4 + usize::from(u16::from_be_bytes([high, low]));
                if self.heard.len() < end {
                    break;
                }
                self.heard.drain(..end);
            }
            let end = self.heard.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end.filter(|_| self.heard.starts_with(b"RTSP")) {
                let answer = self.heard.drain(..end + 4).collect();
                return String::from_utf8(answer).unwrap();
            }
            let mut buffer = [0; 4096];
            let bytes = self.connection.read(&mut buffer).unwrap();
            assert!(bytes > 0, "closed without an answer");
            self.heard.extend_from_slice(&buffer[..bytes]);
        }
    }

    fn expect(&mut self, method: &str, track: &str, headers: &str, body: &str, status: u16) {
        let answer = self.ask(method, track, headers, body);
        assert!(answer.starts_with(&format!("RTSP/1.0 {status} ")), "{method}: {answer}");
    }

    fn announce(&mut self, sdp: &str, status: u16) {
        let kind = "Content-Type: application/sdp\r\n";
        self.expect("ANNOUNCE", "", kind, &format!("v=0\r\ns=x\r\n{sdp}"), status);
    }

    fn set_up(&mut self, track: u8, status: u16) -> String {
        let (rtp, rtcp) = (2 * track, 2 * track + 1);
        let transport =
            format!("Transport: RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};mode=RECORD\r\n");
        self.set_up_by(track, &transport, status)
    }

    fn set_up_by(&mut self, track: u8, transport: &str, status: u16) -> String {
        let answer = self.ask("SETUP", &format!("/streamid={track}"), transport, "");
        assert!(answer.starts_with(&format!("RTSP/1.0 {status} ")), "{answer}");
        if let Some((_, session)) = answer.split_once("Session: ") {
            let id = session.split([';', '\r']).next().unwrap();
            self.session = format!("Session: {id}\r\n");
        }
        answer
    }

    /// The next so many pictures, 10 ms apart by their times.
    fn send(&mut self, count: u64) {
        static PICTURES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
        let all = PICTURES.get_or_init(|| pictures("128x64"));
        for number in self.next..self.next + count {
            let unit = &all[usize::try_from(number).unwrap() % all.len()];
            for packet in packets_of(number, unit) {
                self.packet(&packet);
            }
        }
        self.next += count;
    }

    fn packet(&mut self, packet: &Packet) {
        self.rtp_sequence = self.rtp_sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        packet.write(self.rtp_sequence, &mut bytes);
        match &self.datagrams {
            // The host may have ended it already.
            None => drop(self.connection.write_all(&bytes)),
            Some((socket, port)) => drop(socket.send_to(&bytes[4..], ("127.0.0.1", *port))),
        }
    }

    /// Whether the host closes the connection within the time.
    fn is_closed(&mut self) -> bool {
        match self.connection.read_to_end(&mut Vec::new()) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    fn expect_end(mut self, host: &mut Host) {
        self.expect("TEARDOWN", "", "", "", 200);
        host.watch_it_end("ended its stream");
    }
}

/// A good publisher is a camera, whatever was before.
fn publishes(host: &mut Host) {
    let before = host.seen.len();
    let mut publisher = Publisher::recording(host);
    host.watch(|| publisher.send(1), |host| host.seen.len() >= before + 40);
    let joints = host.seen[before..].iter().filter(|captured| captured.discontinuity).count();
    assert_eq!(joints, 1);
    publisher.expect_end(host);
}

#[test]
fn a_publisher_over_tcp_is_a_camera_with_every_picture() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut publisher = Publisher::recording(&host);
    publisher.send(200);
    publisher.expect("TEARDOWN", "", "", "", 200);
    host.watch_it_end("ended its stream");
    let pictures = host.pictures();
    assert_eq!(pictures.len(), 200);
    assert!(pictures[0].discontinuity && pictures[0].unit.key);
    for pair in pictures.windows(2) {
        assert_eq!(pair[1].unit.pts_ns - pair[0].unit.pts_ns, 10_000_000);
    }
    assert_eq!((host.tracks[0][0].width, host.tracks[0][0].height), (128, 64));
    host.close();
}

#[test]
fn a_publisher_over_udp_is_a_camera_and_hears_how_its_packets_come() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut publisher = Publisher::at(&host);
    publisher.announce(VIDEO, 200);
    let packets = UdpSocket::bind("127.0.0.1:0").unwrap();
    let reports = UdpSocket::bind("127.0.0.1:0").unwrap();
    reports.set_nonblocking(true).unwrap();
    let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    let transport = format!(
        "Transport: RTP/AVP/UDP;unicast;client_port={}-{};mode=record\r\n",
        port(&packets),
        port(&reports)
    );
    let answer = publisher.set_up_by(0, &transport, 200);
    let server = answer.split_once("server_port=").unwrap().1.split('-').next().unwrap();
    publisher.datagrams = Some((packets, server.parse().unwrap()));
    publisher.expect("RECORD", "", "", "", 200);
    let mut report = [0; 256];
    let heard = std::cell::Cell::new(0);
    host.watch(
        || {
            publisher.send(1);
            // As many as a camera sends: the first report comes after some seconds.
            thread::sleep(Duration::from_millis(10));
            heard.set(heard.get().max(reports.recv(&mut report).unwrap_or(0)));
        },
        |host| host.seen.len() > 100 && heard.get() > 0,
    );
    assert_eq!((report[0] >> 6, report[1]), (2, 201), "a receiver report");
    assert!(host.pictures()[0].discontinuity);
    publisher.expect_end(&mut host);
    host.close();
}

#[test]
fn a_publisher_that_comes_back_goes_on_in_the_same_time_line() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut publisher = Publisher::recording(&host);
    host.watch(|| publisher.send(1), |host| host.seen.len() >= 40);
    drop(publisher);
    host.watch_it_end("closed the connection");
    let first = host.seen.len();
    publishes(&mut host);
    assert!(host.seen.windows(2).all(|pair| pair[0].unit.dts_ns < pair[1].unit.dts_ns));
    assert!(host.seen[0].discontinuity && host.seen[first].discontinuity);
    assert_eq!(host.tracks.len(), 2);
    host.close();
}

#[test]
fn sound_comes_beside_the_picture_whatever_was_set_up_first_and_what_is_not_carried_is_taken() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut publisher = Publisher::at(&host);
    let data = "m=application 0 RTP/AVP 107\r\na=control:streamid=2\r\n";
    publisher.announce(&[VIDEO, SOUND, data].concat(), 200);
    for track in [2, 1, 0] {
        publisher.set_up(track, 200);
    }
    publisher.expect("RECORD", "", "", "", 200);
    let mut samples = 0;
    host.watch(
        || {
            publisher.send(1);
            let (ticks, payload) = (samples, vec![0x55; 80]);
            samples += 80;
            let (channel, payload_type, ssrc, marker, skip) = (2, 0, 8, false, 0);
            publisher.packet(&Packet { channel, payload_type, ssrc, ticks, marker, skip, payload });
        },
        |host| host.seen.iter().filter(|captured| captured.unit.track == 1).count() > 20,
    );
    let codecs: Vec<_> = host.tracks[0].iter().map(|track| track.codec).collect();
    assert_eq!(codecs, [protocol::stream::Codec::H264, protocol::stream::Codec::PcmMulaw]);
    publisher.expect_end(&mut host);
    host.close();
}

#[test]
fn a_publishers_reports_tell_its_clock() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    // Who is stopped for seconds between the report and the picture is late by the clock, too.
    let is_told = (0..20).any(|_| {
        let first = host.seen.len();
        let mut publisher = Publisher::recording(&host);
        let second = clock::now().utc.0 / 1_000_000_000;
        let ntp = u32::try_from(second + 2_208_988_800).unwrap();
        // Of source 7, whose timestamp 0 was captured at that second.
        let mut report = vec![b'$', 1, 0, 28, 0x80, 200, 0, 6];
        for word in [7, ntp, 0, 0, 0, 0] {
            report.extend(u32::to_be_bytes(word));
        }
        publisher.connection.write_all(&report).unwrap();
        host.watch(|| publisher.send(1), |host| host.seen.len() >= first + 20);
        publisher.expect_end(&mut host);
        let begun = UtcNs(second * 1_000_000_000);
        let first = &host.seen[first];
        first.clock == ClockSource::Camera && first.capture.utc == begun
    });
    assert!(is_told);
    host.close();
}

#[test]
fn a_second_publisher_is_refused_while_the_first_one_sends() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut first = Publisher::recording(&host);
    host.watch(|| first.send(1), |host| host.seen.len() >= 20);
    let address = host.address;
    let second = thread::spawn(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(LIMIT)).unwrap();
        let length = VIDEO.len();
        let text = format!(
            "ANNOUNCE rtsp://h/cam RTSP/1.0\r\nCSeq: 9\r\nContent-Length: {length}\r\n\r\n{VIDEO}"
        );
        connection.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    });
    let before = host.seen.len();
    host.watch(|| first.send(1), |host| host.seen.len() > before && second.is_finished());
    let answer = second.join().unwrap();
    assert!(answer.starts_with("RTSP/1.0 503 ") && answer.contains("CSeq: 9"), "{answer}");
    assert!(answer.contains("Retry-After: "), "{answer}");
    assert!(host.downs.is_empty(), "{:?}", host.downs);
    first.expect_end(&mut host);
    host.close();
}

#[test]
fn a_second_publisher_replaces_the_first_where_the_topology_says_so_and_garbage_does_not() {
    let mut host = Host::open(Second::Replace, 8_000_000);
    let mut first = Publisher::recording(&host);
    host.watch(|| first.send(1), |host| host.seen.len() >= 20);
    let mut bad = Publisher::at(&host);
    bad.announce("m=video 0 RTP/AVP 96\r\na=rtpmap:96 X-MAGIC/90000\r\n", 415);
    host.watch(|| first.send(1), |host| host.seen.len() >= 40);
    assert!(host.downs.is_empty(), "{:?}", host.downs);
    publishes(&mut host);
    assert!(host.downs[0].contains("gave way to 127.0.0.1:"), "{:?}", host.downs);
    assert!(first.is_closed());
    host.close();
}

#[test]
fn a_publisher_that_is_silent_gives_way_before_it_is_given_up() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut first = Publisher::recording(&host);
    host.watch(|| first.send(1), |host| host.seen.len() >= 20);
    let deadline = clock::mono() + LIMIT;
    loop {
        assert!(clock::mono() < deadline, "it never gives way");
        let mut second = Publisher::at(&host);
        let kind = "Content-Type: application/sdp\r\n";
        let answer = second.ask("ANNOUNCE", "", kind, VIDEO);
        if answer.starts_with("RTSP/1.0 200 ") {
            break;
        }
        assert!(answer.starts_with("RTSP/1.0 503 "), "{answer}");
        thread::sleep(Duration::from_millis(100));
    }
    // Before the nine seconds of silence, or just behind them on a machine that was busy.
    host.watch(|| (), |host| !host.downs.is_empty());
    let why = &host.downs[0];
    assert!(why.contains("gave way to") || why.contains("nothing came for 9 s"), "{why}");
    host.close();
}

#[test]
fn a_publisher_that_pauses_is_waited_for() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut publisher = Publisher::recording(&host);
    host.watch(|| publisher.send(1), |host| host.seen.len() >= 20);
    publisher.expect("PAUSE", "", "", "", 200);
    publisher.expect("GET_PARAMETER", "", "", "", 200);
    publisher.expect("RECORD", "", "", "", 200);
    host.watch(|| publisher.send(1), |host| host.seen.len() >= 60);
    assert!(host.downs.is_empty(), "{:?}", host.downs);
    assert_eq!(host.seen.iter().filter(|captured| captured.discontinuity).count(), 1);
    publisher.expect_end(&mut host);
    host.close();
}

/// Its name, what a publisher does after its ANNOUNCE, and how that is told.
type Case = (&'static str, fn(&mut Publisher), &'static str);

#[test]
fn hostile_publishers_are_told_and_leave_the_place_to_good_ones() {
    let cases: [Case; 7] = [
        ("closes at once", |_| (), "closed the connection"),
        ("garbage", |publisher| drop(publisher.connection.write_all(&[b'x'; 100_000])), "no RTSP"),
        (
            "a head without an end",
            |publisher| {
                let head = [b"SETUP rtsp://h/cam RTSP/1.0\r\nX: ".as_slice(), &[b'x'; 70_000]];
                drop(publisher.connection.write_all(&head.concat()));
            },
            "no RTSP",
        ),
        (
            "a body that never comes",
            |publisher| {
                let head =
                    "SETUP rtsp://h/cam RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 9999999\r\n\r\n";
                drop(publisher.connection.write_all(head.as_bytes()));
            },
            "no RTSP",
        ),
        (
            "packets before RECORD, and RECORD without SETUP",
            |publisher| {
                publisher.send(20);
                publisher.expect("RECORD", "", "", "", 455);
                publisher.expect("SETUP", "/streamid=0", "Transport: RTP/AVP\r\n", "", 461);
            },
            "closed the connection",
        ),
        (
            "packets of nobody",
            |publisher| {
                publisher.set_up(0, 200);
                publisher.expect("RECORD", "", "", "", 200);
                for number in 0..2000_u32 {
                    let bytes = number.wrapping_mul(2_654_435_761).to_be_bytes();
                    let packet = [&[b'$', bytes[3] % 4, 0, 4][..], &bytes].concat();
                    drop(publisher.connection.write_all(&packet));
                }
            },
            "closed the connection",
        ),
        (
            "a session that is not its own",
            |publisher| {
                publisher.set_up(0, 200);
                publisher.session = "Session: 00000000000000000000000000000000\r\n".to_owned();
                publisher.expect("RECORD", "", "", "", 454);
                publisher.expect("TEARDOWN", "", "", "", 454);
            },
            "closed the connection",
        ),
    ];
    let mut host = Host::open(Second::Refuse, 8_000_000);
    for (name, act, words) in cases {
        let mut publisher = Publisher::at(&host);
        publisher.announce(VIDEO, 200);
        act(&mut publisher);
        drop(publisher);
        let before = host.downs.len();
        host.watch(|| (), |host| host.downs.len() > before);
        assert!(host.downs[before].contains(words), "{name}: {:?}", host.downs[before]);
    }
    publishes(&mut host);
    host.close();
}

#[test]
fn a_flood_is_ended_and_the_next_publisher_is_welcome() {
    let mut host = Host::open(Second::Refuse, 64_000);
    let mut publisher = Publisher::recording(&host);
    let packet = [&[b'$', 0, 0xff, 0xff][..], &[0; 65_535]].concat();
    // 42 MB, where 160 KB are room for ten seconds.
    for _ in 0..640 {
        if publisher.connection.write_all(&packet).is_err() {
            break;
        }
    }
    host.watch_it_end("at most twice max_bitrate (64k)");
    assert!(publisher.is_closed());
    let mut next = Publisher::at(&host);
    next.announce(VIDEO, 200);
    next.expect("TEARDOWN", "", "", "", 200);
    host.watch_it_end("ended its stream");
    host.close();
}

#[test]
fn announcements_that_cannot_be_carried_are_answered() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    for (sdp, status, words) in [
        ("", 400, "announced 0 streams"),
        ("m=video 0 RTP/AVP 96\r\na=rtpmap:96 X-MAGIC/90000\r\n", 415, "nothing to carry"),
        (&*SOUND.repeat(100), 400, "announced 100 streams"),
    ] {
        Publisher::at(&host).announce(sdp, status);
        host.watch_it_end(words);
    }
    publishes(&mut host);
    host.close();
}

#[test]
fn publishers_that_do_not_go_on_are_given_up() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut dawdles = Publisher::at(&host);
    dawdles.announce(VIDEO, 200);
    host.watch_it_end("did not begin it within 9 s");
    assert!(dawdles.is_closed());
    let mut falls_silent = Publisher::recording(&host);
    host.watch(|| falls_silent.send(1), |host| host.seen.len() >= 20);
    host.watch_it_end("nothing came for 9 s");
    assert!(falls_silent.is_closed());
    publishes(&mut host);
    host.close();
}
