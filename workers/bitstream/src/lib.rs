//! The syntax that coded video is made of: NAL units of H.264 and H.265 in their byte stream, and the bit
//! fields of headers. Pure; nothing here trusts a length.
//!
//! ```text
//! access unit (Annex B) ──> nal::units ──> Family::parameter_set, Family::is_delimiter
//!                                     ├──> nal::unescaped ──> Bits
//!                                     └──> sps::read ──> size, rate, order of pictures
//! ```
//!
//! What belongs here: what more than one worker must know to take a unit apart or to put it together. What
//! does not: what a worker makes of it, as files (`fmp4`), packets (`rtsp`) or rings (`media`).
#![forbid(unsafe_code)]

mod bits;
pub mod nal;
pub mod sps;

pub use bits::Bits;
pub use nal::{Family, ParameterSet};
