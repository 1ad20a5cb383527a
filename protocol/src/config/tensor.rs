//! `tensor:` of a decoder's output: pictures as numbers, made once for all models that take them so.

use serde::{Deserialize, Serialize};

use super::detect::{ColourOrder, InputFit, Scale};
use crate::stream::DType;
use crate::units::Size;

/// One section `tensor:`; every key has a default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TensorConfig {
    pub layout: TensorLayout,
    #[serde(rename = "type")]
    pub element: ElementType,
    pub scale: Scale,
    pub colour: ColourOrder,
    pub fit: InputFit,
}

impl TensorConfig {
    /// Length of each axis, for pictures that are made `size` large.
    pub fn shape(&self, size: Size) -> [u32; 4] {
        match self.layout {
            TensorLayout::Nchw => [1, 3, size.height, size.width],
            TensorLayout::Nhwc => [1, size.height, size.width, 3],
        }
    }

    /// Whether its numbers can be of its type: only those of 0 to 255 are bytes.
    pub fn fits_its_type(&self) -> bool {
        self.element != ElementType::U8 || self.scale == Scale::Byte
    }

    /// Bytes of one of them.
    pub fn bytes(&self, size: Size) -> u64 {
        let sides = self.shape(size).into_iter().map(u64::from);
        sides.product::<u64>().saturating_mul(u64::from(self.element.dtype().bytes()))
    }
}

/// Where the colours of a pixel lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorLayout {
    /// `[1, 3, height, width]`
    #[default]
    Nchw,
    /// `[1, height, width, 3]`
    Nhwc,
}

/// What the numbers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    #[default]
    F32,
    F16,
    /// With `scale: byte`.
    U8,
}

impl ElementType {
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::U8 => DType::U8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_as_large_as_its_numbers() {
        let size = Size { width: 640, height: 320 };
        let of = |text: &str| serde_json::from_str::<TensorConfig>(text).unwrap();
        let usual = of("{}");
        assert_eq!((usual, usual.shape(size)), (TensorConfig::default(), [1, 3, 320, 640]));
        assert_eq!(usual.bytes(size), 640 * 320 * 3 * 4);
        let half = of(r#"{"layout": "nhwc", "type": "f16"}"#);
        assert!(half.fits_its_type() && of(r#"{"type": "u8", "scale": "byte"}"#).fits_its_type());
        assert!(!of(r#"{"type": "u8"}"#).fits_its_type());
        assert_eq!((half.shape(size), half.bytes(size)), ([1, 320, 640, 3], 640 * 320 * 3 * 2));
    }
}
