//! Which picture an array is, and where its planes lie in a slot. Pure.

use protocol::stream::PixelFormat;
use shmring::PlaneLayout;

/// Where encoders and decoders like rows to begin; most sizes need no padding for it.
const ALIGN_BYTES: u32 = 64;
/// Beyond any picture; the ring's own limit (`shmring/src/frames/descriptor.rs`).
const SIDE_MAX: usize = 1 << 16;

/// What all pictures of a ring have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) format: PixelFormat,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// How a program gives a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// One array. The planes of 4:2:0 pictures stand below each other in it, as in OpenCV.
    Whole,
    /// An array a plane.
    Planes,
}

/// Where a row of a plane begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) array: usize,
    pub(crate) row: usize,
    /// Byte of that row.
    pub(crate) from: usize,
}

impl Geometry {
    /// Of arrays of these shapes. `format` decides where a shape fits several; else it is `rgb24`,
    /// `rgba`, `gray8`, and for planes whatever their sizes say.
    pub(crate) fn of(
        given: Given,
        shapes: &[Vec<usize>],
        format: Option<PixelFormat>,
    ) -> Result<Self, String> {
        match (given, shapes) {
            (Given::Whole, [shape]) => of_one(shape, format),
            (Given::Whole, _) => Err("expected one array".to_owned()),
            (Given::Planes, _) => of_planes(shapes, format),
        }
    }

    /// Offsets of the planes in a slot, and the bytes of all.
    pub(crate) fn layout(self) -> ([PlaneLayout; 4], usize) {
        let mut planes = [PlaneLayout::default(); 4];
        let mut end: u32 = 0;
        for (plane, layout) in planes.iter_mut().enumerate().take(self.format.planes()) {
            let extent = self.format.plane_extent(plane, self.width, self.height);
            let linesize = extent.row_bytes.next_multiple_of(ALIGN_BYTES);
            *layout = PlaneLayout { offset: end, linesize };
            end = end.saturating_add(linesize.saturating_mul(extent.rows));
        }
        (planes, end as usize)
    }

    /// Where row `y` of `plane` is in what was given.
    pub(crate) fn locate(self, given: Given, plane: usize, y: usize) -> Spot {
        if given == Given::Planes {
            return Spot { array: plane, row: y, from: 0 };
        }
        let (width, height) = (self.width as usize, self.height as usize);
        // Planes below each other, in rows as wide as the first one's.
        let before = match plane {
            0 => 0,
            1 => width * height,
            _ => width * height + (width / 2) * (height / 2),
        };
        let row_bytes =
            if plane == 0 || self.format == PixelFormat::Nv12 { width } else { width / 2 };
        let at = before + y * row_bytes;
        match plane {
            0 => Spot { array: 0, row: y, from: 0 },
            _ => Spot { array: 0, row: at / width, from: at % width },
        }
    }
}

fn of_one(shape: &[usize], format: Option<PixelFormat>) -> Result<Geometry, String> {
    use PixelFormat as F;
    let no = |why: &str| Err(format!("an array of shape {shape:?}: {why}"));
    match (shape, format) {
        (&[height, width, 3], None | Some(F::Rgb24)) => sized(F::Rgb24, width, height),
        (&[height, width, 3], Some(F::Bgr24)) => sized(F::Bgr24, width, height),
        (&[height, width, 4], None | Some(F::Rgba)) => sized(F::Rgba, width, height),
        (&[height, width] | &[height, width, 1], None | Some(F::Gray8)) => {
            sized(F::Gray8, width, height)
        }
        (&[rows, width], Some(stacked @ (F::Yuv420p | F::Nv12))) => {
            let height = rows / 3 * 2;
            if rows % 3 != 0 || height % 2 != 0 || width % 2 != 0 {
                return no("one array of 4:2:0 has height * 3 / 2 rows, height and width even");
            }
            sized(stacked, width, height)
        }
        (_, None) => {
            no("expected (height, width), or (height, width, 3 or 4), or a tuple of planes")
        }
        (_, Some(F::Yuv422p | F::Yuv444p)) => no("give its three planes as a tuple of arrays"),
        (_, Some(format)) => no(&format!("it is no {} picture", format.as_str())),
    }
}

fn of_planes(shapes: &[Vec<usize>], format: Option<PixelFormat>) -> Result<Geometry, String> {
    if shapes.iter().any(|shape| !(2..=3).contains(&shape.len())) {
        return Err(format!("planes of shapes {shapes:?}: expected (height, width) of each"));
    }
    let [height, width, ..] = *shapes.first().map_or(&[][..], Vec::as_slice) else {
        return Err("planes: expected arrays of (height, width)".to_owned());
    };
    let extents: Vec<(usize, usize)> =
        shapes.iter().map(|shape| (shape[0], shape[1..].iter().product())).collect();
    let planar =
        [PixelFormat::Yuv420p, PixelFormat::Yuv422p, PixelFormat::Yuv444p, PixelFormat::Nv12];
    let fitting = planar.into_iter().filter(|known| format.is_none_or(|format| format == *known));
    for format in fitting {
        let geometry = sized(format, width, height)?;
        let wanted = (0..format.planes()).map(|plane| {
            let extent = format.plane_extent(plane, geometry.width, geometry.height);
            (extent.rows as usize, extent.row_bytes as usize)
        });
        if wanted.eq(extents.iter().copied()) {
            return Ok(geometry);
        }
    }
    let name = format.map_or("planar", PixelFormat::as_str);
    Err(format!("planes of {extents:?} rows and bytes: they make no {name} picture"))
}

fn sized(format: PixelFormat, width: usize, height: usize) -> Result<Geometry, String> {
    let side = |side: usize| u32::try_from(side).ok().filter(|_| (1..=SIDE_MAX).contains(&side));
    match (side(width), side(height)) {
        (Some(width), Some(height)) => Ok(Geometry { format, width, height }),
        _ => Err(format!("{width}x{height}: each side is 1 to {SIDE_MAX}")),
    }
}
