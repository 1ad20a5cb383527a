//! Recordings on disk as a recorder writes them: 25 pictures a second, a key frame each second, packet `n`
//! at `n` x 40 ms.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::fs;
use std::path::{Path, PathBuf};

use fmp4::{Fragment, Movie, Muxer, NextDecode, OriginFlags, Sample};
use protocol::stream::{Codec, Track};
use protocol::time::{TimeBase, UtcNs};
use recordings::FileName;

pub(crate) const STEP_NS: u64 = 40_000_000;
/// Packets of a fragment, which is a group of pictures.
pub(crate) const GROUP: u64 = 25;
/// Noon of 20 November 2026, UTC.
pub(crate) const NOON_S: u64 = 1_795_176_000;
const SETS: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0, 0, 0, 1, 0x68, 0xeb,
    0xe3, 0xcb, 0x22, 0xc0,
];

/// A recorder's directory.
#[derive(Debug)]
pub(crate) struct Films {
    pub(crate) dir: tempfile::TempDir,
    number: u64,
    /// When packet 0 would be.
    zero_s: u64,
}

pub(crate) fn time_of(sequence: u64) -> UtcNs {
    time_since(NOON_S, sequence)
}

fn time_since(zero_s: u64, sequence: u64) -> UtcNs {
    UtcNs(zero_s * 1_000_000_000 + sequence * STEP_NS)
}

impl Films {
    pub(crate) fn new() -> Self {
        Self::since(NOON_S)
    }

    pub(crate) fn since(zero_s: u64) -> Self {
        Self { dir: tempfile::tempdir().expect("a folder"), number: 0, zero_s }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// A file of these packets of a camera, of this width.
    pub(crate) fn file(
        &mut self,
        camera: &str,
        width: u32,
        packets: std::ops::RangeInclusive<u64>,
    ) -> PathBuf {
        let folder = self.dir.path().join(camera);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(recordings::LOCK_FILE), "").expect("a file");
        self.number += 1;
        let (first, last) = (*packets.start(), *packets.end());
        let name = FileName { capture: time_since(self.zero_s, first), number: self.number };
        let path = folder.join(name.to_string());
        write(&path, camera, width, self.zero_s, first, last);
        path
    }
}

fn write(path: &Path, camera: &str, width: u32, zero_s: u64, first: u64, last: u64) {
    let ring = format!("{camera}.packets").parse().expect("a name");
    let track = Track {
        codec: Codec::H264,
        time_base: TimeBase::VIDEO_90K,
        width,
        height: 480,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: SETS.to_vec(),
    };
    let (mut bytes, mut muxer, mut at) = (Vec::new(), None, first);
    while at <= last {
        let end = last.min((at - 1) / GROUP * GROUP + GROUP);
        let flags = OriginFlags::default();
        let mut fragment = Fragment::new(&ring, 7, at, time_since(zero_s, at), flags);
        (at..=end).for_each(|sequence| fragment.push(sample(sequence)));
        let muxer = muxer.get_or_insert_with(|| {
            let begun = Muxer::new(Movie::new(std::slice::from_ref(&track)).0, &fragment);
            bytes = begun.init_segment().expect("a header");
            begun
        });
        let next = NextDecode { track: 0, dts_ns: sample(end + 1).dts_ns };
        bytes.extend(muxer.write(&fragment, Some(next)).expect("a fragment"));
        at = end + 1;
    }
    fs::write(path, bytes).expect("a file");
}

fn sample(sequence: u64) -> Sample {
    let key = sequence % GROUP == 1;
    let at_ns = i64::try_from(sequence * STEP_NS).expect("a time");
    let slice = [0, 0, 0, 1, if key { 0x65 } else { 0x41 }];
    let text = format!("picture {sequence}");
    let payload = if key {
        [SETS, &slice, text.as_bytes()].concat()
    } else {
        [&slice, text.as_bytes()].concat()
    };
    Sample { track: 0, key, pts_ns: at_ns, dts_ns: at_ns, duration_ns: 0, payload }
}
