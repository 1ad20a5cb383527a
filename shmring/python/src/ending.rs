//! At the interpreter's end, readers of what this program writes are told that nothing follows.

use std::sync::{Mutex, PoisonError, Weak};

use pyo3::prelude::*;

/// Something to be finished at the end, at the latest.
pub(crate) trait Ending: Send + Sync {
    /// Does nothing when it has been done, or in a forked child.
    fn finish(&self);
}

/// Locked only while the interpreter is held, so never at a fork.
static OPEN: Mutex<Vec<Weak<dyn Ending>>> = Mutex::new(Vec::new());

/// Finishes `end` with the interpreter, if it lives until then.
pub(crate) fn watch(end: Weak<dyn Ending>) {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|end| end.strong_count() > 0);
    open.push(end);
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let finish = wrap_pyfunction!(finish, module)?;
    module.py().import("atexit")?.call_method1("register", (finish,))?;
    Ok(())
}

#[pyfunction]
#[pyo3(name = "_finish")]
fn finish() {
    let open = std::mem::take(&mut *OPEN.lock().unwrap_or_else(PoisonError::into_inner));
    open.iter().filter_map(Weak::upgrade).for_each(|end| end.finish());
}
