//! Against a scripted server: what arrives, in which order, and what is told when nothing can.

use std::sync::OnceLock;

use protocol::config::PushUrl;
use protocol::config::push::PushTransport;
use protocol::control::Condition;
use protocol::stream::Codec;
use protocol::time::{MonoNs, TimeBase};
use shmring::{Packet, PacketMeta};

use super::server::{End, Log, PASSWORD, Script, USER, serve};
use super::*;
use crate::backlog::Unit;
use crate::state::Told;

const SPS: &[u8] = &[0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0x95, 0xa0];
const PPS: &[u8] = &[0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80];
/// Pictures from one key frame to the next.
const GROUP: u32 = 10;
const DIGEST: &str = "Digest realm=\"media\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
const BASIC: &str = "Basic realm=\"media\"";
const A_PICTURE: Duration = Duration::from_millis(4);

fn tracks(codec: Codec) -> Arc<[Track]> {
    let track = Track {
        codec,
        time_base: TimeBase { num: 1, den: 90_000 },
        width: 320,
        height: 192,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: Vec::new(),
    };
    Arc::new([track])
}

/// Picture `number`, whose number is in its bytes.
fn picture(number: u32, tracks: &Arc<[Track]>, filling: usize) -> Unit {
    static PARAMETERS: OnceLock<Vec<u8>> = OnceLock::new();
    let key = number.is_multiple_of(GROUP);
    let sets: &[u8] = if key { PARAMETERS.get_or_init(|| [SPS, PPS].concat()) } else { &[] };
    let head = if key { 0x65 } else { 0x41 };
    let mut payload = [sets, &[0, 0, 0, 1, head, 0x88]].concat();
    payload.extend(format!("#{number:06}#").into_bytes());
    payload.resize(payload.len() + filling, 0x55);
    let dts_ns = i64::from(number) * 40_000_000;
    let meta = PacketMeta { key, pts_ns: dts_ns, dts_ns, ..PacketMeta::default() };
    let published = MonoNs(u64::from(number) * 40_000_000);
    let packet = Packet { epoch: 1, sequence: u64::from(number) + 1, meta, published, payload };
    Unit { packet, tracks: Arc::clone(tracks), begins: key }
}

/// The next picture, once a connection has had the last one: nobody is too slow for this camera, however
/// slow the machine is.
fn feed(shared: &Shared, unit: Unit, stopped: &AtomicBool) {
    thread::sleep(A_PICTURE);
    while shared.is_behind() && !stopped.load(Ordering::Relaxed) {
        thread::sleep(A_PICTURE);
    }
    shared.push(unit);
}

/// A sender at work.
struct Stage {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    name: String,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Stage {
    fn new(url: &str, patience: Duration) -> Self {
        let to = PushUrl::parse(url).unwrap();
        let (place, name) = (to.place(), to.to_string());
        let target = Target { place, transport: PushTransport::Tcp, name: name.clone() };
        let (shared, stop) = (Arc::<Shared>::default(), Arc::<AtomicBool>::default());
        let mut sender = Sender::new(target, true, Arc::clone(&shared), Arc::clone(&stop));
        sender.patience = patience;
        // A thread that gets no time says goodbye all the same.
        sender.goodbye = PATIENCE;
        let threads = vec![thread::spawn(move || sender.run())];
        Self { shared, stop, name, threads }
    }

    /// With a camera; each of its pictures has so many bytes more.
    fn with_camera(url: &str, patience: Duration, codec: Codec, filling: usize) -> Self {
        let mut stage = Self::new(url, patience);
        let (fed, stopped) = (Arc::clone(&stage.shared), Arc::clone(&stage.stop));
        let tracks = tracks(codec);
        stage.threads.push(thread::spawn(move || {
            for number in 0u32.. {
                feed(&fed, picture(number, &tracks, filling), &stopped);
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
            }
        }));
        stage
    }

    fn usual(url: &str) -> Self {
        Self::with_camera(url, PATIENCE, Codec::H264, 20)
    }

    /// Waits until `enough` of what is told.
    fn until(&self, enough: impl Fn(&Told) -> bool) -> Told {
        let deadline = clock::mono() + Duration::from_secs(120);
        loop {
            let told = self.shared.told();
            if enough(&told) {
                return told;
            }
            assert!(clock::mono() < deadline, "not within 120 s: {told:?}");
            thread::sleep(A_PICTURE);
        }
    }

    /// The words of `ps` once it is down.
    fn down(&self) -> String {
        let told = self.until(|told| matches!(told.state, State::Down { .. }));
        let (condition, why) = told.condition(&self.name, clock::mono());
        assert_eq!(condition, Condition::Degraded);
        let status = told.status(&self.name, clock::mono()).to_string();
        for text in [&why, &status, &self.name] {
            assert!(!text.contains(PASSWORD) && !text.contains("s3kret"), "{text}");
        }
        why
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "a thread panicked");
        }
    }
}

fn numbers(log: &Log, connection: usize) -> Vec<u32> {
    log.lock().unwrap().get(connection).map(|seen| seen.numbers.clone()).unwrap_or_default()
}

fn is_gapless(numbers: &[u32]) -> bool {
    numbers.first().is_some_and(|first| first.is_multiple_of(GROUP))
        && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

fn url(port: u16) -> String {
    format!("rtsp://127.0.0.1:{port}/cam")
}

#[test]
fn each_connection_begins_with_a_key_frame_and_has_no_hole_over_hang_ups_of_the_server() {
    let hangs_up = Script { end: End::After(60), ..Script::default() };
    let (port, log) = serve(vec![hangs_up, hangs_up, Script::default()]);
    let stage = Stage::usual(&url(port));
    stage.until(|_| numbers(&log, 2).len() > 60);
    for connection in 0..3 {
        let numbers = numbers(&log, connection);
        assert!(
            numbers.len() >= 60 && is_gapless(&numbers),
            "connection {connection}: {numbers:?}"
        );
    }
    let told = stage.shared.told();
    assert!(told.connections >= 3 && told.dropped == 0, "{told:?}");
    let firsts: Vec<_> = log.lock().unwrap().iter().filter_map(|seen| seen.first_nal).collect();
    // Parameter sets, alone or together in one packet (STAP-A).
    assert!(firsts.iter().all(|nal| [7, 24].contains(nal)), "{firsts:?}");
    drop(stage);
    let has_left = || {
        let seen = log.lock().unwrap();
        seen[2].requests.last().is_some_and(|last| last.starts_with("TEARDOWN"))
    };
    let deadline = clock::mono() + Duration::from_secs(60);
    while !has_left() {
        assert!(clock::mono() < deadline, "no goodbye: {:?}", log.lock().unwrap()[2].requests);
        thread::sleep(A_PICTURE);
    }
}

#[test]
fn user_and_password_are_sent_when_the_server_asks() {
    for challenge in [DIGEST, BASIC] {
        let (port, log) = serve(vec![Script { challenge: Some(challenge), ..Script::default() }]);
        let stage = Stage::usual(&format!("rtsp://{USER}:{PASSWORD}@127.0.0.1:{port}/cam"));
        stage.until(|_| numbers(&log, 0).len() > 20);
        assert!(is_gapless(&numbers(&log, 0)));
        drop(stage);
        let said = log.lock().unwrap()[0].requests.concat();
        assert!(!said.contains(PASSWORD), "{said}");
    }
}

#[test]
fn a_wrong_password_is_told_and_not_tried_again_soon() {
    let (port, log) = serve(vec![Script { challenge: Some(DIGEST), ..Script::default() }]);
    let stage = Stage::usual(&format!("rtsp://{USER}:s3kret@127.0.0.1:{port}/cam"));
    let why = stage.down();
    assert!(why.contains("user or password refused") && why.contains("credentials"), "{why}");
    // `reconnect` proves how long the wait is; a shorter one would be told here.
    assert!(!why.contains("next try in 1 s"), "{why}");
    let seen = log.lock().unwrap();
    assert_eq!((seen.len(), seen[0].tries), (1, 1), "{seen:?}");
}

#[test]
fn servers_that_take_nothing_are_told_apart() {
    let script = |end| Script { end, ..Script::default() };
    let refusal = Script { refusal: Some("403 Forbidden"), ..Script::default() };
    for (script, expected) in [
        (refusal, "refuses to take it (ANNOUNCE: 403 Forbidden)"),
        (Script { challenge: Some(DIGEST), ..Script::default() }, "user or password refused"),
        (script(End::Mute), "no answer within 1 s"),
        (script(End::Web), "no RTSP server"),
    ] {
        let (port, _log) = serve(vec![script]);
        // None is waited for that answers; who does not is given up soon.
        let patience = if script.end == End::Mute { Duration::from_secs(1) } else { PATIENCE };
        let why = Stage::with_camera(&url(port), patience, Codec::H264, 20).down();
        assert!(why.contains(expected), "{why}: expected {expected}");
        assert!(why.contains("next try in"), "{why}");
    }
    // A free port of now may be another test's in a moment; nobody listens on this one.
    let why = Stage::usual("rtsp://127.0.0.1:1/cam").down();
    assert!(why.contains("connection refused"), "{why}");
}

#[test]
fn a_server_that_reads_nothing_is_left_and_nothing_waits_for_it() {
    let blocked = Script { end: End::Blocked, ..Script::default() };
    let (port, log) = serve(vec![blocked, Script::default()]);
    // The kernel takes some MB before it lets a writer wait.
    let stage = Stage::with_camera(&url(port), PATIENCE, Codec::H264, 200_000);
    let why = stage.down();
    assert!(why.contains("it has taken nothing for 9 s"), "{why}");
    let first =
        || log.lock().unwrap().iter().skip(1).find_map(|seen| seen.numbers.first().copied());
    stage.until(|_| first().is_some());
    assert!(first().unwrap().is_multiple_of(GROUP), "{:?}", first());
}

#[test]
fn pictures_that_a_target_cannot_carry_are_told_and_nobody_is_asked() {
    for (url, codec, expected) in [
        ("rtmp://127.0.0.1:1/live/cam", Codec::H265, "RTMP does not carry H.265 pictures"),
        ("udp://127.0.0.1:9", Codec::Vp9, "MPEG-TS does not carry VP9 pictures"),
    ] {
        let stage = Stage::with_camera(url, PATIENCE, codec, 20);
        let told = stage.until(|told| matches!(told.state, State::Unfit { .. }));
        let (condition, why) = told.condition(&stage.name, clock::mono());
        assert_eq!(condition, Condition::Degraded);
        assert!(why.contains(expected) && why.contains("use: encoder"), "{why}");
        assert_eq!(told.connections, 0);
    }
}

#[test]
fn other_pictures_are_another_connection_which_begins_with_them() {
    let (port, log) = serve(vec![Script::default()]);
    let stage = Stage::new(&url(port), PATIENCE);
    let bare = tracks(Codec::H264);
    // The ring learns what the connection took from its first picture: the same, so it goes on.
    let told: Arc<[Track]> =
        Arc::new([Track { extradata: [SPS, PPS].concat(), ..bare[0].clone() }]);
    let other: Arc<[Track]> = Arc::new([Track { width: 640, ..told[0].clone() }]);
    let (mut now, mut changed) = (&bare, 0);
    let deadline = clock::mono() + Duration::from_secs(120);
    for number in 0u32.. {
        assert!(clock::mono() < deadline, "{:?}", stage.shared.told());
        if numbers(&log, 1).len() >= 20 {
            break;
        }
        if number.is_multiple_of(GROUP) {
            let seen = numbers(&log, 0).last().copied().unwrap_or(0);
            (now, changed) = match changed {
                0 if seen > 0 => (&told, number),
                before if std::ptr::eq(now, &told) && seen > before + GROUP => (&other, number),
                before => (now, before),
            };
        }
        feed(&stage.shared, picture(number, now, 20), &stage.stop);
    }
    assert_eq!(stage.shared.told().connections, 2);
    assert!(is_gapless(&numbers(&log, 0)) && is_gapless(&numbers(&log, 1)));
    assert!(numbers(&log, 1)[0] >= changed, "{:?} since {changed}", numbers(&log, 1));
    assert!(numbers(&log, 0).iter().all(|number| *number < changed));
}

#[test]
fn plain_rtp_leaves_a_description_that_names_the_port() {
    let folder = std::env::temp_dir().join(format!("fv-push-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let sdp = folder.join("cam.sdp");
    let stage = Stage::usual(&format!("rtp://127.0.0.1:30004?sdp={}", sdp.display()));
    stage.until(|told| told.packets > 20);
    drop(stage);
    let text = fs::read_to_string(&sdp).unwrap();
    assert!(text.starts_with("v=0") && text.contains("m=video 30004 RTP/AVP 96"), "{text}");
    assert!(text.contains("H264/90000") && text.contains("sprop-parameter-sets"), "{text}");
    fs::remove_dir_all(&folder).unwrap();
    let nowhere = Stage::usual("rtp://127.0.0.1:30004?sdp=/proc/cam.sdp");
    assert!(nowhere.down().contains("cannot be written to /proc/cam.sdp"));
}
