//! Named broadcast rings in shared memory: one writer, any number of readers, and no reader can
//! slow, stop or corrupt the writer.
//!
//! * A [`PacketWriter`] / [`PacketReader`] pair shares a byte log of encoded packets, copied out and
//!   then validated. A record ring ([`RecordWriter`], [`RecordReader`]) is the same with JSON payloads.
//! * A [`FrameWriter`] / [`FrameReader`] pair shares pictures or tensors in slots. A [`Frame`] is a
//!   lease: while it lives its bytes do not change and nothing was copied.
//!
//! A worker that looks at pictures and tells what it sees is an [`Analyzer`].
//!
//! The byte map and the protocol are normative in `LAYOUT.md`; [`layout`] holds its numbers.
//!
//! ```no_run
//! use std::time::Duration;
//! use shmring::{FrameOptions, FrameReader, Next};
//!
//! # fn main() -> Result<(), shmring::Error> {
//! let project = "demo".parse().expect("a valid name");
//! let ring = "cam1.frames".parse().expect("a valid name");
//! let mut reader = FrameReader::attach(&project, &ring, &FrameOptions::named("my program"))?;
//! if let Next::Item(frame) = reader.next(Duration::from_secs(1))? {
//!     println!("{} is {}", frame.sequence(), frame.meta().content);
//! }
//! # Ok(())
//! # }
//! ```

pub mod broker;
pub mod census;
pub mod clock;
pub mod fork;
pub mod layout;
pub mod leftovers;
pub mod link;
pub mod project;
pub mod size;

mod analyzer;
mod anchor;
mod error;
mod frames;
mod lease;
mod lock;
mod owner;
mod packets;
mod pin;
mod records;
mod segment;
mod segments;
mod seqlock;
mod signal;
mod stream;
mod sync;
mod wake;

pub use analyzer::{Analyzer, Given};
pub use error::Error;
pub use frames::{
    Content, DeviceBlock, DeviceMemory, DeviceSpot, Frame, FrameGroup, FrameMeta, FrameOptions,
    FrameReader, FrameSet, FrameStart, FrameWriter, Loan, OnDevice, Picture, Plane, PlaneLayout,
    Policy, SlotId, Tensor, TensorView, Window,
};
pub use lease::Demand;
pub use packets::{Packet, PacketMeta, PacketOptions, PacketReader, PacketWriter, Start};
pub use records::{RecordReader, RecordWriter};
pub use signal::{Pollable, Semaphore, Waitable, wait_any};

/// What a reader is told. Nothing here is an error: a slow reader learns what it missed as data.
#[derive(Debug)]
pub enum Next<T> {
    Item(T),
    /// Items that were overwritten before this reader came to them; 0 when their number is unknown
    /// because their whole epoch is gone.
    Overrun {
        missed: u64,
    },
    /// This reader is `essential` and fell behind its deadline: the writer keeps nothing for it any
    /// more until it has caught up. Told once; it reads on, and what is gone follows as an overrun.
    Evicted {
        reason: String,
    },
    /// The writer was restarted: what follows is of this epoch, with tracks or geometry of its own.
    NewEpoch {
        epoch: u64,
    },
    /// Nothing new within the wait.
    Quiet,
    /// The writer finished and everything it wrote has been read. A later writer is a `NewEpoch`.
    Ended,
}

/// The packet a picture or re-encoded packet came from, within its source ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceId {
    pub epoch: u64,
    pub sequence: u64,
}
