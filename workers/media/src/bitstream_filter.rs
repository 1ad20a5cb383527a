//! FFmpeg's bitstream filters, which its safe API lacks: packets in, packets out.

use std::ffi::CString;
use std::ptr;

use ffmpeg_next::codec::Parameters;
use ffmpeg_next::packet::Mut;
use ffmpeg_next::{Error, Packet, Rational, ffi};

use crate::raw;

/// A filter chain over one stream.
pub(crate) struct BitstreamFilter {
    /// Not null, initialised, owned: freed in `drop`.
    context: *mut ffi::AVBSFContext,
}

// SAFETY: the context is owned by this value alone, and FFmpeg ties no context to a thread.
unsafe impl Send for BitstreamFilter {}

impl BitstreamFilter {
    /// `chain` as on ffmpeg's command line, for example `h264_mp4toannexb`.
    pub(crate) fn open(
        chain: &str,
        parameters: &Parameters,
        time_base: Rational,
    ) -> Result<Self, Error> {
        let chain = CString::new(chain).map_err(|_| Error::BsfNotFound)?;
        let mut context = ptr::null_mut();
        // SAFETY: the text is zero-ended and outlives the call; on success FFmpeg stores a new
        // context that is ours.
        check(unsafe { ffi::av_bsf_list_parse_str(chain.as_ptr(), &raw mut context) })?;
        let filter = Self { context };
        // SAFETY: the call above filled `context`, which nobody else holds.
        let fields = unsafe { &mut *context };
        fields.time_base_in = time_base.into();
        let parameters = raw::parameters(parameters);
        // SAFETY: both are live parameters: FFmpeg allocated par_in, the caller lends the other.
        check(unsafe { ffi::avcodec_parameters_copy(fields.par_in, parameters) })?;
        // SAFETY: input parameters and time base are set, as av_bsf_init demands.
        check(unsafe { ffi::av_bsf_init(context) })?;
        Ok(filter)
    }

    /// Extradata as the filter leaves it.
    pub(crate) fn extradata(&self) -> &[u8] {
        // SAFETY: the context is live, and not written while `self` is borrowed.
        let fields = unsafe { &*self.context };
        // SAFETY: av_bsf_init has set par_out, which lives as long as the context.
        raw::extradata(unsafe { &*fields.par_out })
    }

    /// What comes out for `packet`; often one packet, sometimes none.
    pub(crate) fn filter(&mut self, mut packet: Packet) -> Result<Vec<Packet>, Error> {
        // SAFETY: both are live and ours; the filter takes the packet's reference and leaves it
        // empty.
        check(unsafe { ffi::av_bsf_send_packet(self.context, packet.as_mut_ptr()) })?;
        let mut out = Vec::new();
        loop {
            let mut packet = Packet::empty();
            // SAFETY: both are live and ours, and the packet is empty, as the call demands.
            let code = unsafe { ffi::av_bsf_receive_packet(self.context, packet.as_mut_ptr()) };
            if code == ffi::AVERROR(ffmpeg_next::error::EAGAIN) || code == ffi::AVERROR_EOF {
                return Ok(out);
            }
            check(code)?;
            out.push(packet);
        }
    }
}

impl Drop for BitstreamFilter {
    fn drop(&mut self) {
        // SAFETY: the context is ours, and nothing uses it after this.
        unsafe { ffi::av_bsf_free(&raw mut self.context) };
    }
}

fn check(code: i32) -> Result<(), Error> {
    if code < 0 { Err(Error::from(code)) } else { Ok(()) }
}
