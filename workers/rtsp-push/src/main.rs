//! `framevisor-rtsp-push`: a packet ring, as it is, to a server elsewhere.
//!
//! ```text
//! packet ring ── Push (the worker) ──> Backlog ──> Sender (a thread) ── media::Publisher ──> server
//!                                      from a key frame on; what is too much is left out
//! ```
//! Pure: `backlog`, `choice`, `line`, `reconnect`, `state`. The sender alone waits for the server, so that
//! neither the ring nor the worker's own loop ever does. Rules are in `docs/publishing.md`.
#![forbid(unsafe_code)]

mod backlog;
mod choice;
mod line;
mod push;
mod reconnect;
mod sender;
mod shared;
mod state;

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<push::Push>()
}
