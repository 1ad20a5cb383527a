//! `framevisor-decoder`: a packet ring into a frame ring, drawn by the codec straight into the
//! ring's slots.
//!
//! ```text
//! packet ring ──> Resync ──> media::Decoder ──> FrameWriter::publish ──> frame ring
//!                (from a key)      │ get_buffer2        (the slot it was drawn in)
//!                                  └──> Slots ──> FrameWriter::loan
//! ```
#![forbid(unsafe_code)]

mod decoding;
mod notes;
mod parking;
mod resync;
mod slots;
mod worker_kind;

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<worker_kind::DecoderWorker>()
}
