//! The verb `witness` of the recorder's program (see [`crate::verb`]): an independent reader of a
//! project's rings, which tells at the end what it saw published and which of it is not in the files.
//!
//! ```text
//! command                         witness
//!   | -- arguments: Watch ---------> |     attaches to every ring
//!   | <-------------- [RingName] --- |     a line: those it reads
//!   | -- [MonoNs] -----------------> |     a line: instants that part its time into windows; stop reading
//!   | <----------------- [Seen] ---- |     a line: what it saw of each ring, by window
//! ```

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::name::{ProjectName, RingName};
use crate::units::Span;

/// Its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    pub project: ProjectName,
    /// The name its readers attach under.
    pub reader: String,
    /// Packet and frame rings.
    pub rings: Vec<Watched>,
    /// How long files may take to hold what was seen last.
    pub patience: Span,
}

/// A ring, and where it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    pub ring: RingName,
    /// Directories of its files; none for a ring that nobody records.
    pub folders: Vec<PathBuf>,
}

/// What it saw of one ring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub ring: RingName,
    /// Why nothing is proven by it; empty when it read everything.
    pub trouble: String,
    /// One more than instants: the first lies before them all. Empty with trouble.
    pub windows: Vec<SeenWindow>,
}

/// What was published from one instant to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeenWindow {
    pub items: u64,
    /// Packets: in no file although the ring is recorded. Pictures: packets that the decoder did not turn
    /// into one; `null` where nobody can tell, because it leaves some out by design or the source is
    /// not watched.
    pub lost: Option<u64>,
    /// Packets that the source's own times say should have been there and were not, within one epoch.
    pub missing: u64,
    /// Lives of the writer that began.
    pub new_epochs: u64,
    /// What the camera sent while its writer was gone: from the last packet of one life to the first of
    /// the next, by capture times, less the usual distance.
    pub source_gap_ms: Option<f64>,
    /// Longest time in which nothing was published.
    pub pause_ms: f64,
}
