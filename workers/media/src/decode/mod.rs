//! Packets into pictures, straight into memory that the caller lends.
//!
//! ```text
//! Decoder::send ──> libavcodec ── get_buffer2 ──> PictureAllocator::allocate ──> Box<PictureMemory>
//!                       │                                                            │ in the AVBuffer
//! Decoder::receive <────┘ Picture {tag, planes} <────────────────────────────────────┘ until FFmpeg
//!                                                                    and the Picture have let go
//! ```
//!
//! A decoder that gets no memory would drop pictures (`get_buffer2` must never fail), so it falls
//! back to its own heap and the picture says so: the caller copies it.

mod convert;
mod layout;
mod lending;
mod picture;

use std::sync::Arc;

use ffmpeg_next::codec::{Flags, capabilities::Capabilities, threading};
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::{Error, Packet, Rational, codec, decoder, frame};
use protocol::stream::{Codec, Track};

use crate::codec::id_of;
use crate::error::MediaError;
use convert::Converter;
use lending::Lender;

pub use lending::{PictureAllocator, PictureMemory, PictureNeed};
pub use picture::{Picture, PictureHome, PlaneAt, TightLayout};

/// How to decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderOptions {
    /// Decoding threads, at least 1. Each one beyond the first delays the output by one picture.
    pub threads: u32,
    /// A picture with more is refused as a stream error.
    pub max_pixels: u32,
}

/// One track's decoder.
pub struct Decoder {
    /// Dropped before `lender`, to which its context points.
    decoder: decoder::Video,
    lender: Arc<Lender>,
    converter: Converter,
    codec: Codec,
}

impl Decoder {
    pub fn open(
        track: &Track,
        options: &DecoderOptions,
        allocator: Arc<dyn PictureAllocator>,
    ) -> Result<Self, MediaError> {
        crate::init();
        let found = decoder::find(id_of(track.codec)).filter(|_| track.codec.is_video());
        let found = found.ok_or_else(|| MediaError::Missing {
            input: "the decoder".to_owned(),
            what: format!("video decoder for {:?}", track.codec),
        })?;
        let lender = Arc::new(Lender::new(allocator, track.codec, options.threads));
        let decoder = open_context(found, track, options, &lender)
            .map_err(|source| failed(track.codec, source))?;
        Ok(Self { decoder, lender, converter: Converter::default(), codec: track.codec })
    }

    /// Hands over one access unit; `token` comes back with its picture. Every `send` is followed by
    /// [`Self::receive`] until that answers `None`, else the next one fails.
    pub fn send(&mut self, payload: &[u8], token: u64) -> Result<(), MediaError> {
        lending::set_token(&mut self.decoder, token);
        // A copy, because FFmpeg reads up to 64 bytes past the end, which must be there and zero.
        let packet = Packet::copy(payload);
        self.decoder.send_packet(&packet).map_err(|source| failed(self.codec, source))
    }

    /// The next picture in display order; `None` when the decoder wants another access unit.
    pub fn receive(&mut self) -> Result<Option<Picture>, MediaError> {
        let mut frame = frame::Video::empty();
        match self.decoder.receive_frame(&mut frame) {
            Ok(()) => picture::of(frame, self.lender.registry(), &mut self.converter)
                .map(Some)
                .map_err(|source| failed(self.codec, source)),
            Err(Error::Other { errno: EAGAIN } | Error::Eof) => Ok(None),
            Err(source) => Err(failed(self.codec, source)),
        }
    }

    /// No more access units: the pictures still inside come out of [`Self::receive`]. After that
    /// only [`Self::flush`] makes it decode again.
    pub fn finish(&mut self) -> Result<(), MediaError> {
        self.decoder.send_eof().map_err(|source| failed(self.codec, source))
    }

    /// Forgets everything; the next access unit must be a key frame.
    pub fn flush(&mut self) {
        self.decoder.flush();
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("codec", &self.codec).finish_non_exhaustive()
    }
}

fn open_context(
    found: ffmpeg_next::Codec,
    track: &Track,
    options: &DecoderOptions,
    lender: &Arc<Lender>,
) -> Result<decoder::Video, Error> {
    let mut context = codec::Context::new_with_codec(found);
    // Cropping to the pixel: planes may start unaligned, since nobody here reads them with SIMD.
    context.set_flags(Flags::UNALIGNED);
    context.set_threading(threading::Config {
        kind: threading::Type::Frame,
        count: usize::try_from(options.threads.max(1)).unwrap_or(1),
        // FFmpeg before 6 asks the callback one thread at a time otherwise, and complains.
        safe: true,
    });
    lending::set_limits(&mut context, track, options.max_pixels)?;
    // Only these decoders draw into buffers of others.
    if found.capabilities().contains(Capabilities::DR1) {
        lending::install(&mut context, lender);
    }
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(Rational(1, 1_000_000_000));
    decoder.open_as(found)?.video()
}

fn failed(codec: Codec, source: Error) -> MediaError {
    MediaError::Codec {
        input: format!("{codec:?} stream"),
        what: "decoding",
        expected: format!("intact {codec:?}"),
        source,
    }
}
