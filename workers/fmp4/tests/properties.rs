//! Promise: no bytes do harm. Whatever a ring carries is written and found again, and whatever stands in
//! a file, cut and scribbled on anywhere, is read without a panic. `scripts/fuzz fmp4` runs these with fresh
//! input; the corpus beside this file is read each time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::io::Cursor;
use std::path::PathBuf;

use fmp4::{
    Fragment, Movie, Muxer, OriginFlags, Sample, as_packet, carries, described, read_init, scan,
};
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::stream::{Codec, Track};
use protocol::time::{TimeBase, UtcNs};

/// The head of a VP9 key frame, of a JPEG, a sequence header of AV1 with the begin of a key frame, and
/// parameter sets: what comes after them is anything.
const HEADS: [(Codec, &[u8]); 5] = [
    (Codec::Vp9, &[0x82, 0x49, 0x83, 0x42, 0, 0x13, 0xf0, 0x0e, 0xf0]),
    (Codec::Mjpeg, &[0xff, 0xd8, 0xff, 0xc0, 0, 8, 8, 0, 16, 0, 16, 1]),
    (Codec::Av1, &[0x0a, 0x0b, 0, 0, 0, 4, 0x3c, 0xff, 0xbc, 0xda, 0xf9, 0, 0x40, 0x30, 0x14]),
    (
        Codec::H264,
        &[0, 0, 1, 0x67, 0x64, 0, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0, 0, 1, 0x68, 5],
    ),
    (Codec::Av1, &[0x12, 0, 0x0a, 0x0a, 0, 0, 0, 4, 0x3c, 0xff, 0xbc, 0xda, 0xf9, 0]),
];

fn track(codec: Codec, extradata: Vec<u8>) -> Track {
    let video = codec.is_video();
    Track {
        codec,
        time_base: TimeBase { num: 1, den: 1000 },
        width: if video { 64 } else { 0 },
        height: if video { 48 } else { 0 },
        sample_rate_hz: if video { 0 } else { 48_000 },
        channels: u32::from(!video),
        frame_rate: (5, 1),
        extradata,
    }
}

/// A file of these samples, two fragments; `None` when none of the tracks is carried.
fn written(tracks: &[Track], samples: &[Sample]) -> Option<Vec<u8>> {
    let (movie, _) = Movie::new(tracks);
    let ring = "cam1.packets".parse().unwrap();
    let (mut muxer, mut bytes, mut first) = (None, Vec::new(), 1);
    for part in samples.chunks(samples.len().div_ceil(2).max(1)) {
        let mut fragment = Fragment::new(&ring, 1, first, UtcNs(0), OriginFlags::default());
        for sample in part {
            match movie.carries(sample.track) {
                true => fragment.push(sample.clone()),
                false => fragment.leave_out(),
            }
        }
        first += part.len() as u64;
        let muxer = muxer.get_or_insert_with(|| Muxer::new(movie.clone(), &fragment));
        if bytes.is_empty() {
            bytes = muxer.init_segment().unwrap();
        }
        bytes.extend(muxer.write(&fragment, None).unwrap());
    }
    (!movie.is_empty() && !bytes.is_empty()).then_some(bytes)
}

/// Everything that reads a file, on any bytes.
fn read(bytes: &[u8]) {
    targets::run("file", bytes);
}

fn any_codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(Codec::ALL.to_vec())
}

/// Bytes that begin as a key frame of some codec does, more often than not.
fn any_payload() -> impl Strategy<Value = Vec<u8>> {
    let head = proptest::option::weighted(0.7, proptest::sample::select(HEADS.to_vec()));
    (head, vec(any::<u8>(), 0..40))
        .prop_map(|(head, tail)| [head.map_or(&[][..], |(_, head)| head), &tail].concat())
}

fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let sample = (0..3u32, any::<bool>(), any_payload(), 0..90i64);
    vec(sample, 1..12).prop_map(|samples| {
        let numbered = samples.into_iter().zip(0..);
        let placed = numbered.map(|((track, key, payload, later), at)| {
            let dts_ns = at * 40_000_000;
            let pts_ns = dts_ns + later * 1_000_000;
            Sample { track, key, pts_ns, dts_ns, duration_ns: 0, payload }
        });
        placed.collect()
    })
}

fn corpus() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn the_corpus_is_read_whole_and_cut_at_every_byte() {
    let files = corpus();
    assert!(files.len() > 6);
    for (_, bytes) in &files {
        for length in 0..=bytes.len() {
            read(&bytes[..length]);
        }
    }
}

#[test]
fn another_writers_files_are_described_as_their_first_pictures_describe_themselves() {
    let mut codecs = Vec::new();
    for (path, bytes) in corpus().iter().filter(|(path, _)| path.extension().unwrap() == "mp4") {
        let init = read_init(&mut Cursor::new(bytes)).unwrap().unwrap();
        let stream = init.streams[0].clone().unwrap_or_else(|| panic!("{}", path.display()));
        codecs.push(stream.codec);
        assert_eq!((stream.width, stream.height), (64, 48), "{}", path.display());
        let mdat = bytes.windows(4).position(|window| window == b"mdat").unwrap() + 4;
        // NAL units stand behind their lengths, and their sets in the sample entry.
        let own = match stream.codec {
            Codec::H264 | Codec::H265 => described(&stream, &stream.extradata).unwrap(),
            _ => described(&stream, &bytes[mdat..]).unwrap(),
        };
        let is_level = |at: usize| stream.codec == Codec::Vp9 && at == 1;
        let without_level = |track: &Track| -> Vec<u8> {
            let numbered = track.extradata.iter().copied().enumerate();
            numbered.filter(|(at, _)| !is_level(*at)).map(|(_, byte)| byte).collect()
        };
        assert_eq!(without_level(&own), without_level(&stream), "{}", path.display());
        assert_eq!((own.width, own.height), (64, 48), "{}", path.display());
        let (movie, refused) = Movie::new(&[stream]);
        assert!(movie.carries(0), "{refused:?}");
    }
    let expected = [Codec::H264, Codec::H265, Codec::Av1, Codec::Mjpeg, Codec::Vp9];
    assert!(expected.iter().all(|codec| codecs.contains(codec)), "{codecs:?}");
}

proptest! {
    #[test]
    fn what_is_written_is_found_again(
        codecs in proptest::array::uniform3((any_codec(), any_payload())), samples in any_samples(),
    ) {
        let tracks = codecs.map(|(codec, extradata)| track(codec, extradata));
        let (movie, refused) = Movie::new(&tracks);
        let carried = tracks.iter().filter(|track| carries(track.codec)).count();
        prop_assert!(refused.len() >= 3 - carried);
        let Some(bytes) = written(&tracks, &samples) else { return Ok(()) };
        let mut reader = Cursor::new(&bytes);
        let found = scan(&mut reader).unwrap();
        prop_assert_eq!(found.damage, None);
        let recorded: usize =
            found.fragments.iter().map(|fragment| fragment.origin.recorded().count()).sum();
        let expected = samples.iter().filter(|sample| movie.carries(sample.track)).count();
        prop_assert_eq!(recorded, expected);
        // Sound, JPEG and VP9 are what they were, byte by byte.
        let streams = read_init(&mut reader).unwrap().unwrap().streams;
        for (index, ours) in found.tracks.iter().enumerate() {
            let stream = streams[index].clone().unwrap();
            let own = |sample: &&Sample| sample.track == ours.track;
            prop_assert_eq!(stream.codec, tracks[ours.track as usize].codec);
            if matches!(stream.codec, Codec::H264 | Codec::H265 | Codec::Av1) {
                continue;
            }
            let stored = found.fragments.iter().flat_map(|fragment| &fragment.samples);
            let stored: Vec<Vec<u8>> = stored
                .filter(|sample| sample.track == ours.track)
                .map(|it| bytes[usize::try_from(it.at_bytes).unwrap()..][..it.bytes as usize].to_vec())
                .map(|stored| as_packet(&stream, true, &stored).unwrap())
                .collect();
            let sent: Vec<Vec<u8>> = samples.iter().filter(own).map(|it| it.payload.clone()).collect();
            prop_assert_eq!(stored, sent);
        }
    }

    #[test]
    fn a_key_frame_that_describes_its_track_makes_a_file_that_says_the_same(
        codec in any_codec(), payload in any_payload(),
    ) {
        let Some(told) = described(&track(codec, Vec::new()), &payload) else { return Ok(()) };
        // Said once more, nothing changes: files are compared by it.
        prop_assert_eq!(described(&told, &payload), Some(told.clone()));
        let sample = Sample { key: true, payload, ..Sample::default() };
        let Some(bytes) = written(std::slice::from_ref(&told), &[sample]) else { return Ok(()) };
        let init = read_init(&mut Cursor::new(&bytes)).unwrap().unwrap();
        prop_assert_eq!(init.streams, [Some(Track {
            frame_rate: (0, 1), time_base: TimeBase::VIDEO_90K, ..told
        })]);
    }

    #[test]
    fn a_file_cut_and_scribbled_on_anywhere_is_read(
        codecs in proptest::array::uniform3((any_codec(), any_payload())), samples in any_samples(),
        length in any::<prop::sample::Index>(),
        scribbles in vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
    ) {
        let tracks = codecs.map(|(codec, extradata)| track(codec, extradata));
        let Some(mut bytes) = written(&tracks, &samples) else { return Ok(()) };
        read(&bytes);
        read(&bytes[..length.index(bytes.len())]);
        for (at, value) in scribbles {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read(&bytes);
    }

    #[test]
    fn a_file_of_another_writer_with_changed_bytes_is_read(
        file in any::<prop::sample::Index>(), length in any::<prop::sample::Index>(),
        scribbles in vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let files = corpus();
        let mut bytes = files[file.index(files.len())].1.clone();
        for (at, value) in scribbles {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read(&bytes);
        read(&bytes[..length.index(bytes.len())]);
    }

    #[test]
    fn any_key_frame_is_described_without_a_panic(codec in any_codec(), payload in any_payload()) {
        let _ = described(&track(codec, payload.clone()), &payload);
        let _ = Movie::new(&[track(codec, payload)]);
    }
}
