//! Packet rings into fragmented MP4 files that play after SIGKILL at any time and miss no packet.
//!
//! What belongs here: when to cut, where to write, how to go on after a death. What does not: boxes
//! (`fmp4`), rings (`shmring`), codecs (nobody: packets are copied as they are). The rules are in
//! `docs/recording.md`.
//!
//! ```text
//! Recorder ── a thread per camera ──> camera ──> assembler ──> writer ──> DIR/CAMERA/UTC-NUMBER.mp4
//!    │                                  │  ▲       (pure: cut)    ├─ syncer: a thread that makes it durable
//!    │                                  │  │ turnstile (pure)     └─ joint: the old file's last,
//!    ├─ listener: events ──> gate ──────┼──┘                         unfinished group of pictures
//!    │  (pure, with commands)           └─ disk, recover, join
//!    └─ indexing: a thread that is told what is durable ──> DIR/index.sqlite
//! ```
#![forbid(unsafe_code)]

mod assembler;
mod camera;
mod command;
mod cut;
mod desk;
mod disk;
mod doubt;
mod dump;
mod error;
mod folder;
mod gate;
mod indexing;
mod join;
mod keeper;
mod last;
mod listener;
mod marker;
mod memory;
mod open_file;
mod pace;
mod packet_id;
mod recover;
mod remarks;
mod retention;
mod segments;
mod session;
mod status;
mod supervise;
mod syncer;
mod told;
mod turnstile;
mod verb;
mod witness;
mod writer;

pub use camera::{Camera, Job};
pub use command::Command;
pub use disk::{Disk, MARKER};
pub use dump::{DumpError, dump, dump_verb};
pub use gate::{Gate, Gates, Moment, SharedGate, Verdict};
pub use indexing::Indexing;
pub use keeper::Keeper;
pub use listener::Listener;
pub use remarks::Remarks;
pub use segments::{Segment, Segments};
pub use status::{Status, Turn};
pub use supervise::Recorder;
pub use verb::{RecordingsError, recordings, recordings_verb};
pub use witness::witness_verb;
