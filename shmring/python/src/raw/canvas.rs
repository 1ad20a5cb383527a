//! A slot on loan as memory that Python fills.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use shmring::Window;
use shmring::fork::Birth;

use super::View;
use crate::error::{Closed, raise};

/// The bytes of a slot on loan, shared by every view of them. Closed before the slot is published:
/// views that are kept show zeros from then on, and what is written to them reaches nobody.
pub(crate) struct Canvas {
    window: Window,
    birth: Birth,
    closed: AtomicBool,
}

impl Canvas {
    pub(crate) fn new(window: Window) -> Self {
        Self { window, birth: Birth::here(), closed: AtomicBool::new(false) }
    }

    /// That this is the process it was made in.
    pub(crate) fn check(&self) -> PyResult<()> {
        self.birth.check().map_err(|error| raise(&error))
    }

    pub(crate) fn close(&self) -> Result<(), shmring::Error> {
        self.closed.store(true, Ordering::Release);
        self.window.close()
    }
}

/// One plane of a slot on loan.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct SlotPlane {
    canvas: Arc<Canvas>,
    /// Bytes from the slot's start to the first sample.
    offset: usize,
    view: View,
}

impl SlotPlane {
    /// What `view` shows from `offset` on.
    ///
    /// # Panics
    /// When it leaves the slot: its caller lays frames out in slots of the size they need.
    pub(crate) fn new(canvas: Arc<Canvas>, offset: usize, view: View) -> Self {
        let (end, slot_bytes) = (offset + view.extent(), canvas.window.bytes());
        assert!(end <= slot_bytes, "{end} bytes in a slot of {slot_bytes}");
        Self { canvas, offset, view }
    }

    fn address(&self) -> PyResult<*const u8> {
        self.canvas.check()?;
        if self.canvas.closed.load(Ordering::Acquire) {
            return Err(Closed::new_err("this slot was given back; ask for another"));
        }
        Ok(self.canvas.window.as_ptr().wrapping_add(self.offset))
    }
}

#[pymethods]
impl SlotPlane {
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
        // SAFETY: the interpreter passes a view to fill. The memory is mapped for writing while the
        // window lives, which this object holds; `new` has proven that the plane lies in it.
        unsafe { plane.view.fill(view, slf.into_any(), plane.address(), flags, true) }
    }
}
