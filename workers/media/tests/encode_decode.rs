//! Pictures through our encoder, our demuxer and our decoder.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{Folder, Pool, decode_all, encode, open, read_all};
use media::{EncoderOptions, PictureHome};

const OPTIONS: EncoderOptions =
    EncoderOptions { width: 320, height: 192, fps: 25, gop: 10, bitrate_bps: 2_000_000 };

#[test]
fn every_group_begins_with_a_key_frame_behind_its_parameter_sets() {
    for (number, unit) in encode(&OPTIONS, 40).iter().enumerate() {
        assert_eq!(unit.key, number % 10 == 0, "picture {number}");
        assert_eq!(unit.payload[..4], [0, 0, 0, 1]);
        // 7 is a sequence parameter set: first thing in a key frame, nowhere else.
        assert_eq!(unit.payload[4] & 0x1f == 7, unit.key, "picture {number}");
    }
}

#[test]
fn the_asked_bitrate_is_the_bitrate() {
    let units = encode(&OPTIONS, 250);
    let bytes: usize = units.iter().map(|unit| unit.payload.len()).sum();
    let bps = bytes as f64 * 8.0 / 10.0;
    assert!((1.9e6..2.1e6).contains(&bps), "{bps} bit/s");
}

#[test]
fn an_elementary_stream_reads_back_unit_by_unit() {
    let folder = Folder::new("units");
    let path = folder.path("ramp.h264");
    let units = encode(&OPTIONS, 60);
    std::fs::write(&path, units.iter().flat_map(|unit| unit.payload.clone()).collect::<Vec<_>>())
        .unwrap();
    let mut demuxer = open(&path);
    let track = demuxer.tracks()[0].clone();
    assert_eq!((track.width, track.height, track.frame_rate), (320, 192, (25, 1)));
    let read = read_all(&mut demuxer);
    assert_eq!(read.len(), units.len());
    for (read, unit) in read.iter().zip(&units) {
        assert_eq!((read.key, &read.payload), (unit.key, &unit.payload));
    }
    assert_eq!(track.extradata[..5], [0, 0, 0, 1, 0x67]);
    assert_eq!(demuxer.tracks_version(), 0);
}

#[test]
fn pictures_carry_the_token_of_their_unit_and_lie_in_lent_memory() {
    let (_folder, path) = ramp_file("tokens", 50);
    for threads in [1, 4] {
        let pool = Arc::new(Pool::default());
        let mut tokens = Vec::new();
        decode_all(&mut open(&path), threads, &pool, |picture| {
            assert!(matches!(picture.home, PictureHome::Lent { .. }));
            assert_eq!(picture.key, picture.token % 10 == 0);
            tokens.push(picture.token);
        });
        assert_eq!(tokens, (0..50).collect::<Vec<_>>());
        assert_eq!(pool.most_needed(), 3 + threads - 1);
        assert!(pool.most_out() <= pool.most_needed());
        assert_eq!(pool.out(), 0);
    }
}

#[test]
fn a_decoder_without_enough_memory_still_gives_every_picture() {
    let (_folder, path) = ramp_file("short", 50);
    let pool = Arc::new(Pool::limited(1));
    let (mut lent, mut heap) = (0, 0);
    decode_all(&mut open(&path), 1, &pool, |picture| match picture.home {
        PictureHome::Lent { .. } => lent += 1,
        PictureHome::Heap | PictureHome::Device => heap += 1,
    });
    assert_eq!(lent + heap, 50);
    assert!(heap > 0, "one piece of memory cannot hold picture and reference");
}

#[test]
fn lent_and_heap_pictures_have_the_same_pixels() {
    let (_folder, path) = ramp_file("pixels", 30);
    let pixels = |pool: Pool| {
        let mut all = Vec::new();
        decode_all(&mut open(&path), 1, &Arc::new(pool), |picture| {
            let mut tight = vec![0; picture.tight_layout().bytes];
            picture.copy_to(&mut tight).unwrap();
            assert!(picture.copy_to(&mut tight[1..]).is_none());
            all.push(tight);
        });
        all
    };
    assert_eq!(pixels(Pool::default()), pixels(Pool::limited(1)));
}

#[test]
fn damaged_streams_never_crash_and_give_all_memory_back() {
    let units = encode(&OPTIONS, 40);
    let mut random = 12345u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(random >> 33).unwrap()
    };
    for round in 0..60 {
        let pool = Arc::new(Pool::default());
        let mut pictures = 0;
        let damaged: Vec<Vec<u8>> = (units.iter())
            .map(|unit| {
                let mut payload = unit.payload.clone();
                for _ in 0..next() % 8 {
                    let at = next() % payload.len().min(4000);
                    payload[at] ^= 1 << (next() % 8);
                }
                payload
            })
            .collect();
        common::decode_damaged(&damaged, 1 + round % 4, &pool, |_| pictures += 1);
        assert!(pictures > 0, "round {round}");
        assert_eq!(pool.out(), 0, "round {round}: memory that never came back");
    }
}

fn ramp_file(test: &str, count: usize) -> (Folder, std::path::PathBuf) {
    let folder = Folder::new(test);
    let path = folder.path("ramp.h264");
    let stream: Vec<u8> =
        encode(&OPTIONS, count).into_iter().flat_map(|unit| unit.payload).collect();
    std::fs::write(&path, stream).unwrap();
    (folder, path)
}
