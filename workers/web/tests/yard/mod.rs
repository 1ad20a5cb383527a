//! A yard with a camera: a real ring of packets in shared memory, the whole server on a port, and viewers of it.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use protocol::admin::RingStatus;
use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::{Codec, Track};
use protocol::time::{Stamp, TimeBase};
use serde_json::Value;
use shmring::{PacketMeta, PacketWriter, census, clock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use web::guard::Hosts;
use web::live::Rings;
use web::route::router;
use web::server::{Deadlines, Server};
use web::site::{About, Site};
use web::sources::{PacketTap, PictureTap, Sources, Trouble};

/// Every wait of these tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
pub(crate) const STEP_NS: u64 = 40_000_000;
/// Pictures of a group.
pub(crate) const GROUP: u64 = 25;
/// x264, High, 640x480.
pub(crate) const SETS: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0, 0, 0, 1, 0x68, 0xeb,
    0xe3, 0xcb, 0x22, 0xc0,
];

pub(crate) fn video() -> Track {
    Track {
        codec: Codec::H264,
        time_base: TimeBase::VIDEO_90K,
        width: 640,
        height: 480,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: SETS.to_vec(),
    }
}

/// A project of its own, swept when the test ends.
pub(crate) struct Yard {
    /// Threads of the server may have it a moment longer than the test, and the last of them ends with the process:
    /// it is not what sweeps.
    ground: Arc<Ground>,
}

/// What the server of a yard reads.
struct Ground {
    rings: Rings,
    /// The time, for ever.
    stands_at: Option<Stamp>,
}

impl Yard {
    pub(crate) fn new() -> Self {
        Self::of(None)
    }

    /// Its server's clock stands still: no viewer is late, however long a thread of a busy machine rests.
    pub(crate) fn without_time() -> Self {
        Self::of(Some(clock::now()))
    }

    fn of(stands_at: Option<Stamp>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let project = format!("yard{}-{number}", std::process::id()).parse().expect("a name");
        let rings = Rings { project, reader: "web".to_owned() };
        Self { ground: Arc::new(Ground { rings, stands_at }) }
    }

    pub(crate) fn project(&self) -> &ProjectName {
        &self.ground.rings.project
    }

    /// A camera whose writer begins now.
    pub(crate) fn camera(&self) -> Camera {
        self.camera_of(&[video()])
    }

    pub(crate) fn camera_of(&self, tracks: &[Track]) -> Camera {
        let name: RingName = "cam1.packets".parse().expect("a name");
        let contract = RingContract::new(name, RingConfig::default(), 4);
        let writer = PacketWriter::create(self.project(), &contract, tracks).expect("a ring");
        Camera { writer, next: 0, first: 0, bytes: 100 }
    }

    pub(crate) fn site(&self) -> Arc<Site> {
        let about = About {
            project: self.project().clone(),
            worker: "web".parse().expect("a name"),
            version: "0.0.0",
            inputs: vec!["cam1.packets".parse().expect("a name")],
        };
        Arc::new(Site::new(about, Arc::clone(&self.ground) as Arc<dyn Sources>, 80))
    }

    pub(crate) async fn serve(&self) -> Served {
        let site = self.site();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("a socket");
        let (stop, stopped) = watch::channel(false);
        let (drain, drained) = watch::channel(false);
        let router = router(Arc::clone(&site), Hosts::new(address));
        let crowd = site.crowd.clone();
        // A thread of a busy machine may stand still for seconds.
        let deadlines = Deadlines { header: DEADLINE, write: DEADLINE };
        let server = Server { router, crowd, deadlines, drain: drained, stop: stopped };
        tokio::spawn(server.serve(listener));
        Served { address, site, stop, drain }
    }

    /// Who reads the camera's ring.
    pub(crate) fn readers(&self) -> usize {
        self.ground.rings.census().iter().map(|ring| ring.readers.len()).sum()
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        census::sweep_unowned(self.project());
    }
}

impl Sources for Ground {
    fn now(&self) -> Stamp {
        self.stands_at.unwrap_or_else(clock::now)
    }

    fn workers(&self) -> Result<String, Trouble> {
        Ok("[]".to_owned())
    }

    fn rings(&self) -> Vec<RingStatus> {
        self.rings.census()
    }

    fn open(&self, ring: &RingName) -> Result<Box<dyn PictureTap>, Trouble> {
        self.rings.open(ring)
    }

    fn packets(&self, ring: &RingName) -> Box<dyn PacketTap> {
        self.rings.packets(ring)
    }
}

/// The writer of a ring: 25 pictures a second, a key frame each second.
pub(crate) struct Camera {
    writer: PacketWriter,
    /// Number of the next picture, over all its writers.
    next: u64,
    /// That of the first of this writer.
    first: u64,
    /// Of a picture.
    pub(crate) bytes: usize,
}

impl Camera {
    /// As after a crash and a restart: another epoch, and times that begin anew.
    pub(crate) fn restarted(self, yard: &Yard, tracks: &[Track]) -> Self {
        let Self { writer, next, bytes, .. } = self;
        drop(writer);
        let first = next.div_ceil(GROUP) * GROUP;
        Self { next: first, first, bytes, ..yard.camera_of(tracks) }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.writer.epoch()
    }

    /// The group of the last picture.
    pub(crate) fn group(&self) -> u64 {
        1_000 + self.next.saturating_sub(1) / GROUP
    }

    /// The next pictures.
    pub(crate) fn publish(&mut self, count: u64) {
        for _ in 0..count {
            let (key, number) = (self.next.is_multiple_of(GROUP), self.next);
            let at_ns = i64::try_from((number - self.first) * STEP_NS).expect("a time");
            let now = clock::now();
            let meta = PacketMeta {
                key,
                pts_ns: at_ns,
                dts_ns: at_ns,
                capture: now,
                ingest: now.mono,
                gop_index: 1_000 + number / GROUP,
                ..PacketMeta::default()
            };
            let slice = [0, 0, 0, 1, if key { 0x65 } else { 0x41 }];
            let filler = vec![0x77; self.bytes];
            let sets = if key { SETS } else { &[] };
            self.writer.publish(&meta, &[sets, &slice, &filler].concat()).expect("published");
            self.next += 1;
        }
    }

    /// A packet of another track.
    pub(crate) fn publish_sound(&mut self, track: u32, at_ns: i64) {
        let now = clock::now();
        let meta = PacketMeta {
            track,
            key: true,
            pts_ns: at_ns,
            dts_ns: at_ns,
            duration_ns: 20_000_000,
            capture: now,
            ingest: now.mono,
            gop_index: self.group(),
            ..PacketMeta::default()
        };
        self.writer.publish(&meta, &[7; 80]).expect("published");
    }
}

/// The server, until the test ends.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) site: Arc<Site>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) drain: watch::Sender<bool>,
}

impl Served {
    pub(crate) async fn view(&self) -> Viewer {
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        Viewer::open(self.address, "/live/cam1", stream).await
    }

    /// A viewer with a small window, so that what it does not read is soon noticed.
    pub(crate) async fn view_slowly(&self) -> Viewer {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small window");
        let stream = socket.connect(self.address).await.expect("a connection");
        Viewer::open(self.address, "/live/cam1", stream).await
    }

    /// Status, headers and body of a request.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(path, "").await
    }

    pub(crate) async fn ask(&self, path: &str, headers: &str) -> Answer {
        let asking = async {
            let mut stream = TcpStream::connect(self.address).await.expect("a connection");
            let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}", self.address);
            let request = format!("{head}Connection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.expect("an answer");
            bytes
        };
        Answer::read(&timeout(DEADLINE, asking).await.expect("an answer in time"))
    }
}

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        assert!(!head.contains("chunked"), "all answers here say how long they are: {head}");
        Self { status: status.expect("a status"), head, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }
}

/// A WebSocket.
pub(crate) struct Viewer {
    socket: WebSocketStream<TcpStream>,
    init: Vec<u8>,
}

/// What it is sent.
#[derive(Debug)]
pub(crate) enum Sent {
    Said(Value),
    /// An init segment.
    Init,
    /// The sequence of a fragment's picture, and whether it is a key frame.
    Picture {
        epoch: u64,
        sequence: u64,
        key: bool,
    },
    /// With this code.
    Closed(Option<u16>),
}

impl Viewer {
    pub(crate) async fn open(address: SocketAddr, path: &str, stream: TcpStream) -> Self {
        let opening = client_async(format!("ws://{address}{path}"), stream);
        let (socket, _) = timeout(DEADLINE, opening).await.expect("in time").expect("a WebSocket");
        Self { socket, init: Vec::new() }
    }

    /// Says something past all rules.
    pub(crate) async fn shout(&mut self, bytes: &[u8]) {
        self.socket.get_mut().write_all(bytes).await.expect("sent");
    }

    pub(crate) async fn next(&mut self) -> Sent {
        loop {
            let message = timeout(DEADLINE, self.socket.next()).await.expect("a message in time");
            match message {
                Some(Ok(Message::Text(text))) => {
                    return Sent::Said(serde_json::from_str(text.as_str()).expect("JSON"));
                }
                Some(Ok(Message::Binary(bytes))) => return self.read(&bytes),
                Some(Ok(Message::Close(frame))) => {
                    return Sent::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Sent::Closed(None),
            }
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Sent {
        if bytes[4..8] == *b"ftyp" {
            self.init = bytes.to_vec();
            return Sent::Init;
        }
        let fragment = only_fragment(&self.init, bytes);
        let place = fragment.origin.packets.iter().rposition(|track| *track == Some(0));
        let place = place.expect("a picture in each fragment") as u64;
        let key = fragment.samples.iter().any(|sample| sample.track == 0 && sample.key);
        let (epoch, sequence) = (fragment.origin.epoch, fragment.origin.first + place);
        Sent::Picture { epoch, sequence, key }
    }

    /// The next of `kind`; others are passed over.
    pub(crate) async fn said(&mut self, kind: &str) -> Value {
        loop {
            match self.next().await {
                Sent::Said(said) if said["type"] == kind => return said,
                Sent::Closed(code) => panic!("closed with {code:?} before '{kind}'"),
                _ => {}
            }
        }
    }

    /// Epoch, sequence and key of the next picture; what is said is passed over.
    pub(crate) async fn picture(&mut self) -> (u64, u64, bool) {
        loop {
            match self.next().await {
                Sent::Picture { epoch, sequence, key } => return (epoch, sequence, key),
                Sent::Closed(code) => panic!("closed with {code:?} before a picture"),
                Sent::Init | Sent::Said(_) => {}
            }
        }
    }

    /// The sequences of the next pictures.
    pub(crate) async fn pictures(&mut self, count: usize) -> Vec<u64> {
        let mut seen = Vec::new();
        while seen.len() < count {
            seen.push(self.picture().await.1);
        }
        seen
    }
}

/// The one fragment in these bytes, proven whole.
pub(crate) fn only_fragment(init: &[u8], bytes: &[u8]) -> fmp4::FoundFragment {
    let mut found = fragments(init, bytes);
    assert_eq!(found.len(), 1, "a message is one fragment");
    found.remove(0)
}

pub(crate) fn fragments(init: &[u8], bytes: &[u8]) -> Vec<fmp4::FoundFragment> {
    let file = [init, bytes].concat();
    let found = fmp4::scan(&mut std::io::Cursor::new(&file)).expect("bytes in memory");
    assert_eq!(found.damage, None);
    found.fragments
}

/// Looks again and again until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
