//! `framevisor-encoder`: pictures, or the sound of packets, encoded into a packet ring.
//!
//! ```text
//! packet ring ─┬─ pictures, AAC, Opus: as they are ──────────────┬─> packet ring
//!              └─ G.711, PCM ──> Sound (media::SoundEncoder) ─────────┘
//! frame ring ──> Pace ──> Engines (media::PictureEncoder) ─────────> packet ring
//!    Slate, when no pictures come ──┘
//! ```
//!
//! What comes out says what it was made from: its `source` is a packet of the camera, its capture time is
//! the one of that.
#![forbid(unsafe_code)]

mod engines;
mod gate;
mod pace;
mod packets;
mod pictures;
mod resume;
mod ring;
mod slate;
mod sound;
mod there;
mod worker_kind;

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<worker_kind::EncoderWorker>()
}
