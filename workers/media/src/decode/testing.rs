//! Pictures on a device as a decoder would give them, for tests without one that decodes.

use std::sync::Arc;

use ffmpeg_next::{Error, frame};
use protocol::stream::Codec;

use super::DecodeEngine;
use super::convert::Converter;
use super::hardware::{self, Device};
use super::lending::Lender;
use super::picture::{self, Picture};
use crate::picture_encoder::Upload;
use crate::raw;
use crate::still::NoMemory;

/// The same picture on FFmpeg's CUDA device.
pub(crate) fn on_cuda(here: &frame::Video) -> frame::Video {
    let upload = Upload::open_cuda((here.width(), here.height())).unwrap();
    let mut there = upload.place().unwrap().0;
    // SAFETY: both are live frames of the same size, one of the device's pool.
    let code = unsafe {
        ffmpeg_next::ffi::av_hwframe_transfer_data(raw::frame_mut(&mut there), raw::frame(here), 0)
    };
    assert_eq!(code, 0, "{}", Error::from(code));
    there
}

pub(crate) fn fetched(there: &frame::Video) -> frame::Video {
    let mut here = frame::Video::empty();
    // SAFETY: both are live frames, one of them empty.
    let code = unsafe {
        ffmpeg_next::ffi::av_hwframe_transfer_data(raw::frame_mut(&mut here), raw::frame(there), 0)
    };
    assert_eq!(code, 0, "{}", Error::from(code));
    here
}

/// As [`super::Decoder::receive_where`] of what a CUDA device has decoded.
pub(crate) fn received(made: frame::Video, codec: Codec, may_stay: bool) -> Result<Picture, Error> {
    let device = Device::open(DecodeEngine::Cuda)?;
    let lender = Arc::new(Lender::new(NoMemory::shared(), codec, 1, device));
    let at = hardware::placed(made, &lender, may_stay)?;
    picture::of(at, lender.registry(), &mut Converter::default())
}
