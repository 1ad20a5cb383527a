//! `use: decoder`: a packet ring into a frame ring, or into several.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PictureLimits;
use super::tensor::TensorConfig;
use crate::name::{RingKind, RingName};
use crate::stream::PixelFormat;
use crate::units::Size;

/// What the user writes under `use: decoder`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecoderConfig {
    /// Decoding threads, 1 to 16. Each thread beyond the first holds one more slot of the ring.
    pub threads: u32,
    /// Largest picture that is decoded, in pixels; a larger one is refused as a stream error.
    pub max_pixels: u32,
    /// Pictures that tell that the camera is not well.
    pub health: PictureLimits,
    pub hardware: DecodeHardware,
    /// The same pictures in other sizes and formats, by name: each a ring of its own.
    pub outputs: BTreeMap<String, OutputConfig>,
}

impl DecoderConfig {
    /// More rings of one camera are a mistake.
    pub const OUTPUTS_MAX: usize = 8;

    /// The ring of an output, of a decoder that writes `main`; `None` when the name is none.
    pub fn ring_of(main: &RingName, output: &str) -> Option<RingName> {
        format!("{}.{output}.{}", main.camera(), RingKind::Frames).parse().ok()
    }
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            threads: 1,
            // 8192 x 4608: beyond any camera on sale, and a bomb of it costs under 60 MB a picture.
            max_pixels: 8192 * 4608,
            health: PictureLimits::default(),
            hardware: DecodeHardware::Off,
            outputs: BTreeMap::new(),
        }
    }
}

/// One entry of `outputs:`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputConfig {
    /// Default: the camera's own. Another ratio of the sides stretches the picture.
    pub size: Option<Size>,
    /// Default: the decoder's own.
    pub format: Option<PixelFormat>,
    /// Numbers for models instead of a picture; `size` is that of the model's input, and `format` says nothing.
    pub tensor: Option<TensorConfig>,
}

/// What of the machine decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecodeHardware {
    /// Whichever is there, else the processor.
    Auto,
    /// The processor.
    Off,
    Vaapi,
    /// NVDEC of an NVIDIA card.
    Cuda,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_a_ring_beside_the_main_one() {
        let ring = |main: &str, output| {
            DecoderConfig::ring_of(&main.parse().unwrap(), output).map(|ring| ring.to_string())
        };
        assert_eq!(ring("cam.frames", "small").unwrap(), "cam.small.frames");
        assert_eq!(ring("cam.sub.frames", "rgb").unwrap(), "cam.rgb.frames");
        assert_eq!(ring("cam.frames", "Small"), None);
        assert_eq!(ring("cam.frames", "a.b"), None);
    }
}
