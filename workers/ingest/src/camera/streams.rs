//! What FFmpeg's protocols bring, against servers and senders of scripts: HTTP, HLS, UDP here, RTMP and SRT by
//! the ffmpeg command in both directions.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU32;

use media::{AccessUnit, Container, Engine, Muxer, PictureEncoder, PictureEncoderOptions, Still};
use protocol::config::ingest::{Source, TestPattern};
use protocol::stream::{Codec, Colour, PixelFormat};

use super::fake::split;
use super::tests::Seen;
use super::*;
use crate::test_source::PatternEncoder;

const FPS: u64 = 50;
const PICTURES: u64 = 200;
/// Bytes of a transport stream in a datagram.
const DATAGRAM: usize = 7 * 188;
/// Of a picture.
const STEP: Duration = Duration::from_millis(1000 / FPS);

fn stream(url: &str) -> Input {
    match url.parse() {
        Ok(Source::Stream(stream)) => Input::Stream(stream),
        other => panic!("{url}: {other:?}"),
    }
}

/// Watches `url` until `enough`.
fn watch(url: &str, enough: impl Fn(&Seen) -> bool) -> Seen {
    let input = stream(url);
    let Input::Stream(parsed) = &input else { panic!() };
    let name = parsed.url().to_string();
    let mut camera = Camera::connect_by_ffmpeg(input, name, Arc::default()).unwrap();
    let mut seen = Seen { units: Vec::new(), downs: Vec::new(), tracks: Vec::new() };
    let deadline = clock::mono() + Duration::from_secs(120);
    while !enough(&seen) {
        assert!(clock::mono() < deadline, "{url}: not enough seen in 120 s: {:?}", seen.downs);
        match camera.next(Duration::from_millis(50)).unwrap() {
            Event::Unit(captured) => seen.units.push(captured),
            Event::Down(why) => seen.downs.push(why),
            Event::Tracks(tracks) => seen.tracks.push(tracks),
            _ => {}
        }
    }
    camera.close();
    seen
}

/// H.264 pictures with their times, by which they are known again.
struct Film {
    track: Track,
    units: Vec<AccessUnit>,
    /// The picture of these slices.
    known: HashMap<Vec<u8>, usize>,
}

/// What is drawn: without what containers add or leave out.
fn slices(payload: &[u8]) -> Vec<u8> {
    let nals = split(payload).into_iter().filter(|nal| matches!(nal[0] & 0x1f, 1 | 5));
    nals.flatten().copied().collect()
}

impl Film {
    fn new() -> Self {
        let Ok(Source::Test(pattern)) = "test:?size=128x64&fps=50&gop=10".parse() else {
            panic!("a pattern that reads");
        };
        let pattern: TestPattern = pattern;
        let mut encoder = PatternEncoder::open(&pattern).unwrap();
        let unit = |number: u64| {
            let encoded = encoder.encode(number).unwrap();
            let at_ns = i64::try_from(number * 1_000_000_000 / FPS).unwrap();
            AccessUnit {
                track: 0,
                key: encoded.key,
                corrupt: false,
                pts_ns: at_ns,
                dts_ns: at_ns,
                duration_ns: 20_000_000,
                payload: encoded.payload,
            }
        };
        let units: Vec<AccessUnit> = (0..PICTURES).map(unit).collect();
        let known = units.iter().enumerate().map(|(at, unit)| (slices(&unit.payload), at));
        let known = known.collect();
        Self { track: encoder.track(), units, known }
    }

    /// As a file; the caller removes it.
    fn file(&self, name: &str, container: Container) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ingest-{}-{name}", std::process::id()));
        let mut muxer = Muxer::create(&path, container, std::slice::from_ref(&self.track)).unwrap();
        self.units.iter().for_each(|unit| muxer.write(unit).unwrap());
        muxer.finish().unwrap();
        path
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let path = self.file(name, Container::MpegTs);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        bytes
    }

    /// Which pictures these are; one that is none of ours fails.
    fn numbers(&self, seen: &Seen) -> Vec<usize> {
        let number = |captured: &CapturedUnit| self.known.get(&slices(&captured.unit.payload));
        seen.units.iter().map(|it| *number(it).expect("a picture of the film, whole")).collect()
    }
}

fn rise(seen: &Seen) -> bool {
    seen.units.windows(2).all(|pair| pair[0].unit.dts_ns < pair[1].unit.dts_ns)
}

/// Whether each picture is followed by the next one; the film may begin again.
fn is_whole(numbers: &[usize]) -> bool {
    let next = |at: usize| (at + 1) % usize::try_from(PICTURES).unwrap();
    numbers.windows(2).all(|pair| pair[1] == next(pair[0]))
}

/// Serves each connection by `serve`, given the request's head and path.
fn web(
    serve: impl Fn(&mut TcpStream, &str, &str) -> std::io::Result<()> + Send + Sync + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, serve) = (connection.unwrap(), Arc::clone(&serve));
            thread::spawn(move || {
                let mut head = String::new();
                let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
                while let Some(Ok(line)) =
                    lines.next().filter(|line| line.as_ref().is_ok_and(|it| !it.is_empty()))
                {
                    head.push_str(&line);
                    head.push('\n');
                }
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                // The reader may leave at any time; that ends this connection only.
                let _ = serve(&mut connection, &head, &path);
            });
        }
    });
    port
}

/// A file, from where the reader wants it on.
fn whole(out: &mut TcpStream, head: &str, kind: &str, bytes: &[u8]) -> std::io::Result<()> {
    let all = bytes.len();
    let range = head.lines().find_map(|line| line.strip_prefix("Range: bytes="));
    let from = range.and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or(0);
    let rest = bytes.get(from..).unwrap_or_default();
    let (status, length) =
        (if range.is_some() { "206 Partial Content" } else { "200 OK" }, rest.len());
    write!(
        out,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\n\
         Content-Range: bytes {from}-{}/{all}\r\nConnection: close\r\n\r\n",
        all - 1
    )?;
    out.write_all(rest)
}

fn jpegs(count: u8) -> Vec<Vec<u8>> {
    let still = |shade: u8| {
        let (width, height, format) = (64, 48, PixelFormat::Gray8);
        let samples =
            (0..64 * 48u32).map(|at| shade.wrapping_mul(9) ^ u8::try_from(at % 64).unwrap());
        Still { format, width, height, colour: Colour::default(), samples: samples.collect() }
    };
    let options = PictureEncoderOptions {
        codec: Codec::Mjpeg,
        engine: Engine::Software,
        bitrate_bps: 8_000_000,
        live: true,
        on_device: false,
    };
    let mut encoder = PictureEncoder::open(&options, &still(0)).unwrap();
    let mut all = Vec::new();
    for number in 0..count {
        let pts_ns = i64::from(number) * 40_000_000;
        let coded = encoder.encode(&still(number), pts_ns, true, ()).unwrap();
        all.extend(coded.into_iter().map(|it| it.payload));
    }
    all.extend(encoder.finish().unwrap().into_iter().map(|it| it.payload));
    all
}

#[test]
fn motion_jpeg_over_http_comes_picture_by_picture_with_times_of_arrival() {
    let sent = jpegs(20);
    let pictures = sent.clone();
    let port = web(move |out, head, _| {
        if !head.contains("Authorization: Basic dXNlcjpzM2NyZXQ=") {
            return out.write_all(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"cam\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        out.write_all(
            b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n",
        )?;
        for picture in pictures.iter().cycle() {
            write!(
                out,
                "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
                picture.len()
            )?;
            out.write_all(picture)?;
            out.write_all(b"\r\n")?;
            thread::sleep(STEP);
        }
        Ok(())
    });
    let url = format!("http://user:s3cret@127.0.0.1:{port}/video.mjpg");
    let seen = watch(&url, |seen| seen.units.len() >= 60);
    let track = &seen.tracks[0][0];
    assert_eq!((track.codec, track.width, track.height), (Codec::Mjpeg, 64, 48));
    let number = |it: &CapturedUnit| sent.iter().position(|sent| *sent == it.unit.payload);
    let numbers: Vec<usize> =
        seen.units.iter().map(|it| number(it).expect("a whole picture")).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == (pair[0] + 1) % sent.len()), "{numbers:?}");
    assert!(rise(&seen) && seen.units.iter().all(|it| it.unit.key && !it.unit.corrupt));
    let wrong =
        watch(&format!("http://user:wrong@127.0.0.1:{port}/"), |seen| !seen.downs.is_empty());
    let why = &wrong.downs[0];
    assert!(why.contains("user or password refused (401)") && !why.contains("wrong"), "{why}");
}

#[test]
fn a_playlist_is_read_at_the_pace_of_its_pictures_and_cannot_reach_a_file() {
    let film = Film::new();
    let bytes = film.bytes("hls.ts");
    let seconds = PICTURES / FPS;
    let port = web(move |out, head, path| match path {
        "/live.m3u8" => {
            let list = format!(
                "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{seconds}\n#EXT-X-MEDIA-SEQUENCE:0\n\
                 #EXTINF:{seconds},\na.ts\n#EXT-X-ENDLIST\n"
            );
            whole(out, head, "application/vnd.apple.mpegurl", list.as_bytes())
        }
        "/evil.m3u8" => {
            let list = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n";
            whole(out, head, "application/vnd.apple.mpegurl", list.as_bytes())
        }
        "/a.ts" => whole(out, head, "video/mp2t", &bytes),
        _ => out
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    });
    let url = format!("http://127.0.0.1:{port}/live.m3u8");
    let began = clock::mono();
    let seen = watch(&url, |seen| seen.units.len() >= 150);
    // As fast as they come they would be there at once: nobody is to be flooded.
    assert!(clock::mono().saturating_since(began) >= STEP * 140);
    assert!(is_whole(&film.numbers(&seen)) && rise(&seen));
    let missing = watch(&format!("http://127.0.0.1:{port}/none"), |seen| !seen.downs.is_empty());
    assert!(missing.downs[0].contains("not found"), "{:?}", missing.downs);
    let evil = watch(&format!("http://127.0.0.1:{port}/evil.m3u8"), |seen| !seen.downs.is_empty());
    assert!(evil.units.is_empty(), "{} units of a file", evil.units.len());
}

#[test]
fn a_film_on_a_web_server_is_paced_and_begins_again() {
    let film = Film::new();
    let path = film.file("web.mkv", Container::Matroska);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    let port = web(move |out, head, _| whole(out, head, "video/x-matroska", &bytes));
    let url = format!("http://127.0.0.1:{port}/film.mkv");
    let all = usize::try_from(PICTURES).unwrap();
    let seen = watch(&url, |seen| seen.units.len() >= all + 20);
    assert!(is_whole(&film.numbers(&seen)) && rise(&seen));
    assert!(seen.downs[0].contains("ended the stream"), "{:?}", seen.downs);
    let joints = seen.units.iter().filter(|captured| captured.discontinuity).count();
    assert_eq!(joints, 2);
}

#[test]
fn a_transport_stream_by_datagrams_is_read_whenever_it_comes() {
    let film = Film::new();
    let bytes = film.bytes("udp.ts");
    let port = free_port();
    let stop: Arc<AtomicBool> = Arc::default();
    let (stopped, sender) = (Arc::clone(&stop), UdpSocket::bind("127.0.0.1:0").unwrap());
    let sending = thread::spawn(move || {
        let datagrams = bytes.chunks(DATAGRAM);
        let pause =
            STEP * u32::try_from(PICTURES).unwrap() / u32::try_from(datagrams.len()).unwrap();
        for datagram in datagrams.cycle() {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            // Nobody may listen yet.
            let _ = sender.send_to(datagram, ("127.0.0.1", port));
            thread::sleep(pause);
        }
    });
    let seen = watch(&format!("udp://127.0.0.1:{port}"), |seen| seen.units.len() >= 300);
    stop.store(true, Ordering::Relaxed);
    sending.join().unwrap();
    assert!(rise(&seen));
    // What this machine lost on its way here is marked; nothing else is another picture.
    let whole: Vec<_> = seen.units.iter().filter(|it| !it.unit.corrupt).collect();
    assert!(whole.len() >= 100, "only {} whole pictures", whole.len());
}

#[test]
fn what_a_command_prints_in_a_container_is_taken_apart() {
    use crate::command::CommandSource;
    use protocol::config::Container as Form;
    let film = Film::new();
    for (form, container) in
        [(Form::MpegTs, Container::MpegTs), (Form::Matroska, Container::Matroska)]
    {
        let file = TsFile(film.file(&format!("command.{}", form.form()), container));
        let bytes = std::fs::read(&file.0).unwrap();
        let (from, mut to) = std::io::pipe().unwrap();
        let printing = thread::spawn(move || to.write_all(&bytes));
        let mut source = CommandSource::start(from.into(), form, "cam/command").unwrap();
        let mut seen = Seen { units: Vec::new(), downs: Vec::new(), tracks: Vec::new() };
        let deadline = clock::mono() + Duration::from_secs(60);
        let closed = loop {
            assert!(clock::mono() < deadline, "{} units in 60 s", seen.units.len());
            match source.next(Duration::from_millis(50)).unwrap() {
                Event::Unit(captured) => seen.units.push(captured),
                Event::Tracks(tracks) => seen.tracks.push(tracks),
                Event::Preparing(why) => break why,
                _ => {}
            }
        };
        printing.join().unwrap().unwrap();
        assert_eq!(closed, "cam/command has closed its stdout");
        assert_eq!((seen.tracks[0][0].codec, seen.tracks[0][0].width), (Codec::H264, 128));
        let all: Vec<usize> = (0..usize::try_from(PICTURES).unwrap()).collect();
        assert_eq!(film.numbers(&seen), all, "{form:?}");
        assert!(rise(&seen) && seen.units[0].discontinuity);
    }
}

#[test]
fn what_is_no_such_container_is_told() {
    use crate::command::CommandSource;
    use protocol::config::Container as Form;
    let (from, mut to) = std::io::pipe().unwrap();
    let printing = thread::spawn(move || to.write_all(&b"no stream at all\n".repeat(50_000)));
    let mut source = CommandSource::start(from.into(), Form::Matroska, "cam/command").unwrap();
    let deadline = clock::mono() + Duration::from_secs(60);
    let fault = loop {
        assert!(clock::mono() < deadline, "nothing told in 60 s");
        if let Err(fault) = source.next(Duration::from_millis(50)) {
            break fault.to_string();
        }
    };
    assert!(
        fault.contains("cam/command: its stdout: what comes is no stream of a known kind"),
        "{fault}"
    );
    source.close();
    // Whatever was left of it nobody reads.
    let _ = printing.join().unwrap();
}

/// Whether the ffmpeg command speaks it.
fn has(protocol: &str) -> bool {
    let listed = Command::new("ffmpeg").args(["-hide_banner", "-protocols"]).output();
    let has = listed.is_ok_and(|listed| {
        String::from_utf8_lossy(&listed.stdout).split_whitespace().any(|word| word == protocol)
    });
    if !has {
        println!("skipped: this machine's ffmpeg has no {protocol}");
    }
    has
}

/// Copies the file again and again to where `to` says, and begins anew when nobody takes it.
fn copies(path: &std::path::Path, to: &str) -> Shell {
    let path = path.display();
    Shell::start(&format!(
        "while :; do ffmpeg -loglevel error -nostdin -re -stream_loop -1 -i '{path}' -c copy -f {to}; sleep 0.1; done"
    ))
}

struct TsFile(PathBuf);

impl Drop for TsFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Of those that the kernel does not hand out by itself, so that nobody is given it meanwhile.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id() * 61);
        let port = 12_000 + u16::try_from(number % 18_000).unwrap();
        let address = ("127.0.0.1", port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
    panic!("no free port of 1000");
}

/// SRT leaves out what a slow machine has not taken in time (`may_miss`).
fn is_read(film: &Film, url: &str, may_miss: bool) {
    let is_known = |it: &&CapturedUnit| film.known.contains_key(&slices(&it.unit.payload));
    let seen = watch(url, |seen| seen.units.iter().filter(is_known).count() >= 60);
    let track = &seen.tracks[0][0];
    assert_eq!((track.codec, track.width, track.height), (Codec::H264, 128, 64));
    assert!(rise(&seen), "{url}");
    if !may_miss {
        assert!(film.numbers(&seen).len() >= 60);
    }
}

#[test]
fn rtmp_is_fetched_and_waited_for() {
    if !has("rtmp") {
        return;
    }
    let film = Film::new();
    let file = TsFile(film.file("rtmp.ts", Container::MpegTs));
    let url = format!("rtmp://127.0.0.1:{}/live/door", free_port());
    {
        let _server = copies(&file.0, &format!("flv -listen 1 '{url}'"));
        is_read(&film, &url, false);
    }
    let url = format!("rtmp://127.0.0.1:{}/live/door", free_port());
    let _sender = copies(&file.0, &format!("flv '{url}'"));
    is_read(&film, &format!("{url}?mode=listener"), false);
}

#[test]
fn srt_is_fetched_and_waited_for() {
    if !has("srt") {
        return;
    }
    let film = Film::new();
    let file = TsFile(film.file("srt.ts", Container::MpegTs));
    let url = format!("srt://127.0.0.1:{}?passphrase=0123456789", free_port());
    {
        let _server = copies(&file.0, &format!("mpegts '{url}&mode=listener'"));
        is_read(&film, &url, true);
    }
    let url = format!("srt://127.0.0.1:{}", free_port());
    let _sender = copies(&file.0, &format!("mpegts '{url}'"));
    is_read(&film, &format!("{url}?mode=listener"), true);
}

/// A shell and all it has started, ended with the test.
struct Shell(Child);

impl Shell {
    fn start(script: &str) -> Self {
        use std::os::unix::process::CommandExt;
        let child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.0.wait();
    }
}
