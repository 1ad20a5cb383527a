//! A plane of a leased picture as memory that may be read.

use std::ffi::c_int;
use std::sync::Arc;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::{View, Wanted};
use crate::frame::Lease;

/// The visible part of one plane, as memory: `memoryview(plane)` and `numpy.asarray(plane)` look at
/// the ring itself, read-only, and keep the picture's lease for as long as they live.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct Plane {
    lease: Arc<Lease>,
    part: Part,
    view: View,
}

/// What of the frame it shows.
#[derive(Clone, Copy, Debug)]
enum Part {
    Plane(usize),
    Tensor,
}

impl Plane {
    /// Plane `number` as rows of bytes; with `channels`, as rows of pixels of so many bytes.
    pub(crate) fn new(lease: Arc<Lease>, number: usize, channels: Option<usize>) -> Option<Self> {
        let view = {
            let plane = lease.frame()?.plane(number)?;
            View::rows(plane.rows(), plane.row_bytes(), plane.linesize(), channels)
        };
        Some(Self { lease, part: Part::Plane(number), view })
    }

    /// All elements of a tensor.
    pub(crate) fn of_tensor(lease: Arc<Lease>) -> Option<Self> {
        let view = View::of_tensor(lease.frame()?.meta().tensor()?);
        Some(Self { lease, part: Part::Tensor, view })
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    pub(super) fn into_lease(self) -> Arc<Lease> {
        self.lease
    }

    /// The visible samples, tightly packed.
    pub(super) fn copy(&self) -> PyResult<Vec<u8>> {
        self.lease.check()?;
        let mut samples = Vec::new();
        let frame = self.lease.frame().ok_or_else(gone)?;
        match self.part {
            Part::Plane(number) => frame.plane(number).ok_or_else(gone)?.copy_to(&mut samples),
            Part::Tensor => frame.tensor().ok_or_else(gone)?.copy_to(&mut samples),
        }
        Ok(samples)
    }

    pub(super) fn address(&self) -> PyResult<*const u8> {
        self.lease.check()?;
        let frame = self.lease.frame().ok_or_else(gone)?;
        Ok(match self.part {
            Part::Plane(number) => frame.plane(number).ok_or_else(gone)?.as_ptr(),
            Part::Tensor => frame.tensor().ok_or_else(gone)?.as_ptr(),
        })
    }
}

fn gone() -> PyErr {
    PyBufferError::new_err("no such plane")
}

#[pymethods]
impl Plane {
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.view.shape_tuple(py)
    }

    /// Bytes from one row, pixel and sample to the next.
    #[getter]
    fn strides<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.view.strides_tuple(py)
    }

    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<Bound<'py, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let plane = Self { lease: Arc::clone(&self.lease), part: self.part, view: self.view };
        super::capsule(py, plane, &Wanted { stream, max_version, dl_device, copy })
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        super::CPU
    }

    fn __repr__(&self) -> String {
        format!("<shmring.Plane {:?} {:?}>", self.part, self.view.shape())
    }

    /// # Safety
    ///
    /// Called by the interpreter only, which passes a view to fill.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let plane = slf.clone();
        let plane = plane.get();
        // SAFETY: the interpreter passes a view to fill. The memory is mapped, read-only and unchanged
        // while the lease lives, which this object holds; the view was made of this very part.
        unsafe { plane.view.fill(view, slf.into_any(), plane.address(), flags, false) }
    }
}
