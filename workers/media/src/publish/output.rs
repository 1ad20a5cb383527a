//! One of FFmpeg's outputs to a network, opened so that every wait in it can be ended.

use std::ffi::CString;
use std::ptr;

use ffmpeg_next::format::context::Output;
use ffmpeg_next::util::interrupt::{self, Interrupt, InterruptGuard};
use ffmpeg_next::{Dictionary, Error, ffi};
use protocol::time::TimeBase;

use super::options::Door;
use crate::{mux, raw};

/// Descriptions have a few hundred bytes; parameter sets make some of them longer.
const DESCRIPTION_BYTES: usize = 16 * 1024;

pub(super) struct Connection {
    output: Output,
    /// The header is written: a trailer must follow.
    begun: bool,
    /// Asked by `output` until that is gone; fields are dropped in this order.
    _interrupt: InterruptGuard,
}

impl Connection {
    /// `is_over` is asked while FFmpeg waits, now and in everything later.
    pub(super) fn open(
        door: &Door,
        is_over: impl FnMut() -> bool + Send + 'static,
    ) -> Result<Self, Error> {
        let url = CString::new(door.url.as_str()).map_err(|_| Error::InvalidData)?;
        let format = CString::new(door.format).map_err(|_| Error::MuxerNotFound)?;
        let mut context = ptr::null_mut();
        // SAFETY: both texts are zero-ended and outlive the call; on success FFmpeg stores a new context
        // that is ours.
        let allocated = unsafe {
            ffi::avformat_alloc_output_context2(
                &raw mut context,
                ptr::null(),
                format.as_ptr(),
                url.as_ptr(),
            )
        };
        match allocated {
            code if code == ffi::AVERROR(ffmpeg_next::error::EINVAL) => {
                return Err(Error::MuxerNotFound);
            }
            code if code < 0 => return Err(Error::from(code)),
            _ => {}
        }
        // SAFETY: the context is new, nobody else's, and freed by the wrapper alone.
        let output = unsafe { Output::wrap(context) };
        let Interrupt { interrupt, guard } = interrupt::new(Box::new(is_over));
        let mut connection = Self { output, begun: false, _interrupt: guard };
        let fields = raw::output(&mut connection.output);
        fields.interrupt_callback = interrupt;
        // SAFETY: the call above has set the format, which is FFmpeg's own and static.
        let flags = unsafe { (*fields.oformat).flags };
        if flags & ffi::AVFMT_NOFILE == 0 {
            let options: Dictionary<'_> =
                door.io.iter().map(|(key, value)| (*key, value.as_str())).collect();
            // SAFETY: hands over what the dictionary owned; taken back below.
            let mut options = unsafe { options.disown() };
            // SAFETY: the URL is zero-ended, `pb` is the live context's own field, `interrupt` lives until
            // the connection is dropped, and the options are ours.
            let opened = unsafe {
                ffi::avio_open2(
                    &raw mut fields.pb,
                    url.as_ptr(),
                    ffi::AVIO_FLAG_WRITE,
                    &raw const interrupt,
                    &raw mut options,
                )
            };
            // SAFETY: what FFmpeg has left of them, owned by nobody else.
            drop(unsafe { Dictionary::own(options) });
            if opened < 0 {
                return Err(Error::from(opened));
            }
        }
        Ok(connection)
    }

    pub(super) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Says what follows; for some protocols this is what connects.
    pub(super) fn begin(&mut self, door: &Door) -> Result<(), Error> {
        let options = door.muxer.iter().map(|(key, value)| (*key, value.as_str())).collect();
        self.output.write_header_with(options).map(drop)?;
        self.begun = true;
        Ok(())
    }

    /// In ticks of the muxer's own choice, once it has begun.
    pub(super) fn base(&self, stream: usize) -> Option<TimeBase> {
        Some(mux::base_of(self.output.stream(stream)?.time_base()))
    }

    /// Takes leave. Without it some muxers keep their sockets.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.begun) {
            // Whoever has gone already needs no goodbye.
            let _ = self.output.write_trailer();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end();
    }
}

/// The description of all of them together.
pub(super) fn describe(connections: &mut [Connection]) -> String {
    let mut contexts: Vec<*mut ffi::AVFormatContext> =
        connections.iter_mut().map(|it| ptr::from_mut(raw::output(&mut it.output))).collect();
    let count = i32::try_from(contexts.len()).unwrap_or(0);
    let mut text = vec![0u8; DESCRIPTION_BYTES];
    let size = i32::try_from(text.len()).unwrap_or(0);
    // SAFETY: the contexts are live, distinct and borrowed mutably; the text has the size given, and FFmpeg
    // ends it with a zero.
    let described =
        unsafe { ffi::av_sdp_create(contexts.as_mut_ptr(), count, text.as_mut_ptr().cast(), size) };
    if described < 0 {
        return String::new();
    }
    text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(0));
    // FFmpeg's own lines end in CR LF; the first one of a file is `v=`.
    String::from_utf8_lossy(&text).into_owned()
}
