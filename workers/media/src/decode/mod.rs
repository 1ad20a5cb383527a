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
mod hardware;
mod layout;
mod lending;
mod picture;
mod scale;
mod size;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use ffmpeg_next::codec::{Flags, capabilities::Capabilities, threading};
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::{Error, Packet, Rational, codec, decoder, frame};
use protocol::stream::{Codec, Track};

use crate::codec::id_of;
use crate::error::MediaError;
use convert::Converter;
use hardware::Device;
use lending::Lender;

pub use hardware::DecodeEngine;
pub(crate) use hardware::PRIMARY_CONTEXT;
pub use lending::{PictureAllocator, PictureMemory, PictureNeed};
pub use picture::{Picture, PictureHome, PlaneAt, TightLayout};
pub use scale::{Resized, Resizer};

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
    max_pixels: u32,
}

impl Decoder {
    /// On the processor.
    pub fn open(
        track: &Track,
        options: &DecoderOptions,
        allocator: Arc<dyn PictureAllocator>,
    ) -> Result<Self, MediaError> {
        Self::open_on(DecodeEngine::Software, track, options, allocator)
    }

    /// Whether the stream is something for the hardware shows with its first key frame:
    /// [`Self::is_refused`].
    pub fn open_on(
        engine: DecodeEngine,
        track: &Track,
        options: &DecoderOptions,
        allocator: Arc<dyn PictureAllocator>,
    ) -> Result<Self, MediaError> {
        crate::init();
        check_size((track.width, track.height), options.max_pixels)?;
        let found = decoder::find(id_of(track.codec)).filter(|_| track.codec.is_video());
        let found = found.ok_or_else(|| MediaError::Missing {
            input: "the decoder".to_owned(),
            what: format!("video decoder for {:?}", track.codec),
        })?;
        let device = open_device(engine)?;
        // A device has threads of its own.
        let threads = if device.is_some() { 1 } else { options.threads.max(1) };
        let options = DecoderOptions { threads, ..*options };
        let lender = Arc::new(Lender::new(allocator, track.codec, threads, device));
        let decoder = open_context(found, track, &options, &lender)
            .map_err(|source| failed(track.codec, source))?;
        let (converter, max_pixels) = (Converter::default(), options.max_pixels);
        Ok(Self { decoder, lender, converter, codec: track.codec, max_pixels })
    }

    /// Whether the hardware that it was opened on leaves this stream to the processor.
    pub fn is_refused(&self) -> bool {
        self.lender.device().is_some_and(Device::has_refused)
    }

    /// Hands over one access unit; `token` comes back with its picture. Every `send` is followed by
    /// [`Self::receive`] until that answers `None`, else the next one fails.
    pub fn send(&mut self, payload: &[u8], token: u64) -> Result<(), MediaError> {
        lending::set_token(&mut self.decoder, token);
        // A copy, because FFmpeg reads up to 64 bytes past the end, which must be there and zero.
        let packet = Packet::copy(payload);
        self.decoder.send_packet(&packet).map_err(|source| self.explained(payload, source))
    }

    /// Too large is told apart from damaged: the cure is another one.
    fn explained(&self, payload: &[u8], source: Error) -> MediaError {
        let too_large = size::announced(self.codec, payload)
            .and_then(|size| check_size(size, self.max_pixels).err());
        too_large.unwrap_or_else(|| failed(self.codec, source))
    }

    /// The next picture in display order; `None` when the decoder wants another access unit.
    pub fn receive(&mut self) -> Result<Option<Picture>, MediaError> {
        self.receive_where(false)
    }

    /// The same; a picture that was made on a CUDA device and `may_stay` there is not fetched, if rings can have
    /// it there ([`PictureHome::Device`]).
    pub fn receive_where(&mut self, may_stay: bool) -> Result<Option<Picture>, MediaError> {
        let mut frame = frame::Video::empty();
        match self.decoder.receive_frame(&mut frame) {
            Ok(()) => hardware::placed(frame, &self.lender, may_stay)
                .and_then(|at| picture::of(at, self.lender.registry(), &mut self.converter))
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

/// `None` for the processor.
pub(crate) fn open_device(engine: DecodeEngine) -> Result<Option<Device>, MediaError> {
    let named = |source| MediaError::NoDevice { engine: format!("{engine:?}"), source };
    Device::open(engine).map_err(named)
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
        if let Some(device) = lender.device() {
            device.give_to(&mut context)?;
        }
    }
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(Rational(1, 1_000_000_000));
    decoder.open_as(found)?.video()
}

/// A stream that says no size is looked at when it does.
fn check_size((width, height): (u32, u32), max_pixels: u32) -> Result<(), MediaError> {
    if u64::from(width) * u64::from(height) > u64::from(max_pixels) {
        return Err(MediaError::TooLarge { width, height, max_pixels });
    }
    Ok(())
}

fn failed(codec: Codec, source: Error) -> MediaError {
    MediaError::Codec {
        input: format!("{codec:?} stream"),
        what: "decoding",
        expected: format!("intact {codec:?}"),
        source,
    }
}
