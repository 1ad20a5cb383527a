//! A slot that a program fills in place.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shmring::Loan;

use crate::error::{Closed, raise};
use crate::frame;
use crate::picture::Geometry;
use crate::raw::{Canvas, SlotPlane};
use crate::writer::{FrameWriter, Told};

/// A slot on loan, a context manager. Once it is published or given back, arrays made from it are cut
/// off: they show zeros, and what is written to them reaches nobody.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct Slot {
    writer: Py<FrameWriter>,
    geometry: Geometry,
    told: Told,
    canvas: Arc<Canvas>,
    /// `None` once published or given back.
    loan: Mutex<Option<Loan>>,
}

impl Slot {
    pub(crate) fn new(
        writer: Py<FrameWriter>,
        mut loan: Loan,
        geometry: Geometry,
        told: Told,
    ) -> PyResult<Self> {
        let window = loan.window().map_err(|error| raise(&error))?;
        let canvas = Arc::new(Canvas::new(window));
        Ok(Self { writer, geometry, told, canvas, loan: Mutex::new(Some(loan)) })
    }

    fn plane(&self, number: usize) -> SlotPlane {
        let Geometry { format, width, height } = self.geometry;
        let extent = format.plane_extent(number, width, height);
        let layout = self.geometry.layout().0[number];
        let rows = (extent.rows as usize, extent.row_bytes as usize, layout.linesize as usize);
        let channels = frame::channels(format);
        SlotPlane::new(Arc::clone(&self.canvas), layout.offset as usize, rows, channels)
    }

    /// Takes the loan, and the memory from whoever still has arrays of it.
    fn take(&self) -> PyResult<Option<Loan>> {
        self.canvas.check()?;
        let loan = self.loan.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Err(error) = self.canvas.close() {
            // Somebody could still write into it: never again a slot for anybody.
            std::mem::forget(loan);
            return Err(raise(&error));
        }
        Ok(loan)
    }
}

#[pymethods]
impl Slot {
    /// The writable array, or tuple of planes.
    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let numpy = py.import("numpy")?;
        let count = self.geometry.format.planes();
        let array = |plane| numpy.call_method1("asarray", (self.plane(plane),));
        match count {
            1 => array(0),
            _ => {
                Ok(PyTuple::new(py, (0..count).map(array).collect::<PyResult<Vec<_>>>()?)?
                    .into_any())
            }
        }
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<Py<PyAny>>,
        _value: Py<PyAny>,
        _trace: Py<PyAny>,
    ) -> PyResult<()> {
        let loan = self.take()?;
        if kind.is_some() {
            return Ok(());
        }
        let loan =
            loan.ok_or_else(|| Closed::new_err("this slot was given back; ask for another"))?;
        self.writer.get().publish(py, &loan, self.geometry, &self.told)?;
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.canvas.check().is_ok() {
            // An error has nobody to go to; `take` has kept the slot from being lent again.
            let _ = self.take();
        } else {
            // In a forked child the loan is its parent's.
            std::mem::forget(self.loan.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}
