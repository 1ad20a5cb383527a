//! Pictures in another size or format, straight into memory of the caller.

use std::ffi::c_int;

use ffmpeg_next::software::scaling;
use ffmpeg_next::{Error, ffi};
use protocol::stream::{Colour, PixelFormat};

use super::layout::{BlockLayout, block_layout};
use super::picture::{Picture, PlaneAt};
use crate::codec::pixel_of;
use crate::error::MediaError;
use crate::raw;
use crate::still::Still;

/// Rows begin where every vector instruction may write, in bytes.
const LINESIZE_ALIGN: [u32; 4] = [64; 4];

/// Makes pictures of one size and format, and keeps what that takes.
#[derive(Default)]
pub struct Resizer {
    /// Width and height; `None` is that of each picture.
    size: Option<(u32, u32)>,
    /// `None` is that of each picture.
    format: Option<PixelFormat>,
    kept: Option<(Look, scaling::Context)>,
}

/// All that the way from one picture to another depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    from: (PixelFormat, u32, u32),
    colour: Colour,
    to: (PixelFormat, u32, u32),
}

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resized {
    pub format: PixelFormat,
    pub width: u32,
    pub height: u32,
    pub colour: Colour,
    /// From the start of the caller's memory.
    pub planes: [PlaneAt; 4],
}

impl Resizer {
    /// Without a size or a format that of the pictures that come.
    pub fn new(size: Option<(u32, u32)>, format: Option<PixelFormat>) -> Self {
        Self { size, format, kept: None }
    }

    /// Whether pictures of this format, of whatever size, stay as they are.
    pub fn keeps(&self, format: PixelFormat) -> bool {
        self.size.is_none() && self.format.is_none_or(|it| it == format)
    }

    /// Bytes that it needs for this picture.
    pub fn bytes_for(&self, picture: &Picture) -> usize {
        let (format, width, height) = self.look(picture).to;
        layout_of(format, width, height).bytes
    }

    /// Makes it of `picture`, at the start of `into`, which has [`Self::bytes_for`] bytes or more.
    pub fn scale(&mut self, picture: &Picture, into: &mut [u8]) -> Result<Resized, MediaError> {
        self.run(picture, into)
            .map_err(|source| MediaError::of("the picture", "scaling it", source))
    }

    fn run(&mut self, picture: &Picture, into: &mut [u8]) -> Result<Resized, Error> {
        let look = self.look(picture);
        let (format, width, height) = look.to;
        let layout = layout_of(format, width, height);
        let into = into.get_mut(..layout.bytes).ok_or(Error::BufferTooSmall)?;
        let like = Still {
            format: picture.format,
            width: picture.width,
            height: picture.height,
            colour: picture.colour,
            samples: Vec::new(),
        };
        let context = match self.kept.take() {
            Some((kept, context)) if kept == look => &mut self.kept.insert((kept, context)).1,
            _ => &mut self.kept.insert((look, context_for(&look, &like)?)).1,
        };
        let made = scale_into(context, picture, into, &layout)?;
        if made != c_int::try_from(height).unwrap_or(0) {
            return Err(Error::Unknown);
        }
        let plane = |plane: usize| PlaneAt {
            offset_bytes: layout.offsets[plane],
            linesize_bytes: layout.linesizes[plane],
        };
        let planes = [0, 1, 2, 3].map(plane);
        Ok(Resized { format, width, height, colour: like.colour_as(format), planes })
    }

    fn look(&self, picture: &Picture) -> Look {
        let Picture { format, width, height, colour, .. } = *picture;
        let (to_width, to_height) = self.size.unwrap_or((width, height));
        let to = (self.format.unwrap_or(format), to_width, to_height);
        Look { from: (format, width, height), colour, to }
    }
}

impl std::fmt::Debug for Resizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resizer")
            .field("size", &self.size)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

fn layout_of(format: PixelFormat, width: u32, height: u32) -> BlockLayout {
    block_layout(format, width, height, LINESIZE_ALIGN)
}

/// For analyzers, at picture rate: no aliasing, and otherwise what is quick.
fn context_for(look: &Look, like: &Still) -> Result<scaling::Context, Error> {
    let ((from, width, height), (to, to_width, to_height)) = (look.from, look.to);
    let flags = scaling::Flags::BILINEAR;
    let mut context = scaling::Context::get(
        pixel_of(from),
        width,
        height,
        pixel_of(to),
        to_width,
        to_height,
        flags,
    )?;
    like.set_colour(&mut context, to);
    Ok(context)
}

/// Rows that were written. `into` is as long as `layout` says.
fn scale_into(
    context: &mut scaling::Context,
    picture: &Picture,
    into: &mut [u8],
    layout: &BlockLayout,
) -> Result<c_int, Error> {
    let fields = raw::frame(picture.frame()?);
    let from = [0, 1, 2, 3].map(|plane| fields.data[plane].cast_const());
    let base = into.as_mut_ptr();
    let has = |plane: &usize| layout.linesizes[*plane] > 0;
    let (mut to, mut linesizes) = ([std::ptr::null_mut(); 4], [0; 4]);
    for plane in (0..4).filter(has) {
        // Inside of `into`, whose length the layout gave.
        to[plane] = base.wrapping_add(layout.offsets[plane]);
        linesizes[plane] =
            c_int::try_from(layout.linesizes[plane]).map_err(|_| Error::InvalidData)?;
    }
    let height = c_int::try_from(picture.height).map_err(|_| Error::InvalidData)?;
    // SAFETY: reads the wrapper's pointer, nothing behind it.
    let pointer = unsafe { context.as_mut_ptr() };
    // SAFETY: the context was made for pictures of this size and format. The frame keeps its rows readable
    // while it is borrowed; the rows of `to` lie in `into`, borrowed mutably, each plane followed by what
    // vector instructions may write past its end.
    Ok(unsafe {
        ffi::sws_scale(
            pointer,
            from.as_ptr(),
            fields.linesize.as_ptr(),
            0,
            height,
            to.as_ptr(),
            linesizes.as_ptr(),
        )
    })
}
