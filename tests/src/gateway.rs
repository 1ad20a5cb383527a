//! A camera that can be anything: one of our RTSP servers behind a gateway that passes on what it says, late,
//! lossy or by UDP, or does what bad cameras and bad networks do.
//!
//! ```text
//! our server ── TCP ──> pieces (answers, packets) ──> Line: lost? late? ──> TCP, or UDP for packets ──> ingest
//!                                                     Mood: passes on, or does harm
//! ```

mod harm;
mod piece;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use protocol::time::MonoNs;
use shmring::clock;

use crate::project::free_port;
use crate::{Failure, Outcome};
pub(crate) use piece::whole_bytes;
use piece::{Pieces, Wrap};

const POLL: Duration = Duration::from_millis(5);
/// The shortest time after which Linux sends a segment again that nobody has confirmed (TCP_RTO_MIN).
const SENT_AGAIN: Duration = Duration::from_millis(200);

/// What the line does to what comes from the server; by default nothing.
#[derive(Clone, Debug)]
pub struct Line {
    /// Each piece is late by a number of ms in here. By TCP the order stays.
    pub late_ms: Range<u64>,
    /// Of a thousand packets of media so many do not arrive. By TCP they are sent again: they come so much later,
    /// and all behind them with them.
    pub lost_per_1000: u64,
    /// Packets go to the ports that the client names.
    pub by_udp: bool,
    /// Packets of odd channels, which are reports, do not arrive.
    pub without_reports: bool,
    /// The 32 bits of the timestamps begin again so many seconds after the first packet of a connection.
    pub wraps_after_s: Option<u32>,
    /// Where chance begins; the same seed is the same line.
    pub seed: u64,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            late_ms: 0..1,
            lost_per_1000: 0,
            by_udp: false,
            without_reports: false,
            wraps_after_s: None,
            seed: 1,
        }
    }
}

/// What the camera does now. A change ends connections that were made in another mood, where it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Passes,
    /// Nobody listens; connections end.
    Refuses,
    /// Connections are reset.
    Resets,
    /// Connections stay, and nothing is said.
    Mute,
    /// A byte a second of what was to be said.
    Drips,
    /// Says later, all at once, what it does not say now.
    Holds,
    /// DESCRIBE is answered by a redirect to the same address.
    Redirects,
    /// Whatever the password is, it is wrong.
    Denies,
    /// The description is none.
    Undescribed,
    /// Bytes of no protocol.
    Nonsense,
}

/// A request of a client, and when it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: MonoNs,
    pub text: String,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Gateway {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    line: Line,
    mood: Mutex<Mood>,
    requests: Mutex<Vec<Request>>,
    lost: AtomicU64,
    passed: AtomicU64,
    over: AtomicBool,
}

impl Gateway {
    /// On a free port, in front of the server on `server_port`.
    pub fn open(server_port: u16, line: Line, mood: Mood) -> Outcome<Self> {
        // Not one that the kernel hands out: it must be there again after a time of refusing.
        let port = free_port()?;
        let listener = listen(port)?;
        let shared = Arc::new(Shared {
            line,
            mood: Mutex::new(mood),
            requests: Mutex::default(),
            lost: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        thread::spawn(move || attend(listener, port, server_port, &own));
        Ok(Self { port, shared })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, mood: Mood) {
        *held(&self.shared.mood) = mood;
    }

    pub fn requests(&self) -> Vec<Request> {
        held(&self.shared.requests).clone()
    }

    /// Packets of media that did not arrive, or not at once, and that were let through.
    pub fn lost_and_passed(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.shared.lost), count(&self.shared.passed))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn mood(&self) -> Mood {
        *held(&self.mood)
    }

    fn note(&self, text: &str) {
        held(&self.requests).push(Request { at: clock::mono(), text: text.to_owned() });
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(port: u16) -> Outcome<TcpListener> {
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(Failure::new)?;
    listener.set_nonblocking(true).map_err(Failure::new)?;
    Ok(listener)
}

fn attend(listener: TcpListener, port: u16, server_port: u16, shared: &Arc<Shared>) {
    let mut listener = Some(listener);
    while !shared.is_over() {
        if shared.mood() == Mood::Refuses {
            listener = None;
        } else if let Some(open) = &listener {
            if let Ok((client, _)) = open.accept() {
                let shared = Arc::clone(shared);
                // Either side may leave at any time; that ends this connection only.
                thread::spawn(move || drop(serve(client, server_port, &shared)));
                continue;
            }
        } else {
            // Somebody else may have the port by now.
            listener = listen(port).ok();
        }
        thread::sleep(POLL);
    }
}

fn serve(client: TcpStream, server_port: u16, shared: &Arc<Shared>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    match shared.mood() {
        Mood::Passes | Mood::Holds | Mood::Drips => {}
        mood => return harm::serve(client, mood, shared),
    }
    let server = TcpStream::connect(("127.0.0.1", server_port))?;
    server.set_nodelay(true)?;
    let ports = Arc::<Mutex<Vec<u16>>>::default();
    let media = UdpSocket::bind("127.0.0.1:0")?;
    let media_port = media.local_addr()?.port();
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let (asking, asked_ports) = (Arc::clone(shared), Arc::clone(&ports));
    thread::spawn(move || drop(ask(from_client, to_server, &asking, &asked_ports)));
    let (sender, due) = channel();
    let to_client = client.try_clone()?;
    thread::spawn(move || deliver(to_client, &media, &due));
    let mut teller = Teller {
        pieces: Pieces::default(),
        wrap: shared.line.wraps_after_s.map(Wrap::after),
        random: shared.line.seed,
        last: MonoNs(0),
        held: Vec::new(),
        ports,
        media_port,
        sender,
        shared: Arc::clone(shared),
    };
    let told = teller.tell(&server, &client);
    let _ = server.shutdown(Shutdown::Both);
    if shared.mood() == Mood::Resets {
        harm::reset(&client)?;
    } else {
        let _ = client.shutdown(Shutdown::Both);
    }
    told
}

/// Passes the client's requests on; for UDP the server is asked for TCP in its place.
fn ask(
    mut client: TcpStream,
    mut server: TcpStream,
    shared: &Shared,
    ports: &Mutex<Vec<u16>>,
) -> std::io::Result<()> {
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let bytes = client.read(&mut buffer)?;
        if bytes == 0 {
            return server.shutdown(Shutdown::Both);
        }
        heard.extend_from_slice(&buffer[..bytes]);
        while let Some(length) = piece::whole_bytes(&heard) {
            let piece: Vec<u8> = heard.drain(..length).collect();
            if piece.first() == Some(&b'$') {
                server.write_all(&piece)?;
                continue;
            }
            let text = String::from_utf8_lossy(&piece).into_owned();
            shared.note(&text);
            let text = if shared.line.by_udp { by_tcp(&text, ports) } else { text };
            server.write_all(text.as_bytes())?;
        }
    }
}

/// The request as for TCP, with the client's port kept.
fn by_tcp(request: &str, ports: &Mutex<Vec<u16>>) -> String {
    let Some((before, rest)) = request.split_once("client_port=") else {
        return request.to_owned();
    };
    let end = rest.find(['\r', ';']).unwrap_or(rest.len());
    let port = rest[..end].split('-').next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let mut ports = held(ports);
    let channel = 2 * ports.len();
    ports.push(port);
    let before = before.replace("RTP/AVP;", "RTP/AVP/TCP;").replace("RTP/AVP/UDP;", "RTP/AVP/TCP;");
    format!("{before}interleaved={channel}-{}{}", channel + 1, &rest[end..])
}

/// The server's way to the client.
struct Teller {
    pieces: Pieces,
    wrap: Option<Wrap>,
    random: u64,
    /// When the piece before is due.
    last: MonoNs,
    held: Vec<Vec<u8>>,
    ports: Arc<Mutex<Vec<u16>>>,
    media_port: u16,
    sender: Sender<Due>,
    shared: Arc<Shared>,
}

impl Teller {
    fn tell(&mut self, mut server: &TcpStream, client: &TcpStream) -> std::io::Result<()> {
        let mut buffer = [0; 16_384];
        server.set_read_timeout(Some(10 * POLL))?;
        while !self.shared.is_over() {
            match server.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(bytes) => self.pieces.push(&buffer[..bytes]),
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
            if matches!(self.shared.mood(), Mood::Refuses | Mood::Resets) {
                return Ok(());
            }
            while let Some(piece) = self.pieces.next() {
                self.pass(piece, client)?;
            }
            if self.shared.mood() == Mood::Passes {
                for piece in std::mem::take(&mut self.held) {
                    self.send(piece);
                }
            }
        }
        Ok(())
    }

    fn pass(&mut self, mut piece: Vec<u8>, client: &TcpStream) -> std::io::Result<()> {
        let channel = piece::channel(&piece);
        if let (Some(channel), Some(wrap)) = (channel, &mut self.wrap) {
            wrap.apply(channel, &mut piece);
        }
        let is_report = channel.is_some_and(|channel| channel % 2 == 1);
        if is_report && self.shared.line.without_reports {
            return Ok(());
        }
        match self.shared.mood() {
            Mood::Passes => {
                for piece in std::mem::take(&mut self.held) {
                    self.send(piece);
                }
                self.send(piece);
            }
            Mood::Holds => self.held.push(piece),
            Mood::Drips if channel.is_none() => {
                return harm::drip(client, &piece, &self.shared);
            }
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, piece: Vec<u8>) {
        let line = &self.shared.line;
        let channel = piece::channel(&piece);
        // Knuth's; the high bits are the good ones.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let chance = self.random >> 33;
        let mut late = Duration::ZERO;
        if channel.is_some_and(|channel| channel % 2 == 0) {
            let is_lost = chance / 1000 % 1000 < line.lost_per_1000;
            let counter = if is_lost { &self.shared.lost } else { &self.shared.passed };
            counter.fetch_add(1, Ordering::Relaxed);
            if is_lost && line.by_udp {
                return;
            }
            if is_lost {
                late = SENT_AGAIN;
            }
        }
        let span = (line.late_ms.end - line.late_ms.start).max(1);
        late += Duration::from_millis(line.late_ms.start + chance % span);
        let mut at = clock::mono() + late;
        let port = channel.filter(|_| line.by_udp).and_then(|channel| self.port(channel));
        if port.is_none() {
            at = at.max(self.last);
            self.last = at;
        }
        let bytes = match (port, channel) {
            (Some(_), _) => piece[4..].to_vec(),
            (None, Some(_)) => piece,
            (None, None) => self.answer(piece),
        };
        // Nobody listens any more when the client has gone.
        let _ = self.sender.send(Due { at, bytes, port });
    }

    /// Where packets of a channel of ours go.
    fn port(&self, channel: u8) -> Option<u16> {
        let first = *held(&self.ports).get(usize::from(channel / 2))?;
        Some(first + u16::from(channel % 2))
    }

    /// What the server agrees to, as the client has asked for it.
    fn answer(&self, piece: Vec<u8>) -> Vec<u8> {
        let text = String::from_utf8_lossy(&piece);
        let Some((before, rest)) = text.split_once("interleaved=") else { return piece };
        let Some(port) = held(&self.ports).last().copied().filter(|_| self.shared.line.by_udp)
        else {
            return piece;
        };
        let end = rest.find(['\r', ';']).unwrap_or(rest.len());
        let before = before.replace("RTP/AVP/TCP", "RTP/AVP");
        let (own, next) = (self.media_port, self.media_port.wrapping_add(1));
        let ports = format!("client_port={port}-{};server_port={own}-{next}", port + 1);
        format!("{before}{ports}{}", &rest[end..]).into_bytes()
    }
}

/// Something on its way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: MonoNs,
    bytes: Vec<u8>,
    /// By UDP.
    port: Option<u16>,
}

fn deliver(mut client: TcpStream, media: &UdpSocket, due: &Receiver<Due>) {
    let mut waiting: BinaryHeap<Reverse<(MonoNs, u64, Due)>> = BinaryHeap::new();
    let mut count = 0;
    loop {
        let rest = waiting.peek().map(|Reverse((at, ..))| at.saturating_since(clock::mono()));
        let more = match rest {
            Some(rest) if rest.is_zero() => Err(RecvTimeoutError::Timeout),
            Some(rest) => due.recv_timeout(rest),
            None => due.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match more {
            Ok(next) => {
                waiting.push(Reverse((next.at, count, next)));
                count += 1;
            }
            Err(RecvTimeoutError::Timeout) => {
                let Some(Reverse((_, _, next))) = waiting.pop() else { continue };
                let sent = match next.port {
                    // A datagram that finds nobody is lost, as datagrams are.
                    Some(port) => {
                        media.send_to(&next.bytes, ("127.0.0.1", port)).or(Ok(0)).map(drop)
                    }
                    None => client.write_all(&next.bytes),
                };
                if sent.is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
