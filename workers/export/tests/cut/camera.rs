//! Recordings of a camera that never was: pictures at 25 a second, groups of two seconds, no codec needed
//! to copy them.

use std::fs;
use std::path::{Path, PathBuf};

use fmp4::{Fragment, Movie, Muxer, OriginFlags, Sample};
use protocol::stream::{Codec, Track};
use protocol::time::{TimeBase, UtcNs};
use recordings::FileName;

/// 2026-11-20T13:09:00Z.
pub(crate) const ZERO: u64 = 1_795_180_140 * SECOND;
pub(crate) const SECOND: u64 = 1_000_000_000;
const PICTURE: u64 = SECOND / 25;

/// Parameter sets of x264, High, 640x480.
const SETS: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0, 0, 0, 1, 0x68, 0xeb,
    0xe3, 0xcb, 0x22, 0xc0,
];

pub(crate) struct Camera {
    pub(crate) folder: PathBuf,
    number: u64,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    pub(crate) width: u32,
    /// What arrival is late by, in ns, for the n-th second.
    pub(crate) late: fn(u64) -> u64,
}

impl Camera {
    pub(crate) fn new(recordings: &Path, name: &str) -> Self {
        let folder = recordings.join(name);
        fs::create_dir_all(&folder).unwrap();
        Self { folder, number: 0, epoch: 1, sequence: 1, width: 640, late: |_| 0 }
    }

    fn track(&self) -> Track {
        Track {
            codec: Codec::H264,
            time_base: TimeBase::VIDEO_90K,
            width: self.width,
            height: 480,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata: SETS.to_vec(),
        }
    }

    /// A file from one second to another; a fragment a second, a key frame every two.
    pub(crate) fn record(&mut self, from_s: u64, to_s: u64) -> PathBuf {
        let (movie, refused) = Movie::new(&[self.track()]);
        assert!(refused.is_empty(), "{refused:?}");
        let fragments: Vec<Fragment> = (from_s..to_s).map(|second| self.second(second)).collect();
        let mut muxer = Muxer::new(movie, &fragments[0]);
        let mut bytes = muxer.init_segment().unwrap();
        for fragment in &fragments {
            bytes.extend(muxer.write(fragment, None).unwrap());
        }
        self.number += 1;
        let name = FileName { capture: UtcNs(ZERO + from_s * SECOND), number: self.number };
        let path = self.folder.join(name.to_string());
        fs::write(&path, bytes).unwrap();
        path
    }

    fn second(&mut self, second: u64) -> Fragment {
        let ring = "cam1.packets".parse().unwrap();
        let capture = UtcNs(ZERO + second * SECOND + (self.late)(second));
        let flags = OriginFlags::default();
        let mut fragment = Fragment::new(&ring, self.epoch, self.sequence, capture, flags);
        for picture in 0..25 {
            let at = i64::try_from(second * SECOND + picture * PICTURE).unwrap();
            let key = second.is_multiple_of(2) && picture == 0;
            let kind = if key { 0x65 } else { 0x41 };
            fragment.push(Sample {
                track: 0,
                key,
                pts_ns: at,
                dts_ns: at,
                duration_ns: i64::try_from(PICTURE).unwrap(),
                payload: vec![0, 0, 0, 1, kind, 1, 2, 3],
            });
        }
        self.sequence += 25;
        fragment
    }

    /// As ingest does when it is started again.
    pub(crate) fn restart(&mut self) {
        self.epoch += 1;
        self.sequence = 1;
    }
}
