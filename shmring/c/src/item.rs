//! Items in C's hands: what was taken from a ring, and the struct that shows it.

use std::sync::Arc;

use protocol::name::RingName;
use protocol::record::Record;
use protocol::stream;
use shmring::fork::Birth;

use crate::abi;
use crate::error::{Error, pointer, quietly};
use crate::handle::{self, Handle};
use crate::source::Taken;
use crate::view::{frame_view, packet_view, record_view, track_view};

/// A frame, packet or record. Each view holds addresses into what lies beside it, which nobody changes
/// or moves: buffers of their own, and the ring's mapping.
#[derive(Debug)]
pub struct Item {
    birth: Birth,
    body: Body,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "made once, in the box it stays in")]
enum Body {
    Frame {
        view: abi::Frame,
        _lease: shmring::Frame,
    },
    Packet {
        view: abi::Packet,
        _views: Vec<abi::Track>,
        _tracks: Arc<[stream::Track]>,
        _data: Vec<u8>,
    },
    Record {
        view: abi::Record,
        _texts: [Vec<u8>; 5],
    },
}

impl Handle for Item {
    const WHAT: &'static str = "item";

    fn birth(&self) -> Birth {
        self.birth
    }
}

impl Item {
    pub(crate) fn new(taken: Taken, ring: &RingName) -> Result<Self, Error> {
        let body = match taken {
            Taken::Frame(frame) => Body::Frame { view: frame_view(&frame), _lease: frame },
            Taken::Packet(packet, tracks) => {
                let views: Vec<abi::Track> = tracks.iter().map(track_view).collect();
                let view = packet_view(&packet, &views, ring);
                Body::Packet { view, _views: views, _tracks: tracks, _data: packet.payload }
            }
            Taken::Record(packet) => record_body(packet, ring)?,
        };
        Ok(Self { birth: Birth::here(), body })
    }

    fn kind(&self) -> &'static str {
        match self.body {
            Body::Frame { .. } => "frames",
            Body::Packet { .. } => "packets",
            Body::Record { .. } => "events",
        }
    }

    fn is_no(&self, expected: &'static str) -> Error {
        Error::ItemKind { seen: self.kind(), expected }
    }
}

/// Its texts end with a NUL and have none inside.
fn record_body(packet: shmring::Packet, ring: &RingName) -> Result<Body, Error> {
    let (epoch, sequence, published) = (packet.epoch, packet.sequence, packet.published);
    let bad = |why: String| Error::BadRecord { ring: ring.clone(), sequence, why };
    let text = str::from_utf8(&packet.payload).map_err(|error| bad(error.to_string()))?;
    let record: Record = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    let data = record.data.to_string();
    let parts = [
        text.as_bytes(),
        record.id.as_bytes(),
        record.kind.as_bytes(),
        record.camera.as_bytes(),
        data.as_bytes(),
    ];
    if parts.iter().any(|part| part.contains(&0)) {
        return Err(bad("a text with a NUL".to_owned()));
    }
    // Vectors, for what they hold stays where it is when they are moved.
    let texts = parts.map(|part| [part, &[0]].concat());
    let view = record_view(&record, &texts);
    let view = abi::Record { epoch, sequence, published_mono_ns: published.0, ..view };
    Ok(Body::Record { view, _texts: texts })
}

/// # Safety
/// `item` as in the header: NULL, or an item not released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_item_frame(item: *const Item) -> *const abi::Frame {
    pointer(|| {
        // SAFETY: by the caller's word.
        let item = unsafe { handle::look(item) }?;
        match &item.body {
            Body::Frame { view, .. } => Ok((&raw const *view).cast_mut()),
            _ => Err(item.is_no("frames")),
        }
    })
}

/// # Safety
/// `item` as in the header: NULL, or an item not released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_item_packet(item: *const Item) -> *const abi::Packet {
    pointer(|| {
        // SAFETY: by the caller's word.
        let item = unsafe { handle::look(item) }?;
        match &item.body {
            Body::Packet { view, .. } => Ok((&raw const *view).cast_mut()),
            _ => Err(item.is_no("packets")),
        }
    })
}

/// # Safety
/// `item` as in the header: NULL, or an item not released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_item_record(item: *const Item) -> *const abi::Record {
    pointer(|| {
        // SAFETY: by the caller's word.
        let item = unsafe { handle::look(item) }?;
        match &item.body {
            Body::Record { view, .. } => Ok((&raw const *view).cast_mut()),
            _ => Err(item.is_no("events")),
        }
    })
}

/// # Safety
/// `item` as in the header: NULL, or an item not released before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_release(item: *mut Item) {
    // SAFETY: by the caller's word.
    quietly(|| unsafe { handle::end(item) });
}

/// What the header says of items in several threads: the lease under a frame is no thread's own. The rest
/// are plain buffers that nobody changes.
const _: fn() = || {
    fn any_thread<T: Send + Sync>() {}
    any_thread::<shmring::Frame>();
};
