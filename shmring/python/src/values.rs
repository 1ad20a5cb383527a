//! Values on their way to Python: frame ids, times, anything that serialises.

use std::time::Duration;

use protocol::name::{ProjectName, RingName};
use protocol::stream::FrameId;
use protocol::time::{MonoNs, NS_PER_S};
use protocol::units::Span;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyMemoryView, PyType};
use serde::Serialize;
use shmring::{census, clock};

static FRAME_ID: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// `FrameId(ring, epoch, sequence)`, a named tuple: it compares, hashes and unpacks as one.
pub(crate) fn frame_id_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    let made = FRAME_ID.get_or_try_init(py, || {
        let options = PyDict::new(py);
        options.set_item("module", "shmring")?;
        let fields = ("FrameId", ("ring", "epoch", "sequence"));
        let made = py.import("collections")?.call_method("namedtuple", fields, Some(&options))?;
        Ok::<_, PyErr>(made.cast_into::<PyType>()?.unbind())
    })?;
    Ok(made.bind(py))
}

pub(crate) fn frame_id<'py>(py: Python<'py>, id: &FrameId) -> PyResult<Bound<'py, PyAny>> {
    frame_id_type(py)?.call1((id.ring.as_str(), id.epoch, id.sequence))
}

/// The memory that `view` shows as a numpy array. Of what refuses to be a buffer numpy would make an
/// array of one object, so it is asked first.
pub(crate) fn array<'py, T>(view: &Bound<'py, T>) -> PyResult<Bound<'py, PyAny>> {
    let memory = PyMemoryView::from(view.as_any())?;
    view.py().import("numpy")?.call_method1("asarray", (memory,))
}

/// Seconds; exact to 0.3 us for times of this century.
#[expect(clippy::cast_precision_loss, reason = "Python's times are floats")]
pub(crate) fn seconds(ns: i64) -> f64 {
    ns as f64 / NS_PER_S as f64
}

pub(crate) fn utc_seconds(ns: u64) -> f64 {
    seconds(i64::try_from(ns).unwrap_or(i64::MAX))
}

/// Milliseconds from `then` to now.
pub(crate) fn age_ms(then: MonoNs) -> f64 {
    clock::mono().saturating_since(then).as_secs_f64() * 1e3
}

/// As the JSON it serialises to, in Python's types.
pub(crate) fn to_python<'py>(
    py: Python<'py>,
    value: &impl Serialize,
) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(value)
        .map_err(|error| crate::error::raise(&shmring::Error::Record(error)))?;
    py.import("json")?.call_method1("loads", (text,))
}

/// A row of the census, with its project.
pub(crate) fn ring_status<'py>(
    py: Python<'py>,
    project: &ProjectName,
    name: &RingName,
) -> PyResult<Bound<'py, PyAny>> {
    // A broker may be slow to say.
    let row = to_python(py, &py.detach(|| census::status(project, name, clock::mono())))?;
    row.set_item("project", project.as_str())?;
    Ok(row)
}

/// A span of time as people write it, or in seconds.
#[derive(FromPyObject)]
pub(crate) enum Time {
    #[pyo3(transparent)]
    Text(String),
    #[pyo3(transparent)]
    Seconds(f64),
}

impl Time {
    pub(crate) fn span(&self, argument: &str) -> PyResult<Span> {
        let wrong = |why: String| PyValueError::new_err(format!("{argument}: {why}"));
        match self {
            Self::Text(text) => text.parse().map_err(|why| wrong(format!("{why}"))),
            Self::Seconds(seconds) => {
                let span = Duration::try_from_secs_f64(*seconds);
                let ns = span.map_err(|why| wrong(why.to_string()))?.as_nanos();
                Ok(Span(u64::try_from(ns).unwrap_or(u64::MAX)))
            }
        }
    }
}
