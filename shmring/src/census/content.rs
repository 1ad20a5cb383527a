//! What flows in a ring, in its writer's words. Read with pread like the rest of the census.

use std::os::fd::OwnedFd;

use nix::sys::uio::pread;
use protocol::name::{ProjectName, RingKind, RingName};
use protocol::stream::{PixelFormat, Track};

use super::Page;
use crate::frames;
use crate::layout::{anchor, descriptor, index};
use crate::segments::{self, Part};
use crate::stream::{self, StreamBlock};

/// How often a description that is being written is looked at again.
const LOOKS: u32 = 10;

/// What a ring says of its content; empty where it says nothing yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Packet rings: in the order of the packets' track numbers.
    pub tracks: Vec<Track>,
    /// Frame rings: the packet ring that the pictures come from.
    pub source: Option<RingName>,
    /// Frame rings: of the newest picture.
    pub format: Option<PixelFormat>,
}

/// The content of one ring. Takes no place in it.
pub fn content(project: &ProjectName, name: &RingName) -> Content {
    let segments = segments::find(project, name);
    let open = |part| segments.open(part).ok()?;
    let anchor = open(Part::Anchor).and_then(|file| Page::read(&file, anchor::BYTES));
    let epoch = anchor.map(|anchor| anchor.word(anchor::AT_EPOCH));
    let Some(index) = epoch.and_then(|epoch| open(Part::Index { epoch })) else {
        return Content::default();
    };
    let block = (0..LOOKS).find_map(|_| stream_block(&index)).unwrap_or_default();
    let format = (name.kind() == RingKind::Frames).then(|| newest_format(&index)).flatten();
    Content { tracks: block.tracks, source: block.source, format }
}

/// `None` while it is being written.
fn stream_block(index: &OwnedFd) -> Option<StreamBlock> {
    let before = Page::read(index, index::AT_VERSIONS)?;
    let after = Page::read(index, index::HEADER)?;
    let lock = before.word(index::AT_STREAM_LOCK);
    let is_whole = lock.is_multiple_of(2) && lock == after.word(index::AT_STREAM_LOCK);
    is_whole.then(|| stream::decode(&before.bytes[index::AT_STREAM..])).flatten()
}

/// `None` before the first picture, and when it is overwritten by others while it is looked at.
fn newest_format(index: &OwnedFd) -> Option<PixelFormat> {
    let head = Page::read(index, index::HEADER)?.word(index::AT_HEAD);
    let at = i64::try_from(frames::descriptor_at(head)).ok()?;
    let mut bytes = vec![0; descriptor::BYTES];
    let whole = pread(index, &mut bytes, at).ok()? == bytes.len();
    let descriptor = Page { bytes, lock_held: false };
    let is_newest = whole && head != 0 && descriptor.word(descriptor::AT_SEQUENCE) == head;
    is_newest.then(|| PixelFormat::from_code(descriptor.half(descriptor::AT_FORMAT))).flatten()
}
