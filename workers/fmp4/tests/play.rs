//! Promise: what this crate writes plays in FFmpeg without a word of complaint, shows every picture
//! exactly, starts at time zero, and reads back packet by packet.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod media;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use fmp4::{
    FoundSample, Fragment, Movie, Muxer, NextDecode, OriginFlags, Sample, as_packet, is_intact,
    read_init, scan,
};
use protocol::stream::{Codec, Track};
use protocol::time::{TimeBase, UtcNs};

/// Cuts before each key frame and after each second, as the recorder does.
fn mux(tracks: &[Track], samples: &[Sample]) -> Vec<u8> {
    let (movie, refused) = Movie::new(tracks);
    assert!(refused.is_empty(), "{refused:?}");
    let mut muxer = None;
    let mut bytes = Vec::new();
    let ring = "cam1.packets".parse().unwrap();
    let mut begin = 0;
    for at in 1..=samples.len() {
        let ends = samples.get(at).is_none_or(|next| {
            (next.key && next.track == 0) || next.dts_ns - samples[begin].dts_ns >= 1_000_000_000
        });
        if !ends {
            continue;
        }
        let first = begin as u64 + 1;
        let mut fragment = Fragment::new(&ring, 77, first, UtcNs(first), OriginFlags::default());
        samples[begin..at].iter().for_each(|sample| fragment.push(sample.clone()));
        let next =
            samples.get(at).map(|next| NextDecode { track: next.track, dts_ns: next.dts_ns });
        let muxer = muxer.get_or_insert_with(|| {
            let muxer = Muxer::new(movie.clone(), &fragment);
            bytes = muxer.init_segment().unwrap();
            muxer
        });
        bytes.extend(muxer.write(&fragment, next).unwrap());
        begin = at;
    }
    bytes
}

fn write(dir: &Path, bytes: &[u8]) -> PathBuf {
    let file = dir.join("out.mp4");
    std::fs::write(&file, bytes).unwrap();
    file
}

fn plays_every_picture(codec: Codec, b_pictures: u32) {
    if !media::have_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // A group of pictures longer than a second: fragments begin in its middle too.
    let stream = media::video(dir.path(), codec, 4, 40, b_pictures);
    let file = write(dir.path(), &mux(&[stream.track], &stream.samples));
    assert_eq!(media::complaints(&file), "");
    let original = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let original =
        original.into_iter().find(|path| path.to_string_lossy().ends_with("v.mp4")).unwrap();
    let pictures = media::picture_sums(&file);
    assert_eq!(pictures.len(), 100);
    assert_eq!(pictures, media::picture_sums(&original));
    assert_eq!(media::probe(&file, "format=start_time,duration"), "0.000000,4.000000");
}

#[test]
fn h264_plays_exactly() {
    plays_every_picture(Codec::H264, 0);
}

#[test]
fn h264_with_b_pictures_plays_exactly_and_starts_at_zero() {
    plays_every_picture(Codec::H264, 3);
}

#[test]
fn h265_with_b_pictures_plays_exactly_and_starts_at_zero() {
    plays_every_picture(Codec::H265, 3);
}

/// MJPEG, VP9 and AV1: every picture as the encoder's own file shows it, and every packet read back.
fn plays_as_the_encoders_file(codec: Codec, keys: usize) {
    if !media::have_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some((stream, original)) = media::own_words(dir.path(), codec, 4, 40) else { return };
    let bytes = mux(std::slice::from_ref(&stream.track), &stream.samples);
    let file = write(dir.path(), &bytes);
    assert_eq!(media::complaints(&file), "");
    let pictures = media::picture_sums(&file);
    assert_eq!(pictures.len(), 100);
    assert_eq!(pictures, media::picture_sums(&original));
    assert_eq!(media::probe(&file, "format=start_time,duration"), "0.000000,4.000000");
    assert_eq!(media::probe(&file, "stream=width,height"), "320,240");

    let mut reader = Cursor::new(&bytes);
    let found = scan(&mut reader).unwrap();
    assert_eq!((found.damage, found.whole_bytes), (None, bytes.len() as u64));
    let init = read_init(&mut reader).unwrap().unwrap();
    let described = init.streams[0].clone().unwrap();
    assert_eq!(described, Track { frame_rate: (0, 1), ..stream.track.clone() });
    let samples: Vec<FoundSample> =
        found.fragments.iter().flat_map(|fragment| fragment.samples.clone()).collect();
    assert_eq!(samples.iter().filter(|sample| sample.key).count(), keys);
    assert_eq!(samples.len(), stream.samples.len());
    for (sample, original) in samples.iter().zip(&stream.samples) {
        assert_eq!(sample.key, original.key);
        let begin = usize::try_from(sample.at_bytes).unwrap();
        let stored = &bytes[begin..begin + sample.bytes as usize];
        let packet = as_packet(&described, sample.key, stored).unwrap();
        // The encoder's file may have temporal delimiters, which a ring has not.
        let plain = original.payload.strip_prefix(&[0x12, 0]).filter(|_| codec == Codec::Av1);
        assert_eq!(packet, plain.unwrap_or(&original.payload));
    }
}

#[test]
fn mjpeg_plays_exactly_and_every_picture_is_a_key_frame() {
    plays_as_the_encoders_file(Codec::Mjpeg, 100);
}

#[test]
fn vp9_plays_exactly() {
    plays_as_the_encoders_file(Codec::Vp9, 3);
}

#[test]
fn av1_plays_exactly() {
    plays_as_the_encoders_file(Codec::Av1, 3);
}

#[test]
fn sound_and_picture_keep_their_distance() {
    if !media::have_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let video = media::video(dir.path(), Codec::H264, 3, 25, 2);
    let mut audio = media::aac(dir.path(), 3, 1);
    // Sound that begins 100 ms before the picture: its file must not begin below zero.
    for sample in &mut audio.samples {
        sample.pts_ns -= 100_000_000;
        sample.dts_ns -= 100_000_000;
    }
    let samples = media::interleaved(&[&video, &audio]);
    let file = write(dir.path(), &mux(&[video.track, audio.track], &samples));
    assert_eq!(media::complaints(&file), "");
    assert_eq!(media::probe(&file, "stream=start_time"), "0.100000\n0.000000");
    assert_eq!(media::picture_sums(&file).len(), 75);
}

#[test]
fn a_file_reads_back_packet_by_packet() {
    if !media::have_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let video = media::video(dir.path(), Codec::H264, 3, 25, 2);
    let audio = media::aac(dir.path(), 3, 1);
    let samples = media::interleaved(&[&video, &audio]);
    let bytes = mux(&[video.track, audio.track], &samples);
    let mut reader = Cursor::new(&bytes);
    let found = scan(&mut reader).unwrap();
    assert_eq!((found.damage, found.whole_bytes), (None, bytes.len() as u64));
    let recorded: Vec<u64> =
        found.fragments.iter().flat_map(|f| f.origin.recorded().collect::<Vec<_>>()).collect();
    assert_eq!(recorded, (1..=samples.len() as u64).collect::<Vec<_>>());
    for fragment in &found.fragments {
        assert!(is_intact(&mut reader, fragment).unwrap());
        for (sequence, track) in (fragment.origin.first..).zip(&fragment.origin.packets) {
            assert_eq!(
                samples[usize::try_from(sequence).unwrap() - 1].track,
                u32::from(track.unwrap())
            );
        }
    }
    assert!(found.fragments[0].begins_with_key(&found.tracks));
    // Decode times run on without a hole or an overlap, also from fragment to fragment.
    let mut ends = [None; 2];
    for sample in found.fragments.iter().flat_map(|fragment| &fragment.samples) {
        let end = &mut ends[sample.track as usize];
        assert!(end.is_none_or(|end| end == sample.decode_ticks), "{sample:?} after {end:?}");
        *end = Some(sample.decode_ticks + u64::from(sample.duration_ticks));
    }
}

#[test]
fn parameter_sets_are_in_the_sample_entry_and_not_in_the_samples() {
    if !media::have_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let stream = media::video(dir.path(), Codec::H264, 1, 25, 0);
    let set = stream.track.extradata[4..12].to_vec();
    let bytes = mux(&[stream.track], &stream.samples);
    let times = bytes.windows(set.len()).filter(|window| *window == set).count();
    assert_eq!(times, 1);
}

#[test]
fn opus_plays() {
    if !media::have_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let time_base = TimeBase { num: 1, den: 48_000 };
    let track = Track {
        codec: Codec::Opus,
        time_base,
        width: 0,
        height: 0,
        sample_rate_hz: 48_000,
        channels: 1,
        frame_rate: (0, 1),
        extradata: Vec::new(),
    };
    // 20 ms of silence each.
    let packet = |number: i64| Sample {
        key: true,
        pts_ns: number * 20_000_000,
        dts_ns: number * 20_000_000,
        payload: vec![0xf8, 0xff, 0xfe],
        ..Sample::default()
    };
    let samples: Vec<Sample> = (0..100).map(packet).collect();
    let file = write(dir.path(), &mux(&[track], &samples));
    assert_eq!(media::complaints(&file), "");
    let seen = media::probe(&file, "stream=codec_name,duration");
    assert_eq!(seen, "opus,2.000000");
}
