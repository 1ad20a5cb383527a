//! `framevisor-decoder`: a packet ring into a frame ring, drawn by the codec straight into the
//! ring's slots; and into further rings of other sizes and formats.
//!
//! ```text
//! packet ring ──> Resync ──> Choice ──> media::Decoder ──> Outputs ──> frame ring
//!             (from a key) (what readers     │ get_buffer2   │   (the slot it was drawn in)
//!                               want)        │               └──> media::Resizer ──> other frame rings
//!                                            └──> Slots ──> FrameWriter::loan
//! ```
//!
//! And verbs of the framevisor command, because what they need is here: `tap` (`pictures`,
//! `blocks`), `dump` of frame rings (`y4m`), `keep` of `why --save`, and the `codecs` of `doctor`.
#![forbid(unsafe_code)]

mod blocks;
mod choice;
mod codecs;
mod decoding;
mod dump;
mod engines;
mod health;
mod keep;
mod notes;
mod on_device;
mod outputs;
mod pictures;
mod resync;
mod slots;
mod tap;
mod tensors_of;
mod worker_kind;
mod y4m;

use std::process::ExitCode;

use worker::verb::Verb;

fn main() -> ExitCode {
    let verbs: [Verb; 4] =
        [("codecs", codecs::verb), ("dump", dump::verb), ("keep", keep::verb), ("tap", tap::verb)];
    worker::verb::run_or::<worker_kind::DecoderWorker>(&verbs)
}
