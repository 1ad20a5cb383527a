//! `use: encoder`: a ring of pictures, or of packets whose sound is to be another, into a packet ring.

use serde::{Deserialize, Serialize};

use crate::stream::Codec;
use crate::units::{BitRate, Span};

/// What the user writes under `use: encoder`. Of packets only sound is encoded, so only the keys of
/// sound may be written there; of pictures only the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncoderConfig {
    /// What sound becomes that MP4 cannot carry.
    pub audio: SoundCodec,
    /// Of the sound, all channels together.
    pub audio_bitrate: BitRate,
    /// What pictures become.
    pub codec: PictureCodec,
    /// Of the pictures, on average; no second takes much more.
    pub bitrate: BitRate,
    pub latency: Latency,
    /// At least so often a picture that needs none before it.
    pub keyframe_every: Span,
    /// Pictures a second at most; the rest is left out. Default: all.
    pub max_fps: Option<u32>,
    pub hardware: Hardware,
    /// Rests while nobody reads.
    pub on_demand: bool,
    /// What follows when no pictures come any more.
    pub on_writer_lost: WriterLost,
}

impl EncoderConfig {
    /// Keys that are for packets only.
    pub const OF_SOUND: [&str; 2] = ["audio", "audio_bitrate"];
    /// Keys that are for pictures only.
    pub const OF_PICTURES: [&str; 8] = [
        "codec",
        "bitrate",
        "latency",
        "keyframe_every",
        "max_fps",
        "hardware",
        "on_demand",
        "on_writer_lost",
    ];
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self {
            audio: SoundCodec::Aac,
            audio_bitrate: BitRate(48_000),
            codec: PictureCodec::H264,
            bitrate: BitRate(2_000_000),
            latency: Latency::Live,
            keyframe_every: Span::from_millis(2_000),
            max_fps: None,
            hardware: Hardware::Off,
            on_demand: false,
            on_writer_lost: WriterLost::Wait,
        }
    }
}

/// What sound may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SoundCodec {
    Aac,
    Opus,
}

impl SoundCodec {
    pub fn codec(self) -> Codec {
        match self {
            Self::Aac => Codec::Aac,
            Self::Opus => Codec::Opus,
        }
    }
}

/// What pictures may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PictureCodec {
    H264,
    H265,
    Mjpeg,
    Vp8,
    Vp9,
    Av1,
}

impl PictureCodec {
    pub const ALL: [Self; 6] =
        [Self::H264, Self::H265, Self::Mjpeg, Self::Vp8, Self::Vp9, Self::Av1];

    pub fn codec(self) -> Codec {
        match self {
            Self::H264 => Codec::H264,
            Self::H265 => Codec::H265,
            Self::Mjpeg => Codec::Mjpeg,
            Self::Vp8 => Codec::Vp8,
            Self::Vp9 => Codec::Vp9,
            Self::Av1 => Codec::Av1,
        }
    }
}

/// What matters more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Latency {
    /// A picture's packet before the next picture comes.
    Live,
    /// A better picture for the same bits, some pictures later.
    Quality,
}

/// What becomes of a stream whose pictures stay away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriterLost {
    /// It goes on with the last picture, dark, until others come.
    Slate,
    /// It rests until others come.
    Wait,
}

/// What of the machine encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hardware {
    /// Whichever is there, else the processor.
    Auto,
    /// The processor.
    Off,
    Vaapi,
    Nvenc,
}
