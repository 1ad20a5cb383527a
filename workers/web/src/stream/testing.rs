//! Made-up packets for the tests of this folder: 25 pictures a second, a key frame each second, sound of 20 ms.

use std::sync::Arc;

use axum::body::Bytes;
use protocol::stream::{Codec, Track};
use protocol::time::{MonoNs, Stamp, TimeBase, UtcNs};
use shmring::{Packet, PacketMeta};

use super::numbers::Numbers;
use super::packager::Packager;
use super::unit::{Init, Run, Unit};

/// x264, High, 640x480.
pub(crate) const SETS: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0, 0, 0, 1, 0x68, 0xeb,
    0xe3, 0xcb, 0x22, 0xc0,
];
pub(crate) const MS: i64 = 1_000_000;
/// When picture 0 was captured.
pub(crate) const NOON_NS: u64 = 1_795_176_000_000_000_000;
/// UTC us, as of a ring made at that time.
pub(crate) const EPOCH: u64 = 1_795_176_000_000_000;
pub(crate) const FIRST_GROUP: u64 = 1_795_176_000_000;

pub(crate) fn video() -> Track {
    Track {
        codec: Codec::H264,
        time_base: TimeBase::VIDEO_90K,
        width: 640,
        height: 480,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: SETS.to_vec(),
    }
}

pub(crate) fn sound() -> Track {
    Track {
        codec: Codec::Opus,
        time_base: TimeBase { num: 1, den: 48_000 },
        width: 0,
        height: 0,
        sample_rate_hz: 48_000,
        channels: 2,
        frame_rate: (0, 1),
        extradata: Vec::new(),
    }
}

/// Packet `sequence` of an epoch, which is picture `number` of the stream: a key frame where it is a multiple of 25.
pub(crate) fn picture(epoch: u64, sequence: u64, number: u64) -> Packet {
    let key = number.is_multiple_of(25);
    let slice: &[u8] = if key { &[0, 0, 0, 1, 0x65, 1, 2] } else { &[0, 0, 0, 1, 0x41, 3] };
    let payload = if key { [SETS, slice].concat() } else { slice.to_vec() };
    packet(epoch, sequence, 0, key, number * 40, number / 25, payload)
}

pub(crate) fn noise(epoch: u64, sequence: u64, at_ms: u64) -> Packet {
    let mut made = packet(epoch, sequence, 1, true, at_ms, at_ms / 1000, vec![7; 40]);
    made.meta.duration_ns = 20 * MS;
    made
}

fn packet(
    epoch: u64,
    sequence: u64,
    track: u32,
    key: bool,
    at_ms: u64,
    group: u64,
    payload: Vec<u8>,
) -> Packet {
    let at_ns = i64::try_from(at_ms).expect("a time") * MS;
    let capture =
        Stamp { mono: MonoNs(at_ms * 1_000_000), utc: UtcNs(NOON_NS + at_ms * 1_000_000) };
    let meta = PacketMeta {
        track,
        key,
        pts_ns: at_ns,
        dts_ns: at_ns,
        capture,
        ingest: capture.mono,
        gop_index: FIRST_GROUP + group,
        ..PacketMeta::default()
    };
    Packet { epoch, sequence, meta, published: capture.mono, payload }
}

/// Fragment `number`, as `history` sees it.
pub(crate) fn unit(number: u64, entry: bool, bytes: usize) -> Arc<Unit> {
    let init = Init {
        name: "made".to_owned(),
        codecs: String::new(),
        mime: String::new(),
        width: 0,
        height: 0,
        frame_rate: (0, 1),
        video: Some(0),
        left_out: Vec::new(),
        bytes: Bytes::new(),
    };
    let run = Arc::new(Run { number: 1, epoch: 1, init, zero_ns: 0 });
    Arc::new(Unit {
        run,
        entry,
        has_picture: true,
        group: 0,
        pts_ns: 0,
        dts_ns: 0,
        lasts_ns: 40 * MS,
        sequence: number,
        captured: UtcNs(0),
        arrived: MonoNs(0),
        bytes: vec![0; bytes].into(),
    })
}

/// All fragments of these packets, as one camera's feed would get them.
pub(crate) fn fragments(
    tracks: &[Track],
    packets: impl IntoIterator<Item = Packet>,
) -> Vec<Arc<Unit>> {
    numbered_fragments(Arc::default(), tracks, packets)
}

/// The same in a worker that has these numbers.
pub(crate) fn numbered_fragments(
    numbers: Arc<Numbers>,
    tracks: &[Track],
    packets: impl IntoIterator<Item = Packet>,
) -> Vec<Arc<Unit>> {
    let mut packager = Packager::new(&"cam1.packets".parse().expect("a name"), numbers);
    let made = packets.into_iter().flat_map(|packet| packager.take(packet, tracks).expect("boxes"));
    made.map(Arc::new).collect()
}
