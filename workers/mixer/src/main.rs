//! `framevisor-mixer`: the sound of several packet rings into one.
//!
//! ```text
//! packet ring ──> SoundDecoder ──> Line, Resampler ──> Store ─┐
//! packet ring ──> ...                                  Store ─┼─> Mix ──> SoundEncoder ──> packet ring
//! packet ring ──> ...                                  Store ─┘    │
//!                                          Schedule: now - wait ───┘
//! ```
//!
//! The clock of this machine says when a block of the mix is due, and nothing else: what is not there by
//! then is silence, so no source can hold up the others or leave a hole.
#![forbid(unsafe_code)]

mod channels;
mod command;
mod line;
mod loudness;
mod out;
mod resample;
mod schedule;
mod source;
mod store;
mod told;
mod worker_kind;

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<worker_kind::MixerWorker>()
}
