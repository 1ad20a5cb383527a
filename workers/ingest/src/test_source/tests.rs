//! The pattern survives its encoder: what is read back from the pictures is what was drawn.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use media::{Decoder, DecoderOptions, Picture, PictureAllocator, PictureMemory, PictureNeed};
use protocol::config::ingest::Source;

use super::*;
use crate::framecode;

/// Makes every picture a heap picture.
struct NoMemory;

impl PictureAllocator for NoMemory {
    fn allocate(&self, _need: &PictureNeed) -> Option<Box<dyn PictureMemory>> {
        None
    }
}

fn pattern(query: &str) -> TestPattern {
    match query.parse() {
        Ok(Source::Test(pattern)) => pattern,
        other => panic!("{query}: {other:?}"),
    }
}

/// Luma planes of the first `count` pictures, encoded and decoded.
fn decoded_luma(wanted: &TestPattern, count: u64) -> Vec<Vec<u8>> {
    let mut encoder = PatternEncoder::open(wanted).unwrap();
    let first = encoder.encode(0).unwrap();
    let options = DecoderOptions { threads: 1, max_pixels: 1 << 24 };
    let mut decoder = Decoder::open(&encoder.track(), &options, Arc::new(NoMemory)).unwrap();
    let mut pictures = Vec::new();
    let rest = (1..count).map(|number| encoder.encode(number).unwrap());
    for (token, unit) in (0u64..).zip(std::iter::once(first).chain(rest)) {
        decoder.send(&unit.payload, token).unwrap();
        while let Some(picture) = decoder.receive().unwrap() {
            pictures.push(luma(&picture));
        }
    }
    pictures
}

fn luma(picture: &Picture) -> Vec<u8> {
    let mut tight = vec![0; picture.tight_layout().bytes];
    picture.copy_to(&mut tight).unwrap();
    tight.truncate(picture.width as usize * picture.height as usize);
    tight
}

fn numbers(picture: &[u8], width: usize) -> [Option<u32>; 2] {
    let rows: Vec<&[u8]> = picture.chunks(width).collect();
    [4..12, rows.len() - 12..rows.len() - 4].map(|range| framecode::read_strip(&rows[range]))
}

#[test]
fn every_picture_decodes_back_to_its_number_in_both_strips() {
    for query in [
        "test:?size=640x480",
        "test:?size=320x192&bitrate=2M",
        "test:?size=320x192&bitrate=150k&gop=50",
        "test:?size=128x64&fps=10",
    ] {
        let wanted = pattern(query);
        let pictures = decoded_luma(&wanted, 75);
        assert_eq!(pictures.len(), 75, "{query}");
        for (number, picture) in (0u32..).zip(&pictures) {
            let seen = numbers(picture, wanted.size.width as usize);
            assert_eq!(seen, [Some(number); 2], "{query}, picture {number}");
        }
    }
}

#[test]
fn a_live_source_says_its_tracks_first_and_then_comes_at_its_rate() {
    let mut source = TestSource::open(&pattern("test:?size=128x64&fps=100&gop=5")).unwrap();
    let Event::Tracks(tracks) = source.next(Duration::ZERO).unwrap() else {
        panic!("no tracks before the first picture");
    };
    assert_eq!(tracks[0].extradata[..5], [0, 0, 0, 1, 0x67]);
    let begun = clock::mono();
    let mut units = Vec::new();
    while units.len() < 21 {
        if let Event::Unit(captured) = source.next(Duration::from_millis(50)).unwrap() {
            units.push(captured);
        }
    }
    let took = clock::mono().saturating_since(begun);
    assert!(took >= Duration::from_millis(199), "20 periods of 10 ms took {took:?}");
    assert!(units[0].discontinuity && !units[1].discontinuity);
    for (number, captured) in units.iter().enumerate() {
        assert_eq!(captured.unit.pts_ns, 10_000_000 * i64::try_from(number).unwrap());
        assert_eq!(captured.unit.key, number % 5 == 0);
    }
    let spread = units[20].capture.mono.saturating_since(units[0].capture.mono);
    assert_eq!(spread, Duration::from_millis(200), "capture is the schedule's instant");
}

#[test]
fn pictures_and_their_sound_share_one_line_of_time() {
    let query = "test:?size=128x64&fps=50&beep=1000&sound=pcmu";
    let mut source = TestSource::open(&pattern(query)).unwrap();
    let Event::Tracks(tracks) = source.next(Duration::ZERO).unwrap() else { panic!("no tracks") };
    let codecs: Vec<Codec> = tracks.iter().map(|track| track.codec).collect();
    assert_eq!(codecs, [Codec::H264, Codec::PcmMulaw]);
    let mut captured = [Vec::new(), Vec::new()];
    while captured[1].len() < 5 {
        if let Event::Unit(it) = source.next(Duration::from_millis(50)).unwrap() {
            assert_eq!(it.discontinuity, it.unit.track == 0 && it.unit.pts_ns == 0);
            let track = usize::try_from(it.unit.track).unwrap();
            captured[track].push((it.unit.pts_ns, it.capture.mono));
        }
    }
    let (zero_ns, zero) = captured[0][0];
    for (pts_ns, mono) in captured.into_iter().flatten() {
        let since = mono.saturating_since(zero);
        assert_eq!(i64::try_from(since.as_nanos()).unwrap(), pts_ns - zero_ns);
    }
}

#[test]
fn a_microphone_has_no_pictures() {
    let mut source = TestSource::open(&pattern("test:?tone=1000&sound=aac")).unwrap();
    let Event::Tracks(tracks) = source.next(Duration::ZERO).unwrap() else { panic!("no tracks") };
    assert_eq!((tracks.len(), tracks[0].codec), (1, Codec::Aac));
    let mut units = Vec::new();
    while units.len() < 3 {
        if let Event::Unit(it) = source.next(Duration::from_millis(50)).unwrap() {
            units.push((it.unit.track, it.unit.key, it.discontinuity));
        }
    }
    assert_eq!(units, [(0, true, true), (0, true, false), (0, true, false)]);
}

/// The reader in `docs/framecode.md` is the contract's: it must run as printed.
#[test]
fn the_reader_in_the_documentation_counts_what_is_there() {
    let python = std::env::var("FRAMEVISOR_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let numpy = Command::new(&python).args(["-c", "import numpy"]).stderr(Stdio::null()).status();
    if !numpy.is_ok_and(|status| status.success()) {
        eprintln!("skipped: {python} has no numpy (set FRAMEVISOR_PYTHON to one that has)");
        return;
    }
    let document = include_str!("../../../../docs/framecode.md");
    let reader = document.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let mut pictures = decoded_luma(&pattern("test:?size=320x192"), 40);
    let told = run_reader(&python, reader, &pictures, &[]);
    assert_eq!(told, "n 40 first 0 last 39 torn 0 unreadable 0 dup 0 back 0 lost 0");

    pictures[30] = pictures[29].clone(); // 30 is lost, 29 doubled
    pictures.remove(10); // 10 is lost
    pictures.swap(20, 21); // 22 before 21: 21 lost, then back
    let torn = pictures[5][..320 * 96].to_vec();
    pictures[6][..320 * 96].copy_from_slice(&torn); // 6 has the upper half of 5
    for row in pictures[3].chunks_mut(320) {
        row[260..270].fill(235); // a wrong check bit
    }
    let told = run_reader(&python, reader, &pictures, &[]);
    assert_eq!(told, "n 39 first 0 last 39 torn 1 unreadable 1 dup 1 back 1 lost 6");

    pictures = decoded_luma(&pattern("test:?size=320x192"), 10);
    pictures.extend_from_within(..);
    let told = run_reader(&python, reader, &pictures, &["10"]);
    assert_eq!(told, "n 20 first 0 last 9 torn 0 unreadable 0 dup 0 back 0 lost 0");
}

fn run_reader(python: &str, reader: &str, pictures: &[Vec<u8>], more: &[&str]) -> String {
    let mut child = Command::new(python)
        .args(["-c", reader, "320", "192"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for picture in pictures {
        stdin.write_all(picture).unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
