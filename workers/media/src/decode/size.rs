//! The size that an access unit announces, read without decoding anything: to say what was refused.

use std::ptr;

use ffmpeg_next::{codec, ffi};
use protocol::stream::Codec;

use crate::codec::id_of;
use crate::raw;

/// Width and height; `None` when it says none that is understood.
pub(super) fn announced(codec: Codec, payload: &[u8]) -> Option<(u32, u32)> {
    match codec {
        Codec::Mjpeg => of_jpeg(payload),
        _ => of_parser(codec, payload),
    }
}

/// From the start-of-frame segment (ITU-T T.81, B.2.2).
fn of_jpeg(payload: &[u8]) -> Option<(u32, u32)> {
    let mut rest = payload.get(2..)?;
    loop {
        let [0xff, marker, high, low, ..] = *rest else { return None };
        // SOF0 to SOF15 but for tables (DHT, JPG, DAC), which share their numbers.
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let side = |at: usize| {
                Some(u32::from(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?])))
            };
            return Some((side(7)?, side(5)?));
        }
        rest = rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..)?;
    }
}

/// As FFmpeg's parser of the codec reads it.
fn of_parser(codec: Codec, payload: &[u8]) -> Option<(u32, u32)> {
    let found = ffmpeg_next::decoder::find(id_of(codec))?;
    let mut context = codec::Context::new_with_codec(found);
    let mut parser = Parser::of(codec)?;
    let mut padded = payload.to_vec();
    padded.resize(payload.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize, 0);
    let length = i32::try_from(payload.len()).ok()?;
    let (mut out, mut out_length) = (ptr::null_mut(), 0);
    let none = ffi::AV_NOPTS_VALUE;
    // SAFETY: parser and context are live and ours; the bytes are there with the padding that parsers ask
    // for; what they write to `out` is a pointer that nobody follows.
    unsafe {
        ffi::av_parser_parse2(
            parser.0,
            raw::context(&mut context),
            &raw mut out,
            &raw mut out_length,
            padded.as_ptr(),
            length,
            none,
            none,
            0,
        )
    };
    let (width, height) = parser.size();
    let of_context = (raw::context(&mut context).width, raw::context(&mut context).height);
    let (width, height) = if width > 0 { (width, height) } else { of_context };
    let side = |value: i32| u32::try_from(value).ok().filter(|side| *side > 0);
    Some((side(width)?, side(height)?))
}

/// A parser of whole access units.
struct Parser(*mut ffi::AVCodecParserContext);

impl Parser {
    fn of(codec: Codec) -> Option<Self> {
        let id: ffi::AVCodecID = id_of(codec).into();
        // SAFETY: a plain allocation, for any number.
        let parser = unsafe { ffi::av_parser_init(id as i32) };
        if parser.is_null() {
            return None;
        }
        let complete = ffi::PARSER_FLAG_COMPLETE_FRAMES;
        // SAFETY: live, and nobody else knows it.
        unsafe { (*parser).flags |= complete };
        Some(Self(parser))
    }

    fn size(&mut self) -> (i32, i32) {
        // SAFETY: live until drop.
        let fields = unsafe { &*self.0 };
        (fields.width.max(fields.coded_width), fields.height.max(fields.coded_height))
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        // SAFETY: from `av_parser_init`, and closed once.
        unsafe { ffi::av_parser_close(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_says_its_size_in_front_of_its_samples() {
        let start = [0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xc0, 0, 17, 8];
        let jpeg: Vec<u8> = start.into_iter().chain([0x4e, 0x20, 0x75, 0x30, 3]).collect();
        assert_eq!(announced(Codec::Mjpeg, &jpeg), Some((30_000, 20_000)));
        for length in 0..jpeg.len() - 1 {
            assert_eq!(announced(Codec::Mjpeg, &jpeg[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn bytes_that_say_nothing_have_no_size() {
        crate::init();
        for codec in [Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::Mpeg4] {
            assert_eq!(announced(codec, &[]), None, "{codec:?}");
            assert_eq!(announced(codec, &[0xff; 40]), None, "{codec:?}");
        }
    }
}
