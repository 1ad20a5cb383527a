//! The examples do what their first lines say.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use protocol::record::Record;
use protocol::stream::PixelFormat;
use shmring::{FrameOptions, FrameReader, Next, PacketOptions, Policy, RecordReader, Start};

use crate::tools::{Project, Running, compile, text};

const SOON: Duration = Duration::from_secs(20);

fn sample(plane: usize, x: usize, y: usize) -> u8 {
    u8::try_from((plane * 60 + x * 2 + y * 3) % 256).unwrap()
}

fn dump(project: &Project, arguments: &[&str], folder: &Path) -> Vec<u8> {
    let program = compile("examples/dump_frames.c", folder);
    let mut command = Command::new(program);
    command.args(arguments).arg(folder).arg(project.as_str());
    let written = text(command.output().unwrap());
    fs::read(written.trim()).unwrap()
}

#[test]
fn dump_frames_writes_luma_as_pgm_and_planes_as_they_are() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let painter = project.painter("cam1.frames");
    painter.paint((6, 4), PixelFormat::Yuv420p, sample);
    let luma = (0..4).flat_map(|y| (0..6).map(move |x| sample(0, x, y)));
    let picture: Vec<u8> = b"P5\n6 4\n255\n".iter().copied().chain(luma.clone()).collect();
    assert_eq!(dump(&project, &["cam1.frames", "1"], folder.path()), picture);
    let chroma =
        (1..3).flat_map(|p| (0..2).flat_map(move |y| (0..3).map(move |x| sample(p, x, y))));
    let planes: Vec<u8> = luma.chain(chroma).collect();
    assert_eq!(dump(&project, &["-r", "cam1.frames", "1"], folder.path()), planes);
}

#[test]
fn dump_frames_writes_packed_formats_in_red_green_blue() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let painter = project.painter("cam1.frames");
    // In each format: red 10, green 20, blue 30, and alpha 40 where there is one.
    for (format, order) in [
        (PixelFormat::Rgb24, &[10, 20, 30][..]),
        (PixelFormat::Bgr24, &[30, 20, 10]),
        (PixelFormat::Rgba, &[10, 20, 30, 40]),
    ] {
        painter.paint((2, 1), format, |_, x, _| order[x % order.len()]);
        let picture = b"P6\n2 1\n255\n\x0a\x14\x1e\x0a\x14\x1e";
        assert_eq!(dump(&project, &["cam1.frames", "1"], folder.path()), picture, "{format:?}");
    }
}

fn records(project: &Project, ring: &str) -> RecordReader {
    let options = PacketOptions { reader: "test".into(), start: Start::Oldest };
    let ring = ring.parse().unwrap();
    // The program makes its ring when it has started.
    for _ in 0..2000 {
        match RecordReader::attach(project.name(), &ring, &options) {
            Err(error) if error.is_absent() => std::thread::sleep(Duration::from_millis(10)),
            attached => return attached.unwrap(),
        }
    }
    panic!("no ring {ring}");
}

fn next(records: &mut RecordReader) -> Record {
    match records.next(SOON).unwrap() {
        Next::Item(record) => record,
        other => panic!("{other:?}"),
    }
}

#[test]
fn centroid_finds_the_light_in_every_picture_and_says_which() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let painter = project.painter("cam1.frames");
    let program = compile("examples/centroid.c", folder.path());
    let mut command = Command::new(program);
    // As a supervisor starts it.
    command.env("FRAMEVISOR_PROJECT", project.as_str()).env("FRAMEVISOR_WORKER", "where");
    command.env("FRAMEVISOR_IN", "cam1.frames").env("FRAMEVISOR_OUT", "where.events");
    let running = Running::start(&mut command);
    let mut records = records(&project, "where.events");
    for (spot_x, spot_y) in [(20, 10), (51, 3), (0, 35)] {
        let sequence = painter.paint((64, 36), PixelFormat::Nv12, |plane, x, y| {
            if plane == 0 && (x, y) == (spot_x, spot_y) { 255 } else { 16 }
        });
        let record = next(&mut records);
        assert_eq!((record.kind.as_str(), record.camera.as_str()), ("centroid", "cam1"));
        assert_eq!(
            (record.data["x"].as_f64(), record.data["y"].as_f64()),
            (Some(spot_x as f64), Some(spot_y as f64)),
            "picture {sequence}"
        );
        let id = record.frame.unwrap();
        assert_eq!((id.ring.as_str(), id.epoch, id.sequence), ("cam1.packets", 77, 5));
    }
    running.terminate();
    assert!(running.ends_well());
    assert!(matches!(records.next(SOON).unwrap(), Next::Ended));
}

#[test]
fn negative_publishes_the_negative_under_the_originals_identity() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let painter = project.painter("cam1.frames");
    let program = compile("examples/negative.cpp", folder.path());
    painter.paint((50, 30), PixelFormat::Yuv420p, sample);
    let mut command = Command::new(program);
    command.args(["cam1.frames", "negative.frames", project.as_str()]);
    let running = Running::start(&mut command);
    let mut reader = attached(&project, "negative.frames");
    let Next::Item(frame) = reader.next(SOON).unwrap() else { panic!("no negative") };
    let id = frame.frame_id();
    assert_eq!((id.ring.as_str(), id.epoch, id.sequence), ("cam1.packets", 77, 5));
    assert_eq!((frame.meta().pts_ns, frame.meta().gop_index), (40_000_000, 9));
    let mut plane = Vec::new();
    frame.plane(2).unwrap().copy_to(&mut plane);
    let wanted: Vec<u8> =
        (0..15).flat_map(|y| (0..25).map(move |x| 255 - sample(2, x, y))).collect();
    assert_eq!(plane, wanted);
    painter.writer.finish();
    assert!(running.ends_well());
    assert!(matches!(reader.next(SOON).unwrap(), Next::Ended));
}

fn attached(project: &Project, ring: &str) -> FrameReader {
    let options = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("test") };
    let ring = ring.parse().unwrap();
    for _ in 0..2000 {
        match FrameReader::attach(project.name(), &ring, &options) {
            Err(error) if error.is_absent() => std::thread::sleep(Duration::from_millis(10)),
            attached => return attached.unwrap(),
        }
    }
    panic!("no ring {ring}");
}
