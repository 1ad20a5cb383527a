//! What lies in a slot: a picture's planes or a tensor's elements. Pure.

use protocol::stream::{Colour, DType, PixelFormat};

use crate::layout::descriptor as layout;

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Picture(Picture),
    Tensor(Tensor),
}

/// A picture and where its samples lie.
#[derive(Clone, Copy, Debug, Eq)]
pub struct Picture {
    /// Visible size in pixels.
    pub width: u32,
    pub height: u32,
    pub format: PixelFormat,
    pub colour: Colour,
    /// The first `format.planes()` count.
    pub planes: [PlaneLayout; layout::PLANES_MAX],
}

/// Where a plane lies in its slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaneLayout {
    /// Bytes from the slot's start to the first visible sample.
    pub offset: u32,
    /// Bytes from one row to the next; at least the visible bytes of a row.
    pub linesize: u32,
}

/// A tensor of at most six axes and where its elements lie: row-major, the last axis fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub dtype: DType,
    /// Bytes from the slot's start to the first element.
    pub offset: u32,
    /// The first `axes` of each count, the others are 0.
    shape: [u32; layout::AXES_MAX],
    strides: [u32; layout::AXES_MAX],
    /// `axes <= AXES_MAX`
    axes: usize,
}

impl Content {
    /// What is wrong with it in a slot of so many bytes; `None` when all of it lies in the slot.
    pub(crate) fn misfit(&self, slot_bytes: u64) -> Option<&'static str> {
        match self {
            Self::Picture(picture) => picture.misfit(slot_bytes),
            Self::Tensor(tensor) => tensor.misfit(slot_bytes),
        }
    }

    /// Whether a program made for the one can take the other: same size and format, or same type and
    /// shape. Where they lie may differ.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Picture(one), Self::Picture(two)) => {
                (one.width, one.height, one.format) == (two.width, two.height, two.format)
            }
            (Self::Tensor(one), Self::Tensor(two)) => {
                (one.dtype, one.shape()) == (two.dtype, two.shape())
            }
            (Self::Picture(_), Self::Tensor(_)) | (Self::Tensor(_), Self::Picture(_)) => false,
        }
    }
}

impl From<Picture> for Content {
    fn from(picture: Picture) -> Self {
        Self::Picture(picture)
    }
}

impl From<Tensor> for Content {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

/// For people: `640x480 yuv420p`, `f32[1, 3, 640, 640]`.
impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Picture(Picture { width, height, format, .. }) => {
                write!(f, "{width}x{height} {}", format.as_str())
            }
            Self::Tensor(tensor) => write!(f, "{}{:?}", tensor.dtype.as_str(), tensor.shape()),
        }
    }
}

/// Without a branch for each field: a writer compares each picture with the one before it.
impl PartialEq for Picture {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let of_planes = |differ, (one, two): (&PlaneLayout, &PlaneLayout)| {
            differ | (one.offset ^ two.offset) | (one.linesize ^ two.linesize)
        };
        let planes = self.planes.iter().zip(&other.planes).fold(0, of_planes);
        let sides = (self.width ^ other.width) | (self.height ^ other.height);
        let format = self.format as u32 ^ other.format as u32;
        planes | sides | (word_of(self.colour) ^ word_of(other.colour)) | format == 0
    }
}

fn word_of(colour: Colour) -> u32 {
    let Colour { range, matrix, primaries, transfer } = colour;
    u32::from_ne_bytes([range, matrix, primaries, transfer])
}

/// Beyond any picture, and low enough that no row of any format overflows a u32.
const SIDE_MAX: u32 = 1 << 16;

impl Picture {
    /// Planes one behind the other, each row beginning at a multiple of `row_align` bytes. `None` for a
    /// picture of no pixels, of more than 65536 a side, or of 4 GiB.
    pub fn packed(width: u32, height: u32, format: PixelFormat, row_align: u32) -> Option<Self> {
        let sides = 1..=SIDE_MAX;
        if !sides.contains(&width) || !sides.contains(&height) {
            return None;
        }
        let mut planes = [PlaneLayout::default(); layout::PLANES_MAX];
        let mut end = 0u32;
        for (plane, layout) in planes.iter_mut().enumerate().take(format.planes()) {
            let extent = format.plane_extent(plane, width, height);
            let linesize = extent.row_bytes.checked_next_multiple_of(row_align.max(1))?;
            *layout = PlaneLayout { offset: end, linesize };
            end = end.checked_add(linesize.checked_mul(extent.rows)?)?;
        }
        Some(Self { width, height, format, colour: Colour::default(), planes })
    }

    /// Bytes a slot needs for it: up to the end of the last row of each plane, whole rows counted.
    pub fn slot_bytes(&self) -> usize {
        let ends = (0..self.format.planes()).map(|plane| {
            let rows = u64::from(self.format.plane_extent(plane, self.width, self.height).rows);
            u64::from(self.planes[plane].offset) + u64::from(self.planes[plane].linesize) * rows
        });
        usize::try_from(ends.max().unwrap_or(0)).unwrap_or(usize::MAX)
    }

    fn misfit(&self, slot_bytes: u64) -> Option<&'static str> {
        let fits = (0..self.format.planes()).all(|plane| self.plane_fits(plane, slot_bytes));
        (!fits).then_some("a plane leaves its slot, or has rows that are empty or overlap")
    }

    fn plane_fits(&self, plane: usize, slot_bytes: u64) -> bool {
        if self.width > SIDE_MAX || self.height > SIDE_MAX {
            return false;
        }
        let extent = self.format.plane_extent(plane, self.width, self.height);
        let layout = self.planes[plane];
        let sane = extent.rows > 0 && extent.row_bytes > 0 && layout.linesize >= extent.row_bytes;
        let last_row = u64::from(layout.linesize) * u64::from(extent.rows.saturating_sub(1));
        sane && u64::from(layout.offset) + last_row + u64::from(extent.row_bytes) <= slot_bytes
    }
}

/// No stride is negative: one above this is a negative number in other programs' eyes.
const STRIDE_MAX: u32 = i32::MAX.cast_unsigned();

impl Tensor {
    /// Elements one behind the other from the slot's start. `None` for more than six axes, or a stride
    /// of 2 GiB.
    pub fn dense(dtype: DType, shape: &[u32]) -> Option<Self> {
        let mut strides = [0; layout::AXES_MAX];
        let strides = strides.get_mut(..shape.len())?;
        let mut stride = dtype.bytes();
        for (axis, length) in shape.iter().enumerate().rev() {
            strides[axis] = stride;
            // The last one found is the length of all, and no stride.
            if axis > 0 {
                stride = stride.checked_mul((*length).max(1)).filter(|s| *s <= STRIDE_MAX)?;
            }
        }
        Self::strided(dtype, shape, strides, 0)
    }

    /// Elements at these distances in bytes; row-major, so each stride is at least the length of all
    /// that lies inside it. `None` for more than six axes, or lists of unlike length. Whether it fits
    /// its slot shows when it is published.
    pub fn strided(dtype: DType, shape: &[u32], strides: &[u32], offset: u32) -> Option<Self> {
        if shape.len() != strides.len() || shape.len() > layout::AXES_MAX {
            return None;
        }
        let whole =
            |part: &[u32]| std::array::from_fn(|axis| part.get(axis).copied().unwrap_or_default());
        let axes = shape.len();
        Some(Self { dtype, offset, shape: whole(shape), strides: whole(strides), axes })
    }

    /// Length of each axis.
    pub fn shape(&self) -> &[u32] {
        &self.shape[..self.axes]
    }

    /// Bytes from one index of each axis to the next.
    pub fn strides(&self) -> &[u32] {
        &self.strides[..self.axes]
    }

    /// Bytes of all elements without what lies between them.
    pub fn bytes(&self) -> usize {
        if self.shape().contains(&0) {
            return 0;
        }
        let lengths = self.shape().iter().map(|length| *length as usize);
        lengths.fold(self.dtype.bytes() as usize, usize::saturating_mul)
    }

    /// Bytes a slot needs for it: up to the end of the last element.
    pub fn slot_bytes(&self) -> usize {
        usize::try_from(self.end()).unwrap_or(usize::MAX)
    }

    /// The first axis from which on elements lie one behind the other, and the bytes of one such run.
    pub(crate) fn run(&self) -> (usize, usize) {
        let mut bytes = self.dtype.bytes() as usize;
        for axis in (0..self.axes).rev() {
            if self.strides[axis] as usize != bytes {
                return (axis + 1, bytes);
            }
            bytes = bytes.saturating_mul(self.shape[axis] as usize);
        }
        (0, bytes)
    }

    /// Where the last element ends, seen from the slot's start. Six products of two u32 and a sum of
    /// them are far below a u128.
    fn end(&self) -> u128 {
        if self.shape().contains(&0) {
            return u128::from(self.offset);
        }
        let steps = self.shape().iter().zip(self.strides());
        let last: u128 = steps.map(|(length, s)| u128::from(length - 1) * u128::from(*s)).sum();
        u128::from(self.offset) + last + u128::from(self.dtype.bytes())
    }

    fn misfit(&self, slot_bytes: u64) -> Option<&'static str> {
        let element = self.dtype.bytes();
        let aligned = |bytes: &u32| bytes.is_multiple_of(element);
        if !aligned(&self.offset) || !self.strides().iter().all(aligned) {
            return Some("its offset or a stride is no multiple of its elements' bytes");
        }
        if self.strides().iter().any(|stride| *stride > STRIDE_MAX) {
            return Some("a stride is negative or above 2 GiB");
        }
        if !self.is_row_major() {
            return Some("it is not row-major: what one index of an axis holds overlaps the next");
        }
        (self.end() > u128::from(slot_bytes)).then_some("its elements leave their slot")
    }

    fn is_row_major(&self) -> bool {
        let mut inner = u64::from(self.dtype.bytes());
        self.shape().iter().zip(self.strides()).rev().all(|(length, stride)| {
            let holds = u64::from(*stride) >= inner;
            inner = u64::from(*stride) * u64::from(*length);
            holds
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_dense_tensor_lies_one_element_behind_the_other() {
        let tensor = Tensor::dense(DType::F32, &[2, 3, 4]).unwrap();
        assert_eq!(tensor.strides(), [48, 16, 4]);
        assert_eq!((tensor.bytes(), tensor.slot_bytes(), tensor.run()), (96, 96, (0, 96)));
        assert_eq!((tensor.misfit(96), tensor.misfit(95).is_some()), (None, true));
    }

    #[test]
    fn a_scalar_is_a_tensor_and_so_is_an_empty_one() {
        let scalar = Tensor::dense(DType::F64, &[]).unwrap();
        assert_eq!((scalar.bytes(), scalar.misfit(8), scalar.misfit(7).is_some()), (8, None, true));
        // Detections of a picture in which there is nothing.
        let empty = Tensor::dense(DType::F32, &[0, 6]).unwrap();
        assert_eq!((empty.bytes(), empty.slot_bytes(), empty.misfit(0)), (0, 0, None));
    }

    #[test]
    fn a_tensor_with_room_between_its_rows_copies_row_by_row() {
        let tensor = Tensor::strided(DType::U16, &[3, 5], &[64, 2], 128).unwrap();
        assert_eq!((tensor.run(), tensor.slot_bytes()), ((1, 10), 128 + 2 * 64 + 10));
        assert_eq!(tensor.misfit(266), None);
    }

    #[test]
    fn strides_that_are_negative_crooked_or_overlapping_are_refused() {
        let misfit = |shape: &[u32], strides: &[u32], offset| {
            Tensor::strided(DType::F32, shape, strides, offset).unwrap().misfit(1 << 40)
        };
        assert_eq!(misfit(&[2, 4], &[16, 4], 0), None);
        assert!(misfit(&[2, 4], &[(-16i32).cast_unsigned(), 4], 0).unwrap().contains("negative"));
        assert!(misfit(&[2, 4], &[17, 4], 0).unwrap().contains("multiple"));
        assert!(misfit(&[2, 4], &[16, 4], 2).unwrap().contains("multiple"));
        assert!(misfit(&[2, 4], &[12, 4], 0).unwrap().contains("row-major"));
        assert!(misfit(&[4, 2], &[4, 16], 0).unwrap().contains("row-major"), "a transposed view");
        assert!(misfit(&[9], &[0], 0).unwrap().contains("row-major"), "one element for all");
    }

    #[test]
    fn seven_axes_and_lists_of_unlike_length_are_no_tensor() {
        assert_eq!(Tensor::dense(DType::U8, &[1; 7]), None);
        assert_eq!(Tensor::strided(DType::U8, &[1, 2], &[1], 0), None);
        assert_eq!(Tensor::dense(DType::U8, &[2, u32::MAX]), None, "2 GiB apart");
    }

    #[test]
    fn a_packed_picture_fits_the_bytes_it_asks_for_and_no_fewer() {
        for format in PixelFormat::ALL {
            let picture = Picture::packed(101, 51, format, 64).unwrap();
            let bytes = picture.slot_bytes() as u64;
            assert_eq!(picture.misfit(bytes), None, "{format:?}");
            // The last row may lack what it does not show.
            assert!(picture.misfit(bytes - 64).is_some(), "{format:?}");
        }
        assert_eq!(Picture::packed(0, 5, PixelFormat::Gray8, 1), None);
        assert_eq!(Picture::packed(1 << 16, 1 << 16, PixelFormat::Rgba, 1), None);
    }

    fn tensors() -> impl Strategy<Value = Tensor> {
        let axis = (prop_oneof![0u32..40, any::<u32>()], prop_oneof![0u32..4000, any::<u32>()]);
        let axes = proptest::collection::vec(axis, 0..=6);
        let offset = prop_oneof![0u32..500, any::<u32>()];
        // Sorted, so that a fair part is row-major.
        (proptest::sample::select(&DType::ALL[..]), axes, offset, any::<bool>()).prop_map(
            |(dtype, axes, offset, tame)| {
                let (shape, mut strides): (Vec<u32>, Vec<u32>) = axes.into_iter().unzip();
                let aligned = |bytes: u32| bytes - bytes % dtype.bytes();
                strides.sort_by(|one, two| two.cmp(one));
                let strides: Vec<u32> = if tame {
                    let dense = Tensor::dense(dtype, &shape);
                    dense.map_or(strides, |dense| dense.strides().to_vec())
                } else {
                    strides.into_iter().map(aligned).collect()
                };
                Tensor::strided(dtype, &shape, &strides, aligned(offset)).unwrap()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn no_index_of_a_tensor_that_fits_leaves_its_slot(
            tensor in tensors(),
            slot in prop_oneof![0u64..1 << 16, any::<u64>()],
            at in any::<[u32; 6]>(),
        ) {
            if tensor.misfit(slot).is_none() && !tensor.shape().contains(&0) {
                let index = tensor.shape().iter().zip(at).map(|(length, at)| at % length);
                let steps = index.zip(tensor.strides());
                let place = steps.fold(u128::from(tensor.offset), |place, (index, stride)| {
                    place + u128::from(index) * u128::from(*stride)
                });
                prop_assert!(place + u128::from(tensor.dtype.bytes()) <= u128::from(slot));
                prop_assert!(tensor.bytes() as u64 <= slot, "no element lies in another");
            }
        }
    }
}
