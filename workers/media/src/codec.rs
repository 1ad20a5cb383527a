//! The ring's codes for codecs, pixel formats and colour, against FFmpeg's.

use ffmpeg_next::codec::Id;
use ffmpeg_next::ffi::{AVFrame, AVPixelFormat};
use ffmpeg_next::format::Pixel;
use protocol::stream::{Codec, Colour, PixelFormat};

pub(crate) fn codec_of(id: Id) -> Option<Codec> {
    Codec::ALL.into_iter().find(|codec| id_of(*codec) == id)
}

pub(crate) fn id_of(codec: Codec) -> Id {
    match codec {
        Codec::H264 => Id::H264,
        Codec::H265 => Id::HEVC,
        Codec::Av1 => Id::AV1,
        Codec::Mjpeg => Id::MJPEG,
        Codec::Vp8 => Id::VP8,
        Codec::Vp9 => Id::VP9,
        Codec::Mpeg4 => Id::MPEG4,
        Codec::Aac => Id::AAC,
        Codec::Opus => Id::OPUS,
        Codec::PcmMulaw => Id::PCM_MULAW,
        Codec::PcmAlaw => Id::PCM_ALAW,
        Codec::PcmS16le => Id::PCM_S16LE,
        Codec::G722 => Id::ADPCM_G722,
    }
}

/// FFmpeg's numbers for the formats the ring has codes for.
const PIXEL_FORMATS: [(AVPixelFormat, PixelFormat); 11] = [
    (AVPixelFormat::AV_PIX_FMT_YUV420P, PixelFormat::Yuv420p),
    (AVPixelFormat::AV_PIX_FMT_YUV422P, PixelFormat::Yuv422p),
    (AVPixelFormat::AV_PIX_FMT_YUV444P, PixelFormat::Yuv444p),
    (AVPixelFormat::AV_PIX_FMT_NV12, PixelFormat::Nv12),
    (AVPixelFormat::AV_PIX_FMT_GRAY8, PixelFormat::Gray8),
    (AVPixelFormat::AV_PIX_FMT_RGB24, PixelFormat::Rgb24),
    (AVPixelFormat::AV_PIX_FMT_BGR24, PixelFormat::Bgr24),
    (AVPixelFormat::AV_PIX_FMT_RGBA, PixelFormat::Rgba),
    // The J formats are their namesakes with full range, which `Colour` says.
    (AVPixelFormat::AV_PIX_FMT_YUVJ420P, PixelFormat::Yuv420p),
    (AVPixelFormat::AV_PIX_FMT_YUVJ422P, PixelFormat::Yuv422p),
    (AVPixelFormat::AV_PIX_FMT_YUVJ444P, PixelFormat::Yuv444p),
];

/// `None` for a format the ring has no code for; such pictures are converted.
pub(crate) fn pixel_format_of(frame: &AVFrame) -> Option<PixelFormat> {
    PIXEL_FORMATS
        .into_iter()
        .find(|(theirs, _)| *theirs as i32 == frame.format)
        .map(|(_, ours)| ours)
}

/// FFmpeg's name of a format; those of full range have names of their own, which nobody here uses.
pub(crate) fn pixel_of(format: PixelFormat) -> Pixel {
    match format {
        PixelFormat::Yuv420p => Pixel::YUV420P,
        PixelFormat::Yuv422p => Pixel::YUV422P,
        PixelFormat::Yuv444p => Pixel::YUV444P,
        PixelFormat::Nv12 => Pixel::NV12,
        PixelFormat::Gray8 => Pixel::GRAY8,
        PixelFormat::Rgb24 => Pixel::RGB24,
        PixelFormat::Bgr24 => Pixel::BGR24,
        PixelFormat::Rgba => Pixel::RGBA,
    }
}

pub(crate) fn colour_of(frame: &AVFrame) -> Colour {
    let full_by_format =
        PIXEL_FORMATS[8..].iter().any(|(theirs, _)| *theirs as i32 == frame.format);
    let code = |value: u32| u8::try_from(value).unwrap_or(2);
    Colour {
        range: if full_by_format { 2 } else { code(frame.color_range as u32) },
        matrix: code(frame.colorspace as u32),
        primaries: code(frame.color_primaries as u32),
        transfer: code(frame.color_trc as u32),
    }
}
