//! The only crate that names FFmpeg. What belongs here: opening inputs, splitting them into access
//! units in the ring's form, encoding the test pattern, decoding into memory that the caller lends,
//! writing files for other programs, sending to servers elsewhere.
//! What does not: rings, clocks, pacing, retries. Those are decisions, and theirs to make who call.
//!
//! ```text
//! file, camera ──> Demuxer ──> AccessUnit ──(ring)──> Decoder ──> Picture in lent memory
//! pattern ───────> Encoder ──> EncodedUnit            PictureAllocator lends it
//! AccessUnit ──> Publisher ──> server
//! AccessUnit ──> Muxer ──> file                       Picture ──> Reencoder ──> AccessUnit
//! samples ─────> SoundEncoder ──> SoundUnit           Still ────> PictureEncoder ──> Coded
//! picture ─────> Scaler ──> Tile, a part of a picture that is put together
//!                SoundUnit ──(ring)──> SoundDecoder ──> SoundBlock
//! ```
//!
//! Written against FFmpeg 5.1 (Debian 12). No FFmpeg type is part of this crate's face, and the
//! unsafe code in it is calls into FFmpeg and the callbacks FFmpeg makes.

mod annexb;
mod available;
mod bitstream_filter;
mod codec;
mod compose;
mod decode;
mod delayed;
mod demux;
mod encode;
mod error;
pub mod g711;
mod log;
mod mux;
#[cfg(test)]
mod on_device;
mod picture_encoder;
mod publish;
mod raw;
mod reencode;
mod sound;
mod sound_decoder;
mod still;

pub use annexb::ParameterSets;
pub use available::{decodes, encodes_h264, has_device, library};
pub use compose::{Canvas, Part, Scaler, Sight, Tile};
pub use decode::{
    DecodeEngine, Decoder, DecoderOptions, Picture, PictureAllocator, PictureHome, PictureMemory,
    PictureNeed, PlaneAt, Resized, Resizer, TightLayout,
};
pub use demux::{AccessUnit, Demuxer, Input, Interrupt, Nature};
pub use encode::{EncodedUnit, Encoder, EncoderOptions};
pub use error::MediaError;
pub use mux::{Container, Muxer};
pub use picture_encoder::{
    Coded, Engine, PictureEncoder, PictureEncoderOptions, Place, encoder_name, encodes,
};
pub use publish::{PublishError, Publisher, Target};
pub use reencode::{Filler, Reencoder};
pub use sound::{SoundEncoder, SoundOptions, SoundUnit};
pub use sound_decoder::{SoundBlock, SoundDecoder};
pub use still::{NoMemory, SPARE_BYTES, Still};

/// Once a process: FFmpeg's error texts, and its log into `tracing`.
fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if let Err(error) = ffmpeg_next::init() {
            tracing::warn!(%error, "FFmpeg did not initialise");
        }
        log::install();
    });
}
