//! A camera that waits for publishers, and publishers that write their requests by hand. A thread does what an rtsp
//! worker does with their connection: it reads up to the ANNOUNCE and hands it on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use protocol::config::ingest::Second;
use protocol::units::BitRate;
use worker::door::{Visitor, hand_on, of_publishers};

use super::super::scripted::{Packet, packets_of, pictures};
use super::super::*;
use crate::rtsp::message::{Inbox, Incoming};

/// Everything here is over far sooner, or broken.
pub(super) const LIMIT: Duration = Duration::from_secs(120);
pub(super) const VIDEO: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n";
pub(super) const SOUND: &str = "m=audio 0 RTP/AVP 0\r\na=control:streamid=1\r\n";

/// A camera that waits for publishers, and the address they send to.
pub(super) struct Host {
    pub(super) camera: Camera,
    pub(super) address: SocketAddr,
    pub(super) folder: PathBuf,
    pub(super) seen: Vec<CapturedUnit>,
    pub(super) downs: Vec<String>,
    pub(super) tracks: Vec<Vec<Track>>,
}

impl Host {
    pub(super) fn open(second: Second, most: u64) -> Self {
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

    pub(super) fn url(&self) -> String {
        format!("rtsp://{}/cam", self.address)
    }

    /// Takes what comes until `enough`; `meanwhile` is done again and again.
    pub(super) fn watch(&mut self, mut meanwhile: impl FnMut(), enough: impl Fn(&Self) -> bool) {
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
    pub(super) fn watch_it_end(&mut self, words: &str) {
        let before = self.downs.len();
        self.watch(|| (), |host| host.downs.len() > before);
        assert!(self.downs[before].contains(words), "{:?} lacks {words:?}", self.downs[before]);
    }

    /// Pictures of track 0, all of them whole and 10 ms apart.
    pub(super) fn pictures(&self) -> Vec<&CapturedUnit> {
        let pictures: Vec<_> = self.seen.iter().filter(|it| it.unit.track == 0).collect();
        assert!(pictures.iter().all(|captured| !captured.unit.corrupt));
        pictures
    }

    pub(super) fn close(mut self) {
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
pub(super) struct Publisher {
    pub(super) connection: TcpStream,
    pub(super) sequence: u32,
    pub(super) session: String,
    pub(super) heard: Vec<u8>,
    pub(super) rtp_sequence: u16,
    pub(super) next: u64,
    /// With UDP: from where, and to which port.
    pub(super) datagrams: Option<(UdpSocket, u16)>,
}

impl Publisher {
    pub(super) fn at(host: &Host) -> Self {
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
    pub(super) fn recording(host: &Host) -> Self {
        let mut publisher = Self::at(host);
        publisher.announce(VIDEO, 200);
        publisher.set_up(0, 200);
        publisher.expect("RECORD", "", "", "", 200);
        publisher
    }

    pub(super) fn ask(&mut self, method: &str, track: &str, headers: &str, body: &str) -> String {
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
    pub(super) fn answer(&mut self) -> String {
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

    pub(super) fn expect(
        &mut self,
        method: &str,
        track: &str,
        headers: &str,
        body: &str,
        status: u16,
    ) {
        let answer = self.ask(method, track, headers, body);
        assert!(answer.starts_with(&format!("RTSP/1.0 {status} ")), "{method}: {answer}");
    }

    pub(super) fn announce(&mut self, sdp: &str, status: u16) {
        let kind = "Content-Type: application/sdp\r\n";
        self.expect("ANNOUNCE", "", kind, &format!("v=0\r\ns=x\r\n{sdp}"), status);
    }

    pub(super) fn set_up(&mut self, track: u8, status: u16) -> String {
        let (rtp, rtcp) = (2 * track, 2 * track + 1);
        let transport =
            format!("Transport: RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};mode=RECORD\r\n");
        self.set_up_by(track, &transport, status)
    }

    pub(super) fn set_up_by(&mut self, track: u8, transport: &str, status: u16) -> String {
        let answer = self.ask("SETUP", &format!("/streamid={track}"), transport, "");
        assert!(answer.starts_with(&format!("RTSP/1.0 {status} ")), "{answer}");
        if let Some((_, session)) = answer.split_once("Session: ") {
            let id = session.split([';', '\r']).next().unwrap();
            self.session = format!("Session: {id}\r\n");
        }
        answer
    }

    /// The next so many pictures, 10 ms apart by their times.
    pub(super) fn send(&mut self, count: u64) {
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

    pub(super) fn packet(&mut self, packet: &Packet) {
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
    pub(super) fn is_closed(&mut self) -> bool {
        match self.connection.read_to_end(&mut Vec::new()) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    pub(super) fn expect_end(mut self, host: &mut Host) {
        self.expect("TEARDOWN", "", "", "", 200);
        host.watch_it_end("ended its stream");
    }
}

/// A good publisher is a camera, whatever was before.
pub(super) fn publishes(host: &mut Host) {
    let before = host.seen.len();
    let mut publisher = Publisher::recording(host);
    host.watch(|| publisher.send(1), |host| host.seen.len() >= before + 40);
    let joints = host.seen[before..].iter().filter(|captured| captured.discontinuity).count();
    assert_eq!(joints, 1);
    publisher.expect_end(host);
}
