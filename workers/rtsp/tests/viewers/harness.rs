//! A camera made by ffmpeg that plays a clip into a ring, a server on a port of its own, and the
//! programs and raw sockets that look at it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bitstream::{Family, nal};
use protocol::admin::{ClientReception, ClientStatus};
use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::{Codec, Track};
use protocol::time::{MonoNs, TimeBase};
use rtsp::fanout::Tap;
use rtsp::feed::Feed;
use rtsp::house::Terms;
use rtsp::server::{Opening, Server};
use shmring::{PacketMeta, PacketWriter, census, clock};

/// Everything here is over far sooner, or broken.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const FRAME: Duration = Duration::from_millis(40);
pub const GOP: usize = 25;
const FRAMES: u32 = 200;

/// Whether `program` can be run; says that the test is skipped when it cannot.
pub fn has(program: &str) -> bool {
    let runs = Command::new(program).arg("-version").output().is_ok();
    if !runs {
        skipped(&format!("{program} is not installed"));
    }
    runs
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// Runs to the end, or is killed when patience is.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    run_for(program, arguments, PATIENCE)
}

/// Runs to the end, or is killed when it takes longer.
pub fn run_for(program: &str, arguments: &[&str], time: Duration) -> Output {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let over = Arc::new(AtomicBool::new(false));
    let (seen, deadline) = (Arc::clone(&over), clock::mono() + time);
    let guard = thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            if clock::mono() > deadline {
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    let output = child.wait_with_output().unwrap();
    over.store(true, Ordering::Relaxed);
    guard.join().unwrap();
    output
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Access units of a clip, the hash of each decoded picture in showing order, and its times.
pub struct Clip {
    pub units: Vec<ClipUnit>,
    pub pictures: Vec<String>,
    track: Track,
}

pub struct ClipUnit {
    bytes: Vec<u8>,
    key: bool,
    pts_ns: i64,
    dts_ns: i64,
}

impl Clip {
    /// Eight seconds of moving picture, encoded once a test run.
    pub fn plain() -> &'static Self {
        static CLIP: OnceLock<Clip> = OnceLock::new();
        CLIP.get_or_init(|| Self::encode("plain", &["-bf", "0"]))
    }

    pub fn with_b_frames() -> &'static Self {
        static CLIP: OnceLock<Clip> = OnceLock::new();
        CLIP.get_or_init(|| Self::encode("b-frames", &["-bf", "2"]))
    }

    /// Of another codec: units with whether they are key frames, 40 ms apart.
    pub fn of(track: Track, units: Vec<(bool, Vec<u8>)>, pictures: Vec<String>) -> Self {
        assert_eq!((units.len(), pictures.len()), (FRAMES as usize, FRAMES as usize));
        let unit = |(number, (key, bytes)): (u32, (bool, Vec<u8>))| {
            let ns = i64::try_from((FRAME * number).as_nanos()).unwrap();
            ClipUnit { bytes, key, pts_ns: ns, dts_ns: ns }
        };
        Self { units: (0..).zip(units).map(unit).collect(), pictures, track }
    }

    fn encode(name: &str, options: &[&str]) -> Self {
        let dir =
            std::env::temp_dir().join(format!("framevisor-rtsp-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (mp4, raw) = (dir.join("clip.mp4"), dir.join("clip.h264"));
        let (mp4, raw) = (mp4.to_str().unwrap(), raw.to_str().unwrap());
        let source = format!("testsrc2=s=640x480:r=25:d={}", FRAMES / 25);
        let gop = GOP.to_string();
        let encode = ["-v", "error", "-y", "-f", "lavfi", "-i", &source, "-c:v", "libx264"];
        let shape = ["-g", &gop, "-sc_threshold", "0", "-preset", "veryfast", "-b:v", "2M", mp4];
        must("ffmpeg", &[&encode[..], options, &shape].concat());
        let filters = "h264_mp4toannexb,h264_metadata=aud=insert";
        must(
            "ffmpeg",
            &["-v", "error", "-y", "-i", mp4, "-c", "copy", "-bsf:v", filters, "-f", "h264", raw],
        );
        let times = must(
            "ffprobe",
            &["-v", "error", "-show_entries", "packet=pts_time,dts_time", "-of", "csv=p=0", mp4],
        );
        let pictures = must("ffmpeg", &["-v", "error", "-i", mp4, "-f", "framemd5", "-"]);
        let clip = Self::assemble(&std::fs::read(raw).unwrap(), &text(&times), &text(&pictures));
        std::fs::remove_dir_all(dir).unwrap();
        clip
    }

    fn assemble(raw: &[u8], times: &str, pictures: &str) -> Self {
        let times = times.lines().map(|line| {
            let mut times = line.split(',').map(|time| time.parse::<f64>().unwrap());
            let mut ns = || nanoseconds(times.next().unwrap());
            (ns(), ns())
        });
        let units: Vec<ClipUnit> = split_at_delimiters(raw)
            .into_iter()
            .zip(times)
            .map(|(bytes, (pts_ns, dts_ns))| ClipUnit {
                key: is_key(&bytes),
                bytes,
                pts_ns,
                dts_ns,
            })
            .collect();
        assert_eq!(units.len(), FRAMES as usize);
        let first = &units[0].bytes;
        let sets = nal::units(first).filter(|nal| Family::H264.parameter_set(nal).is_some());
        Self { pictures: hashes(pictures), track: track(nal::stream(sets)), units }
    }

    /// Whether each unit is a key frame, and its bytes.
    pub fn units(&self) -> impl Iterator<Item = (bool, Vec<u8>)> {
        self.units.iter().map(|unit| (unit.key, unit.bytes.clone()))
    }

    pub fn track(&self) -> Track {
        self.track.clone()
    }

    pub fn track_with(extradata: Vec<u8>) -> Track {
        track(extradata)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a few seconds")]
fn nanoseconds(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

fn track(extradata: Vec<u8>) -> Track {
    Track {
        codec: Codec::H264,
        time_base: TimeBase::VIDEO_90K,
        width: 640,
        height: 480,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata,
    }
}

fn must(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {}", text(&output.stderr));
    output.stdout
}

/// The access units, without the delimiters that tell them apart.
fn split_at_delimiters(raw: &[u8]) -> Vec<Vec<u8>> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    for nal in nal::units(raw) {
        if Family::H264.is_delimiter(nal) {
            units.push(Vec::new());
        } else {
            nal::append(units.last_mut().unwrap(), nal);
        }
    }
    units
}

fn is_key(unit: &[u8]) -> bool {
    nal::units(unit).any(|nal| Family::H264.kind(nal) == 5)
}

/// The picture hashes of a framemd5 list.
pub fn hashes(list: &str) -> Vec<String> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(',').nth(5).unwrap().trim().to_owned()).collect()
}

/// A camera that plays a clip over and over into the ring `cam1.packets`, at its own pace.
pub struct Camera {
    stop: Arc<AtomicBool>,
    published: Arc<AtomicU32>,
    thread: Option<JoinHandle<MonoNs>>,
}

impl Camera {
    /// One that the site of the project has seen: a request for one that it has not seen waits two seconds only, as
    /// long as a thread of a busy machine may rest.
    pub fn start(project: &ProjectName, clip: &'static Clip) -> Self {
        Self::start_with(project, clip, clip.track())
    }

    /// States `track` instead of the clip's own.
    pub fn start_with(project: &ProjectName, clip: &'static Clip, track: Track) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut writer = PacketWriter::create(project, &contract(), &[track]).unwrap();
        let published = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&published);
        let thread = thread::spawn(move || play(&mut writer, clip, &stopped, &count));
        let camera = Self { stop, published, thread: Some(thread) };
        wait_until_read(project);
        camera
    }

    /// Pictures it has published so far.
    pub fn published(&self) -> usize {
        self.published.load(Ordering::Relaxed) as usize
    }

    /// As SIGKILL would: the ring stays as it is. Tells when it began to publish its last picture.
    pub fn die(mut self) -> MonoNs {
        self.end().unwrap()
    }

    fn end(&mut self) -> Option<MonoNs> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(|thread| thread.join().unwrap())
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.end();
    }
}

fn contract() -> RingContract {
    RingContract::new(ring(), RingConfig::default(), 4)
}

fn ring() -> RingName {
    "cam1.packets".parse().unwrap()
}

/// Waits until a reader of the camera's ring has taken all that is in it.
fn wait_until_read(project: &ProjectName) {
    let deadline = clock::mono() + PATIENCE;
    loop {
        let seen = census::status(project, &ring(), clock::mono());
        if seen.head > 0 && seen.readers.iter().any(|reader| reader.lag == 0) {
            return;
        }
        assert!(clock::mono() < deadline, "nobody reads the camera: {seen:?}");
        sleep_until(clock::mono() + Duration::from_millis(5));
    }
}

/// When the last picture was published.
fn play(
    writer: &mut PacketWriter,
    clip: &Clip,
    stop: &AtomicBool,
    published: &AtomicU32,
) -> MonoNs {
    let begun = clock::mono();
    let mut last = begun;
    let length_ns = i64::try_from((FRAME * FRAMES).as_nanos()).unwrap();
    for (number, unit) in (0u32..).zip(clip.units.iter().cycle()) {
        sleep_until(begun + FRAME * number);
        if stop.load(Ordering::Relaxed) {
            return last;
        }
        let round = i64::from(number / FRAMES);
        let stamp = clock::now();
        last = stamp.mono;
        let meta = PacketMeta {
            key: unit.key,
            pts_ns: unit.pts_ns + round * length_ns,
            dts_ns: unit.dts_ns + round * length_ns,
            capture: stamp,
            ingest: stamp.mono,
            ..PacketMeta::default()
        };
        writer.publish(&meta, &unit.bytes).unwrap();
        published.fetch_add(1, Ordering::Relaxed);
    }
    last
}

pub fn sleep_until(at: MonoNs) {
    thread::sleep(at.saturating_since(clock::mono()));
}

/// A server of `cam1` in a project of its own.
pub struct Site {
    pub project: ProjectName,
    server: Option<Server>,
    tap: Option<Tap>,
}

impl Site {
    pub fn open(clients: usize) -> Self {
        Self::open_with(Terms::over_tcp(clients))
    }

    /// With datagrams and multicast; sites of other tests of this machine use other ports of the range.
    pub fn open_with_datagrams() -> Self {
        let (udp_ports, multicast) =
            ("20000-28999".parse().unwrap(), "239.255.42.0/24".parse().unwrap());
        Self::open_with(Terms { udp_ports, multicast, ..Terms::over_tcp(8) })
    }

    pub fn open_with(terms: Terms) -> Self {
        Self::open_as(|opening| opening.terms = terms)
    }

    /// With what `change` makes of a server for eight clients, whoever they are.
    pub fn open_as(change: impl FnOnce(&mut Opening)) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let project: ProjectName =
            format!("rtsp-test-{}-{number}", std::process::id()).parse().unwrap();
        let feed = Arc::new(Feed::new("cam1"));
        let tap = Tap::open(&project, &ring(), "rtsp", Arc::clone(&feed)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut opening = Opening::of(listener, [feed].into_iter().collect(), Terms::over_tcp(8));
        change(&mut opening);
        let server = Server::open(opening).unwrap();
        Self { project, server: Some(server), tap: Some(tap) }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().unwrap().address()
    }

    pub fn url(&self) -> String {
        format!("rtsp://{}/cam1", self.address())
    }

    /// What people are told of wrong passwords.
    pub fn wrong_passwords(&self) -> Option<String> {
        self.server.as_ref().unwrap().wrong_passwords(clock::mono())
    }

    pub fn connect(&self) -> RawClient {
        RawClient::connect(self.address())
    }

    /// Waits until nobody is connected, and no session is left that was.
    pub fn wait_until_empty(&self) {
        let deadline = clock::mono() + PATIENCE;
        while self.server.as_ref().unwrap().clients() > 0 {
            assert!(clock::mono() < deadline, "somebody is still there");
            sleep_until(clock::mono() + Duration::from_millis(20));
        }
    }

    /// Waits until a client that plays says how it receives, and until `seen` is content with it.
    pub fn wait_for_reception(&self, seen: impl Fn(&ClientReception) -> bool) -> ClientStatus {
        let deadline = clock::mono() + PATIENCE;
        loop {
            let list = self.server.as_ref().unwrap().list(clock::mono());
            let found = list.iter().find(|it| it.reception.as_ref().is_some_and(&seen));
            if let Some(found) = found {
                return found.clone();
            }
            assert!(clock::mono() < deadline, "nobody says so: {list:?}");
            sleep_until(clock::mono() + Duration::from_millis(20));
        }
    }

    /// Ends the server as a stop of the worker does.
    pub fn stop(&mut self) {
        self.server = None;
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server = None;
        self.tap.take().unwrap().close().unwrap();
        census::sweep(&self.project, &[ring()]);
    }
}

/// A client that writes its requests by hand.
pub struct RawClient {
    pub socket: TcpStream,
    received: Vec<u8>,
    cseq: u32,
}

impl RawClient {
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, received: Vec::new(), cseq: 0 }
    }

    /// Sends a request and waits for its response: status line, headers and body.
    pub fn ask(&mut self, method: &str, url: &str, lines: &str) -> String {
        self.cseq += 1;
        let request = format!("{method} {url} RTSP/1.0\r\nCSeq: {}\r\n{lines}\r\n", self.cseq);
        self.socket.write_all(request.as_bytes()).unwrap();
        self.response()
    }

    /// Sets the one track up and plays it.
    pub fn play(&mut self, url: &str) -> String {
        let lines = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
        let set_up = self.ask("SETUP", &format!("{url}/trackID=0"), lines);
        let id = set_up.split("Session: ").nth(1).unwrap().split(';').next().unwrap().to_owned();
        self.ask("PLAY", url, &format!("Session: {id}\r\n"))
    }

    /// The next response; interleaved frames before it are passed over.
    pub fn response(&mut self) -> String {
        loop {
            if self.received.first() == Some(&b'$') {
                self.frame();
                continue;
            }
            if let Some(response) = self.whole_response() {
                return response;
            }
            assert!(self.fill() > 0, "closed instead of a response");
        }
    }

    fn whole_response(&mut self) -> Option<String> {
        let head = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let headers = text(&self.received[..head]);
        let body = headers.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let end = head + body.map_or(0, |length| length.parse::<usize>().unwrap());
        (self.received.len() >= end).then(|| text(&self.received.drain(..end).collect::<Vec<_>>()))
    }

    /// The next interleaved frame; responses before it are passed over.
    pub fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if self.received.starts_with(b"RTSP") {
                self.whole_response();
            }
            if let &[b'$', channel, high, low, ..] = &self.received[..] {
                let end = 4 + usize::from(u16::from_be_bytes([high, low]));
                if self.received.len() >= end {
                    let frame: Vec<u8> = self.received.drain(..end).collect();
                    return (channel, frame[4..].to_vec());
                }
            }
            assert!(self.fill() > 0, "closed instead of a frame");
        }
    }

    /// Whether the server closes within `time`, whatever it says before.
    pub fn is_closed_within(&mut self, time: Duration) -> bool {
        let deadline = clock::mono() + time;
        loop {
            let left = deadline.saturating_since(clock::mono());
            if left.is_zero() {
                return false;
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            match self.socket.read(&mut [0; 65536]) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(_) => return true,
            }
        }
    }

    fn fill(&mut self) -> usize {
        let mut bytes = [0; 65536];
        let count = self.socket.read(&mut bytes).unwrap();
        self.received.extend(&bytes[..count]);
        count
    }
}
