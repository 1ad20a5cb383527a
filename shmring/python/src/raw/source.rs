//! Elements in somebody's buffer, of any type and strides, to be copied out.

use protocol::stream::DType;
use pyo3::buffer::{ElementType, PyUntypedBuffer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A buffer of elements.
pub(crate) struct Samples {
    buffer: PyUntypedBuffer,
    dtype: DType,
}

impl Samples {
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = PyUntypedBuffer::get(object)?;
        if buffer.suboffsets().is_some_and(|all| all.iter().any(|offset| *offset >= 0)) {
            return Err(PyValueError::new_err("a buffer of pointers to rows cannot be copied"));
        }
        let dtype = element(&buffer).ok_or_else(|| {
            PyValueError::new_err(format!(
                "elements of format '{}': a ring knows int8 to int64, uint8 to uint32, float16 to \
                 float64 and bool, in this machine's order of bytes",
                buffer.format().to_string_lossy()
            ))
        })?;
        Ok(Self { buffer, dtype })
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.buffer.shape()
    }

    /// Copies bytes of row `y` of a picture, those from `from` on, a whole number of pixels.
    ///
    /// # Panics
    /// When they lie outside the row, or it is no picture: callers have compared shapes before.
    pub(crate) fn copy_row(&self, y: usize, from: usize, into: &mut [u8]) {
        let (shape, strides) = (self.shape(), self.buffer.strides());
        let channels = shape.get(2).copied().unwrap_or(1);
        let inside = y < shape[0] && from + into.len() <= shape[1] * channels;
        let whole = from.is_multiple_of(channels) && into.len().is_multiple_of(channels);
        assert!(inside && whole && self.dtype.bytes() == 1, "outside the buffer");
        let pixels = [into.len() / channels, channels];
        let first = step(self.base(), y, strides[0]);
        let first = step(first, from / channels, strides[1]);
        let inner = [strides[1], strides.get(2).copied().unwrap_or(1)];
        copy(first, &pixels, &inner, 1, into);
    }

    /// Copies all elements in the order of their indices.
    ///
    /// # Panics
    /// When `into` is not of their length.
    pub(crate) fn copy_all(&self, into: &mut [u8]) {
        assert_eq!(into.len(), self.buffer.len_bytes(), "bytes of a tensor");
        let item_bytes = self.buffer.item_size();
        copy(self.base(), self.shape(), self.buffer.strides(), item_bytes, into);
    }

    fn base(&self) -> *const u8 {
        self.buffer.buf_ptr().cast_const().cast()
    }
}

/// Copies the elements of this shape and these strides from `first` on. Whoever changes them meanwhile,
/// from another thread, changes what is copied and nothing else.
fn copy(first: *const u8, shape: &[usize], strides: &[isize], item_bytes: usize, into: &mut [u8]) {
    let dense = (1..shape.len())
        .rev()
        .chain((!shape.is_empty()).then_some(0))
        .scan(item_bytes, |inner, axis| {
            let fits = shape[axis] == 1 || strides[axis] == inner.cast_signed();
            *inner = inner.saturating_mul(shape[axis]);
            Some(fits)
        })
        .all(|fits| fits);
    if dense || into.is_empty() {
        // SAFETY: elements of the caller's buffer, by its own shape and strides, side by side; the
        // buffer is exported, so it neither moves nor goes meanwhile. `into` is memory of ours, as long
        // as they are, and not part of it.
        unsafe { std::ptr::copy_nonoverlapping(first, into.as_mut_ptr(), into.len()) }
        return;
    }
    if let ([_, channels], [pixel_stride, stride], 1) = (shape, strides, item_bytes) {
        let mut pixel_at = first;
        // A row of a picture turned about: a call for each of its pixels would be slow.
        for pixel in into.chunks_exact_mut(*channels) {
            let mut at = pixel_at;
            for sample in pixel {
                // SAFETY: as above, one element.
                *sample = unsafe { at.read_volatile() };
                at = at.wrapping_offset(*stride);
            }
            pixel_at = pixel_at.wrapping_offset(*pixel_stride);
        }
        return;
    }
    let inner_bytes = into.len() / shape[0];
    for (index, part) in into.chunks_exact_mut(inner_bytes).enumerate() {
        copy(step(first, index, strides[0]), &shape[1..], &strides[1..], item_bytes, part);
    }
}

/// `count` strides further.
fn step(from: *const u8, count: usize, stride: isize) -> *const u8 {
    from.wrapping_offset(count.cast_signed().wrapping_mul(stride))
}

/// `None` for what no ring carries, and for the other order of bytes.
fn element(buffer: &PyUntypedBuffer) -> Option<DType> {
    let format = buffer.format().to_bytes();
    if matches!(format.first(), Some(b'>' | b'!')) && buffer.item_size() > 1 {
        return None;
    }
    // In native sizes, which are those of the element itself here.
    let letter = std::ffi::CString::new(&format[format.len().checked_sub(1)?..]).ok()?;
    let known = match ElementType::from_format(&letter) {
        ElementType::SignedInteger { .. } => {
            [DType::I8, DType::I16, DType::I32, DType::I64].as_slice()
        }
        ElementType::UnsignedInteger { .. } => &[DType::U8, DType::U16, DType::U32],
        ElementType::Float { .. } => &[DType::F16, DType::F32, DType::F64],
        ElementType::Bool => &[DType::Bool],
        ElementType::Unknown => &[],
    };
    let single = format.len() == 1 || (format.len() == 2 && b"@=<|".contains(&format[0]));
    let fits = |dtype: &&DType| dtype.bytes() as usize == buffer.item_size();
    known.iter().find(fits).copied().filter(|_| single)
}
