//! A camera that goes and comes is one stream with a marked joint.

use protocol::time::ClockSource;

use super::*;
use crate::camera::fake;

pub(super) struct Seen {
    pub(super) units: Vec<CapturedUnit>,
    pub(super) downs: Vec<String>,
    pub(super) tracks: Vec<Vec<Track>>,
}

/// Watches `url` until `enough`.
pub(super) fn watch(url: &str, enough: impl Fn(&Seen) -> bool) -> Seen {
    watch_by(Transport::Tcp, url, enough)
}

pub(super) fn watch_by(transport: Transport, url: &str, enough: impl Fn(&Seen) -> bool) -> Seen {
    watch_read_by(ReadBy::Loop, transport, url, enough)
}

fn watch_read_by(
    read_by: ReadBy,
    transport: Transport,
    url: &str,
    enough: impl Fn(&Seen) -> bool,
) -> Seen {
    let stop: Arc<AtomicBool> = Arc::default();
    let name = url.replace("user:secret@", "");
    let address = Address { url: url.to_owned(), name, transport };
    let mut camera = Camera::connect(address, read_by, Arc::clone(&stop)).unwrap();
    let mut seen = Seen { units: Vec::new(), downs: Vec::new(), tracks: Vec::new() };
    let deadline = clock::mono() + Duration::from_secs(120);
    assert!(matches!(camera.next(Duration::ZERO).unwrap(), Event::Preparing(_)));
    while !enough(&seen) {
        assert!(clock::mono() < deadline, "not enough seen in 120 s: {:?}", seen.downs);
        match camera.next(Duration::from_millis(50)).unwrap() {
            Event::Unit(captured) => seen.units.push(captured),
            Event::Down(why) => seen.downs.push(why),
            Event::Tracks(tracks) => seen.tracks.push(tracks),
            _ => {}
        }
    }
    stop.store(true, Ordering::Relaxed);
    let closing = clock::mono();
    camera.close();
    // Without a bound it would last as long as the camera sends; the rest is slack for a busy machine.
    assert!(clock::mono().saturating_since(closing) < CLOSE + Duration::from_secs(30));
    seen
}

#[test]
fn a_camera_that_comes_back_goes_on_in_the_same_time_line() {
    comes_back(ReadBy::Loop);
}

#[test]
fn so_does_one_that_its_own_thread_reads() {
    comes_back(ReadBy::Thread);
}

fn comes_back(read_by: ReadBy) {
    let url = fake::serve(2, 150);
    let seen = watch_read_by(read_by, Transport::Tcp, &url, |seen| {
        seen.units.iter().filter(|captured| captured.discontinuity).count() == 2
            && seen.units.last().is_some_and(|last| !last.discontinuity)
    });
    assert_eq!(seen.tracks.len(), 2);
    assert_eq!((seen.tracks[0][0].width, seen.tracks[0][0].height), (128, 64));
    assert!(seen.units.windows(2).all(|pair| pair[0].unit.dts_ns < pair[1].unit.dts_ns));
    let joint = seen.units.iter().skip(1).position(|captured| captured.discontinuity).unwrap() + 1;
    assert!(joint >= 100, "only {joint} units of the first connection");
    let (before, after) = (&seen.units[joint - 1], &seen.units[joint]);
    let gap_ns = after.unit.dts_ns - before.unit.dts_ns;
    assert!(gap_ns > 200_000_000, "back within {gap_ns} ns, the shortest wait is 0.2 s");
    assert!(seen.downs[0].contains("next try in"), "{:?}", seen.downs);
}

#[test]
fn a_camera_that_was_left_alone_goes_on_behind_the_gap_when_it_is_wanted_again() {
    let url = fake::serve(2, 5_000);
    let name = url.replace("user:secret@", "");
    let address = Address { url, name, transport: Transport::Tcp };
    let mut camera = Camera::connect(address, ReadBy::Loop, Arc::default()).unwrap();
    let mut units = some_units(&mut camera);
    let first = units.len();
    camera.close();
    camera.connect_again().unwrap();
    units.extend(some_units(&mut camera));
    assert!(units.windows(2).all(|pair| pair[0].unit.dts_ns < pair[1].unit.dts_ns));
    let joints = units.iter().map(|captured| captured.discontinuity).collect::<Vec<_>>();
    assert!(joints[0] && joints[first] && joints.iter().filter(|joint| **joint).count() == 2);
    camera.close();
}

fn some_units(camera: &mut Camera) -> Vec<CapturedUnit> {
    let deadline = clock::mono() + Duration::from_secs(60);
    let mut units = Vec::new();
    while units.len() < 30 {
        assert!(clock::mono() < deadline, "{} units in 60 s", units.len());
        if let Event::Unit(captured) = camera.next(Duration::from_millis(50)).unwrap() {
            units.push(captured);
        }
    }
    units
}

#[test]
fn a_camera_that_is_off_is_a_reason_not_an_end() {
    // A free port of now may be another test's in a moment; nobody listens on this one.
    let seen = watch("rtsp://user:secret@127.0.0.1:1/cam", |seen| seen.downs.len() == 2);
    for why in &seen.downs {
        assert!(why.contains("connection refused") && !why.contains("secret"), "{why}");
    }
    assert!(seen.units.is_empty());
}

fn camera() -> Camera {
    let (_, messages) = sync_channel(1);
    let timeline = Timeline::default();
    let address = Address { url: String::new(), name: "cam".to_owned(), transport: Transport::Tcp };
    let (wanted, stop) =
        (Sought { address, input: None, publisher: None, read_by: ReadBy::Thread }, Arc::default());
    let (last_arrival, silent_since) = (None, None);
    Camera {
        messages,
        loan: None,
        wanted,
        stop,
        timeline,
        last_arrival,
        silent_since,
        fresh: true,
        begun: true,
    }
}

fn received(track: u32, anew: bool, at_ms: i64) -> Received {
    let mono = MonoNs(u64::try_from(at_ms).unwrap() * 1_000_000);
    let arrival = protocol::time::Stamp { mono, ..Default::default() };
    let (pts_ns, duration_ns) = (at_ms * 1_000_000, 0);
    let unit = media::AccessUnit {
        track,
        key: true,
        corrupt: false,
        pts_ns,
        dts_ns: pts_ns,
        duration_ns,
        payload: Vec::new(),
    };
    Received { unit, arrival, capture: arrival, clock: ClockSource::Arrival, anew, jumped: false }
}

#[test]
fn sound_that_begins_anew_does_not_make_the_picture_wait_for_a_key_frame() {
    let mut camera = camera();
    let units = [(0, false, 0), (1, false, 5), (1, true, 40), (0, false, 50), (0, true, 90)];
    let told = units.map(|(track, anew, at_ms)| {
        let captured = camera.captured(received(track, anew, at_ms), None);
        (captured.discontinuity, captured.jumped)
    });
    let expected = [(true, false), (false, false), (false, true), (false, false), (true, true)];
    assert_eq!(told, expected);
}
