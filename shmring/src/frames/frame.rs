//! A leased frame, and the planes of a picture.

use std::sync::Arc;

use protocol::name::RingName;
use protocol::stream::FrameId;
use protocol::time::MonoNs;

use super::descriptor::Described;
use super::{DeviceBlock, FrameMeta, OnDevice, TensorView};
use crate::anchor::IndexView;
use crate::lease::LeasePage;
use crate::segment::Mapping;

/// One claim that a reader may make, and what lies under it. It is made once and filled again for picture
/// after picture, so that taking one neither allocates nor moves anything.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) page: Arc<LeasePage>,
    pub(super) hazard: u32,
    pub(super) data: Arc<Mapping>,
    pub(super) epoch: u64,
    pub(super) origin: Arc<Origin>,
    /// Where the slots lie, if it is not in `data`.
    pub(super) device: Option<Arc<DeviceBlock>>,
    /// Where its slot begins. `start + described.slot_bytes <= data.bytes()`, or the device block's.
    pub(super) start: usize,
    /// Proven to fit its slot.
    pub(super) described: Described,
}

/// A leased picture or tensor: while it lives its bytes do not change, whatever the writer does. Nothing was
/// copied. Holding it costs the ring one slot and nobody any time.
#[derive(Debug)]
pub struct Frame {
    /// The reader's too, which fills it again once the claim has ended.
    pub(super) hand: Arc<Hand>,
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.hand.page.unpin(self.hand.hazard);
    }
}

/// Where the frames of an epoch come from: shared by all of them, so that taking one copies no names.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) ring: RingName,
    pub(super) source: Option<RingName>,
    /// Of a ring on a device: whether its writer lives is asked there.
    pub(super) index: Option<Arc<IndexView>>,
}

impl Frame {
    pub fn epoch(&self) -> u64 {
        self.hand.epoch
    }

    /// Counted from 1 in each epoch.
    pub fn sequence(&self) -> u64 {
        self.hand.described.sequence
    }

    /// The ring it was read from.
    pub fn ring(&self) -> &RingName {
        &self.hand.origin.ring
    }

    pub fn meta(&self) -> &FrameMeta {
        &self.hand.described.meta
    }

    pub fn published(&self) -> MonoNs {
        self.hand.described.published
    }

    /// The picture's identity: the packet it came from, or its place in this ring.
    pub fn frame_id(&self) -> FrameId {
        let Origin { ring, source, .. } = &*self.hand.origin;
        match (source, self.hand.described.meta.source) {
            (Some(ring), Some(id)) => {
                FrameId { ring: ring.clone(), epoch: id.epoch, sequence: id.sequence }
            }
            _ => FrameId { ring: ring.clone(), epoch: self.hand.epoch, sequence: self.sequence() },
        }
    }

    /// Where it lies on a device; `None` when it lies in the machine's memory.
    pub fn device(&self) -> Option<OnDevice<'_>> {
        Some(OnDevice { frame: self, block: self.hand.device.as_deref()? })
    }

    /// The visible part of a plane; `None` when the format has no such plane, for a tensor, and on a device.
    pub fn plane(&self, number: usize) -> Option<Plane<'_>> {
        let picture = self.hand.described.meta.picture().filter(|_| self.hand.device.is_none())?;
        if number >= picture.format.planes() {
            return None;
        }
        let extent = picture.format.plane_extent(number, picture.width, picture.height);
        let layout = picture.planes[number];
        Some(Plane {
            frame: self,
            start: self.hand.start + layout.offset as usize,
            linesize: layout.linesize as usize,
            row_bytes: extent.row_bytes as usize,
            rows: extent.rows as usize,
        })
    }

    /// The elements; `None` for a picture, and on a device.
    pub fn tensor(&self) -> Option<TensorView<'_>> {
        let tensor = self.hand.described.meta.tensor().filter(|_| self.hand.device.is_none())?;
        Some(TensorView { frame: self, tensor })
    }

    /// Which hazard of its page the lease uses; for tests and tools.
    pub fn lease_number(&self) -> u32 {
        self.hand.hazard
    }
}

/// The visible part of one plane of a leased frame.
#[derive(Debug)]
pub struct Plane<'a> {
    frame: &'a Frame,
    start: usize,
    linesize: usize,
    row_bytes: usize,
    rows: usize,
}

impl Plane<'_> {
    /// Visible bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes from one row to the next in memory.
    pub fn linesize(&self) -> usize {
        self.linesize
    }

    /// Address of the first visible sample, in this process's read-only mapping. While the frame lives,
    /// [`Self::row_bytes`] bytes may be read at `y * linesize` from there for each row `y`.
    pub fn as_ptr(&self) -> *const u8 {
        self.frame.hand.data.range(self.start, self.row_bytes).as_ptr()
    }

    /// Copies row `y`, or as much of it as `into` holds.
    ///
    /// # Panics
    /// When the plane has no such row.
    pub fn copy_row(&self, y: usize, into: &mut [u8]) {
        assert!(y < self.rows, "row {y} of a plane of {}", self.rows);
        let bytes = self.row_bytes.min(into.len());
        let from = self.frame.hand.data.range(self.start + y * self.linesize, bytes);
        // SAFETY: the range is inside the mapping, which is no Rust object, so it cannot overlap the
        // slice; the lease keeps a writer that keeps to the protocol from changing it, and from one
        // that does not come wrong samples, never an invalid u8.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), into.as_mut_ptr(), bytes) }
    }

    /// Appends the visible rows, tightly packed.
    pub fn copy_to(&self, into: &mut Vec<u8>) {
        let begin = into.len();
        into.resize(begin + self.row_bytes * self.rows, 0);
        for (y, row) in into[begin..].chunks_exact_mut(self.row_bytes).enumerate() {
            self.copy_row(y, row);
        }
    }
}
