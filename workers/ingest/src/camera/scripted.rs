//! An RTSP camera that follows a script: what it answers, what packets it makes of a picture, and when it
//! stops doing so. H.264 over interleaved TCP, or UDP where the client asks for it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use protocol::config::ingest::Source;

use crate::test_source::PatternEncoder;

const FPS: u64 = 100;
const RTP_MAX_BYTES: usize = 1200;
/// Encoded once and repeated; groups of ten.
const PICTURES: u64 = 60;

/// A description that no camera is ashamed of.
pub(super) const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\n\
    t=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1\r\na=control:track1\r\n";

/// What happens on one connection.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) sdp: String,
    /// The answer to a request, whose text is given, as it is written.
    pub(super) answer: fn(&str, String) -> String,
    /// Packets of picture `number` before they are written.
    pub(super) packets: fn(u64, Vec<Packet>) -> Vec<Packet>,
    /// Bytes written before a picture.
    pub(super) before: fn(u64) -> Vec<u8>,
    /// How many ms it is quiet behind a picture.
    pub(super) quiet_ms: fn(u64) -> u64,
    /// Pictures from first to last.
    pub(super) pictures: std::ops::Range<u64>,
    pub(super) end: End,
    pub(super) size: &'static str,
}

/// What comes after the last picture, or instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Closes the connection.
    Close,
    /// Keeps it, and sends nothing.
    Silence,
    /// Says nothing from the beginning.
    Mute,
    /// Answers a byte a second.
    Drip,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            sdp: SDP.to_owned(),
            answer: |_, answer| answer,
            packets: |_, packets| packets,
            before: |_| Vec::new(),
            quiet_ms: |_| 1000 / FPS,
            pictures: 0..u64::MAX,
            end: End::Silence,
            size: "128x64",
        }
    }
}

/// An RTP packet on its way.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) channel: u8,
    pub(super) payload_type: u8,
    pub(super) ssrc: u32,
    pub(super) ticks: u32,
    pub(super) marker: bool,
    /// Counts up by itself, plus this.
    pub(super) skip: u16,
    pub(super) payload: Vec<u8>,
}

/// What was asked, over all connections.
pub(super) type Asked = Arc<Mutex<Vec<String>>>;

/// One script a connection, the last one for all that follow. Answers the URL, and what is asked.
pub(super) fn serve(scripts: Vec<Script>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Asked::default();
    let record = Arc::clone(&asked);
    thread::spawn(move || {
        for (number, connection) in listener.incoming().enumerate() {
            let script = scripts[number.min(scripts.len() - 1)].clone();
            let record = Arc::clone(&record);
            // The client may leave at any time; that ends this connection only.
            thread::spawn(move || drop(play(connection.unwrap(), &script, &record)));
        }
    });
    (format!("rtsp://user:secret@127.0.0.1:{port}/cam"), asked)
}

fn play(mut connection: TcpStream, script: &Script, asked: &Asked) -> std::io::Result<()> {
    let mut heard = Vec::new();
    let mut port = None;
    loop {
        let request = read_request(&mut connection, &mut heard)?;
        asked.lock().unwrap().push(request.clone());
        port = port.or_else(|| client_port(&request));
        if script.end == End::Mute {
            continue;
        }
        let answer = (script.answer)(&request, answer_to(&request, &script.sdp));
        if script.end == End::Drip {
            for byte in answer.as_bytes() {
                connection.write_all(&[*byte])?;
                thread::sleep(Duration::from_secs(1));
            }
        }
        connection.write_all(answer.as_bytes())?;
        if request.starts_with("PLAY") {
            break;
        }
    }
    let requests = requests(connection.try_clone()?, heard);
    let mut answer = |connection: &mut TcpStream| {
        requests.try_iter().try_for_each(|request| {
            let answer = (script.answer)(&request, answer_to(&request, &script.sdp));
            asked.lock().unwrap().push(request);
            connection.write_all(answer.as_bytes())
        })
    };
    send_pictures(&mut connection, script, port, &mut answer)?;
    if script.end == End::Close {
        return connection.shutdown(Shutdown::Both);
    }
    // Until the client has had enough of it.
    while requests.recv().is_ok() {}
    Ok(())
}

/// What the client asks while pictures are sent, until it closes the connection.
fn requests(mut connection: TcpStream, mut heard: Vec<u8>) -> Receiver<String> {
    let (sender, requests) = channel();
    thread::spawn(move || {
        while let Ok(request) = read_request(&mut connection, &mut heard) {
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    requests
}

fn read_request(connection: &mut TcpStream, heard: &mut Vec<u8>) -> std::io::Result<String> {
    loop {
        if let Some(end) = heard.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let request: Vec<u8> = heard.drain(..end + 4).collect();
            let request = String::from_utf8_lossy(&request).into_owned();
            if !request.starts_with("RTSP/") {
                return Ok(request); // else an answer to a question of the camera's
            }
            continue;
        }
        let mut buffer = [0; 1024];
        let bytes = connection.read(&mut buffer)?;
        if bytes == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        heard.extend_from_slice(&buffer[..bytes]);
    }
}

/// Of a camera that does everything right.
fn answer_to(request: &str, sdp: &str) -> String {
    let header = |name: &str| request.lines().find_map(|line| line.strip_prefix(name));
    let url = request.split(' ').nth(1).unwrap_or_default();
    let (headers, body) = match request.split(' ').next().unwrap_or_default() {
        "DESCRIBE" => {
            (format!("Content-Base: {url}/\r\nContent-Type: application/sdp\r\n"), sdp.to_owned())
        }
        "SETUP" => {
            let transport = header("Transport: ").unwrap_or_default();
            (
                format!("Session: 1;timeout=60\r\nTransport: {transport};ssrc=00000007\r\n"),
                String::new(),
            )
        }
        "PLAY" => ("Session: 1\r\n".to_owned(), String::new()),
        _ => ("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n".to_owned(), String::new()),
    };
    let sequence = header("CSeq: ").unwrap_or_default();
    let length = body.len();
    format!(
        "RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Encoded pictures of this size.
pub(super) fn pictures(size: &str) -> Vec<Vec<u8>> {
    let Ok(Source::Test(pattern)) = format!("test:?size={size}&fps=100&gop=10").parse() else {
        panic!("a pattern that reads");
    };
    let mut encoder = PatternEncoder::open(&pattern).unwrap();
    (0..PICTURES).map(|number| encoder.encode(number).unwrap().payload).collect()
}

fn client_port(request: &str) -> Option<u16> {
    request.split_once("client_port=")?.1.split('-').next()?.parse().ok()
}

fn send_pictures(
    out: &mut TcpStream,
    script: &Script,
    port: Option<u16>,
    answer: &mut dyn FnMut(&mut TcpStream) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let datagrams = UdpSocket::bind("127.0.0.1:0")?;
    static USUAL: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let other;
    let pictures: &[Vec<u8>] = if script.size == "128x64" {
        USUAL.get_or_init(|| pictures("128x64"))
    } else {
        other = pictures(script.size);
        &other
    };
    let mut sequence = 65_500u16;
    for number in script.pictures.clone() {
        let unit = &pictures[usize::try_from(number % PICTURES).unwrap()];
        let mut bytes = (script.before)(number);
        let mut datagram = Vec::new();
        for packet in (script.packets)(number, packets_of(number, unit)) {
            sequence = sequence.wrapping_add(1).wrapping_add(packet.skip);
            match port {
                None => packet.write(sequence, &mut bytes),
                Some(port) => {
                    datagram.clear();
                    packet.write(sequence, &mut datagram);
                    // Behind the channel and the length, which are TCP's.
                    let port = port + u16::from(packet.channel % 2);
                    datagrams.send_to(&datagram[4..], ("127.0.0.1", port))?;
                }
            }
        }
        answer(out)?;
        out.write_all(&bytes)?;
        thread::sleep(Duration::from_millis((script.quiet_ms)(number)));
    }
    Ok(())
}

/// Picture `number` in packets.
pub(super) fn packets_of(number: u64, unit: &[u8]) -> Vec<Packet> {
    let ticks = u32::try_from(number * 90_000 / FPS % (1 << 32)).unwrap();
    let nals = super::fake::split(unit);
    let mut all: Vec<Packet> = nals
        .iter()
        .flat_map(|nal| super::fake::parts(nal, RTP_MAX_BYTES))
        .map(|(payload, _)| Packet {
            channel: 0,
            payload_type: 96,
            ssrc: 7,
            ticks,
            marker: false,
            skip: 0,
            payload,
        })
        .collect();
    if let Some(last) = all.last_mut() {
        last.marker = true;
    }
    all
}

impl Packet {
    pub(super) fn write(&self, sequence: u16, out: &mut Vec<u8>) {
        out.extend([b'$', self.channel]);
        out.extend(u16::try_from(self.payload.len() + 12).unwrap().to_be_bytes());
        out.extend([0x80, u8::from(self.marker) << 7 | self.payload_type]);
        out.extend(sequence.to_be_bytes());
        out.extend(self.ticks.to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
        out.extend(&self.payload);
    }
}
