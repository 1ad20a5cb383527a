//! What os.fork() does to handles: they belong to the parent ([`shmring::fork`]).

use pyo3::prelude::*;
use pyo3::types::PyDict;
use shmring::fork;

/// Asks the interpreter to call [`let_go`] in every child.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let hooks = PyDict::new(py);
    hooks.set_item("after_in_child", wrap_pyfunction!(let_go, module)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&hooks))?;
    Ok(())
}

#[pyfunction]
#[pyo3(name = "_let_go")]
fn let_go() {
    fork::let_go();
}
