//! An RTSP client of our own, for what players do not tell: when each access unit came, whether its bytes are
//! the source's, and what two hundred of it at once see. It shares no code with the server.
//!
//! ```text
//!   socket ──> wire (answers, interleaved packets) ──> units (RFC 6184) ──> Seen ──┐
//!   packet ring ──> source ───────────────────────────────────────────────> Sent ──┴─> judge
//! ```

pub mod crowd;
pub mod facts;
pub mod judge;
pub mod source;
pub mod units;
pub mod wire;

use std::hash::Hasher;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use protocol::time::MonoNs;
use shmring::clock;

use crate::project::free_port;
use crate::{Failure, Outcome, ensure};
use facts::Facts;
use judge::Seen;
use units::Units;
use wire::{Answer, Came, Wire};

/// What a server may take for an answer, or for the next packet: a machine may stand still for a while.
const PATIENCE: Duration = Duration::from_secs(120);
/// A session is kept alive well before its 60 s are over.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const READ_BYTES: usize = 64 << 10;
/// A whole second of a camera of 8 Mbit/s waits in the socket while this program does something else.
const UDP_BUFFER_BYTES: usize = 4 << 20;

/// What the packets come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Tcp,
    Udp,
}

/// The bytes of an access unit in 64 bits: SipHash with keys of zero, which is not meant to stand up to malice.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    wire: Wire,
    cseq: u32,
    session: String,
    /// What the packets come by once they play over UDP: RTP and RTCP.
    media: Option<(UdpSocket, UdpSocket)>,
    url: String,
}

/// What was watched of a picture.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    pub seen: Vec<Seen>,
    pub facts: Facts,
}

impl Client {
    pub fn connect(port: u16) -> Outcome<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let socket = TcpStream::connect_timeout(&address, PATIENCE)
            .map_err(|error| Failure(format!("connecting to {address}: {error}")))?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(Failure::new)?;
        socket.set_nodelay(true).map_err(Failure::new)?;
        Ok(Self {
            socket,
            wire: Wire::default(),
            cseq: 0,
            session: String::new(),
            media: None,
            url: String::new(),
        })
    }

    /// Sends a request with these further header lines, each ended, and waits for its answer.
    pub fn ask(&mut self, method: &str, url: &str, lines: &str) -> Outcome<Answer> {
        self.send(method, url, lines)?;
        loop {
            while let Some(came) = self.wire.take() {
                if let Came::Answer(answer) = came {
                    return Ok(answer);
                }
            }
            ensure(self.fill()? > 0, || format!("closed instead of an answer to {method} {url}"))?;
        }
    }

    fn send(&mut self, method: &str, url: &str, lines: &str) -> Outcome<()> {
        self.cseq += 1;
        let session = match self.session.as_str() {
            "" => String::new(),
            id => format!("Session: {id}\r\n"),
        };
        let request =
            format!("{method} {url} RTSP/1.0\r\nCSeq: {}\r\n{session}{lines}\r\n", self.cseq);
        self.socket.write_all(request.as_bytes()).map_err(Failure::new)
    }

    fn fill(&mut self) -> Outcome<usize> {
        let mut bytes = [0; READ_BYTES];
        let count = self.socket.read(&mut bytes).map_err(Failure::new)?;
        self.wire.push(&bytes[..count]);
        Ok(count)
    }

    /// Sets up the picture of `url` and plays it; its packets follow.
    pub fn play(&mut self, url: &str, over: Over) -> Outcome<()> {
        let described =
            must(self.ask("DESCRIBE", url, "Accept: application/sdp\r\n")?, "DESCRIBE")?;
        let control = picture_url(&described, url)
            .ok_or_else(|| Failure(format!("{url} has no picture: {}", described.text())))?;
        let transport = match over {
            Over::Tcp => "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n".to_owned(),
            Over::Udp => {
                let ports = self.open_media()?;
                format!("Transport: RTP/AVP;unicast;client_port={}-{}\r\n", ports, ports + 1)
            }
        };
        let set_up = must(self.ask("SETUP", &control, &transport)?, "SETUP")?;
        let session = set_up.header("session").unwrap_or_default();
        self.session = session.split(';').next().unwrap_or_default().trim().to_owned();
        must(self.ask("PLAY", url, "Range: npt=0.000-\r\n")?, "PLAY")?;
        url.clone_into(&mut self.url);
        Ok(())
    }

    /// A pair of ports as RTP wants it, the first one even; the first is returned.
    fn open_media(&mut self) -> Outcome<u16> {
        for _ in 0..100 {
            let port = free_port()? & !1;
            let bind = |port| UdpSocket::bind(("127.0.0.1", port));
            if let (Ok(rtp), Ok(rtcp)) = (bind(port), bind(port + 1)) {
                use nix::sys::socket::{setsockopt, sockopt};
                // The system may give less; what is lost by that is told as lost.
                let _ = setsockopt(&rtp, sockopt::RcvBuf, &UDP_BUFFER_BYTES);
                self.media = Some((rtp, rtcp));
                return Ok(port);
            }
        }
        Err(Failure::new("no pair of free ports of 100"))
    }

    /// Access units as they come, while `go_on` says so.
    pub fn watch(self, go_on: impl FnMut(&Seen) -> bool) -> Outcome<Stream> {
        match self.media.is_some() {
            true => self.watch_udp(go_on),
            false => self.watch_tcp(go_on),
        }
    }

    fn watch_tcp(mut self, mut go_on: impl FnMut(&Seen) -> bool) -> Outcome<Stream> {
        let (mut units, mut stream) = (Units::default(), Stream::default());
        loop {
            let now = clock::mono();
            while let Some(came) = self.wire.take() {
                let bytes = match came {
                    Came::Packet { channel: 0, bytes } => bytes,
                    Came::Packet { bytes, .. } => {
                        stream.facts.report(bytes);
                        continue;
                    }
                    Came::Answer(_) => continue,
                };
                stream.facts.packet(bytes);
                if let Some(unit) = units.push(bytes) {
                    let one = Seen::of(&unit, now);
                    stream.seen.push(one);
                    if !go_on(&one) {
                        return Ok(stream);
                    }
                }
            }
            let units = stream.seen.len();
            ensure(self.fill()? > 0, || format!("the server closed after {units} units"))?;
        }
    }

    fn watch_udp(mut self, mut go_on: impl FnMut(&Seen) -> bool) -> Outcome<Stream> {
        let (rtp, rtcp) = self.media.take().ok_or_else(|| Failure::new("not over UDP"))?;
        rtp.set_read_timeout(Some(PATIENCE)).map_err(Failure::new)?;
        rtcp.set_nonblocking(true).map_err(Failure::new)?;
        let (mut units, mut stream) = (Units::default(), Stream::default());
        let (mut packet, mut alive) = (vec![0; READ_BYTES], clock::mono());
        loop {
            let count = rtp.recv(&mut packet).map_err(|error| {
                let units = stream.seen.len();
                Failure(format!("no packet over UDP after {units} units: {error}"))
            })?;
            let now = clock::mono();
            stream.facts.packet(&packet[..count]);
            if now.saturating_since(alive) > KEEP_ALIVE {
                alive = now;
                let url = self.url.clone();
                self.send("GET_PARAMETER", &url, "")?;
            }
            let Some(unit) = units.push(&packet[..count]) else { continue };
            let one = Seen::of(&unit, now);
            stream.seen.push(one);
            if !go_on(&one) {
                return Ok(stream);
            }
            while let Ok(count) = rtcp.recv(&mut packet) {
                stream.facts.report(&packet[..count]);
            }
        }
    }

    /// The connection, and what has come by it that nobody looked at yet.
    pub fn into_parts(self) -> (TcpStream, Wire) {
        (self.socket, self.wire)
    }
}

fn must(answer: Answer, method: &str) -> Outcome<Answer> {
    let status = answer.status;
    ensure(status == 200, || format!("{method} was answered {status}"))?;
    Ok(answer)
}

/// The control URL of the first picture of a description (RFC 2326 appendix C.1.1).
fn picture_url(described: &Answer, url: &str) -> Option<String> {
    let text = described.text();
    let media = text.split("\nm=").find(|media| media.starts_with("video "))?;
    let control = media.lines().find_map(|line| line.strip_prefix("a=control:"))?.trim();
    if control.contains("://") {
        return Some(control.to_owned());
    }
    let base = described.header("content-base").unwrap_or(url).trim_end_matches('/');
    Some(format!("{base}/{control}"))
}

/// What a server says to a SETUP of its picture with this transport: whether it serves that.
pub fn serves(port: u16, url: &str, transport: &str) -> Outcome<bool> {
    let mut client = Client::connect(port)?;
    let described = must(client.ask("DESCRIBE", url, "Accept: application/sdp\r\n")?, "DESCRIBE")?;
    let control = picture_url(&described, url).unwrap_or_else(|| url.to_owned());
    let answer = client.ask("SETUP", &control, &format!("Transport: {transport}\r\n"))?;
    Ok(answer.status == 200)
}

/// Whether a server answers the GET with which an HTTP tunnel begins.
pub fn serves_tunnels(port: u16, path: &str) -> Outcome<bool> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).map_err(Failure::new)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(Failure::new)?;
    let request = format!(
        "GET /{path} HTTP/1.0\r\nx-sessioncookie: {:016x}\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n",
        clock::mono().0
    );
    socket.write_all(request.as_bytes()).map_err(Failure::new)?;
    let mut line = [0; 12];
    // Closed unheard is a no as well.
    Ok(socket.read_exact(&mut line).is_ok() && line.starts_with(b"HTTP/") && line.ends_with(b"200"))
}

/// Connects and plays as a patient person does: again while the server says no, up to [`PATIENCE`]; a refused
/// connection is a failure, for the listening socket is there all the time.
pub fn play_again(port: u16, url: &str, over: Over) -> Outcome<(Client, u32)> {
    let until: MonoNs = clock::mono() + PATIENCE;
    let mut tries = 1;
    loop {
        let mut client = Client::connect(port)?;
        match client.play(url, over) {
            Ok(()) => return Ok((client, tries)),
            Err(failure) if clock::mono() > until => return Err(failure),
            Err(_) => tries += 1,
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(base: &str, control: &str) -> Answer {
        let body = format!(
            "v=0\r\na=control:*\r\nm=audio 0 RTP/AVP 97\r\na=control:a\r\nm=video 0 RTP/AVP 96\r\na=control:{control}\r\n"
        );
        let mut wire = Wire::default();
        let length = body.len();
        let text = format!(
            "RTSP/1.0 200 OK\r\nContent-Base: {base}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        wire.push(text.as_bytes());
        match wire.take() {
            Some(Came::Answer(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_control_url_of_the_picture_is_absolute_or_behind_the_base() {
        let url = |base, control| picture_url(&described(base, control), "rtsp://h/cam");
        let expected = Some("rtsp://h/cam/stream=0".to_owned());
        assert_eq!(url("rtsp://h/cam/", "stream=0"), expected);
        assert_eq!(url("rtsp://h/cam", "stream=0"), expected);
        assert_eq!(url("rtsp://h/x", "rtsp://h/cam/stream=0"), expected);
    }
}
