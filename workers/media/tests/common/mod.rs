//! What the media tests share: memory to decode into, pictures to encode, a folder that goes away.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use media::{
    AccessUnit, Decoder, DecoderOptions, Demuxer, Encoder, EncoderOptions, Input, Picture,
    PictureAllocator, PictureMemory, PictureNeed,
};
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;

const ALIGN_BYTES: usize = 4096;

/// Lends heap memory, counts what is out, and keeps what comes back.
#[derive(Default)]
pub struct Pool {
    shared: Arc<Shared>,
    /// Pieces to lend at most; 0 for no limit.
    limit: u32,
}

#[derive(Default)]
struct Shared {
    next_tag: AtomicU64,
    out: AtomicU32,
    most_out: AtomicU32,
    most_needed: AtomicU32,
    returned: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl Pool {
    pub fn limited(limit: u32) -> Self {
        Self { limit, ..Self::default() }
    }

    pub fn out(&self) -> u32 {
        self.shared.out.load(Ordering::SeqCst)
    }

    pub fn most_out(&self) -> u32 {
        self.shared.most_out.load(Ordering::SeqCst)
    }

    pub fn most_needed(&self) -> u32 {
        self.shared.most_needed.load(Ordering::SeqCst)
    }

    /// The memory that came back, by tag, as it was then.
    pub fn returned(&self) -> Vec<(u64, Vec<u8>)> {
        std::mem::take(&mut self.shared.returned.lock().unwrap())
    }
}

impl PictureAllocator for Pool {
    fn allocate(&self, need: &PictureNeed) -> Option<Box<dyn PictureMemory>> {
        let shared = &self.shared;
        if self.limit > 0 && shared.out.load(Ordering::SeqCst) >= self.limit {
            return None;
        }
        let out = shared.out.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most_out.fetch_max(out, Ordering::SeqCst);
        shared.most_needed.fetch_max(need.decoder_slots, Ordering::SeqCst);
        let memory = vec![0xEE; need.bytes + ALIGN_BYTES];
        let start = memory.as_ptr().align_offset(ALIGN_BYTES);
        Some(Box::new(Piece {
            memory,
            range: start..start + need.bytes,
            tag: shared.next_tag.fetch_add(1, Ordering::SeqCst),
            shared: Arc::clone(shared),
        }))
    }
}

struct Piece {
    memory: Vec<u8>,
    range: std::ops::Range<usize>,
    tag: u64,
    shared: Arc<Shared>,
}

impl PictureMemory for Piece {
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.range.clone()]
    }

    fn tag(&self) -> u64 {
        self.tag
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.shared.out.fetch_sub(1, Ordering::SeqCst);
        let bytes = self.memory[self.range.clone()].to_vec();
        self.shared.returned.lock().unwrap().push((self.tag, bytes));
    }
}

/// A folder of this test's own.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("media-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `count` pictures of a moving ramp through the crate's own encoder, with their keys.
pub fn encode(options: &EncoderOptions, count: usize) -> Vec<media::EncodedUnit> {
    let mut encoder = Encoder::open(options).unwrap();
    (0..count)
        .map(|number| {
            encoder
                .encode(|plane, bytes, linesize| {
                    for (at, byte) in bytes.iter_mut().enumerate() {
                        let (x, y) = (at % linesize, at / linesize);
                        *byte = u8::try_from((x + 2 * y + 5 * number + 40 * plane) % 200).unwrap();
                    }
                })
                .unwrap()
        })
        .collect()
}

/// Runs the ffmpeg command, which the project's machines have; `arguments` are split at spaces.
pub fn ffmpeg(arguments: &str, output: &Path) {
    let status = std::process::Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-y"])
        .args(arguments.split_whitespace())
        .arg(output)
        .stdin(std::process::Stdio::null())
        .status()
        .expect("the ffmpeg command is installed (Debian package ffmpeg)");
    assert!(status.success(), "ffmpeg {arguments} failed");
}

pub fn open(path: &Path) -> Demuxer {
    Demuxer::open(&Input::File(path.to_owned()), Box::new(|| false)).unwrap()
}

pub fn read_all(demuxer: &mut Demuxer) -> Vec<AccessUnit> {
    std::iter::from_fn(|| demuxer.read().unwrap()).collect()
}

/// Decodes H.264 units whatever errors come, and hands what pictures there are to `see`.
pub fn decode_damaged(
    units: &[Vec<u8>],
    threads: u32,
    pool: &Arc<Pool>,
    mut see: impl FnMut(&Picture),
) {
    let track = Track {
        codec: Codec::H264,
        time_base: TimeBase::VIDEO_90K,
        width: 0,
        height: 0,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (0, 1),
        extradata: Vec::new(),
    };
    let options = DecoderOptions { threads, max_pixels: 1 << 22 };
    let allocator: Arc<dyn PictureAllocator> = Arc::<Pool>::clone(pool);
    let mut decoder = Decoder::open(&track, &options, allocator).unwrap();
    for (token, unit) in (0u64..).zip(units) {
        if decoder.send(unit, token).is_err() {
            decoder.flush();
        }
        while let Ok(Some(picture)) = decoder.receive() {
            let mut tight = vec![0; picture.tight_layout().bytes];
            picture.copy_to(&mut tight).unwrap();
            see(&picture);
        }
    }
}

/// Decodes every unit of track 0 and hands the pictures to `see` in output order.
pub fn decode_all(
    demuxer: &mut Demuxer,
    threads: u32,
    pool: &Arc<Pool>,
    mut see: impl FnMut(&Picture),
) {
    let track = demuxer.tracks()[0].clone();
    let options = DecoderOptions { threads, max_pixels: 4096 * 4096 };
    let allocator: Arc<dyn PictureAllocator> = Arc::<Pool>::clone(pool);
    let mut decoder = Decoder::open(&track, &options, allocator).unwrap();
    let units = read_all(demuxer).into_iter().filter(|unit| unit.track == 0);
    for (token, unit) in (0u64..).zip(units) {
        decoder.send(&unit.payload, token).unwrap();
        while let Some(picture) = decoder.receive().unwrap() {
            see(&picture);
        }
    }
    decoder.finish().unwrap();
    while let Some(picture) = decoder.receive().unwrap() {
        see(&picture);
    }
}
