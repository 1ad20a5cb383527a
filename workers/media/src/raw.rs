//! The C structs under FFmpeg's safe wrappers, for the fields the wrappers leave out, borrowed as
//! long as the wrapper is.

use std::ffi::c_int;
use std::ptr;

use ffmpeg_next::codec::{Context, Parameters};
use ffmpeg_next::error::ENOMEM;
use ffmpeg_next::format::context::{Input, Output};
use ffmpeg_next::format::stream::StreamMut;
use ffmpeg_next::{Error, decoder, encoder, ffi, frame};

use crate::demux::Nature;

pub(crate) fn parameters(wrapper: &Parameters) -> &ffi::AVCodecParameters {
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { wrapper.as_ptr() };
    // SAFETY: the wrapper owns the struct or keeps its owner alive, and FFmpeg changes a stream's
    // parameters only in calls that need the format context mutably.
    unsafe { &*pointer }
}

pub(crate) fn parameters_mut(wrapper: &mut Parameters) -> &mut ffi::AVCodecParameters {
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { wrapper.as_mut_ptr() };
    // SAFETY: the wrapper owns the struct, and is borrowed mutably.
    unsafe { &mut *pointer }
}

/// An output between two calls.
pub(crate) fn output(wrapper: &mut Output) -> &mut ffi::AVFormatContext {
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { wrapper.as_mut_ptr() };
    // SAFETY: the wrapper owns the struct, and is borrowed mutably.
    unsafe { &mut *pointer }
}

pub(crate) fn nature(wrapper: &Input) -> Nature {
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { wrapper.as_ptr() };
    // SAFETY: the wrapper owns the context, and is borrowed.
    let fields = unsafe { &*pointer };
    // SAFETY: an open input has its format, which is static.
    let flags = unsafe { (*fields.iformat).flags };
    let is_seekable = if fields.pb.is_null() {
        false
    } else {
        // SAFETY: the I/O context lives as long as the input that it was opened for.
        unsafe { (*fields.pb).seekable != 0 }
    };
    Nature {
        is_untimed: flags & ffi::AVFMT_NOTIMESTAMPS != 0,
        is_stored: is_seekable || wrapper.format().name() == "hls",
    }
}

/// Where its earliest track begins, in µs; 0 where nobody knows.
pub(crate) fn start_us(wrapper: &Input) -> i64 {
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { wrapper.as_ptr() };
    // SAFETY: the wrapper owns the context, and is borrowed.
    let start = unsafe { (*pointer).start_time };
    if start == ffi::AV_NOPTS_VALUE { 0 } else { start }
}

/// What went wrong with an output that had no call to tell it: FFmpeg keeps the first error.
pub(crate) fn write_error(wrapper: &mut Output) -> Result<(), Error> {
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { wrapper.as_mut_ptr() };
    // SAFETY: the wrapper owns the struct, and is borrowed mutably.
    let io = unsafe { (*pointer).pb };
    if io.is_null() {
        return Ok(());
    }
    // SAFETY: the I/O context lives as long as the output that it was opened for.
    unsafe { ffi::avio_flush(io) };
    // SAFETY: the same.
    match unsafe { (*io).error } {
        code if code < 0 => Err(Error::from(code)),
        _ => Ok(()),
    }
}

pub(crate) fn extradata(fields: &ffi::AVCodecParameters) -> &[u8] {
    let length = usize::try_from(fields.extradata_size).unwrap_or(0);
    if fields.extradata.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: FFmpeg keeps extradata_size readable bytes at extradata as long as the struct lives.
    unsafe { std::slice::from_raw_parts(fields.extradata, length) }
}

/// What an open encoder says beside its packets.
pub(crate) fn encoder_extradata(wrapper: &mut encoder::Encoder) -> Vec<u8> {
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { wrapper.as_mut_ptr() };
    // SAFETY: the wrapper owns the struct, and is borrowed mutably.
    let fields = unsafe { &*pointer };
    let length = usize::try_from(fields.extradata_size).unwrap_or(0);
    if fields.extradata.is_null() || length == 0 {
        return Vec::new();
    }
    // SAFETY: FFmpeg keeps extradata_size readable bytes at extradata as long as the struct lives.
    unsafe { std::slice::from_raw_parts(fields.extradata, length) }.to_vec()
}

pub(crate) fn frame(wrapper: &frame::Video) -> &ffi::AVFrame {
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { wrapper.as_ptr() };
    // SAFETY: the wrapper owns the struct, which changes only through the wrapper, mutably.
    unsafe { &*pointer }
}

pub(crate) fn frame_mut(wrapper: &mut frame::Video) -> &mut ffi::AVFrame {
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { wrapper.as_mut_ptr() };
    // SAFETY: the wrapper owns the struct, and is borrowed mutably.
    unsafe { &mut *pointer }
}

pub(crate) fn stream<'a>(wrapper: &'a mut StreamMut<'_>) -> &'a mut ffi::AVStream {
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { wrapper.as_mut_ptr() };
    // SAFETY: the wrapper borrows its format context mutably, so the stream is live and ours.
    unsafe { &mut *pointer }
}

/// A context that is not open yet.
pub(crate) fn context(wrapper: &mut Context) -> &mut ffi::AVCodecContext {
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { wrapper.as_mut_ptr() };
    // SAFETY: the wrapper owns the struct, and FFmpeg runs no thread on it before it is opened.
    unsafe { &mut *pointer }
}

/// An open decoder between two calls.
pub(crate) fn decoder(wrapper: &mut decoder::Video) -> &mut ffi::AVCodecContext {
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { wrapper.as_mut_ptr() };
    // SAFETY: the wrapper owns the struct. Frame threads work on copies of it, which FFmpeg makes
    // inside avcodec_send_packet, and that needs the wrapper mutably.
    unsafe { &mut *pointer }
}

/// What a decoder is told beside its packets. Once a context.
pub(crate) fn set_extradata(wrapper: &mut Context, bytes: &[u8]) -> Result<(), Error> {
    let length = bytes.len();
    if length == 0 {
        return Ok(());
    }
    let padded = length + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
    // SAFETY: a plain allocation; the context takes it over below and frees it with itself.
    let memory = unsafe { ffi::av_mallocz(padded) }.cast::<u8>();
    if memory.is_null() {
        return Err(Error::Other { errno: ENOMEM });
    }
    // SAFETY: `memory` is new and longer than `length`; the two cannot overlap.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), memory, length) };
    let fields = context(wrapper);
    fields.extradata = memory;
    fields.extradata_size = c_int::try_from(length).unwrap_or(0);
    Ok(())
}

/// What a decoder of sound cannot read in its packets.
pub(crate) fn set_sound(wrapper: &mut Context, rate_hz: u32, channels: u32) {
    let int = |value: u32| c_int::try_from(value).unwrap_or(c_int::MAX);
    let fields = context(wrapper);
    fields.sample_rate = int(rate_hz);
    // SAFETY: fills the layout it is given, which is a new one without memory of its own.
    unsafe { ffi::av_channel_layout_default(&raw mut fields.ch_layout, int(channels)) };
}
