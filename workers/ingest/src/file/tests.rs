//! A looped file is one even stream.

use protocol::config::ingest::{Source, TestPattern};

use super::*;
use crate::test_source::PatternEncoder;

struct Clip(PathBuf);

impl Clip {
    /// An elementary stream of `pictures` pictures at 100 a second.
    fn new(test: &str, pictures: u64) -> Self {
        let Ok(Source::Test(pattern)) = "test:?size=128x64&fps=100&gop=5".parse() else {
            panic!("a pattern that reads");
        };
        let pattern: TestPattern = pattern;
        let mut encoder = PatternEncoder::open(&pattern).unwrap();
        let units = (0..pictures).flat_map(|number| encoder.encode(number).unwrap().payload);
        let bytes: Vec<u8> = units.collect();
        let path = std::env::temp_dir().join(format!("ingest-{test}-{}.h264", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Clip {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The next `count` units; the file's tracks come first and once.
fn units(source: &mut FileSource, count: usize) -> Vec<CapturedUnit> {
    let deadline = clock::mono() + Duration::from_secs(60);
    let mut units = Vec::new();
    let mut tracks = 0;
    while units.len() < count {
        assert!(clock::mono() < deadline, "{} units in 60 s", units.len());
        match source.next(Duration::from_millis(20)).unwrap() {
            Event::Unit(captured) => units.push(captured),
            Event::Tracks(_) => tracks += 1,
            Event::Quiet => {}
            other => panic!("{other:?} in the middle of a loop"),
        }
    }
    assert_eq!(tracks, 1);
    units
}

fn assert_even(units: &[CapturedUnit]) {
    for pair in units.windows(2) {
        assert_eq!(pair[1].unit.dts_ns - pair[0].unit.dts_ns, 10_000_000);
        assert_eq!(pair[1].unit.pts_ns - pair[0].unit.pts_ns, 10_000_000);
        let apart = pair[1].capture.mono.saturating_since(pair[0].capture.mono);
        assert_eq!(apart, Duration::from_millis(10));
    }
}

#[test]
fn rounds_of_a_looped_file_join_without_a_seam() {
    let clip = Clip::new("rounds", 10);
    let units = units(&mut FileSource::open(&clip.0, true, 0, Arc::default()).unwrap(), 35);
    assert_even(&units);
    assert!(units[0].discontinuity);
    assert!(units[1..].iter().all(|captured| !captured.discontinuity));
    assert!(units.iter().step_by(5).all(|captured| captured.unit.key));
}

#[test]
fn a_file_that_is_not_repeated_ends() {
    let clip = Clip::new("once", 10);
    let mut source = FileSource::open(&clip.0, false, 0, Arc::default()).unwrap();
    assert_eq!(units(&mut source, 10).len(), 10);
    assert!(matches!(source.next(Duration::ZERO).unwrap(), Event::Ended));
}

#[test]
fn a_read_broken_off_by_a_stop_is_no_failure() {
    let clip = Clip::new("stop", 10);
    let stop: Arc<AtomicBool> = Arc::default();
    let mut source = FileSource::open(&clip.0, true, 0, Arc::clone(&stop)).unwrap();
    units(&mut source, 5);
    stop.store(true, Ordering::Relaxed);
    // Some of the first round is read already; opening the file again is what is broken off.
    for _ in 0..30 {
        let event = source.next(Duration::from_millis(20)).unwrap();
        assert!(matches!(event, Event::Unit(_) | Event::Quiet), "{event:?}");
    }
}

#[test]
fn every_round_of_a_file_begins_at_its_start() {
    let Ok(Source::Test(pattern)) = "test:?size=128x64&fps=100&gop=5".parse() else {
        panic!("a pattern that reads");
    };
    let pattern: TestPattern = pattern;
    let mut encoder = PatternEncoder::open(&pattern).unwrap();
    let encoded: Vec<_> = (0..20).map(|number| encoder.encode(number).unwrap()).collect();
    let path = std::env::temp_dir().join(format!("ingest-start-{}.mkv", std::process::id()));
    let mut muxer =
        media::Muxer::create(&path, media::Container::Matroska, &[encoder.track()]).unwrap();
    for (at_ns, encoded) in (0..).step_by(10_000_000).zip(&encoded) {
        let (key, payload) = (encoded.key, encoded.payload.clone());
        let unit = AccessUnit {
            track: 0,
            key,
            corrupt: false,
            pts_ns: at_ns,
            dts_ns: at_ns,
            duration_ns: 10_000_000,
            payload,
        };
        muxer.write(&unit).unwrap();
    }
    muxer.finish().unwrap();
    let clip = Clip(path);
    // Picture 12; the key frame before it is picture 10.
    let mut source = FileSource::open(&clip.0, true, 120_000_000, Arc::default()).unwrap();
    let read = units(&mut source, 25);
    let is_of = |captured: &CapturedUnit, number: usize| {
        captured.unit.payload.ends_with(&encoded[number].payload[5..])
    };
    let wrong = read.iter().enumerate().find(|(at, unit)| !is_of(unit, 10 + at % 10));
    assert!(wrong.is_none(), "{:?}", wrong.map(|(at, _)| at));
    assert!(read.windows(2).all(|pair| pair[0].unit.dts_ns < pair[1].unit.dts_ns));
}

#[test]
fn a_missing_file_is_a_resource_that_cannot_be_had() {
    let path = std::env::temp_dir().join("ingest-no-such-film.mp4");
    let fault = FileSource::open(&path, true, 0, Arc::default()).unwrap_err();
    assert_eq!(fault.exit(), protocol::exit::WorkerExit::Unavailable);
    assert!(fault.to_string().contains("ingest-no-such-film.mp4: not found"), "{fault}");
}
