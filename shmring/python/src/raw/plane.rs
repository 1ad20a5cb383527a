//! A plane of a leased picture as memory that may be read.

use std::ffi::c_int;
use std::sync::Arc;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shmring::{Content, Tensor};
use shmring_cuda::Imported;

use super::{View, Wanted};
use crate::device;
use crate::frame::Lease;

/// The visible part of one plane, as memory: `memoryview(plane)` and `numpy.asarray(plane)` look at
/// the ring itself, read-only, and keep the picture's lease for as long as they live.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct Plane {
    lease: Arc<Lease>,
    part: Part,
    view: View,
}

/// Why there is no buffer of it.
pub(crate) const ON_DEVICE: &str = "the picture lies in a device's memory; f.copy(), f.rgb() and f.bgr() copy it here, \
     torch.from_dlpack(f) and its like take it where it is";

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
            let picture = lease.frame()?.meta().picture()?;
            if number >= picture.format.planes() {
                return None;
            }
            let extent = picture.format.plane_extent(number, picture.width, picture.height);
            let (rows, row_bytes) = (extent.rows as usize, extent.row_bytes as usize);
            View::rows(rows, row_bytes, picture.planes[number].linesize as usize, channels)
        };
        Some(Self { lease, part: Part::Plane(number), view })
    }

    /// All elements of a tensor.
    pub(crate) fn of_tensor(lease: Arc<Lease>) -> Option<Self> {
        let view = View::of_tensor(lease.frame()?.meta().tensor()?);
        Some(Self { lease, part: Part::Tensor, view })
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    pub(super) fn into_lease(self) -> Arc<Lease> {
        self.lease
    }

    /// The visible samples, tightly packed.
    pub(crate) fn copy(&self) -> PyResult<Vec<u8>> {
        self.lease.check()?;
        let mut samples = Vec::new();
        let frame = self.lease.frame().ok_or_else(gone)?;
        if frame.device().is_some() {
            return self.fetch(frame);
        }
        match self.part {
            Part::Plane(number) => frame.plane(number).ok_or_else(gone)?.copy_to(&mut samples),
            Part::Tensor => frame.tensor().ok_or_else(gone)?.copy_to(&mut samples),
        }
        Ok(samples)
    }

    /// In the machine's memory.
    pub(super) fn address(&self) -> PyResult<*const u8> {
        self.lease.check()?;
        let frame = self.lease.frame().ok_or_else(gone)?;
        if frame.device().is_some() {
            return Err(PyBufferError::new_err(ON_DEVICE));
        }
        Ok(match self.part {
            Part::Plane(number) => frame.plane(number).ok_or_else(gone)?.as_ptr(),
            Part::Tensor => frame.tensor().ok_or_else(gone)?.as_ptr(),
        })
    }
}

impl Plane {
    pub(crate) fn is_on_device(&self) -> bool {
        self.lease.frame().is_some_and(|frame| frame.device().is_some())
    }

    /// What it lies in on a device, and its address there.
    pub(super) fn on_device(&self) -> PyResult<Option<(Arc<Imported>, u64)>> {
        self.lease.check()?;
        let frame = self.lease.frame().ok_or_else(gone)?;
        let (Some(on), Some(memory)) = (frame.device(), device::memory_of(frame)?) else {
            return Ok(None);
        };
        device::check(frame)?;
        let offset = on.offset() + u64::from(self.offset(frame)?);
        // The whole slot lies in the block, and the plane in the slot: the reader has proven both.
        let address = memory.region().address() + offset;
        Ok(Some((memory, address)))
    }

    /// From the slot's start.
    fn offset(&self, frame: &shmring::Frame) -> PyResult<u32> {
        match (self.part, &frame.meta().content) {
            (Part::Plane(number), Content::Picture(picture)) => Ok(picture.planes[number].offset),
            (Part::Tensor, Content::Tensor(tensor)) => Ok(tensor.offset),
            _ => Err(gone()),
        }
    }

    fn fetch(&self, frame: &shmring::Frame) -> PyResult<Vec<u8>> {
        let offset = self.offset(frame)?;
        match (self.part, &frame.meta().content) {
            (Part::Plane(number), Content::Picture(picture)) => {
                let extent = picture.format.plane_extent(number, picture.width, picture.height);
                let size = (extent.row_bytes as usize, extent.rows as usize);
                device::fetch(frame, offset, picture.planes[number].linesize as usize, size)
            }
            (Part::Tensor, Content::Tensor(tensor)) if is_dense(tensor) => {
                device::fetch(frame, offset, tensor.bytes(), (tensor.bytes(), 1))
            }
            _ => {
                Err(PyBufferError::new_err("a tensor on a device that is not dense is not copied"))
            }
        }
    }
}

fn is_dense(tensor: &Tensor) -> bool {
    let dense = Tensor::dense(tensor.dtype, tensor.shape());
    dense.is_some_and(|dense| dense.strides() == tensor.strides())
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

    fn __dlpack_device__(&self) -> PyResult<(i32, i32)> {
        super::device_of(self)
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
