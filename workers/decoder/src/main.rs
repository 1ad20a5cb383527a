//! `framevisor-decoder`: a packet ring into a frame ring, drawn by the codec straight into the
//! ring's slots.
//!
//! ```text
//! packet ring ──> Resync ──> media::Decoder ──> FrameWriter::publish ──> frame ring
//!                (from a key)      │ get_buffer2        (the slot it was drawn in)
//!                                  └──> Slots ──> FrameWriter::loan
//! ```
//!
//! And verbs of the framevisor command, because what they need is here: `tap` (`pictures`,
//! `blocks`), `dump` of frame rings (`y4m`), `keep` of `why --save`, and the `codecs` of `doctor`.
#![forbid(unsafe_code)]

mod blocks;
mod codecs;
mod decoding;
mod dump;
mod health;
mod keep;
mod notes;
mod pictures;
mod resync;
mod slots;
mod tap;
mod worker_kind;
mod y4m;

use std::process::ExitCode;

use worker::verb::Verb;

fn main() -> ExitCode {
    let verbs: [Verb; 4] =
        [("codecs", codecs::verb), ("dump", dump::verb), ("keep", keep::verb), ("tap", tap::verb)];
    worker::verb::run_or::<worker_kind::DecoderWorker>(&verbs)
}
