//! Decoding by hardware: its device, and pictures out of its memory.

use std::ffi::c_int;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ffmpeg_next::{Error, codec, ffi, frame};
use protocol::stream::PixelFormat;

use super::layout::block_layout;
use super::lending::{self, Lender};
use crate::codec::pixel_format_of;
use crate::raw;

/// What decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeEngine {
    /// The processor.
    Software,
    Vaapi,
    Cuda,
}

/// Linesizes that any device's copies are content with, in bytes.
const LINESIZE_ALIGN: [u32; 4] = [64; 4];
/// The picture that is being fetched, and the one in the caller's hand.
const SLOTS: u32 = 2;

/// `AV_CUDA_USE_PRIMARY_CONTEXT`: the one that rings on the device use, too, so that addresses are good there.
pub(crate) const PRIMARY_CONTEXT: c_int = 1;

/// A device that decodes, and whether it has refused the stream.
pub(crate) struct Device {
    /// An owned reference, not null.
    reference: *mut ffi::AVBufferRef,
    pixel: ffi::AVPixelFormat,
    has_refused: AtomicBool,
}

// SAFETY: the reference is owned by this value alone, and FFmpeg counts it atomically.
unsafe impl Send for Device {}
// SAFETY: the same; behind a shared borrow nothing but the flag changes.
unsafe impl Sync for Device {}

impl Device {
    /// The first one there is; `None` for the processor.
    pub(super) fn open(engine: DecodeEngine) -> Result<Option<Self>, Error> {
        let (kind, pixel) = match engine {
            DecodeEngine::Software => return Ok(None),
            DecodeEngine::Vaapi => {
                (ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI, ffi::AVPixelFormat::AV_PIX_FMT_VAAPI)
            }
            DecodeEngine::Cuda => {
                (ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_CUDA, ffi::AVPixelFormat::AV_PIX_FMT_CUDA)
            }
        };
        let mut reference = ptr::null_mut();
        let flags = if engine == DecodeEngine::Cuda { PRIMARY_CONTEXT } else { 0 };
        // SAFETY: `reference` is ours to fill; no name and no options ask for the default device.
        let code = unsafe {
            let options = ptr::null_mut();
            ffi::av_hwdevice_ctx_create(&raw mut reference, kind, ptr::null(), options, flags)
        };
        if code < 0 {
            return Err(Error::from(code));
        }
        Ok(Some(Self { reference, pixel, has_refused: AtomicBool::new(false) }))
    }

    /// For a context that is not open yet, whose lender has this device.
    pub(super) fn give_to(&self, context: &mut codec::Context) -> Result<(), Error> {
        // SAFETY: our reference is live; a new one is counted.
        let device = unsafe { ffi::av_buffer_ref(self.reference) };
        if device.is_null() {
            return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
        }
        let fields = raw::context(context);
        // The context frees it with itself.
        fields.hw_device_ctx = device;
        fields.get_format = Some(choose_format);
        Ok(())
    }

    /// Whether the stream is nothing for it, so that the processor decodes.
    pub(super) fn has_refused(&self) -> bool {
        self.has_refused.load(Ordering::Relaxed)
    }

    fn made(&self, picture: &ffi::AVFrame) -> bool {
        picture.format == self.pixel as c_int
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: an owned reference, and nothing uses it after this.
        unsafe { ffi::av_buffer_unref(&raw mut self.reference) };
    }
}

/// FFmpeg's `get_format`: the device's own, when the stream is something for it.
unsafe extern "C" fn choose_format(
    context: *mut ffi::AVCodecContext,
    formats: *const ffi::AVPixelFormat,
) -> ffi::AVPixelFormat {
    // SAFETY: a live context that `lending::install` prepared.
    let lender = unsafe { lending::lender_of(context) };
    if let Some(device) = lender.device() {
        let mut at = formats;
        loop {
            // SAFETY: FFmpeg ends the list with AV_PIX_FMT_NONE, behind which this does not go.
            let format = unsafe { *at };
            if format == ffi::AVPixelFormat::AV_PIX_FMT_NONE {
                break;
            }
            if format == device.pixel {
                device.has_refused.store(false, Ordering::Relaxed);
                return format;
            }
            at = at.wrapping_add(1);
        }
        device.has_refused.store(true, Ordering::Relaxed);
    }
    // SAFETY: the two arguments of this call.
    unsafe { ffi::avcodec_default_get_format(context, formats) }
}

/// Where the picture lies: in ordinary memory, on a device, or both.
pub(super) struct Places {
    pub(super) here: Option<frame::Video>,
    /// Only what rings can have there: NV12 on a CUDA device.
    pub(super) there: Option<frame::Video>,
}

/// The picture in ordinary memory, unless it `may_stay` on a device and can; where a picture that was made there
/// has been all the time.
pub(super) fn placed(
    made: frame::Video,
    lender: &Arc<Lender>,
    may_stay: bool,
) -> Result<Places, Error> {
    let Some(device) = lender.device() else {
        return Ok(Places { here: Some(made), there: None });
    };
    if !device.made(raw::frame(&made)) {
        // A decoder that knows no devices never asks for a format.
        device.has_refused.store(true, Ordering::Relaxed);
        return Ok(Places { here: Some(made), there: None });
    }
    let can_stay = device.pixel == ffi::AVPixelFormat::AV_PIX_FMT_CUDA
        && sw_format(raw::frame(&made)) == Some(ffi::AVPixelFormat::AV_PIX_FMT_NV12);
    let here = if may_stay && can_stay { None } else { Some(fetched(&made, lender)?) };
    Ok(Places { here, there: can_stay.then_some(made) })
}

/// What a picture on a device looks like in ordinary memory.
fn sw_format(made: &ffi::AVFrame) -> Option<ffi::AVPixelFormat> {
    if made.hw_frames_ctx.is_null() {
        return None;
    }
    // SAFETY: not null, so a live reference of the picture's.
    let data = unsafe { (*made.hw_frames_ctx).data };
    // SAFETY: its data is an AVHWFramesContext, which lives as long as the picture.
    Some(unsafe { (*data.cast::<ffi::AVHWFramesContext>()).sw_format })
}

/// The picture in ordinary memory, lent if it is of a format that rings have.
fn fetched(made: &frame::Video, lender: &Arc<Lender>) -> Result<frame::Video, Error> {
    let mut here = frame::Video::empty();
    let fields = raw::frame_mut(&mut here);
    // What a device gives in another form is in memory of FFmpeg's.
    let _ = lend(fields, raw::frame(made), lender);
    // SAFETY: both are live frames; `here` is empty, or has the memory that its format asks for.
    let code = unsafe { ffi::av_hwframe_transfer_data(fields, raw::frame(made), 0) };
    if code < 0 {
        return Err(Error::from(code));
    }
    // SAFETY: both are live; only fields beside the picture are copied.
    let code = unsafe { ffi::av_frame_copy_props(fields, raw::frame(made)) };
    if code < 0 {
        return Err(Error::from(code));
    }
    (fields.width, fields.height) = (raw::frame(made).width, raw::frame(made).height);
    Ok(here)
}

fn lend(here: &mut ffi::AVFrame, made: &ffi::AVFrame, lender: &Arc<Lender>) -> Option<()> {
    if made.hw_frames_ctx.is_null() {
        return None;
    }
    // SAFETY: not null, so a live reference of the picture's.
    let data = unsafe { (*made.hw_frames_ctx).data };
    // SAFETY: its data is an AVHWFramesContext, which lives as long as the picture.
    let pool = unsafe { &*data.cast::<ffi::AVHWFramesContext>() };
    here.format = pool.sw_format as c_int;
    // No other form is known both to rings and to devices.
    let format = pixel_format_of(here).filter(|format| *format == PixelFormat::Nv12);
    let side = |value: c_int| u32::try_from(value).ok().filter(|side| *side > 0);
    let lent = format.and_then(|format| {
        let layout = block_layout(format, side(pool.width)?, side(pool.height)?, LINESIZE_ALIGN);
        (here.width, here.height) = (made.width, made.height);
        lender.lend(here, &layout, SLOTS)
    });
    if lent.is_none() {
        (here.width, here.height) = (0, 0);
        here.format = -1;
    }
    lent
}
