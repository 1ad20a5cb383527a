//! A camera's directory with files as a recorder writes them, of a stream that is known by heart: packet
//! `n` has the time `n` x 20 ms; odd ones are pictures, even ones sound; every two seconds a key frame.

use std::fs;
use std::path::{Path, PathBuf};

use fmp4::{Fragment, Movie, Muxer, NextDecode, OriginFlags, Sample};
use protocol::stream::{Codec, Track};
use protocol::time::{TimeBase, UtcNs};
use recordings::{FileName, Range, Timeline};

pub(crate) const STEP_NS: u64 = 20_000_000;
/// Packets of a group of pictures, and of a fragment.
pub(crate) const GROUP: u64 = 100;
pub(crate) const FRAGMENT: u64 = 50;
/// Noon of some day.
pub(crate) const NOON_NS: u64 = 1_795_176_000_000_000_000;
pub(crate) const SETS: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0, 0, 0, 1, 0x68, 0xeb,
    0xe3, 0xcb, 0x22, 0xc0,
];

pub(crate) struct Camera {
    dir: tempfile::TempDir,
    pub(crate) number: u64,
    pub(crate) epoch: u64,
    pub(crate) flags: OriginFlags,
    /// Packets of a fragment.
    pub(crate) fragment: u64,
    tracks: Vec<Track>,
}

pub(crate) fn is_picture(sequence: u64) -> bool {
    sequence % 2 == 1
}

pub(crate) fn is_key(sequence: u64) -> bool {
    sequence % GROUP == 1
}

pub(crate) fn time_of(sequence: u64) -> UtcNs {
    UtcNs(NOON_NS + sequence * STEP_NS)
}

/// As it is in the ring.
pub(crate) fn packet(sequence: u64) -> Vec<u8> {
    // Text: a picture has no zeros that would be a start code.
    let own = format!("the picture or sound of packet {sequence}").into_bytes();
    if !is_picture(sequence) {
        return own;
    }
    let slice = [&[0, 0, 0, 1, if is_key(sequence) { 0x65 } else { 0x41 }][..], &own].concat();
    if is_key(sequence) { [SETS, &slice].concat() } else { slice }
}

fn media_ns(sequence: u64) -> i64 {
    i64::try_from(sequence * STEP_NS).unwrap()
}

fn sample(sequence: u64) -> Sample {
    Sample {
        track: u32::from(!is_picture(sequence)),
        key: is_key(sequence),
        pts_ns: media_ns(sequence),
        dts_ns: media_ns(sequence),
        duration_ns: 2 * media_ns(1),
        payload: packet(sequence),
    }
}

impl Camera {
    pub(crate) fn new() -> Self {
        let video = Track {
            codec: Codec::H264,
            time_base: TimeBase::VIDEO_90K,
            width: 640,
            height: 480,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata: SETS.to_vec(),
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
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("cam1")).unwrap();
        let (flags, tracks) = (OriginFlags::default(), vec![video, sound]);
        Self { dir, number: 0, epoch: 7, flags, fragment: FRAGMENT, tracks }
    }

    /// A file of these packets. Its first fragment says what `flags` says.
    pub(crate) fn file(&mut self, packets: std::ops::RangeInclusive<u64>) -> PathBuf {
        let (first, last) = (*packets.start(), *packets.end());
        self.number += 1;
        let ring = "cam1.packets".parse().unwrap();
        let mut bytes = Vec::new();
        let mut muxer = None;
        let mut at = first;
        while at <= last {
            let end = last.min((at - 1) / self.fragment * self.fragment + self.fragment);
            let flags = std::mem::take(&mut self.flags);
            let mut fragment = Fragment::new(&ring, self.epoch, at, time_of(at), flags);
            (at..=end).for_each(|sequence| fragment.push(sample(sequence)));
            let muxer = muxer.get_or_insert_with(|| {
                let begun = Muxer::new(Movie::new(&self.tracks).0, &fragment);
                bytes = begun.init_segment().unwrap();
                begun
            });
            let next = sample(end + 1);
            let next = NextDecode { track: next.track, dts_ns: next.dts_ns };
            bytes.extend(muxer.write(&fragment, Some(next)).unwrap());
            at = end + 1;
        }
        let name = FileName { capture: time_of(first), number: self.number };
        let path = self.path().join(name.to_string());
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Its directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("cam1")
    }

    /// That of the recorder.
    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn all(&self) -> Timeline {
        Timeline::read(&self.path(), Range::ALL).unwrap()
    }

    /// From the time of one packet to that of another.
    pub(crate) fn between(&self, from: u64, to: u64) -> Timeline {
        Timeline::read(&self.path(), Range { from: time_of(from), to: time_of(to) }).unwrap()
    }
}
