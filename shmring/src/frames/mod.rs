//! Frame rings: pictures and tensors in slots, leased to readers without a copy.
//!
//! A slot's life, seen by the writer:
//!
//! ```text
//!   FREE ──loan──> LOANED ──publish──> PUBLISHED, still on loan (a decoder's reference picture)
//!    ^               │                       │ loan dropped
//!    │          loan dropped                 v
//!    └───────────────┴──────────────── PUBLISHED ──reclaim──> LOANED   (refused while leased)
//! ```

mod choice;
mod content;
mod descriptor;
mod device;
mod form;
mod frame;
mod generation;
mod hands;
mod loan;
mod matching;
mod pool;
mod reader;
mod set;
mod table;
mod tensor;
mod window;
mod writer;

pub use choice::{FrameStart, Policy};
pub use content::{Content, Picture, PlaneLayout, Tensor};
pub use device::{DeviceBlock, DeviceMemory, DeviceSpot, OnDevice};
pub use frame::{Frame, Plane};
pub use loan::{Loan, SlotId};
pub use reader::{FrameOptions, FrameReader};
pub use set::{FrameGroup, FrameSet};
pub use tensor::TensorView;
pub use window::Window;
pub use writer::FrameWriter;

pub(crate) use table::{INDEX_BYTES, SLOTS, descriptor_at};

use protocol::time::{ClockSource, MonoNs, Stamp};

use crate::SourceId;
use crate::layout::descriptor as layout;

/// Leases every reader may hold: a plain `for frame in ring` keeps one while it takes the next.
pub(crate) const QUOTA: u32 = 2;

/// What is known of a picture or tensor beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameMeta {
    pub content: Content,
    pub pts_ns: i64,
    pub duration_ns: i64,
    /// When the picture was taken, on the clock `clock` names.
    pub capture: Stamp,
    pub clock: ClockSource,
    pub ingest: MonoNs,
    pub decoded: MonoNs,
    /// The packet it was decoded from; `None` when it was born in this ring.
    pub source: Option<SourceId>,
    pub key: bool,
    pub corrupt: bool,
    pub discontinuity: bool,
    /// The writer had to copy it into its slot.
    pub copied: bool,
    /// Of another size, format, type or shape than the one the reader had before. Writers need not set
    /// it.
    pub format_change: bool,
    pub gop_index: u64,
    /// The writer's own: this crate carries it.
    pub user: [u8; layout::USER_BYTES],
}

impl FrameMeta {
    /// Such a content, of which nothing else is known.
    pub fn of(content: impl Into<Content>) -> Self {
        Self {
            content: content.into(),
            pts_ns: 0,
            duration_ns: 0,
            capture: Stamp::default(),
            clock: ClockSource::default(),
            ingest: MonoNs::default(),
            decoded: MonoNs::default(),
            source: None,
            key: false,
            corrupt: false,
            discontinuity: false,
            copied: false,
            format_change: false,
            gop_index: 0,
            user: [0; layout::USER_BYTES],
        }
    }

    pub fn picture(&self) -> Option<&Picture> {
        match &self.content {
            Content::Picture(picture) => Some(picture),
            Content::Tensor(_) => None,
        }
    }

    pub fn tensor(&self) -> Option<&Tensor> {
        match &self.content {
            Content::Picture(_) => None,
            Content::Tensor(tensor) => Some(tensor),
        }
    }
}

/// A slot's claim number: generation, slot and version in one word (`LAYOUT.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) generation: u32,
    pub(crate) slot: u32,
    pub(crate) version: u64,
}

impl Token {
    pub(crate) fn pack(self) -> u64 {
        use crate::layout::token::{SLOT_BITS, VERSION_BITS};
        let high = u64::from(self.generation) << SLOT_BITS | u64::from(self.slot);
        high << VERSION_BITS | (self.version & ((1 << VERSION_BITS) - 1))
    }

    /// The same slot with its next content. Versions of slots that hold their content are even.
    pub(crate) fn successor(self) -> Self {
        Self { version: (self.version | 1) + 1, ..self }
    }

    pub(crate) fn unpack(word: u64) -> Self {
        use crate::layout::token::{SLOT_BITS, VERSION_BITS};
        let high = word >> VERSION_BITS;
        let low = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            generation: low(high >> SLOT_BITS),
            slot: low(high & ((1 << SLOT_BITS) - 1)),
            version: word & ((1 << VERSION_BITS) - 1),
        }
    }
}
