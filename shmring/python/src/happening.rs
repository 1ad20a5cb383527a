//! What happens to a reader beside items, as exceptions: raised by rings attached with `strict=True`.

use protocol::name::RingName;
use pyo3::prelude::*;

use crate::error::{Ended, Evicted, Overrun, WriterLost, WriterRestarted};

pub(crate) fn overrun(py: Python<'_>, ring: &RingName, missed: u64) -> PyErr {
    let what = match missed {
        0 => "whole epochs were missed".to_owned(),
        missed => format!("{missed} items were overwritten before this reader came to them"),
    };
    let error = Overrun::new_err(format!("ring {ring}: {what}"));
    with(py, error, "missed", missed)
}

pub(crate) fn restarted<'py>(
    py: Python<'py>,
    ring: &RingName,
    epoch: u64,
    info: Bound<'py, PyAny>,
) -> PyErr {
    let text = format!("ring {ring}: its writer was restarted, what follows is of epoch {epoch}");
    with(py, with(py, WriterRestarted::new_err(text), "info", info), "epoch", epoch)
}

pub(crate) fn lost(ring: &RingName) -> PyErr {
    WriterLost::new_err(format!(
        "ring {ring}: its writer is gone; the next call waits for another, `framevisor why` tells more"
    ))
}

/// `reason` names the ring itself.
pub(crate) fn evicted(py: Python<'_>, reason: &str) -> PyErr {
    with(py, Evicted::new_err(reason.to_owned()), "reason", reason)
}

pub(crate) fn ended(ring: &RingName) -> PyErr {
    Ended::new_err(format!("ring {ring}: its writer has finished and everything was read"))
}

fn with<'py>(py: Python<'py>, error: PyErr, name: &str, value: impl IntoPyObject<'py>) -> PyErr {
    match error.value(py).setattr(name, value) {
        Ok(()) => error,
        Err(other) => other,
    }
}
