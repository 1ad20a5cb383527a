//! `framevisor-ingest`: a camera, file or test pattern into a packet ring.
//!
//! ```text
//! pattern ─ encoder ─┐
//! loop cache, file ──┼─> Source ──> Publisher ──> packet ring
//! camera thread ─────┘   (pace, timeline)  (key gate, gop_index)
//! ```
//!
//! A source that is down is a condition of this worker, never its end.
//!
//! And a verb of the framevisor command, because what it needs is here: `probe`.
#![forbid(unsafe_code)]

mod camera;
mod camera_clock;
mod command;
mod file;
mod framecode;
mod gop;
mod ingest;
mod loop_cache;
mod microphone;
mod pace;
mod pattern;
mod probe;
mod publisher;
mod rate;
mod reconnect;
mod rtsp;
mod source;
mod test_source;
mod timeline;
mod waveform;

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::verb::run_or::<ingest::Ingest>(&[("probe", probe::verb)])
}
