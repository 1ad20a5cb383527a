//! Pictures into the memory of a VAAPI device, and places for them on a CUDA device, for pictures that lie there
//! already: those in ordinary memory NVENC takes by itself.

use std::ptr;

use ffmpeg_next::{Error, encoder, ffi, frame};
use protocol::stream::PixelFormat;
use shmring_cuda::Outside;

use crate::decode::PRIMARY_CONTEXT;
use crate::raw;

/// Pictures that the device has room for: what an encoder holds, and some on their way.
const POOL: i32 = 20;

/// A picture on a CUDA device that an encoder will take, to be filled there: NV12, of the encoder's size.
pub struct Place(pub(crate) frame::Video);

impl Place {
    pub fn plane(&self, plane: usize) -> Option<Outside<'_>> {
        let fields = raw::frame(&self.0);
        if plane >= PixelFormat::Nv12.planes() || fields.data[plane].is_null() {
            return None;
        }
        let extent = PixelFormat::Nv12.plane_extent(plane, self.0.width(), self.0.height());
        let pitch = usize::try_from(fields.linesize[plane]).ok()?;
        let (row_bytes, rows) = (extent.row_bytes as usize, extent.rows as usize);
        // SAFETY: a frame of FFmpeg's CUDA pool has NV12's two planes there, of its size at least, as long as it
        // is referenced, which it is as long as this is borrowed. Nobody else has it.
        Some(unsafe { Outside::new(fields.data[plane] as u64, pitch, row_bytes, rows) })
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

/// The device, and its pool of pictures of one size.
pub(crate) struct Upload {
    /// Owned references, not null.
    device: *mut ffi::AVBufferRef,
    frames: *mut ffi::AVBufferRef,
}

// SAFETY: the references are owned by this value alone; FFmpeg counts them atomically.
unsafe impl Send for Upload {}

impl Upload {
    /// The first VAAPI device there is.
    pub(super) fn open(size: (u32, u32)) -> Result<Self, Error> {
        let kind = ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI;
        Self::open_on(kind, ffi::AVPixelFormat::AV_PIX_FMT_VAAPI, 0, size)
    }

    /// The first CUDA device there is.
    pub(crate) fn open_cuda(size: (u32, u32)) -> Result<Self, Error> {
        let kind = ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_CUDA;
        Self::open_on(kind, ffi::AVPixelFormat::AV_PIX_FMT_CUDA, PRIMARY_CONTEXT, size)
    }

    fn open_on(
        kind: ffi::AVHWDeviceType,
        pixel: ffi::AVPixelFormat,
        flags: i32,
        size: (u32, u32),
    ) -> Result<Self, Error> {
        let mut device = ptr::null_mut();
        // SAFETY: `device` is ours to fill; no name and no options ask for the default device.
        let code = unsafe {
            let options = ptr::null_mut();
            ffi::av_hwdevice_ctx_create(&raw mut device, kind, ptr::null(), options, flags)
        };
        check(code)?;
        let mut upload = Self { device, frames: ptr::null_mut() };
        // SAFETY: the device is a live reference of the call above.
        upload.frames = unsafe { ffi::av_hwframe_ctx_alloc(device) };
        if upload.frames.is_null() {
            return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
        }
        // SAFETY: a live buffer, of the call above.
        let data = unsafe { (*upload.frames).data };
        // SAFETY: the call above made its data an AVHWFramesContext, which nobody else knows.
        let fields = unsafe { &mut *data.cast::<ffi::AVHWFramesContext>() };
        fields.format = pixel;
        fields.sw_format = ffi::AVPixelFormat::AV_PIX_FMT_NV12;
        fields.width = i32::try_from(size.0).unwrap_or(i32::MAX);
        fields.height = i32::try_from(size.1).unwrap_or(i32::MAX);
        fields.initial_pool_size = POOL;
        // SAFETY: the context is filled as the call demands, and nobody else knows it.
        check(unsafe { ffi::av_hwframe_ctx_init(upload.frames) })?;
        Ok(upload)
    }

    /// For an encoder that is not open yet.
    pub(super) fn give_to(&self, video: &mut encoder::video::Video) -> Result<(), Error> {
        // SAFETY: our reference is live; a new one is counted.
        let frames = unsafe { ffi::av_buffer_ref(self.frames) };
        if frames.is_null() {
            return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
        }
        // SAFETY: reads the wrapper's pointer, nothing behind it.
        let context = unsafe { video.as_mut_ptr() };
        // SAFETY: the wrapper owns the struct, which takes the reference over and frees it with itself.
        unsafe { (*context).hw_frames_ctx = frames };
        Ok(())
    }

    /// An empty picture on a CUDA device.
    pub(crate) fn place(&self) -> Result<Place, Error> {
        let mut there = frame::Video::empty();
        // SAFETY: reads the wrapper's pointer, nothing behind it.
        let to = unsafe { there.as_mut_ptr() };
        // SAFETY: the pool is live, and the frame empty, as the call demands.
        check(unsafe { ffi::av_hwframe_get_buffer(self.frames, to, 0) })?;
        Ok(Place(there))
    }

    /// Sends a picture in ordinary memory by way of the device's.
    pub(super) fn send(
        &mut self,
        encoder: &mut encoder::video::Encoder,
        picture: &frame::Video,
    ) -> Result<(), Error> {
        let mut there = frame::Video::empty();
        // SAFETY: reads the wrapper's pointer, nothing behind it.
        let to = unsafe { there.as_mut_ptr() };
        // SAFETY: the same.
        let from = unsafe { picture.as_ptr() };
        // SAFETY: the pool is live, and the frame empty, as the call demands.
        check(unsafe { ffi::av_hwframe_get_buffer(self.frames, to, 0) })?;
        // SAFETY: both frames are live and of the sizes and formats of the pool.
        check(unsafe { ffi::av_hwframe_transfer_data(to, from, 0) })?;
        // SAFETY: both are live; only fields beside the picture are copied.
        check(unsafe { ffi::av_frame_copy_props(to, from) })?;
        encoder.send_frame(&there)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // SAFETY: an owned reference or null, and nothing uses it after this.
        unsafe { ffi::av_buffer_unref(&raw mut self.frames) };
        // SAFETY: the same.
        unsafe { ffi::av_buffer_unref(&raw mut self.device) };
    }
}

fn check(code: i32) -> Result<(), Error> {
    if code < 0 { Err(Error::from(code)) } else { Ok(()) }
}
