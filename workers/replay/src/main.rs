//! `framevisor-replay`: what was recorded of a camera, into a packet ring of the same name.
//!
//! ```text
//! DIR/CAMERA ── Tape (its thread reads ahead) ──> Player ──> PacketWriter ──> packet ring
//!               packets in the ring's order       (when)     recorded ids
//! ```
//!
//! Nothing behind the ring can tell it from the camera but by its times: programs are tried out on what
//! happened before. The files are only read; a recorder may write them meanwhile.
#![forbid(unsafe_code)]

mod command;
mod player;
mod range;
mod replay;
mod tape;

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::verb::run_or::<replay::Replay>(&[("replayable", range::replayable)])
}
