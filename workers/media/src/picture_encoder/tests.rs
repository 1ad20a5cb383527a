use std::sync::Arc;

use protocol::stream::{Colour, PixelFormat};

use super::*;
use crate::decode::{Decoder, DecoderOptions};
use crate::still::NoMemory;

const CODECS: [Codec; 6] =
    [Codec::H264, Codec::H265, Codec::Mjpeg, Codec::Vp8, Codec::Vp9, Codec::Av1];
const FRAME_NS: i64 = 40_000_000;
const SIZE: (u32, u32) = (160, 96);

fn options(codec: Codec, live: bool) -> PictureEncoderOptions {
    PictureEncoderOptions {
        codec,
        engine: Engine::Software,
        bitrate_bps: 400_000,
        live,
        on_device: false,
    }
}

/// A gray picture with a bright bar whose place is the picture's number.
fn picture(number: usize, (width, height): (u32, u32)) -> Still {
    let (width, height) = (width as usize, height as usize);
    let chroma = width.div_ceil(2) * height.div_ceil(2);
    let mut samples = vec![60; width * height];
    samples.resize(width * height + 2 * chroma, 128);
    for row in samples[..width * height].chunks_exact_mut(width) {
        let at = number * 4 % (width - 16);
        row[at..at + 16].fill(200);
    }
    let colour = Colour { range: 1, ..Colour::default() };
    let (width, height) = (u32::try_from(width).unwrap(), u32::try_from(height).unwrap());
    Still { format: PixelFormat::Yuv420p, width, height, colour, samples }
}

/// Pictures `0..count`, a key frame asked for at each number that `is_key` wants; and how many pictures
/// were given when each packet came.
fn encoded(
    options: &PictureEncoderOptions,
    count: usize,
    is_key: impl Fn(usize) -> bool,
) -> (Track, Vec<(usize, Coded<usize>)>) {
    let mut encoder = PictureEncoder::open(options, &picture(0, SIZE)).unwrap();
    let mut coded = Vec::new();
    for number in 0..count {
        let pts_ns = 7_000_000_000 + i64::try_from(number).unwrap() * FRAME_NS;
        let units = encoder.encode(&picture(number, SIZE), pts_ns, is_key(number), number).unwrap();
        coded.extend(units.into_iter().map(|unit| (number, unit)));
    }
    let track = encoder.track();
    coded.extend(encoder.finish().unwrap().into_iter().map(|unit| (count, unit)));
    (track, coded)
}

/// Where the bar is in each decoded picture, in the order of showing.
fn bars(track: &Track, coded: &[(usize, Coded<usize>)]) -> Vec<usize> {
    let options = DecoderOptions { threads: 1, max_pixels: 1 << 20 };
    let mut decoder = Decoder::open(track, &options, Arc::new(NoMemory)).unwrap();
    let mut found = Vec::new();
    let mut take = |decoder: &mut Decoder| {
        while let Some(picture) = decoder.receive().unwrap() {
            let still = Still::from(&picture);
            let middle = &still.samples[still.width as usize * 48..][..still.width as usize];
            found.push(middle.iter().position(|luma| *luma > 130).unwrap_or(usize::MAX));
        }
    };
    for (number, (_, unit)) in (0..).zip(coded) {
        decoder.send(&unit.payload, number).unwrap();
        take(&mut decoder);
    }
    decoder.finish().unwrap();
    take(&mut decoder);
    found
}

#[test]
fn live_packets_come_with_their_pictures_and_show_what_was_drawn() {
    for codec in CODECS {
        let (track, coded) = encoded(&options(codec, true), 40, |number| number % 10 == 0);
        assert_eq!(coded.len(), 40, "{codec:?}");
        for (number, (given, unit)) in coded.iter().enumerate() {
            assert_eq!((*given, unit.token), (number, number), "{codec:?}");
            let pts_ns = 7_000_000_000 + i64::try_from(number).unwrap() * FRAME_NS;
            assert_eq!((unit.pts_ns, unit.dts_ns), (pts_ns, pts_ns), "{codec:?}");
            let asked = number % 10 == 0;
            assert_eq!(unit.key, asked || codec == Codec::Mjpeg, "{codec:?} picture {number}");
        }
        let bars = bars(&track, &coded);
        assert_eq!(bars.len(), 40, "{codec:?}");
        for (number, bar) in bars.iter().enumerate() {
            assert!(
                bar.abs_diff(number * 4 % 144) <= 2,
                "{codec:?} picture {number}: bar at {bar}"
            );
        }
    }
}

#[test]
fn who_looks_ahead_loses_no_picture_and_keeps_them_in_order() {
    for codec in CODECS {
        let (track, coded) = encoded(&options(codec, false), 60, |number| number % 25 == 0);
        let mut tokens: Vec<usize> = coded.iter().map(|(_, unit)| unit.token).collect();
        tokens.sort_unstable();
        assert_eq!(tokens, (0..60).collect::<Vec<_>>(), "{codec:?}");
        for pair in coded.windows(2) {
            assert!(pair[0].1.dts_ns < pair[1].1.dts_ns, "{codec:?}");
        }
        assert!(coded.iter().all(|(_, unit)| unit.dts_ns <= unit.pts_ns), "{codec:?}");
        let keys = coded.iter().filter(|(_, unit)| unit.key);
        let keys: Vec<usize> = keys.map(|(_, unit)| unit.token).collect();
        assert!([0, 25, 50].iter().all(|key| keys.contains(key)), "{codec:?}: {keys:?}");
        assert_eq!(bars(&track, &coded).len(), 60, "{codec:?}");
    }
}

#[test]
fn a_stream_can_be_entered_at_each_key_frame() {
    for codec in CODECS {
        let (track, coded) = encoded(&options(codec, true), 30, |number| number % 10 == 0);
        let bars = bars(&track, &coded[20..]);
        assert_eq!(bars.len(), 10, "{codec:?}");
        assert!(bars[0].abs_diff(80) <= 2, "{codec:?}: {bars:?}");
        if Family::of(codec).is_some() {
            assert!(coded[20].1.payload.starts_with(&track.extradata), "{codec:?}");
        }
    }
}

#[test]
fn pictures_take_about_what_they_may() {
    // Grain, which no encoder can make small without making it coarse.
    let mut seed = 1u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    };
    for codec in CODECS {
        let options = PictureEncoderOptions { bitrate_bps: 2_000_000, ..options(codec, true) };
        let mut encoder = PictureEncoder::open(&options, &picture(0, SIZE)).unwrap();
        let mut bytes = 0;
        for number in 0..150i64 {
            let mut still = picture(0, SIZE);
            still.samples.iter_mut().for_each(|sample| *sample = 96 + noise() / 4);
            let units = encoder.encode(&still, number * FRAME_NS, number % 50 == 0, ()).unwrap();
            // The first seconds are for finding it.
            let later = if number < 75 { 0 } else { 1 };
            bytes += later * units.iter().map(|unit| unit.payload.len()).sum::<usize>();
        }
        let seen_bps = bytes as u64 * 8 / 3;
        assert!((1_000_000..3_000_000).contains(&seen_bps), "{codec:?}: {seen_bps} bit/s");
    }
}

#[test]
fn odd_sizes_and_other_formats_are_taken() {
    for format in PixelFormat::ALL {
        let still = picture(3, (65, 49)).converted(format, 65, 49).unwrap();
        let mut encoder = PictureEncoder::open(&options(Codec::H264, true), &still).unwrap();
        let coded = encoder.encode(&still, 0, true, ()).unwrap();
        assert_eq!(coded.len(), 1, "{format:?}");
        assert_eq!((encoder.track().width, encoder.track().height), (64, 48));
        assert!(encoder.fits(&still));
        assert!(!encoder.fits(&picture(0, SIZE)));
    }
}

#[test]
fn an_encoder_that_is_not_there_is_named() {
    let options = PictureEncoderOptions { engine: Engine::Nvenc, ..options(Codec::Vp8, true) };
    let refused = PictureEncoder::<()>::open(&options, &picture(0, SIZE)).unwrap_err().to_string();
    assert!(refused.contains("Vp8 for Nvenc"), "{refused}");
}
