//! A made-up packet ring: frame-coded H.264 at 25 pictures a second, of which the last ten seconds are still there. Its
//! writer can be restarted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::stream::{Codec, Track};
use protocol::time::{MonoNs, Stamp, TimeBase, UtcNs};
use shmring::{Packet, PacketMeta};
use web::sources::{PacketTap, Told, Trouble};

use super::h264;

const STEP_NS: u64 = 40_000_000;
/// Pictures that the ring holds.
const HELD: u64 = 250;
/// Of pictures too: both are the same ones.
pub(crate) const EPOCH: u64 = 1_795_000_000_000_000;

pub(crate) fn track() -> Track {
    Track {
        codec: Codec::H264,
        time_base: TimeBase::VIDEO_90K,
        width: h264::WIDTH,
        height: h264::HEIGHT,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: h264::sets(),
    }
}

/// Picture `number` of a stream, in an epoch that began with picture `first`.
pub(crate) fn packet(epoch: u64, first: u64, number: u64, now: Stamp) -> Packet {
    let at_ns = i64::try_from((number - first) * STEP_NS).expect("a time");
    let meta = PacketMeta {
        key: number.is_multiple_of(h264::GROUP),
        pts_ns: at_ns,
        dts_ns: at_ns,
        capture: now,
        ingest: now.mono,
        gop_index: 1 + number / h264::GROUP,
        ..PacketMeta::default()
    };
    let sequence = number - first + 1;
    Packet { epoch, sequence, meta, published: now.mono, payload: h264::picture(number) }
}

/// One reader of it.
pub(crate) struct FakePackets {
    began: MonoNs,
    /// How often its writer was restarted.
    restarts: Arc<AtomicU64>,
    seen_restarts: u64,
    tracks: [Track; 1],
    /// Number of the epoch's first picture, and of the next one.
    first: u64,
    next: u64,
}

impl FakePackets {
    pub(crate) fn new(began: MonoNs, restarts: Arc<AtomicU64>) -> Self {
        let newest = (shmring::clock::mono().0 - began.0) / STEP_NS;
        let seen_restarts = restarts.load(Ordering::Relaxed);
        let next = newest.saturating_sub(HELD) / h264::GROUP * h264::GROUP;
        Self { began, restarts, seen_restarts, tracks: [track()], first: 0, next }
    }

    fn due(&self, number: u64) -> MonoNs {
        MonoNs(self.began.0 + number * STEP_NS)
    }

    /// A new epoch begins with the next key frame, and with times of its own.
    fn follow_restarts(&mut self) {
        let restarts = self.restarts.load(Ordering::Relaxed);
        if restarts != self.seen_restarts {
            self.seen_restarts = restarts;
            self.next = self.next.div_ceil(h264::GROUP) * h264::GROUP;
            self.first = self.next;
        }
    }
}

impl PacketTap for FakePackets {
    fn next(&mut self, wait: Duration) -> Result<Told, Trouble> {
        self.follow_restarts();
        let (now, due) = (shmring::clock::now(), self.due(self.next));
        if now.mono < due {
            std::thread::sleep(wait.min(due.saturating_since(now.mono)));
        }
        let now = shmring::clock::now();
        if now.mono < due {
            return Ok(Told::Quiet);
        }
        let late_ns = now.mono.0 - due.0;
        let capture = Stamp { mono: due, utc: UtcNs(now.utc.0 - late_ns) };
        let epoch = EPOCH + self.seen_restarts * 1_000_000;
        let packet = packet(epoch, self.first, self.next, capture);
        self.next += 1;
        Ok(Told::Packet(packet))
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }
}

/// A ring that nobody writes.
pub(crate) struct Absent(pub(crate) String);

impl PacketTap for Absent {
    fn next(&mut self, wait: Duration) -> Result<Told, Trouble> {
        std::thread::sleep(wait);
        Ok(Told::Absent(self.0.clone()))
    }

    fn tracks(&self) -> &[Track] {
        &[]
    }
}
