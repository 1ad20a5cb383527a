//! The crate's one error.

use protocol::stream::Codec;

/// Why a movie or a fragment cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "track {track}: {codec:?} cannot be recorded: our MP4 files carry H.264, H.265, MJPEG, \
         VP9, AV1, AAC and Opus; set the camera to one of these"
    )]
    Codec { track: usize, codec: Codec },
    #[error(
        "track {track}: no {missing} for {codec:?}: expected it in the stream's extradata or before a \
         key frame"
    )]
    NoParameterSet { track: usize, codec: Codec, missing: &'static str },
    #[error("track {track}: the {codec:?} configuration of {bytes} bytes is cut off")]
    ShortConfiguration { track: usize, codec: Codec, bytes: usize },
    #[error(
        "track {track}: a picture of {width}x{height}: expected 1 to 65535 pixels on each side"
    )]
    Size { track: usize, width: u32, height: u32 },
    #[error("track {track}: {channels} channels at {rate_hz} Hz: expected at least one of each")]
    Sound { track: usize, channels: u32, rate_hz: u32 },
    #[error("a fragment of {bytes} bytes: a box holds at most 2147483647")]
    TooLarge { bytes: usize },
    #[error("a box does not encode: {0}")]
    Encode(#[from] mp4_atom::Error),
}
