//! The callback through which FFmpeg takes a picture's memory, and the fields that FFmpeg's safe
//! wrapper lacks. All of the decoder's unsafe is here and in `picture.rs`.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ffmpeg_next::{Error, codec, decoder, ffi};
use protocol::stream::{Codec, Track};

use super::hardware::Device;
use super::layout::{BlockLayout, PLANE_ALIGN_BYTES, block_layout, decoder_slots};
use crate::codec::pixel_format_of;
use crate::raw;

/// What a decoder asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureNeed {
    /// Size of one picture's memory.
    pub bytes: usize,
    /// Pieces of memory that the decoder may hold at once, the one in the caller's hand included.
    pub decoder_slots: u32,
}

/// Lends memory to a decoder. Called on FFmpeg's threads.
pub trait PictureAllocator: Send + Sync {
    /// Memory for one picture, at least `need.bytes` of it and starting at a multiple of 64. `None`
    /// or less makes this picture a heap picture; nothing fails.
    fn allocate(&self, need: &PictureNeed) -> Option<Box<dyn PictureMemory>>;
}

/// One piece of lent memory; dropped, on any thread, when decoder and [`super::Picture`] have let
/// go of it.
pub trait PictureMemory: Send {
    fn bytes_mut(&mut self) -> &mut [u8];
    /// The lender's own name for it.
    fn tag(&self) -> u64;
}

/// What the callback needs; the codec context points to it.
pub(super) struct Lender {
    allocator: Arc<dyn PictureAllocator>,
    registry: Arc<Registry>,
    codec: Codec,
    threads: u32,
    device: Option<Device>,
}

impl Lender {
    pub(super) fn new(
        allocator: Arc<dyn PictureAllocator>,
        codec: Codec,
        threads: u32,
        device: Option<Device>,
    ) -> Self {
        Self { allocator, registry: Arc::default(), codec, threads, device }
    }

    pub(super) fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// Puts lent memory under a picture. `slots`: such pictures that live at once.
    pub(super) fn lend(
        &self,
        picture: &mut ffi::AVFrame,
        layout: &BlockLayout,
        slots: u32,
    ) -> Option<()> {
        let need = PictureNeed { bytes: layout.bytes, decoder_slots: slots };
        attach(picture, self.allocator.allocate(&need)?, layout, &self.registry)
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// The memory FFmpeg holds now, by first address: tells a lent picture from a heap one.
#[derive(Default)]
pub(super) struct Registry(Mutex<BTreeMap<usize, Lent>>);

#[derive(Clone, Copy)]
pub(super) struct Lent {
    pub(super) bytes: usize,
    pub(super) tag: u64,
}

impl Registry {
    pub(super) fn find(&self, address: usize) -> Option<Lent> {
        self.lock().get(&address).copied()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Lent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Owned by an AVBuffer, whose free callback drops it.
struct Held {
    memory: Box<dyn PictureMemory>,
    registry: Arc<Registry>,
}

/// Makes `context`, not yet open, take its pictures' memory from `lender`, which must outlive it.
pub(super) fn install(context: &mut codec::Context, lender: &Arc<Lender>) {
    let fields = raw::context(context);
    fields.opaque = Arc::as_ptr(lender).cast_mut().cast();
    fields.get_buffer2 = Some(get_buffer);
}

/// Extradata, size hints and the largest picture.
pub(super) fn set_limits(
    context: &mut codec::Context,
    track: &Track,
    max_pixels: u32,
) -> Result<(), Error> {
    let fields = raw::context(context);
    fields.max_pixels = i64::from(max_pixels);
    fields.width = c_int::try_from(track.width).unwrap_or(0);
    fields.height = c_int::try_from(track.height).unwrap_or(0);
    raw::set_extradata(context, &track.extradata)
}

/// The number that the pictures of the next packet carry.
pub(super) fn set_token(decoder: &mut decoder::Video, token: u64) {
    raw::decoder(decoder).reordered_opaque = token.cast_signed();
}

/// FFmpeg's `get_buffer2`. It may run on several threads at once, and never fails for want of lent
/// memory: with one buffer too few FFmpeg 5.1 delivers a tenth of the pictures.
unsafe extern "C" fn get_buffer(
    context: *mut ffi::AVCodecContext,
    frame: *mut ffi::AVFrame,
    flags: c_int,
) -> c_int {
    // SAFETY: FFmpeg passes a live context and a frame that only this call touches.
    if unsafe { lend(context, frame) }.is_some() {
        return 0;
    }
    // SAFETY: the same two pointers, which the default implementation is made for.
    unsafe { ffi::avcodec_default_get_buffer2(context, frame, flags) }
}

/// # Safety
/// As of `get_buffer`: a live context that `install` prepared, and a frame to fill.
unsafe fn lend(context: *mut ffi::AVCodecContext, frame: *mut ffi::AVFrame) -> Option<()> {
    // SAFETY: live for the call; FFmpeg does not change the fields read here meanwhile.
    let fields = unsafe { &*context };
    // SAFETY: as above, and `install` prepared it.
    let lender = unsafe { lender_of(context) };
    // SAFETY: the frame is this call's alone.
    let picture = unsafe { &mut *frame };
    let positive = |value: c_int| u32::try_from(value).unwrap_or(0);
    // SAFETY: the context is live, and its decoder has the capability DR1, or `install` was not
    // called.
    let layout = unsafe { layout_for(context, picture) }?;
    let slots = decoder_slots(
        lender.codec,
        positive(fields.refs),
        positive(fields.has_b_frames),
        lender.threads,
    );
    lender.lend(picture, &layout, slots)
}

/// # Safety
/// A live context that `install` prepared; the Lender lives longer than the answer is used.
pub(super) unsafe fn lender_of<'a>(context: *mut ffi::AVCodecContext) -> &'a Lender {
    // SAFETY: live for the call; FFmpeg does not change the field meanwhile.
    let opaque = unsafe { (*context).opaque };
    // SAFETY: `install` put a Lender there that outlives the context; frame threads' contexts are
    // copies. A Lender is only ever shared.
    unsafe { &*opaque.cast::<Lender>() }
}

/// # Safety
/// `context` is live and of a decoder with the capability DR1.
unsafe fn layout_for(
    context: *mut ffi::AVCodecContext,
    picture: &ffi::AVFrame,
) -> Option<BlockLayout> {
    let format = pixel_format_of(picture)?;
    let (mut width, mut height) = (picture.width, picture.height);
    let mut align: [c_int; ffi::AV_NUM_DATA_POINTERS as usize] = [1; _];
    // SAFETY: the context is as this function demands; the array has the size FFmpeg writes.
    unsafe {
        ffi::avcodec_align_dimensions2(context, &raw mut width, &raw mut height, align.as_mut_ptr())
    };
    let align = [0, 1, 2, 3].map(|plane| u32::try_from(align[plane]).unwrap_or(1));
    let (width, height) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    (width > 0 && height > 0).then(|| block_layout(format, width, height, align))
}

/// Puts `memory` under `picture` as FFmpeg's get_buffer2 must.
fn attach(
    picture: &mut ffi::AVFrame,
    memory: Box<dyn PictureMemory>,
    layout: &BlockLayout,
    registry: &Arc<Registry>,
) -> Option<()> {
    let tag = memory.tag();
    let held = Box::into_raw(Box::new(Held { memory, registry: Arc::clone(registry) }));
    // SAFETY: `held` is a live allocation that nobody else knows. This borrow of the memory lasts
    // until `free` takes the allocation back: meanwhile the Held is neither moved nor touched, so
    // the bytes stay where they are and are FFmpeg's alone to write, as a borrow's are.
    let bytes = unsafe { (*held).memory.bytes_mut() };
    let (base, length) = (bytes.as_mut_ptr(), bytes.len());
    if length < layout.bytes || !(base as usize).is_multiple_of(PLANE_ALIGN_BYTES) {
        // SAFETY: from `Box::into_raw` above, and not handed to anyone.
        drop(unsafe { Box::from_raw(held) });
        return None;
    }
    // SAFETY: `base` is valid for `length` bytes until `free` runs, which happens once, when the
    // last reference to the buffer goes.
    let buffer = unsafe { ffi::av_buffer_create(base, length, Some(free), held.cast(), 0) };
    if buffer.is_null() {
        // SAFETY: FFmpeg did not take it: av_buffer_create leaves opaque alone when it fails.
        drop(unsafe { Box::from_raw(held) });
        return None;
    }
    let lent = Lent { bytes: length, tag };
    registry.lock().insert(base as usize, lent);
    picture.buf[0] = buffer;
    for plane in (0..4).filter(|plane| layout.linesizes[*plane] > 0) {
        // `layout` lies inside `length`, so this stays inside the memory.
        picture.data[plane] = base.wrapping_add(layout.offsets[plane]);
        picture.linesize[plane] = c_int::try_from(layout.linesizes[plane]).unwrap_or(0);
    }
    picture.extended_data = picture.data.as_mut_ptr();
    Some(())
}

/// The AVBuffer's free callback; runs once, on any thread.
unsafe extern "C" fn free(held: *mut c_void, base: *mut u8) {
    // SAFETY: `attach` gave this very pointer from `Box::into_raw`, and FFmpeg calls back once.
    let held = unsafe { Box::from_raw(held.cast::<Held>()) };
    // Before the memory goes: its address may come back with the next picture.
    held.registry.lock().remove(&(base as usize));
}
