//! Recordings, played to RTSP clients (`docs/rtsp.md`, Recordings).
//!
//! | file | what |
//! |---|---|
//! | `address.rs` | what a path of a recording names (pure) |
//! | `moment.rs` | times as RTSP writes them (pure) |
//! | `range.rs` | `Range` and `Scale` (pure) |
//! | `course.rs` | what a PLAY does, beside what is played already (pure) |
//! | `reel.rs` | samples of several files on one clock of playing (pure) |
//! | `pace.rs` | when a unit is due (pure) |
//! | `spool.rs` | files to units: a thread for each who plays |
//! | `belt.rs` | from that thread to the one of the sockets, never more than some MiB ahead |
//! | `shelf.rs` | where recordings are, and how much of reading goes on at once |
//! | `showing.rs` | what one client is shown |
//! | `desk.rs` | one client's recordings: what its requests need, before they are answered |
//!
//! ```text
//!   request ── desk ── shelf ──> spool (thread) ── belt ──> showing ── playback ──> client
//! ```
//! Nothing here waits for a disk on the thread of the sockets: a live viewer never notices.

pub mod address;
pub mod belt;
pub mod course;
pub mod desk;
pub mod moment;
pub mod pace;
pub mod range;
pub mod reel;
pub mod shelf;
pub mod showing;
pub mod spool;
