//! Packets to publish: a real stream over and over when `ffmpeg` is here, a made-up one otherwise.

use std::path::Path;
use std::thread;
use std::time::Duration;

use fmp4::Sample;
use protocol::stream::{Codec, Track};
use protocol::time::{Stamp, TimeBase, UtcNs};
use shmring::{PacketMeta, PacketWriter, clock};

use crate::media;

/// Sets of an x264 stream; the pictures behind them are not decodable.
const SETS: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0, 0, 0, 1, 0x68, 0xeb,
    0xe3, 0xcb, 0x22, 0xc0,
];
const SECONDS: u32 = 4;

pub(crate) struct Feed {
    pub(crate) tracks: Vec<Track>,
    samples: Vec<Sample>,
    sent: usize,
    /// A full minute of some hour ago.
    began: UtcNs,
}

fn a_minute_of_an_hour_ago() -> UtcNs {
    const MINUTE_NS: u64 = 60_000_000_000;
    UtcNs((clock::now().utc.0 / MINUTE_NS - 60) * MINUTE_NS)
}

impl Feed {
    /// Pictures with B-pictures in groups of 40 (1.6 s), and sound. `None` without ffmpeg.
    pub(crate) fn real(dir: &Path) -> Option<Self> {
        if !media::have_ffmpeg() {
            return None;
        }
        Some(Self::with_sound(dir, media::video(dir, Codec::H264, SECONDS, 40, 2)))
    }

    /// MJPEG, VP9 or AV1, and sound. `None` where ffmpeg has no encoder for it.
    pub(crate) fn of(dir: &Path, codec: Codec) -> Option<Self> {
        if !media::have_ffmpeg() {
            return None;
        }
        let (video, _) = media::own_words(dir, codec, SECONDS, 40)?;
        Some(Self::with_sound(dir, video))
    }

    fn with_sound(dir: &Path, video: media::Stream) -> Self {
        let audio = media::aac(dir, SECONDS, 1);
        let mut samples = media::interleaved(&[&video, &audio]);
        samples.retain(|sample| sample.dts_ns < i64::from(SECONDS) * 1_000_000_000);
        let tracks = vec![video.track, audio.track];
        Self { tracks, samples, sent: 0, began: a_minute_of_an_hour_ago() }
    }

    /// Pictures of `picture_bytes` in groups of 40, which no player can decode.
    pub(crate) fn made_up(picture_bytes: usize) -> Self {
        let track = Track {
            codec: Codec::H264,
            time_base: TimeBase::VIDEO_90K,
            width: 640,
            height: 480,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata: SETS.to_vec(),
        };
        let picture = |number: i64| {
            let key = number % 40 == 0;
            let slice =
                [&[0, 0, 0, 1, if key { 0x65 } else { 0x41 }][..], &vec![0x55; picture_bytes]]
                    .concat();
            let payload = if key { [SETS, &slice].concat() } else { slice };
            let time_ns = number * 40_000_000;
            Sample { track: 0, key, pts_ns: time_ns, dts_ns: time_ns, duration_ns: 0, payload }
        };
        let samples = (0..i64::from(SECONDS) * 25).map(picture).collect();
        Self { tracks: vec![track], samples, sent: 0, began: a_minute_of_an_hour_ago() }
    }

    /// Publishes the next `count` packets and gives their ids.
    pub(crate) fn publish(
        &mut self,
        writer: &mut PacketWriter,
        count: usize,
        pause: Duration,
    ) -> Vec<(u64, u64)> {
        let send = |_| {
            let (meta, payload) = self.next();
            let sequence = writer.publish(&meta, &payload).unwrap();
            thread::sleep(pause);
            (writer.epoch(), sequence)
        };
        (0..count).map(send).collect()
    }

    /// Packets published in this life of the camera.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// When made-up picture `sequence` of the first life was taken.
    pub(crate) fn capture_of(&self, sequence: u64) -> UtcNs {
        self.captured(i64::try_from(sequence - 1).unwrap() * 40_000_000)
    }

    /// As a new life of the camera: again from a key frame.
    pub(crate) fn restart(&mut self) {
        self.sent = 0;
    }

    /// Media comes faster than the clock goes; what it says of itself is in step with its own time.
    fn captured(&self, dts_ns: i64) -> UtcNs {
        UtcNs(self.began.0.saturating_add_signed(dts_ns))
    }

    fn next(&mut self) -> (PacketMeta, Vec<u8>) {
        let rounds = i64::try_from(self.sent / self.samples.len()).unwrap();
        let sample = &self.samples[self.sent % self.samples.len()];
        let later_ns = rounds * i64::from(SECONDS) * 1_000_000_000;
        let now = clock::now();
        self.sent += 1;
        let meta = PacketMeta {
            track: sample.track,
            key: sample.key,
            pts_ns: sample.pts_ns + later_ns,
            dts_ns: sample.dts_ns + later_ns,
            duration_ns: sample.duration_ns,
            capture: Stamp { mono: now.mono, utc: self.captured(sample.dts_ns + later_ns) },
            ingest: now.mono,
            ..PacketMeta::default()
        };
        (meta, sample.payload.clone())
    }
}
