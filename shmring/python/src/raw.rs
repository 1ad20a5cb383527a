//! All unsafe code of this crate: the buffer a picture is shown through.

use std::ffi::c_int;
use std::sync::Arc;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::frame::Lease;

/// The visible part of one plane, as memory: `memoryview(plane)` and `numpy.asarray(plane)` look at
/// the ring itself, read-only, and keep the picture's lease for as long as they live.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct Plane {
    lease: Arc<Lease>,
    number: usize,
    dimensions: usize,
    shape: [ffi::Py_ssize_t; 3],
    strides: [ffi::Py_ssize_t; 3],
}

impl Plane {
    /// Plane `number` as rows of bytes; with `channels`, as rows of pixels of so many bytes.
    pub(crate) fn new(lease: Arc<Lease>, number: usize, channels: Option<usize>) -> Option<Self> {
        let (rows, row_bytes, linesize) = {
            let plane = lease.frame()?.plane(number)?;
            (size(plane.rows()), size(plane.row_bytes()), size(plane.linesize()))
        };
        let plane = |dimensions, shape, strides| Self { lease, number, dimensions, shape, strides };
        Some(match channels.map(size) {
            None => plane(2, [rows, row_bytes, 1], [linesize, 1, 1]),
            // Of the row's bytes, never of the width: so no shape can leave the plane.
            Some(channels) => {
                plane(3, [rows, row_bytes / channels, channels], [linesize, channels, 1])
            }
        })
    }

    fn visible_bytes(&self) -> ffi::Py_ssize_t {
        self.shape[..self.dimensions].iter().product()
    }

    fn is_contiguous(&self) -> bool {
        let row_bytes: ffi::Py_ssize_t = self.shape[1..self.dimensions].iter().product();
        self.shape[0] == 1 || self.strides[0] == row_bytes
    }

    /// Whether a consumer asking with `flags` can be shown this plane as it lies.
    fn refusal(&self, flags: c_int) -> Option<&'static str> {
        let asks = |wanted: c_int| flags & wanted == wanted;
        if asks(ffi::PyBUF_WRITABLE) {
            return Some("a picture in a ring is read-only, others look at it too; change a copy");
        }
        if asks(ffi::PyBUF_F_CONTIGUOUS) {
            return Some("a picture lies row by row, not column by column");
        }
        let any_layout = asks(ffi::PyBUF_STRIDES)
            && !asks(ffi::PyBUF_C_CONTIGUOUS)
            && !asks(ffi::PyBUF_ANY_CONTIGUOUS);
        if !any_layout && !self.is_contiguous() {
            return Some("rows of this plane are padded, which needs a strided buffer; or a copy");
        }
        None
    }

    /// The view that `flags` ask for, without its owner.
    fn describe(&self, address: *const u8, flags: c_int) -> ffi::Py_buffer {
        let asks = |wanted: c_int| flags & wanted == wanted;
        let mut view = ffi::Py_buffer::new();
        view.buf = address.cast_mut().cast();
        view.len = self.visible_bytes();
        view.itemsize = 1;
        view.readonly = 1;
        view.ndim = 1;
        if asks(ffi::PyBUF_FORMAT) {
            view.format = c"B".as_ptr().cast_mut();
        }
        if asks(ffi::PyBUF_ND) {
            view.ndim = if self.dimensions == 2 { 2 } else { 3 };
            // The consumer must not write these; this object is frozen, so nobody does.
            view.shape = self.shape.as_ptr().cast_mut();
        }
        if asks(ffi::PyBUF_STRIDES) {
            view.strides = self.strides.as_ptr().cast_mut();
        }
        view
    }
}

#[pymethods]
impl Plane {
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.shape[..self.dimensions])
    }

    /// Bytes from one row, pixel and sample to the next.
    #[getter]
    fn strides<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.strides[..self.dimensions])
    }

    fn __repr__(&self) -> String {
        format!("<shmring.Plane {} {:?}>", self.number, &self.shape[..self.dimensions])
    }

    /// # Safety
    ///
    /// Called by the interpreter only, which passes a view to fill.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let mut filled = ffi::Py_buffer::new();
        let answer = match slf.get().address(flags) {
            Ok(address) => {
                filled = slf.get().describe(address, flags);
                filled.obj = slf.into_any().into_ptr();
                Ok(())
            }
            Err(refused) => Err(refused),
        };
        // SAFETY: the interpreter gives a view that is ours to fill (PyObject_GetBuffer). What is
        // written names memory that is mapped, read-only and unchanged while the lease lives, and
        // shape and strides inside this object; `obj` is a reference to this object, which holds the
        // lease, and the interpreter keeps it until the view is released. A refused view has obj NULL.
        unsafe { view.write(filled) };
        answer
    }
}

impl Plane {
    fn address(&self, flags: c_int) -> PyResult<*const u8> {
        self.lease.check()?;
        if let Some(why) = self.refusal(flags) {
            return Err(PyBufferError::new_err(why));
        }
        let plane = self.lease.frame().and_then(|frame| frame.plane(self.number));
        plane.map(|plane| plane.as_ptr()).ok_or_else(|| PyBufferError::new_err("no such plane"))
    }
}

/// Sizes come from a mapping, which is never larger than isize::MAX.
fn size(bytes: usize) -> ffi::Py_ssize_t {
    ffi::Py_ssize_t::try_from(bytes).unwrap_or(ffi::Py_ssize_t::MAX)
}
