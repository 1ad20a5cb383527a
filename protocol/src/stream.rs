//! What flows in a ring: tracks, codecs, pixel formats, element types, and the identity of a picture.

use serde::{Deserialize, Serialize};

use crate::name::RingName;
use crate::time::TimeBase;

/// Most tracks one packet ring carries.
pub const TRACKS_MAX: usize = 8;

/// A compression format. The numbers are the ring's layout (`shmring/LAYOUT.md`) and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum Codec {
    H264 = 1,
    H265 = 2,
    Av1 = 3,
    Mjpeg = 4,
    Vp8 = 5,
    Vp9 = 6,
    Mpeg4 = 7,
    Aac = 32,
    Opus = 33,
    PcmMulaw = 34,
    PcmAlaw = 35,
    /// Samples of 16 bits, the low byte first, of all channels by turns.
    PcmS16le = 36,
    /// Four bits a sample, mostly of 16 kHz; a byte is two samples of a channel.
    G722 = 37,
}

impl Codec {
    pub const ALL: [Self; 13] = [
        Self::H264,
        Self::H265,
        Self::Av1,
        Self::Mjpeg,
        Self::Vp8,
        Self::Vp9,
        Self::Mpeg4,
        Self::Aac,
        Self::Opus,
        Self::PcmMulaw,
        Self::PcmAlaw,
        Self::PcmS16le,
        Self::G722,
    ];

    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| *codec as u32 == code)
    }

    pub fn is_video(self) -> bool {
        (self as u32) < Self::Aac as u32
    }
}

/// One elementary stream of a packet ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    pub codec: Codec,
    /// The source's own time base; the times in the ring are ns already.
    pub time_base: TimeBase,
    /// Width and height in pixels for video, zero for audio.
    pub width: u32,
    pub height: u32,
    /// Sample rate in Hz and channels for audio, zero for video.
    pub sample_rate_hz: u32,
    pub channels: u32,
    /// Nominal pictures per second as a fraction, 0/1 when unknown.
    pub frame_rate: (u32, u32),
    /// H.264, H.265: parameter sets as Annex B. AAC: AudioSpecificConfig. Else codec specific.
    pub extradata: Vec<u8>,
}

/// How a picture's samples lie in memory. The numbers are the ring's layout and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum PixelFormat {
    /// Planar Y, U, V; chroma halved both ways.
    Yuv420p = 1,
    /// Planar Y, U, V; chroma halved across.
    Yuv422p = 2,
    /// Planar Y, U, V; full chroma.
    Yuv444p = 3,
    /// Y plane, then interleaved UV; chroma halved both ways.
    Nv12 = 4,
    /// One 8-bit plane.
    Gray8 = 5,
    /// Packed R, G, B.
    Rgb24 = 6,
    /// Packed B, G, R.
    Bgr24 = 7,
    /// Packed R, G, B, A.
    Rgba = 8,
}

/// One plane's visible part: bytes a row and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneExtent {
    pub row_bytes: u32,
    pub rows: u32,
}

impl PixelFormat {
    pub const ALL: [Self; 8] = [
        Self::Yuv420p,
        Self::Yuv422p,
        Self::Yuv444p,
        Self::Nv12,
        Self::Gray8,
        Self::Rgb24,
        Self::Bgr24,
        Self::Rgba,
    ];

    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|format| *format as u32 == code)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yuv420p => "yuv420p",
            Self::Yuv422p => "yuv422p",
            Self::Yuv444p => "yuv444p",
            Self::Nv12 => "nv12",
            Self::Gray8 => "gray8",
            Self::Rgb24 => "rgb24",
            Self::Bgr24 => "bgr24",
            Self::Rgba => "rgba",
        }
    }

    pub fn planes(self) -> usize {
        match self {
            Self::Yuv420p | Self::Yuv422p | Self::Yuv444p => 3,
            Self::Nv12 => 2,
            Self::Gray8 | Self::Rgb24 | Self::Bgr24 | Self::Rgba => 1,
        }
    }

    /// Bytes of one pixel for packed formats, of one sample for planar ones.
    pub fn pixel_bytes(self) -> u32 {
        match self {
            Self::Rgb24 | Self::Bgr24 => 3,
            Self::Rgba => 4,
            _ => 1,
        }
    }

    /// The visible extent of `plane` in a picture of `width` x `height`; chroma rounds up.
    pub fn plane_extent(self, plane: usize, width: u32, height: u32) -> PlaneExtent {
        let half = |v: u32| v.div_ceil(2);
        let (row_bytes, rows) = match (self, plane) {
            (Self::Yuv420p, 1 | 2) => (half(width), half(height)),
            (Self::Yuv422p, 1 | 2) => (half(width), height),
            (Self::Nv12, 1) => (half(width).saturating_mul(2), half(height)),
            _ => (width.saturating_mul(self.pixel_bytes()), height),
        };
        PlaneExtent { row_bytes, rows }
    }
}

/// The type of a tensor's elements. The numbers are the ring's layout and never change: 256 x DLPack's type
/// code + bits (`DLDataType`, <https://dmlc.github.io/dlpack/latest/c_api.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum DType {
    I8 = 0x0008,
    I16 = 0x0010,
    I32 = 0x0020,
    I64 = 0x0040,
    U8 = 0x0108,
    U16 = 0x0110,
    U32 = 0x0120,
    F16 = 0x0210,
    F32 = 0x0220,
    F64 = 0x0240,
    /// The upper half of an f32.
    Bf16 = 0x0410,
    /// One byte, 0 or 1.
    Bool = 0x0608,
}

impl DType {
    pub const ALL: [Self; 12] = [
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::F16,
        Self::F32,
        Self::F64,
        Self::Bf16,
        Self::Bool,
    ];

    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| *dtype as u32 == code)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bf16 => "bf16",
            Self::Bool => "bool",
        }
    }

    /// Bytes of one element.
    pub fn bytes(self) -> u32 {
        u32::from(self.bits()) / 8
    }

    /// DLPack's `DLDataType.code`.
    pub fn dlpack_code(self) -> u8 {
        let [_, code, ..] = (self as u32).to_le_bytes();
        code
    }

    /// DLPack's `DLDataType.bits`; its `lanes` is always 1.
    pub fn bits(self) -> u8 {
        let [bits, ..] = (self as u32).to_le_bytes();
        bits
    }
}

/// Colour description, in the code points of ISO/IEC 23091-2 (as FFmpeg's AVCOL_*); 2 = unspecified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Colour {
    /// 0 unspecified, 1 limited ("tv"), 2 full ("pc").
    pub range: u8,
    pub matrix: u8,
    pub primaries: u8,
    pub transfer: u8,
}

impl Default for Colour {
    fn default() -> Self {
        Self { range: 0, matrix: 2, primaries: 2, transfer: 2 }
    }
}

/// The identity of a picture or packet: where it entered the system. Carried from packet to picture
/// to detection to recording index; unique for ever, because epochs never repeat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FrameId {
    pub ring: RingName,
    pub epoch: u64,
    pub sequence: u64,
}
