//! What the system's FFmpeg can do of what the rings carry.

use ffmpeg_next::{decoder, encoder};
use protocol::stream::Codec;

use crate::codec::id_of;
use crate::decode::DecodeEngine;
use crate::error::MediaError;

/// libavcodec's version, for example `libavcodec 59.37.100`.
pub fn library() -> String {
    let version = ffmpeg_next::codec::version();
    format!("libavcodec {}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff)
}

pub fn decodes(codec: Codec) -> bool {
    decoder::find(id_of(codec)).is_some()
}

/// Whether there is such hardware; what it decodes shows with the stream.
pub fn has_device(engine: DecodeEngine) -> Result<(), MediaError> {
    crate::init();
    crate::decode::open_device(engine).map(drop)
}

/// What draws the synthetic camera needs it.
pub fn encodes_h264() -> bool {
    encoder::find_by_name("libx264").is_some()
}
