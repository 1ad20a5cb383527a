//! Real processes killed at random instants: no torn frame, no bad packet, nothing left behind.
//!
//! The children are this test binary again, running [`child`] with its part in the environment.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use protocol::control::RingContract;
use protocol::name::ProjectName;
use protocol::stream::{Colour, PixelFormat};
use protocol::time::{ClockSource, MonoNs, Stamp};
use shmring::{
    FrameMeta, FrameOptions, FrameReader, FrameWriter, Next, PacketMeta, PacketOptions,
    PacketReader, PacketWriter, PlaneLayout, Policy, Start, clock,
};

use crate::Project;

const PART: &str = "SHMRING_TEST_PART";
const PROJECT: &str = "SHMRING_TEST_PROJECT";
const READERS: u32 = 3;
const SIDE: usize = 128;
/// How long the short form kills; `SHMRING_TORTURE_SECONDS` makes it longer.
const SECONDS: u64 = 4;

#[test]
fn frames_stay_whole_while_readers_and_writers_are_killed() {
    torture("frame-writer", "frame-reader", "cam.frames");
}

#[test]
fn packets_stay_whole_while_readers_and_writers_are_killed() {
    torture("packet-writer", "packet-reader", "cam.packets");
}

/// One writer and some readers, each killed and replaced; what a reader finds wrong ends it with an
/// exit code of its own, which no kill has.
fn torture(writer: &str, reader: &str, ring: &str) {
    let project = Project::new();
    let seconds = std::env::var("SHMRING_TORTURE_SECONDS").ok().and_then(|s| s.parse().ok());
    let until = clock::mono() + Duration::from_secs(seconds.unwrap_or(SECONDS));
    let mut parts = vec![(writer, start(&project.0, writer))];
    parts.extend((0..READERS).map(|_| (reader, start(&project.0, reader))));
    let mut random = clock::mono().0 | 1;
    let mut kills = 0;
    while clock::mono() < until {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_micros(random % 8_000));
        let victim = usize::try_from(random >> 20).unwrap() % parts.len();
        let (part, child) = &mut parts[victim];
        end(part, child);
        *child = start(&project.0, part);
        kills += 1;
    }
    for (part, child) in &mut parts {
        end(part, child);
    }
    println!("{ring}: {kills} kills, nothing torn");
    assert!(kills > 10, "only {kills} kills: this proves nothing");
}

/// A child that does not outlive its test, even one that fails.
struct Part(Child);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(project: &ProjectName, part: &str) -> Part {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child", "--ignored", "--nocapture"])
        .env(PART, part)
        .env(PROJECT, project.as_str())
        .stdout(Stdio::null())
        .spawn();
    Part(child.unwrap())
}

fn end(part: &str, Part(child): &mut Part) {
    let already = child.try_wait().unwrap();
    assert!(already.is_none(), "{part} ended by itself: {already:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "a part of the kill tests, started by them"]
fn child() {
    let Ok(part) = std::env::var(PART) else { return };
    let project: ProjectName = std::env::var(PROJECT).unwrap().parse().unwrap();
    match part.as_str() {
        "frame-writer" => write_frames(&project),
        "frame-reader" => read_frames(&project),
        "packet-writer" => write_packets(&project),
        "packet-reader" => read_packets(&project),
        other => panic!("unknown part {other}"),
    }
}

fn contract(ring: &str) -> RingContract {
    // One place more than readers: a killed one may still be on its way out.
    Project::contract_for(ring, READERS + 3)
}

/// The writer killed a moment ago may still hold the ring.
fn retry<T>(mut attempt: impl FnMut() -> Result<T, shmring::Error>) -> T {
    let until = clock::mono() + Duration::from_secs(10);
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) if clock::mono() > until => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn write_frames(project: &ProjectName) {
    let writer = retry(|| FrameWriter::create(project, &contract("cam.frames"), None));
    for number in 1u64.. {
        let mut loan = match writer.loan(SIDE * SIDE, 1) {
            Ok(loan) => loan,
            Err(error) => panic!("leases exhausted the ring: {error}"),
        };
        for word in loan.bytes_mut().chunks_exact_mut(8) {
            word.copy_from_slice(&number.to_le_bytes());
        }
        writer.publish(loan.slot(), &picture()).unwrap();
    }
}

fn read_frames(project: &ProjectName) {
    let ring = "cam.frames".parse().unwrap();
    let options = FrameOptions { policy: Policy::Latest, ..FrameOptions::named("torture") };
    let mut reader = retry(|| FrameReader::attach(project, &ring, &options));
    let mut random = clock::mono().0 | 1;
    let mut held = None;
    loop {
        if let Next::Item(frame) = reader.next(Duration::from_millis(100)).unwrap() {
            check(&frame);
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if random.is_multiple_of(16) {
                std::thread::sleep(Duration::from_micros(random % 2_000));
            }
            check(&frame);
            // One frame stays held while others come and go.
            if random.is_multiple_of(8) {
                held.iter().for_each(check);
                held = Some(frame);
            }
        }
    }
}

fn check(frame: &shmring::Frame) {
    let mut pixels = Vec::new();
    frame.plane(0).unwrap().copy_to(&mut pixels);
    let first = &pixels[..8];
    if pixels.chunks_exact(8).any(|word| word != first) {
        let _ = writeln!(
            std::io::stderr(),
            "TORN frame {} of epoch {}",
            frame.sequence(),
            frame.epoch()
        );
        std::process::abort();
    }
}

fn picture() -> FrameMeta {
    let side = u32::try_from(SIDE).unwrap();
    let none = PlaneLayout::default();
    FrameMeta {
        width: side,
        height: side,
        format: PixelFormat::Gray8,
        colour: Colour::default(),
        planes: [PlaneLayout { offset: 0, linesize: side }, none, none, none],
        pts_ns: 0,
        duration_ns: 0,
        capture: Stamp::default(),
        clock: ClockSource::Arrival,
        ingest: MonoNs(0),
        decoded: MonoNs(0),
        source: None,
        key: true,
        corrupt: false,
        discontinuity: false,
        copied: false,
        gop_index: 0,
    }
}

fn write_packets(project: &ProjectName) {
    let mut writer = retry(|| PacketWriter::create(project, &contract("cam.packets"), &[]));
    for number in 1u64.. {
        let bytes = usize::try_from(number * 7919 % 60_000).unwrap();
        let value = u8::try_from(number % 251).unwrap();
        writer
            .publish(
                &PacketMeta { key: number % 25 == 1, ..PacketMeta::default() },
                &vec![value; bytes],
            )
            .unwrap();
    }
}

fn read_packets(project: &ProjectName) {
    let ring = "cam.packets".parse().unwrap();
    let options = PacketOptions { reader: "torture".into(), start: Start::Oldest };
    let mut reader = retry(|| PacketReader::attach(project, &ring, &options));
    let (mut epoch, mut next) = (0, 1);
    loop {
        match reader.next(Duration::from_millis(100)).unwrap() {
            Next::Item(packet) => {
                let expected_bytes = usize::try_from(packet.sequence * 7919 % 60_000).unwrap();
                let value = u8::try_from(packet.sequence % 251).unwrap();
                assert_eq!(packet.payload.len(), expected_bytes, "wild length");
                assert!(packet.payload.iter().all(|byte| *byte == value), "torn packet");
                if packet.epoch == epoch {
                    assert_eq!(packet.sequence, next, "accounting does not close");
                }
                (epoch, next) = (packet.epoch, packet.sequence + 1);
            }
            Next::Overrun { missed } => next += missed,
            _ => {}
        }
    }
}
