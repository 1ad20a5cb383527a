//! A source is told as it is.

use std::path::PathBuf;

use protocol::config::ingest::{TestPattern, Transport};
use protocol::stream::Codec;
use protocol::units::{Size, Span};

use super::*;
use crate::camera::fake;
use crate::test_source::PatternEncoder;

fn asked(transport: Option<Transport>, within_ms: u64) -> Probe {
    Probe { transport, within: Span::from_millis(within_ms) }
}

fn told(source: &str, wanted: &Probe) -> Result<Probed, VerbError> {
    let source: Source = source.parse().unwrap();
    look(&source, wanted).map(|looked| probed(&source, &looked))
}

#[test]
fn a_camera_is_told_with_what_its_description_lacks_and_lines_without_its_password() {
    let url = fake::serve(1, 5_000);
    let probed = told(&url, &asked(None, 60_000)).unwrap();
    assert_eq!(probed.transport, Some(Transport::Tcp));
    let [track] = &probed.tracks[..] else { panic!("{probed:?}") };
    assert_eq!((track.codec, track.size), (Codec::H264, Some(Size { width: 128, height: 64 })));
    // By the pictures' own times, whatever this machine does.
    assert_eq!(track.key_every_ns, Some(100_000_000));
    assert!(track.rate.is_some_and(|rate| (99.9..100.1).contains(&rate)), "{track:?}");
    assert!(track.profile.is_some() && track.bit_rate.0 > 0);
    let warned = |words: &str| probed.warnings.iter().any(|text| text.contains(words));
    assert!(warned("no parameter sets in its description"), "{:?}", probed.warnings);
    assert!(warned("no sender report"), "{:?}", probed.warnings);
    assert!(!format!("{probed:?}").contains("secret"), "{probed:?}");
    assert!(probed.topology.contains("rtsp://user:${CAM1_PASSWORD}@127.0.0.1:"));
}

#[test]
fn failures_are_told_in_the_words_of_the_worker() {
    let refused = told("rtsp://user:secret@127.0.0.1:1/cam", &asked(None, 60_000)).unwrap_err();
    assert!(refused.to_string().contains("connection refused"), "{refused}");
    let http = told("http://127.0.0.1:1/video.cgi", &asked(None, 60_000)).unwrap_err();
    assert!(http.to_string().contains("connection refused"), "{http}");
    // It takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://127.0.0.1:{}/cam", silent.local_addr().unwrap().port());
    let late = told(&url, &asked(None, 500)).unwrap_err();
    assert!(late.to_string().contains("no picture within 500ms"), "{late}");
}

#[test]
fn a_source_is_shown_as_whoever_asks_says() {
    let read = |mut text: &[u8]| source(&mut text);
    let named = read(b"rtsp://10.0.0.5/live/s3cret\nrtsp://10.0.0.5/live/${cred:path}\n").unwrap();
    assert_eq!(named.to_string(), "rtsp://10.0.0.5/live/${cred:path}");
    assert_eq!(String::from(named), "rtsp://10.0.0.5/live/s3cret");
    for plain in [&b"clip.mp4\nfile:clip.mp4\n"[..], &b"clip.mp4\n"[..]] {
        assert_eq!(read(plain).unwrap().to_string(), "file:clip.mp4");
    }
    assert_eq!(read(b"rtsp://u:p@h/x\n").unwrap().to_string(), "rtsp://h/x");
    assert!(read(b"ftp://h/x\n").is_err());
}

#[test]
fn a_file_is_read_as_fast_as_it_can_be() {
    let Ok(Source::Test(pattern)) = "test:?size=128x64&fps=25&gop=50".parse() else {
        panic!("a pattern that reads");
    };
    let pattern: TestPattern = pattern;
    let mut encoder = PatternEncoder::open(&pattern).unwrap();
    let bytes: Vec<u8> =
        (0..500).flat_map(|number| encoder.encode(number).unwrap().payload).collect();
    let path: PathBuf =
        std::env::temp_dir().join(format!("ingest-probe-{}.h264", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    let probed = told(&path.display().to_string(), &asked(None, 60_000));
    std::fs::remove_file(&path).unwrap();
    let probed = probed.unwrap();
    assert_eq!(probed.tracks[0].units, 500);
    assert_eq!(probed.tracks[0].key_every_ns, Some(2_000_000_000));
    assert!(probed.warnings.is_empty(), "{:?}", probed.warnings);
}
