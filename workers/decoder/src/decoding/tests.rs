//! Pictures reach a reader of the ring whole, with the identity of their packets.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use media::{DecoderOptions, Demuxer, Encoder, EncoderOptions, Input};
use protocol::config::RingConfig;
use protocol::config::decoder::DecodeHardware;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::Codec;
use protocol::time::{MonoNs, Stamp, TimeBase, UtcNs};
use shmring::{
    Error, Frame, FrameOptions, FrameReader, FrameWriter, Loan, Next, PacketMeta, Policy, census,
    clock,
};

use super::*;
use crate::outputs::Output;

mod conformance;
mod demand;

const GOP: u32 = 10;

/// A frame ring of this test's own, its reader, and the decoding between.
struct Bench {
    writer: FrameWriter,
    reader: FrameReader,
    decoding: Decoding,
    /// Last: the ring's writer must be gone by then.
    _sweep: Sweep,
}

/// Takes the ring's files away.
struct Sweep(ProjectName);

impl Drop for Sweep {
    fn drop(&mut self) {
        census::sweep_unowned(&self.0);
    }
}

impl Bench {
    fn new(threads: u32) -> Self {
        Self::keeping(threads, 12)
    }

    /// `history`: pictures that one packet may bring out at once.
    fn keeping(threads: u32, history: u32) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let project: ProjectName =
            format!("t-decoder-{}-{number}", std::process::id()).parse().unwrap();
        let ring: RingName = "cam.frames".parse().unwrap();
        let config = RingConfig { history, ..RingConfig::default() };
        let contract = RingContract::new(ring.clone(), config, 1);
        let writer = FrameWriter::create(&project, &contract, None).unwrap();
        let options = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("test") };
        let reader = FrameReader::attach(&project, &ring, &options).unwrap();
        let options = DecoderOptions { threads, max_pixels: 1 << 24 };
        let engines = Engines::new(DecodeHardware::Off, options);
        let outputs = Outputs::new(vec![Output::new(writer.clone(), None, false)]);
        let decoding = Decoding::new(outputs, engines, Judge::new(Default::default()));
        Self { writer, reader, decoding, _sweep: Sweep(project) }
    }

    /// Decodes `packet` and takes the pictures it brings out.
    fn decode(&mut self, clip: &Clip, at: usize) -> (Tally, Vec<Frame>) {
        let now = clock::mono();
        self.decoding.look(now);
        let tally = self.decoding.take(&clip.packets[at], &clip.track, now);
        let mut frames = Vec::new();
        while let Next::Item(frame) = self.reader.next(Duration::ZERO).unwrap() {
            frames.push(frame);
        }
        (tally, frames)
    }

    /// Source sequences of the pictures of these packets.
    fn sources(&mut self, clip: &Clip, packets: impl IntoIterator<Item = usize>) -> Vec<u64> {
        let frames = packets.into_iter().flat_map(|at| {
            let (_, frames) = self.decode(clip, at);
            frames.iter().map(|frame| frame.meta().source.unwrap().sequence).collect::<Vec<_>>()
        });
        frames.collect()
    }
}

/// Packets of a moving ramp, numbered from 1, and their track.
struct Clip {
    track: Track,
    packets: Vec<Packet>,
}

impl Clip {
    fn new(width: u32, height: u32, count: u64) -> Self {
        let options = EncoderOptions { width, height, fps: 25, gop: GOP, bitrate_bps: 1_000_000 };
        let mut encoder = Encoder::open(&options).unwrap();
        let packets = (1..=count).map(|n| packet(&mut encoder, n)).collect();
        let track = Track {
            codec: Codec::H264,
            time_base: TimeBase { num: 1, den: 25 },
            width,
            height,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata: encoder.extradata(),
        };
        Self { track, packets }
    }

    fn read(path: &std::path::Path) -> Self {
        let mut demuxer = Demuxer::open(&Input::File(path.to_owned()), Box::new(|| false)).unwrap();
        let units = std::iter::from_fn(|| demuxer.read().unwrap());
        let packet = |(sequence, unit): (u64, media::AccessUnit)| Packet {
            epoch: 9,
            sequence,
            meta: PacketMeta { key: unit.key, ..PacketMeta::default() },
            published: MonoNs(0),
            payload: unit.payload,
        };
        let packets = (1..).zip(units).map(packet).collect();
        Self { track: demuxer.tracks()[0].clone(), packets }
    }
}

fn packet(encoder: &mut Encoder, sequence: u64) -> Packet {
    let unit = encoder
        .encode(|plane, bytes, linesize| {
            for (at, byte) in bytes.iter_mut().enumerate() {
                let (x, y) = (at % linesize, at / linesize);
                let ramp = x + 2 * y + 3 * usize::try_from(sequence).unwrap() + 30 * plane;
                *byte = u8::try_from(ramp % 200).unwrap();
            }
        })
        .unwrap();
    let capture = Stamp { mono: MonoNs(sequence * 7), utc: UtcNs(sequence * 11) };
    let pts_ns = i64::try_from(sequence).unwrap() * 40_000_000;
    let meta = PacketMeta {
        key: unit.key,
        pts_ns,
        capture,
        gop_index: sequence / u64::from(GOP),
        ..PacketMeta::default()
    };
    Packet { epoch: 9, sequence, meta, published: MonoNs(0), payload: unit.payload }
}

/// The visible samples, plane after plane.
fn pixels(frame: &Frame) -> Vec<u8> {
    let mut all = Vec::new();
    for number in 0..frame.meta().picture().unwrap().format.planes() {
        let mut plane = Vec::new();
        frame.plane(number).unwrap().copy_to(&mut plane);
        all.extend(plane);
    }
    all
}

/// What a decoder that borrows nothing makes of the clip.
fn pixels_by_heap(clip: &Clip) -> Vec<Vec<u8>> {
    struct NoMemory;
    impl media::PictureAllocator for NoMemory {
        fn allocate(&self, _: &media::PictureNeed) -> Option<Box<dyn media::PictureMemory>> {
            None
        }
    }
    let options = DecoderOptions { threads: 1, max_pixels: 1 << 24 };
    let mut decoder = Decoder::open(&clip.track, &options, Arc::new(NoMemory)).unwrap();
    let mut all = Vec::new();
    for packet in &clip.packets {
        decoder.send(&packet.payload, packet.sequence).unwrap();
        while let Some(picture) = decoder.receive().unwrap() {
            let mut tight = vec![0; picture.tight_layout().bytes];
            picture.copy_to(&mut tight).unwrap();
            all.push(tight);
        }
    }
    all
}

#[test]
fn when_the_packets_end_the_pictures_still_inside_come_out() {
    let clip = Clip::new(320, 192, 10);
    let mut bench = Bench::new(3);
    let before = bench.sources(&clip, 0..10);
    assert!(before.len() < 10, "frame threads hold none back");
    assert!(bench.decoding.drain().trouble.is_none());
    let mut after = Vec::new();
    while let Next::Item(frame) = bench.reader.next(Duration::ZERO).unwrap() {
        after.push(frame.meta().source.unwrap().sequence);
    }
    assert_eq!([before, after].concat(), (1..=10).collect::<Vec<_>>());
    assert!(bench.decoding.drain().made.is_none(), "drained twice");
}

#[test]
fn pictures_carry_their_packets_identity_and_are_not_copied() {
    let clip = Clip::new(328, 200, 35);
    let expected = pixels_by_heap(&clip);
    let mut bench = Bench::new(1);
    for (at, expected) in expected.iter().enumerate() {
        let (tally, frames) = bench.decode(&clip, at);
        assert!(tally.trouble.is_none() && tally.missed == 0, "{tally:?}");
        let [frame] = &frames[..] else {
            panic!("{} pictures of packet {at}", frames.len());
        };
        let (meta, packet) = (frame.meta(), &clip.packets[at]);
        assert_eq!(meta.source, Some(SourceId { epoch: 9, sequence: packet.sequence }));
        assert_eq!(meta.content.to_string(), "328x200 yuv420p");
        assert_eq!((meta.pts_ns, meta.capture), (packet.meta.pts_ns, packet.meta.capture));
        assert_eq!((meta.key, meta.gop_index), (packet.meta.key, packet.meta.gop_index));
        assert_eq!((meta.copied, meta.corrupt, meta.discontinuity), (false, false, at == 0));
        assert!(&pixels(frame) == expected, "picture {at} has other pixels");
    }
}

#[test]
fn threads_change_the_delay_and_nothing_else() {
    let clip = Clip::new(320, 192, 40);
    let sources = Bench::new(3).sources(&clip, 0..40);
    assert_eq!(sources, (1..=38).collect::<Vec<u64>>());
}

#[test]
fn after_a_loss_it_goes_on_at_the_next_key_frame() {
    let clip = Clip::new(320, 192, 30);
    let mut bench = Bench::new(1);
    assert_eq!(bench.sources(&clip, 0..4), [1, 2, 3, 4]);
    bench.decoding.lost();
    assert!(bench.sources(&clip, 6..10).is_empty());
    let (_, frames) = bench.decode(&clip, 10);
    assert!(frames[0].meta().key && frames[0].meta().discontinuity);
    let (_, frames) = bench.decode(&clip, 11);
    assert!(!frames[0].meta().discontinuity);
}

#[test]
fn a_damaged_packet_costs_its_group_and_is_told() {
    let mut clip = Clip::new(320, 192, 30);
    clip.packets[3].payload = vec![0, 0, 0, 1, 0x61, 1, 2, 3];
    let mut bench = Bench::new(1);
    assert_eq!(bench.sources(&clip, 0..3), [1, 2, 3]);
    let (tally, frames) = bench.decode(&clip, 3);
    assert!(frames.is_empty() && tally.missed == 1, "{tally:?}");
    assert!(matches!(tally.trouble, Some(Trouble::Media(_))), "{tally:?}");
    assert_eq!(bench.sources(&clip, 4..14), [11, 12, 13, 14]);
}

#[test]
fn after_a_rest_no_picture_is_shown_twice() {
    let clip = Clip::new(320, 192, 30);
    let mut bench = Bench::new(1);
    assert_eq!(bench.sources(&clip, 0..15), (1..=15).collect::<Vec<u64>>());
    bench.decoding.rest();
    assert_eq!(bench.sources(&clip, 10..20), (16..=20).collect::<Vec<u64>>());
}

#[test]
fn without_free_slots_pictures_are_lost_and_told_and_the_stream_goes_on() {
    let clip = Clip::new(320, 192, 30);
    let expected = pixels_by_heap(&clip);
    let mut bench = Bench::new(1);
    bench.decode(&clip, 0);
    let held: Vec<Loan> = std::iter::from_fn(|| bench.writer.loan(1, 1).ok()).collect();
    assert!(held.len() > 5);
    for at in 1..5 {
        let (tally, frames) = bench.decode(&clip, at);
        assert!(frames.is_empty() && tally.missed == 1, "{tally:?}");
        assert!(matches!(tally.trouble, Some(Trouble::Ring(Error::NoFreeSlot { .. }))));
    }
    drop(held);
    // Decoded on the heap meanwhile, so nothing is missing that these refer to.
    for (at, expected) in expected.iter().enumerate().take(9).skip(5) {
        let (tally, frames) = bench.decode(&clip, at);
        assert!(tally.trouble.is_none(), "{tally:?}");
        assert!(&pixels(&frames[0]) == expected, "picture {at} has other pixels");
    }
}

#[test]
fn ten_bit_pictures_are_converted_and_copied_into_slots() {
    let path = std::env::temp_dir().join(format!("decoder-deep-{}.mkv", std::process::id()));
    let arguments = "-v error -y -f lavfi -i testsrc2=size=320x180:rate=5:duration=1 \
                     -pix_fmt yuv420p10le -c:v libx264 -tune zerolatency";
    let status = std::process::Command::new("ffmpeg")
        .args(arguments.split_whitespace())
        .arg(&path)
        .status()
        .expect("the ffmpeg command is installed (Debian package ffmpeg)");
    assert!(status.success());
    let clip = Clip::read(&path);
    std::fs::remove_file(&path).unwrap();
    let expected = pixels_by_heap(&clip);
    let mut bench = Bench::new(1);
    for (at, expected) in expected.iter().enumerate() {
        let (tally, frames) = bench.decode(&clip, at);
        assert!(tally.trouble.is_none() && frames[0].meta().copied, "{tally:?}");
        assert!(&pixels(&frames[0]) == expected, "picture {at} has other pixels");
    }
    assert_eq!(expected.len(), 5);
}

#[test]
fn a_camera_that_changes_its_size_goes_on_in_the_new_one() {
    let (small, large) = (Clip::new(320, 192, 10), Clip::new(640, 480, 10));
    let mut bench = Bench::new(1);
    assert_eq!(bench.sources(&small, 0..10).len(), 10);
    for at in 0..10 {
        let (tally, frames) = bench.decode(&large, at);
        assert!(tally.trouble.is_none(), "{tally:?}");
        assert_eq!(
            (frames[0].meta().picture().unwrap().width, frames[0].meta().copied),
            (640, false)
        );
    }
}
