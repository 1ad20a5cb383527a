//! Rings as released versions of the layout wrote them, byte for byte: today's code reads them. The
//! images lie in `golden/`, one a minor version; `make_image` makes the next one before a release:
//!
//! ```text
//! cargo test -q -p shmring --test ring -- --ignored make_image --nocapture \
//!   | grep -E '^(file|[0-9a-f]+ )' > shmring/tests/ring/golden/1.N.txt
//! ```

mod image;

use protocol::control::RingContract;
use protocol::stream::{Codec, PixelFormat, Track};
use protocol::time::{ClockSource, MonoNs, Stamp, TimeBase, UtcNs};
use shmring::{
    FrameMeta, FrameOptions, FrameReader, FrameWriter, Next, PacketMeta, PacketOptions,
    PacketReader, PacketWriter, Picture, SourceId, Start, census,
};

use crate::{NOW, Project};

/// Version and image.
const IMAGES: [(&str, &str); 1] = [("1.0", include_str!("golden/1.0.txt"))];

const FRAMES: &str = "cam.frames";
const PACKETS: &str = "cam.packets";
const PICTURES: u64 = 40;
/// From this one on they are of another size, in a generation of their own.
const LARGE_FROM: u64 = 31;
/// More than the log holds.
const PACKETS_MADE: u64 = 40;
const PAYLOAD_BYTES: usize = 300_000;
/// Above every clock, so that an image is the same whenever it is made.
const EPOCH_FLOOR: u64 = 4_000_000_000_000_000;

fn picture(number: u64) -> FrameMeta {
    let picture = if number < LARGE_FROM {
        Picture::packed(62, 48, PixelFormat::Gray8, 64)
    } else {
        Picture::packed(94, 64, PixelFormat::Nv12, 64)
    };
    FrameMeta {
        pts_ns: times(number),
        duration_ns: 40_000_000,
        capture: Stamp { mono: MonoNs(number), utc: UtcNs(1_700_000_000_000_000_000 + number) },
        clock: ClockSource::Camera,
        ingest: MonoNs(number + 1),
        decoded: MonoNs(number + 2),
        source: Some(SourceId { epoch: EPOCH_FLOOR, sequence: number * 2 }),
        key: number.is_multiple_of(5),
        discontinuity: number == 1,
        gop_index: number / 5,
        ..FrameMeta::of(picture.unwrap())
    }
}

fn packet(number: u64) -> PacketMeta {
    PacketMeta {
        track: u32::from(number.is_multiple_of(3)),
        key: number % 4 == 1,
        pts_ns: times(number),
        dts_ns: times(number) - 7,
        duration_ns: 40_000_000,
        capture: Stamp { mono: MonoNs(number), utc: UtcNs(1_700_000_000_000_000_000 + number) },
        clock: ClockSource::Camera,
        ingest: MonoNs(number + 1),
        gop_index: number / 4,
        ..PacketMeta::default()
    }
}

fn times(number: u64) -> i64 {
    // Before and after zero.
    (number.cast_signed() - 20) * 40_000_000
}

/// What a picture's samples or a packet's bytes all are.
fn value(number: u64) -> u8 {
    u8::try_from(number % 251).unwrap()
}

fn tracks() -> [Track; 2] {
    let video = Track {
        codec: Codec::H264,
        time_base: TimeBase::VIDEO_90K,
        width: 640,
        height: 480,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: vec![0, 0, 0, 1, 0x67, 0x42],
    };
    let sound = Track {
        codec: Codec::Aac,
        time_base: TimeBase { num: 1, den: 48_000 },
        width: 0,
        height: 0,
        sample_rate_hz: 48_000,
        channels: 2,
        frame_rate: (0, 1),
        extradata: vec![0x11, 0x90],
    };
    [video, sound]
}

fn contract(project: &Project, ring: &str) -> RingContract {
    RingContract { epoch_floor: EPOCH_FLOOR, ..project.contract(ring, 2) }
}

fn write_rings(project: &Project) {
    let source = PACKETS.parse().unwrap();
    let frames =
        FrameWriter::create(&project.0, &contract(project, FRAMES), Some(&source)).unwrap();
    for number in 1..=PICTURES {
        let meta = picture(number);
        let mut loan = frames.loan(meta.picture().unwrap().slot_bytes(), 1).unwrap();
        loan.bytes_mut().fill(value(number));
        frames.publish(loan.slot(), &meta).unwrap();
    }
    let contract = contract(project, PACKETS);
    let mut packets = PacketWriter::create(&project.0, &contract, &tracks()).unwrap();
    for number in 1..=PACKETS_MADE {
        packets.publish(&packet(number), &[value(number); PAYLOAD_BYTES]).unwrap();
    }
    packets.finish();
}

#[test]
#[ignore = "makes the image of a release, see the head of this file"]
fn make_image() {
    let project = Project::new();
    write_rings(&project);
    print!("{}", image::pack(&project.0));
}

/// Writes an image's files under a project of this test.
fn restore(image: &str) -> Project {
    let project = Project::new();
    image::unpack(image, &project.0);
    project
}

#[test]
fn the_pictures_of_every_released_layout_are_read() {
    for (version, image) in IMAGES {
        let project = restore(image);
        let options = FrameOptions::named("today");
        let mut reader =
            FrameReader::attach(&project.0, &FRAMES.parse().unwrap(), &options).unwrap();
        let Next::Item(frame) = reader.next(NOW).unwrap() else { panic!("{version}: no picture") };
        assert_eq!((frame.epoch(), frame.sequence()), (EPOCH_FLOOR + 1, PICTURES), "{version}");
        assert_eq!(frame.frame_id().ring.as_str(), PACKETS, "{version}");
        let said = FrameMeta { format_change: false, ..picture(PICTURES) };
        assert_eq!(*frame.meta(), said, "{version}");
        for plane in 0..2 {
            let mut samples = Vec::new();
            frame.plane(plane).unwrap().copy_to(&mut samples);
            assert_eq!(samples, vec![value(PICTURES); samples.len()], "{version}");
        }
        assert!(matches!(reader.next(NOW).unwrap(), Next::Quiet), "{version}");
    }
}

#[test]
fn the_packets_of_every_released_layout_are_read() {
    for (version, image) in IMAGES {
        let project = restore(image);
        let options = PacketOptions { reader: "today".to_owned(), start: Start::Oldest };
        let mut reader =
            PacketReader::attach(&project.0, &PACKETS.parse().unwrap(), &options).unwrap();
        assert_eq!(reader.tracks(), tracks(), "{version}");
        let mut numbers = Vec::new();
        while let Next::Item(read) = reader.next(NOW).unwrap() {
            assert_eq!(read.meta, packet(read.sequence), "{version}");
            assert_eq!(read.payload, [value(read.sequence); PAYLOAD_BYTES], "{version}");
            numbers.push(read.sequence);
        }
        assert!(matches!(reader.next(NOW).unwrap(), Next::Ended), "{version}");
        // The log went round, so the first are gone and a pad lies in the middle.
        let first = numbers[0];
        assert!((2..=PACKETS_MADE - 20).contains(&first), "{version}: {first}");
        assert_eq!(numbers, (first..=PACKETS_MADE).collect::<Vec<_>>(), "{version}");
    }
}

#[test]
fn a_writer_of_today_takes_over_a_ring_of_every_released_layout_and_its_reader_follows() {
    for (version, image) in IMAGES {
        let project = restore(image);
        let options = FrameOptions::named("today");
        let mut reader =
            FrameReader::attach(&project.0, &FRAMES.parse().unwrap(), &options).unwrap();
        let Next::Item(held) = reader.next(NOW).unwrap() else { panic!("{version}: no picture") };
        let before = census::status(&project.0, &FRAMES.parse().unwrap(), MonoNs(0));
        assert_eq!((before.head, before.live, before.width), (PICTURES, false, 94), "{version}");
        write_rings(&project);
        assert!(matches!(reader.next(NOW).unwrap(), Next::NewEpoch { .. }), "{version}");
        let Next::Item(frame) = reader.next(NOW).unwrap() else { panic!("{version}: no picture") };
        assert_eq!((frame.epoch(), frame.sequence()), (EPOCH_FLOOR + 2, PICTURES), "{version}");
        assert!(!frame.meta().format_change, "{version}");
        drop(held);
    }
}
