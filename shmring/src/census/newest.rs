//! How late the newest item came into its ring, and how much was published: for figures, read with pread like the
//! rest of the census. What is overwritten while it is looked at tells nothing.

use std::os::fd::OwnedFd;

use nix::sys::uio::pread;
use protocol::name::RingKind;
use protocol::stream::PixelFormat;

use super::Page;
use crate::frames;
use crate::layout::{descriptor, index, record};

/// The newest picture, or the newest key packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) sequence: u64,
    /// From its capture to its publication; `None` when nobody knows when it was captured, or a camera's clock
    /// puts that behind its arrival.
    pub(super) late_ns: Option<u64>,
    /// Of a picture.
    pub(super) bytes: u64,
}

/// `file`: the index, whose first bytes are `page`. `data` opens the log.
pub(super) fn newest(
    kind: RingKind,
    page: &Page,
    file: &OwnedFd,
    data: impl FnOnce() -> Option<OwnedFd>,
) -> Option<Newest> {
    match kind {
        RingKind::Frames => picture(page.word(index::AT_HEAD), file),
        RingKind::Packets => packet(page, &data()?),
        // Of what happened, not of what was seen.
        RingKind::Events => None,
    }
}

fn picture(head: u64, file: &OwnedFd) -> Option<Newest> {
    let at = read(file, frames::descriptor_at(head), descriptor::BYTES)?;
    if head == 0 || at.word(descriptor::AT_SEQUENCE) != head {
        return None;
    }
    let (width, height) = (at.half(descriptor::AT_WIDTH), at.half(descriptor::AT_HEIGHT));
    let format = PixelFormat::from_code(at.half(descriptor::AT_FORMAT));
    let bytes = format.map_or(0, |format| {
        let planes = (0..format.planes()).map(|plane| format.plane_extent(plane, width, height));
        planes.map(|extent| u64::from(extent.row_bytes) * u64::from(extent.rows)).sum()
    });
    let (capture, published) =
        (at.word(descriptor::AT_CAPTURE_MONO_NS), at.word(descriptor::AT_PUBLISHED_NS));
    Some(Newest { sequence: head, late_ns: late(capture, published), bytes })
}

fn packet(page: &Page, log: &OwnedFd) -> Option<Newest> {
    let (position, bytes) = (page.word(index::AT_LAST_KEY), page.word(index::AT_LOG_BYTES));
    if position == index::NO_POSITION || bytes == 0 {
        return None;
    }
    let at = read(log, usize::try_from(position % bytes).ok()?, record::HEADER)?;
    let sequence = at.word(record::AT_SEQUENCE);
    let is_key =
        at.half(record::AT_TYPE) == record::RECORD && sequence <= page.word(index::AT_HEAD);
    let (capture, published) =
        (at.word(record::AT_CAPTURE_MONO_NS), at.word(record::AT_PUBLISHED_NS));
    // What was written since is published later than what was newest.
    let is_it = is_key && published <= page.word(index::AT_PUBLISHED_NS);
    is_it.then(|| Newest { sequence, late_ns: late(capture, published), bytes: 0 })
}

fn late(capture: u64, published: u64) -> Option<u64> {
    published.checked_sub(capture).filter(|_| capture != 0)
}

fn read(file: &OwnedFd, at: usize, count: usize) -> Option<Page> {
    let mut bytes = vec![0; count];
    let whole = pread(file, &mut bytes, i64::try_from(at).ok()?).ok()? == count;
    whole.then_some(Page { bytes, lock_held: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_that_is_unknown_or_behind_its_arrival_tells_nothing() {
        assert_eq!(late(1_000, 41_000), Some(40_000));
        assert_eq!(late(0, 41_000), None);
        assert_eq!(late(42_000, 41_000), None);
    }
}
