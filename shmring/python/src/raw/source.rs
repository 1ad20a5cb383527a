//! Samples in somebody's buffer, of any strides, to be copied out.

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A buffer of bytes in two or three dimensions: rows, then pixels, then their channels.
pub(crate) struct Samples {
    buffer: PyUntypedBuffer,
    rows: usize,
    row_bytes: usize,
    channels: usize,
}

impl Samples {
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = PyUntypedBuffer::get(object)?;
        // `B` and `c` are bytes; `b` and `?` are something else of the same size.
        let is_bytes = matches!(buffer.format().to_bytes(), b"B" | b"<B" | b"=B" | b"@B" | b"|B");
        if !is_bytes || buffer.item_size() != 1 {
            return Err(PyValueError::new_err(format!(
                "a picture's samples are uint8, these are of format '{}'; convert them first",
                buffer.format().to_string_lossy()
            )));
        }
        if buffer.suboffsets().is_some_and(|all| all.iter().any(|offset| *offset >= 0)) {
            return Err(PyValueError::new_err("a buffer of pointers to rows is no picture"));
        }
        let (rows, row_bytes, channels) = match *buffer.shape() {
            [rows, columns] => (rows, columns, 1),
            [rows, columns, channels] if channels > 0 => (rows, columns * channels, channels),
            ref shape => {
                return Err(PyValueError::new_err(format!(
                    "an array of {shape:?} is no picture: expected (height, width) or (height, width, channels)"
                )));
            }
        };
        Ok(Self { buffer, rows, row_bytes, channels })
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.buffer.shape()
    }

    /// Copies bytes of row `y`, those from `from` on, a whole number of pixels.
    ///
    /// # Panics
    /// When they lie outside the row: callers have compared shapes before.
    pub(crate) fn copy_row(&self, y: usize, from: usize, into: &mut [u8]) {
        let inside = y < self.rows && from + into.len() <= self.row_bytes;
        assert!(inside && from.is_multiple_of(self.channels), "outside the buffer");
        let strides = self.buffer.strides();
        let pixel_stride = strides[1];
        let sample_stride = strides.get(2).copied().unwrap_or(1);
        let first = self.address(y, from / self.channels);
        let together = pixel_stride.cast_unsigned() == self.channels && sample_stride == 1;
        if together || into.is_empty() {
            // SAFETY: the row's bytes lie side by side in the buffer, which is exported and so neither
            // moves nor goes while `self` lives; `into` is a slot of ours, not part of it. Whoever
            // changes samples meanwhile, from another thread, changes what is copied and nothing else.
            unsafe { std::ptr::copy_nonoverlapping(first, into.as_mut_ptr(), into.len()) }
            return;
        }
        let mut pixel_at = first;
        for pixel in into.chunks_mut(self.channels) {
            let mut sample_at = pixel_at;
            for sample in pixel {
                // SAFETY: a sample of row `y`, by the buffer's own shape and strides; as above.
                *sample = unsafe { sample_at.read_volatile() };
                sample_at = sample_at.wrapping_offset(sample_stride);
            }
            pixel_at = pixel_at.wrapping_offset(pixel_stride);
        }
    }

    /// Where pixel `x` of row `y` is; both exist.
    fn address(&self, y: usize, x: usize) -> *const u8 {
        let strides = self.buffer.strides();
        let step = |count: usize, stride: isize| count.cast_signed() * stride;
        let base: *const u8 = self.buffer.buf_ptr().cast_const().cast();
        base.wrapping_offset(step(y, strides[0]) + step(x, strides[1]))
    }
}
