//! `use: decoder`: a packet ring into a frame ring.

use serde::{Deserialize, Serialize};

use super::PictureLimits;

/// What the user writes under `use: decoder`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecoderConfig {
    /// Decoding threads, 1 to 16. Each thread beyond the first holds one more slot of the ring.
    pub threads: u32,
    /// Largest picture that is decoded, in pixels; a larger one is refused as a stream error.
    pub max_pixels: u32,
    /// Pictures that tell that the camera is not well.
    pub health: PictureLimits,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        // 8192 x 4608: beyond any camera on sale, and a bomb of it costs under 60 MB a picture.
        Self { threads: 1, max_pixels: 8192 * 4608, health: PictureLimits::default() }
    }
}
