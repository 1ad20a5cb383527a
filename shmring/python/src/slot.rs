//! A slot that a program fills in place.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shmring::{Content, Loan};

use crate::error::{Closed, raise};
use crate::form::Form;
use crate::frame;
use crate::raw::{Canvas, SlotPlane, View};
use crate::values;
use crate::writer::{FrameWriter, Told};

/// A slot on loan, a context manager. Once it is published or given back, arrays made from it are cut
/// off: they show zeros, and what is written to them reaches nobody.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct Slot {
    writer: Py<FrameWriter>,
    form: Form,
    told: Told,
    canvas: Arc<Canvas>,
    /// `None` once published or given back.
    loan: Mutex<Option<Loan>>,
}

impl Slot {
    pub(crate) fn new(
        writer: Py<FrameWriter>,
        mut loan: Loan,
        form: Form,
        told: Told,
    ) -> PyResult<Self> {
        let window = loan.window().map_err(|error| raise(&error))?;
        let canvas = Arc::new(Canvas::new(window));
        Ok(Self { writer, form, told, canvas, loan: Mutex::new(Some(loan)) })
    }

    fn parts(&self) -> Vec<SlotPlane> {
        let part =
            |offset: u32, view| SlotPlane::new(Arc::clone(&self.canvas), offset as usize, view);
        match self.form.layout().0 {
            Content::Tensor(tensor) => vec![part(tensor.offset, View::of_tensor(&tensor))],
            Content::Picture(picture) => (0..picture.format.planes())
                .map(|number| {
                    let extent = picture.format.plane_extent(number, picture.width, picture.height);
                    let (rows, row_bytes) = (extent.rows as usize, extent.row_bytes as usize);
                    let layout = picture.planes[number];
                    let channels = frame::channels(picture.format);
                    let linesize = layout.linesize as usize;
                    part(layout.offset, View::rows(rows, row_bytes, linesize, channels))
                })
                .collect(),
        }
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
        let arrays = self.parts().into_iter().map(|part| values::array(&Bound::new(py, part)?));
        let arrays = arrays.collect::<PyResult<Vec<_>>>()?;
        match arrays.as_slice() {
            [only] => Ok(only.clone()),
            planes => Ok(PyTuple::new(py, planes)?.into_any()),
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
        self.writer.get().publish(py, &loan, self.form, &self.told)?;
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
