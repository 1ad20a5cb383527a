//! What bytes from anywhere are thrown at: a reader of files, one of fragments, and each codec. None of it may
//! panic, and what is written is read back. `tests/targets.rs` runs all of it on the stable toolchain, the
//! files of `fuzz_targets` under libFuzzer.

use std::io::Cursor;

use fmp4::{
    Fragment, Init, Movie, Muxer, OriginFlags, Placed, Sample, as_packet, described, is_intact,
    place, read_fragment, read_init, scan,
};
use protocol::stream::{Codec, Track};
use protocol::time::{TimeBase, UtcNs};

/// By its name.
type Target = (&'static str, fn(&[u8]));

pub(crate) const TARGETS: [Target; 9] = [
    ("aac", |data| codec(Codec::Aac, data)),
    ("av1", |data| codec(Codec::Av1, data)),
    ("file", read),
    ("fragment", fragment),
    ("h264", |data| codec(Codec::H264, data)),
    ("h265", |data| codec(Codec::H265, data)),
    ("mjpeg", |data| codec(Codec::Mjpeg, data)),
    ("opus", |data| codec(Codec::Opus, data)),
    ("vp9", |data| codec(Codec::Vp9, data)),
];

/// Throws bytes at the target of this name.
pub(crate) fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(own, _)| *own == name);
    target.unwrap_or_else(|| panic!("no target is named {name}")).1(data);
}

/// Everything that reads a file, on any bytes.
pub(crate) fn read(bytes: &[u8]) {
    let mut reader = Cursor::new(bytes);
    let found = scan(&mut reader).unwrap();
    assert!(found.whole_bytes <= bytes.len() as u64);
    let Ok(Init { bytes: init_bytes, tracks, streams }) = read_init(&mut reader).unwrap() else {
        assert!(found.fragments.is_empty());
        return;
    };
    let _ = read_fragment(&mut reader, init_bytes, &tracks).unwrap();
    for stream in streams.iter().flatten() {
        let _ = Movie::new(std::slice::from_ref(stream));
    }
    for found in &found.fragments {
        let _ = is_intact(&mut reader, found).unwrap();
        for sample in &found.samples {
            let stored =
                &bytes[usize::try_from(sample.at_bytes).unwrap()..][..sample.bytes as usize];
            let at = tracks.iter().position(|track| track.track == sample.track).unwrap();
            let Some(stream) = &streams[at] else { continue };
            let packet = as_packet(stream, sample.key, stored);
            let _ = packet.and_then(|packet| described(stream, &packet));
        }
        let begin = usize::try_from(found.at_bytes).unwrap();
        fragment(&bytes[begin..][..usize::try_from(found.bytes).unwrap()]);
    }
}

/// Whether it is one or not, it is put elsewhere.
fn fragment(bytes: &[u8]) {
    let begins = (0..3).map(|track| (track, 7)).collect();
    let _ = place(&mut bytes.to_vec(), &Placed { number: 1, begins });
}

/// The first byte says how many of the next ones describe the track; the rest is a packet of it.
fn codec(codec: Codec, data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let (extradata, packet) = rest.split_at(rest.len().min(usize::from(*length)));
    let track = track(codec, extradata.to_vec());
    let told = described(&track, packet);
    if let Some(told) = &told {
        // Said once more, nothing changes: files are compared by it.
        assert_eq!(described(told, packet).as_ref(), Some(told));
    }
    for track in [Some(track), told].into_iter().flatten() {
        let Some(bytes) = written(&track, packet) else { continue };
        assert_eq!(scan(&mut Cursor::new(&bytes)).unwrap().damage, None);
        read(&bytes);
    }
}

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

/// A file of this packet, twice; `None` when the track is not carried.
fn written(track: &Track, packet: &[u8]) -> Option<Vec<u8>> {
    let (movie, _) = Movie::new(std::slice::from_ref(track));
    if movie.is_empty() {
        return None;
    }
    let ring = "cam1.packets".parse().unwrap();
    let mut fragment = Fragment::new(&ring, 1, 1, UtcNs(0), OriginFlags::default());
    for (at, key) in [(0, true), (40_000_000, false)] {
        let payload = packet.to_vec();
        let (pts_ns, dts_ns) = (at, at);
        fragment.push(Sample { track: 0, key, pts_ns, dts_ns, duration_ns: 0, payload });
    }
    let mut muxer = Muxer::new(movie, &fragment);
    let mut bytes = muxer.init_segment().unwrap();
    bytes.extend(muxer.write(&fragment, None).unwrap());
    Some(bytes)
}
