//! Programs that people publish with: every picture of theirs arrives, as it was encoded.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bitstream::{Family, nal};
use protocol::config::ingest::Second;

use super::harness::Host;
use crate::source::CapturedUnit;

/// Seven seconds, in which reports come back.
const PICTURES: usize = 175;

/// What is published: a file, and its pictures in order, each as its one slice.
struct Clip {
    folder: PathBuf,
    slices: Vec<Vec<u8>>,
}

impl Clip {
    fn encode(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("framevisor-clip-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (mp4, raw) = (folder.join("clip.mp4"), folder.join("clip.h264"));
        let (mp4, raw) = (mp4.to_str().unwrap(), raw.to_str().unwrap());
        let source = format!("testsrc2=s=320x240:r=25:d={}", PICTURES / 25);
        let encode = ["-c:v", "libx264", "-bf", "0", "-g", "25", "-preset", "veryfast"];
        ffmpeg(&[&["-f", "lavfi", "-i", &source][..], &encode, &[mp4]].concat());
        ffmpeg(&["-i", mp4, "-c", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "h264", raw]);
        let slices = slices(&std::fs::read(raw).unwrap());
        assert_eq!(slices.len(), PICTURES, "a slice a picture");
        Self { folder, slices }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("clip.mp4")
    }

    /// Which pictures came, by what is in them.
    fn numbers(&self, seen: &[CapturedUnit]) -> Vec<usize> {
        let number = |captured: &CapturedUnit| {
            let found = slices(&captured.unit.payload);
            let [slice] = &found[..] else { panic!("{} slices in a unit", found.len()) };
            let number = self.slices.iter().position(|own| own == slice);
            number.expect("a picture as it was encoded")
        };
        seen.iter().map(number).collect()
    }
}

impl Drop for Clip {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn ffmpeg(arguments: &[&str]) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg {arguments:?}: {said}");
}

/// The coded slices of a stream in Annex B.
fn slices(stream: &[u8]) -> Vec<Vec<u8>> {
    let is_slice = |nal: &&[u8]| matches!(Family::H264.kind(nal), 1 | 5);
    nal::units(stream).filter(is_slice).map(<[u8]>::to_vec).collect()
}

/// A program; it is ended with the test at the latest.
struct Program(Child);

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let command = &mut Command::new(name);
        Self(command.args(arguments).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has(program: &str, arguments: &[&str]) -> bool {
    let tried = Command::new(program).args(arguments).stdout(Stdio::null()).status();
    let has = tried.is_ok_and(|status| status.success());
    if !has {
        eprintln!("skipped: {program} {arguments:?} does not work here");
    }
    has
}

fn has_encoder() -> bool {
    has("ffmpeg", &["-v", "error", "-h", "encoder=libx264"])
}

/// What arrives of what `program` publishes, until it leaves.
fn published(clip: &Clip, program: impl Fn(&Path, &str) -> Program) -> (Vec<usize>, Host) {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let program = program(&clip.path(), &host.url());
    host.watch(|| (), |host| !host.downs.is_empty());
    drop(program);
    assert!(host.pictures()[0].discontinuity && host.seen[0].unit.key);
    for pair in host.seen.windows(2) {
        let step_ns = pair[1].unit.pts_ns - pair[0].unit.pts_ns;
        assert_eq!((step_ns + 500_000) / 40_000_000, 1, "{step_ns} ns from picture to picture");
    }
    (clip.numbers(&host.seen), host)
}

fn by_ffmpeg(transport: &'static str) -> impl Fn(&Path, &str) -> Program {
    move |clip, url| {
        let read = ["-v", "error", "-nostdin", "-re", "-i", clip.to_str().unwrap()];
        let send = ["-c", "copy", "-f", "rtsp", "-rtsp_transport", transport, url];
        Program::start("ffmpeg", &[&read[..], &send].concat())
    }
}

#[test]
fn all_that_ffmpeg_publishes_over_tcp_arrives() {
    if !has_encoder() {
        return;
    }
    let clip = Clip::encode("tcp");
    let (numbers, host) = published(&clip, by_ffmpeg("tcp"));
    assert_eq!(numbers, (0..PICTURES).collect::<Vec<_>>());
    assert!(host.downs[0].contains("ended its stream"), "{:?}", host.downs);
    host.close();
}

#[test]
fn all_that_ffmpeg_publishes_over_udp_arrives() {
    if !has_encoder() {
        return;
    }
    let clip = Clip::encode("udp");
    // A datagram may be lost, and its goodbye may overtake the last two pictures.
    let whole = (0..3).any(|_| {
        let mut host = Host::open(Second::Refuse, 8_000_000);
        let program = by_ffmpeg("udp")(&clip.path(), &host.url());
        host.watch(|| (), |host| !host.downs.is_empty());
        drop(program);
        host.seen.retain(|captured| !captured.unit.corrupt);
        let numbers = clip.numbers(&host.seen);
        host.close();
        numbers.len() >= PICTURES - 2 && numbers.iter().copied().eq(0..numbers.len())
    });
    assert!(whole);
}

#[test]
fn all_that_rtspclientsink_publishes_arrives() {
    let elements = ["--exists", "rtspclientsink"];
    if !has_encoder() || !has("gst-inspect-1.0", &elements) {
        return;
    }
    let clip = Clip::encode("gst");
    let (numbers, host) = published(&clip, |clip, url| {
        let file = format!("location={}", clip.to_str().unwrap());
        let to = format!("location={url}");
        let source =
            ["-q", "filesrc", &file, "!", "qtdemux", "!", "h264parse", "config-interval=-1"];
        let sink = ["!", "identity", "sync=true", "!", "rtspclientsink", &to, "protocols=tcp"];
        Program::start("gst-launch-1.0", &[&source[..], &sink].concat())
    });
    assert_eq!(numbers, (0..PICTURES).collect::<Vec<_>>());
    host.close();
}
