//! How a piece of memory is to be seen: its shape and strides, as the buffer protocol tells them.

use std::ffi::c_int;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Most dimensions anything here has.
const DIMENSIONS_MAX: usize = 3;

/// Shape and strides of samples, outermost first. Strides and sizes are bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    dimensions: usize,
    shape: [ffi::Py_ssize_t; DIMENSIONS_MAX],
    strides: [ffi::Py_ssize_t; DIMENSIONS_MAX],
}

/// Why a consumer cannot be shown the memory as it lies.
const READ_ONLY: &str = "a picture in a ring is read-only, others look at it too; change a copy";
const BY_COLUMN: &str = "a picture lies row by row, not column by column";
const PADDED: &str = "rows of this plane are padded, which needs a strided buffer; or a copy";

impl View {
    /// Rows of bytes that lie `linesize` apart; with `channels`, rows of pixels of so many bytes.
    pub(crate) fn rows(
        rows: usize,
        row_bytes: usize,
        linesize: usize,
        channels: Option<usize>,
    ) -> Self {
        let (rows, row_bytes, linesize) = (size(rows), size(row_bytes), size(linesize));
        let view = |dimensions, shape, strides| Self { dimensions, shape, strides };
        match channels.map(size) {
            None => view(2, [rows, row_bytes, 1], [linesize, 1, 1]),
            // Of the row's bytes, never of the width: so no shape can leave the plane.
            Some(channels) => {
                view(3, [rows, row_bytes / channels, channels], [linesize, channels, 1])
            }
        }
    }

    pub(crate) fn shape(&self) -> &[ffi::Py_ssize_t] {
        &self.shape[..self.dimensions]
    }

    pub(crate) fn strides(&self) -> &[ffi::Py_ssize_t] {
        &self.strides[..self.dimensions]
    }

    pub(crate) fn shape_tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.shape())
    }

    pub(crate) fn strides_tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.strides())
    }

    fn bytes(&self) -> ffi::Py_ssize_t {
        self.shape().iter().product()
    }

    fn is_contiguous(&self) -> bool {
        let row_bytes: ffi::Py_ssize_t = self.shape()[1..].iter().product();
        self.shape[0] == 1 || self.strides[0] == row_bytes
    }

    /// Whether a consumer asking with `flags` can be shown the memory as it lies.
    pub(crate) fn check(&self, flags: c_int, writable: bool) -> PyResult<()> {
        let asks = |wanted: c_int| flags & wanted == wanted;
        let any_layout = asks(ffi::PyBUF_STRIDES)
            && !asks(ffi::PyBUF_C_CONTIGUOUS)
            && !asks(ffi::PyBUF_ANY_CONTIGUOUS);
        if asks(ffi::PyBUF_WRITABLE) && !writable {
            return Err(PyBufferError::new_err(READ_ONLY));
        }
        if asks(ffi::PyBUF_F_CONTIGUOUS) {
            return Err(PyBufferError::new_err(BY_COLUMN));
        }
        if !any_layout && !self.is_contiguous() {
            return Err(PyBufferError::new_err(PADDED));
        }
        Ok(())
    }

    /// The buffer that `flags` ask for, without its owner. It names shape and strides where they are:
    /// `self` must live, unmoved, as long as the buffer.
    fn describe(&self, address: *const u8, flags: c_int, writable: bool) -> ffi::Py_buffer {
        let asks = |wanted: c_int| flags & wanted == wanted;
        let mut view = ffi::Py_buffer::new();
        view.buf = address.cast_mut().cast();
        view.len = self.bytes();
        view.itemsize = 1;
        view.readonly = c_int::from(!writable);
        view.ndim = 1;
        if asks(ffi::PyBUF_FORMAT) {
            view.format = c"B".as_ptr().cast_mut();
        }
        if asks(ffi::PyBUF_ND) {
            view.ndim = if self.dimensions == 2 { 2 } else { 3 };
            // The consumer must not write these; their object is frozen, so nobody does.
            view.shape = self.shape.as_ptr().cast_mut();
        }
        if asks(ffi::PyBUF_STRIDES) {
            view.strides = self.strides.as_ptr().cast_mut();
        }
        view
    }

    /// Fills `target` with the buffer that `flags` ask for, or refuses.
    ///
    /// # Safety
    ///
    /// `target` is a view to fill (PyObject_GetBuffer). The memory at `address`, when there is one, has
    /// the shape and strides of `self`, and stays so while `owner` lives; `self` is part of `owner`.
    pub(super) unsafe fn fill(
        &self,
        target: *mut ffi::Py_buffer,
        owner: Bound<'_, PyAny>,
        address: PyResult<*const u8>,
        flags: c_int,
        writable: bool,
    ) -> PyResult<()> {
        let mut filled = ffi::Py_buffer::new();
        let answer = self.check(flags, writable).and(address).map(|address| {
            filled = self.describe(address, flags, writable);
            filled.obj = owner.into_ptr();
        });
        // SAFETY: the caller's view is ours to fill. What is written names memory that the caller
        // answers for; `obj` is a reference to its owner, which the interpreter keeps until the view is
        // released. A refused view has obj NULL.
        unsafe { target.write(filled) };
        answer
    }
}

/// Sizes come from a mapping, which is never larger than isize::MAX.
fn size(bytes: usize) -> ffi::Py_ssize_t {
    ffi::Py_ssize_t::try_from(bytes).unwrap_or(ffi::Py_ssize_t::MAX)
}
