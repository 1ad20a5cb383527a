//! A decoded picture: what it is, where it lies, and how it is copied when it lies on the heap.

use ffmpeg_next::{Error, frame};
use protocol::stream::{Colour, PixelFormat};
use shmring_cuda::Outside;

use super::convert::Converter;
use super::hardware::Places;
use super::lending::Registry;
use crate::codec::{colour_of, pixel_format_of};
use crate::raw;

/// One picture. Holds its memory until dropped.
pub struct Picture {
    pub format: PixelFormat,
    /// The visible size: cropping is applied.
    pub width: u32,
    pub height: u32,
    pub colour: Colour,
    pub home: PictureHome,
    pub key: bool,
    /// Decoded from damaged or missing data.
    pub corrupt: bool,
    /// Of the access unit it was in.
    pub token: u64,
    /// In ordinary memory; `None` for [`PictureHome::Device`].
    frame: Option<frame::Video>,
    /// On a CUDA device, whatever its home: NV12.
    there: Option<frame::Video>,
}

/// Where a picture lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureHome {
    /// In memory of the allocator, named by [`super::PictureMemory::tag`].
    Lent { tag: u64, planes: [PlaneAt; 4] },
    /// In the decoder's own memory: copy it out.
    Heap,
    /// On a CUDA device alone: there is nothing to read here. See [`Picture::on_device`].
    Device,
}

/// One plane's visible part, from the start of the lent memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaneAt {
    pub offset_bytes: usize,
    pub linesize_bytes: usize,
}

/// A picture with its planes one behind the other and no padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TightLayout {
    pub bytes: usize,
    pub planes: [PlaneAt; 4],
}

impl TightLayout {
    pub fn of(format: PixelFormat, width: u32, height: u32) -> Self {
        let mut layout = Self::default();
        for plane in 0..format.planes() {
            let extent = format.plane_extent(plane, width, height);
            layout.planes[plane] =
                PlaneAt { offset_bytes: layout.bytes, linesize_bytes: extent.row_bytes as usize };
            layout.bytes += extent.row_bytes as usize * extent.rows as usize;
        }
        layout
    }
}

impl Picture {
    /// The layout that [`Self::copy_to`] writes.
    pub fn tight_layout(&self) -> TightLayout {
        TightLayout::of(self.format, self.width, self.height)
    }

    /// A plane where it was made, on a CUDA device; `None` for a picture that was made here, or is converted.
    pub fn on_device(&self, plane: usize) -> Option<Outside<'_>> {
        let fields = raw::frame(self.there.as_ref()?);
        if self.format != PixelFormat::Nv12 || plane >= self.format.planes() {
            return None;
        }
        let extent = self.format.plane_extent(plane, self.width, self.height);
        let (row_bytes, rows) = (extent.row_bytes as usize, extent.rows as usize);
        let (address, pitch) = (fields.data[plane] as u64, linesize(fields.linesize[plane]));
        // SAFETY: a frame of FFmpeg's CUDA device has NV12's two planes there, of the visible size at least,
        // as long as it is referenced, which it is as long as this picture is borrowed.
        Some(unsafe { Outside::new(address, pitch, row_bytes, rows) })
    }

    /// A plane's visible rows, and how far apart they are; `None` on a device.
    pub fn plane(&self, plane: usize) -> Option<(&[u8], usize)> {
        let fields = raw::frame(self.frame.as_ref()?);
        if plane >= self.format.planes() {
            return None;
        }
        let extent = self.format.plane_extent(plane, self.width, self.height);
        let pitch = linesize(fields.linesize[plane]);
        let bytes = pitch * (extent.rows.max(1) as usize - 1) + extent.row_bytes as usize;
        // SAFETY: as in `row`: the visible rows are readable, and what lies between two rows of a plane is, too.
        Some((unsafe { std::slice::from_raw_parts(fields.data[plane], bytes) }, pitch))
    }

    /// Copies the visible picture to the start of `into`, tightly. `None`, and nothing written,
    /// when `into` is shorter than [`TightLayout::bytes`], and on a device.
    pub fn copy_to(&self, into: &mut [u8]) -> Option<TightLayout> {
        self.frame.as_ref()?;
        let layout = self.tight_layout();
        let mut rest = into.get_mut(..layout.bytes)?;
        for plane in 0..self.format.planes() {
            let extent = self.format.plane_extent(plane, self.width, self.height);
            for y in 0..extent.rows as usize {
                let row = self.row(plane, y, extent.row_bytes as usize);
                let (head, tail) = rest.split_at_mut(row.len());
                head.copy_from_slice(row);
                rest = tail;
            }
        }
        Some(layout)
    }

    /// Luma (of packed formats the second byte of a pixel, which is green) in the middle of each cell of a
    /// grid over the visible picture, row after row: enough to tell whether it is black, or the same. Nothing of
    /// a picture on a device.
    pub fn sampled(&self, across: u32, down: u32) -> Vec<u8> {
        if self.frame.is_none() {
            return Vec::new();
        }
        let pixel = self.format.pixel_bytes() as usize;
        let extent = self.format.plane_extent(0, self.width, self.height);
        let middle = |cell: u32, cells: u32, side: u32| {
            (2 * u64::from(cell) + 1) * u64::from(side) / (2 * u64::from(cells.max(1)))
        };
        let place = |at: u64| usize::try_from(at).unwrap_or(0);
        let mut samples = Vec::with_capacity(place(u64::from(across) * u64::from(down)));
        for y in 0..down {
            let y = place(middle(y, down, self.height));
            let row = self.row(0, y, extent.row_bytes as usize);
            let columns = (0..across).map(|x| place(middle(x, across, self.width)));
            samples.extend(columns.map(|x| row[x * pixel + usize::from(pixel > 1)]));
        }
        samples
    }

    /// An error on a device.
    pub(crate) fn frame(&self) -> Result<&frame::Video, Error> {
        self.frame.as_ref().ok_or(Error::InvalidData)
    }

    /// Nothing on a device.
    fn row(&self, plane: usize, y: usize, row_bytes: usize) -> &[u8] {
        let Some(frame) = &self.frame else { return &[] };
        let fields = raw::frame(frame);
        let start = fields.data[plane].wrapping_add(y * linesize(fields.linesize[plane]));
        // SAFETY: FFmpeg keeps every visible row of every plane of an output frame readable while
        // the frame is referenced, and nobody writes an output frame (`of` has checked the
        // linesizes to be positive and the format to have these planes).
        unsafe { std::slice::from_raw_parts(start, row_bytes) }
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picture")
            .field("format", &self.format)
            .field("width", &self.width)
            .field("height", &self.height)
            .field("home", &self.home)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// The picture at these places, converted first when the ring has no code for its format.
pub(super) fn of(
    at: Places,
    registry: &Registry,
    converter: &mut Converter,
) -> Result<Picture, Error> {
    let frame = match at {
        Places { here: Some(here), there } => {
            let picture = of_here(here, registry, converter)?;
            return Ok(Picture { there, ..picture });
        }
        Places { here: None, there: Some(there) } => there,
        Places { here: None, there: None } => return Err(Error::Bug),
    };
    let fields = raw::frame(&frame);
    Ok(Picture {
        format: PixelFormat::Nv12,
        width: frame.width(),
        height: frame.height(),
        colour: colour_of(fields),
        home: PictureHome::Device,
        key: frame.is_key(),
        corrupt: frame.is_corrupt() || frame.has_decode_errors(),
        token: fields.reordered_opaque.cast_unsigned(),
        frame: None,
        there: Some(frame),
    })
}

fn of_here(
    mut frame: frame::Video,
    registry: &Registry,
    converter: &mut Converter,
) -> Result<Picture, Error> {
    let fields = raw::frame(&frame);
    let (mut colour, token) = (colour_of(fields), fields.reordered_opaque.cast_unsigned());
    let corrupt = frame.is_corrupt() || frame.has_decode_errors();
    let key = frame.is_key();
    let (format, home) = if let Some(format) = pixel_format_of(fields) {
        (format, home_of(fields, format, registry))
    } else {
        (frame, colour) = converter.convert(&frame, colour)?;
        (Converter::FORMAT, PictureHome::Heap)
    };
    // Again: the conversion may have put another frame here.
    let fields = raw::frame(&frame);
    if fields.linesize[..format.planes()].iter().any(|linesize| *linesize <= 0) {
        return Err(Error::PatchWelcome); // upside down: no decoder of ours does that
    }
    Ok(Picture {
        format,
        width: frame.width(),
        height: frame.height(),
        colour,
        home,
        key,
        corrupt,
        token,
        frame: Some(frame),
        there: None,
    })
}

fn home_of(
    fields: &ffmpeg_next::ffi::AVFrame,
    format: PixelFormat,
    registry: &Registry,
) -> PictureHome {
    if fields.buf[0].is_null() {
        return PictureHome::Heap;
    }
    // SAFETY: a set buf[0] is a live reference of this frame's.
    let base = unsafe { (*fields.buf[0]).data } as usize;
    let Some(lent) = registry.find(base) else {
        return PictureHome::Heap;
    };
    let mut planes = [PlaneAt::default(); 4];
    for (plane, at) in planes.iter_mut().enumerate().take(format.planes()) {
        let offset = (fields.data[plane] as usize).checked_sub(base);
        let Some(offset_bytes) = offset.filter(|offset| *offset < lent.bytes) else {
            return PictureHome::Heap;
        };
        *at = PlaneAt { offset_bytes, linesize_bytes: linesize(fields.linesize[plane]) };
    }
    PictureHome::Lent { tag: lent.tag, planes }
}

fn linesize(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}
