//! An attached ring: waiting for what comes next, without holding up the interpreter or Ctrl-C.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::name::{ProjectName, RingKind, RingName};
use protocol::time::MonoNs;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use shmring::fork::Birth;
use shmring::{Next, census, clock};

use crate::error::{Closed, raise};
use crate::source::{Item, Source};
use crate::values;

/// Longest stretch without a look at pending signals.
const SLICE: Duration = Duration::from_millis(100);

/// A ring this program reads: a context manager and an iterator that never ends by itself. A writer
/// that restarts is followed; so is one that comes back after `framevisor down` and `up`.
#[pyclass(frozen, subclass, module = "shmring")]
pub(crate) struct Ring {
    project: ProjectName,
    name: RingName,
    birth: Birth,
    /// `None` once closed. Locked only while the interpreter is let go, so that one thread's wait
    /// never stops another's Python.
    source: Mutex<Option<Box<dyn Source>>>,
    missed: AtomicU64,
    /// The part of `missed` that no item has told yet.
    untold: AtomicU64,
}

/// Pictures.
#[pyclass(frozen, extends = Ring, module = "shmring")]
pub(crate) struct FrameRing;

/// Encoded packets.
#[pyclass(frozen, extends = Ring, module = "shmring")]
pub(crate) struct PacketRing;

/// Records: detections, events, metrics.
#[pyclass(frozen, extends = Ring, module = "shmring")]
pub(crate) struct RecordRing;

/// The Python object of the ring's kind.
pub(crate) fn wrap(
    py: Python<'_>,
    project: ProjectName,
    name: RingName,
    source: Box<dyn Source>,
) -> PyResult<Py<PyAny>> {
    let kind = name.kind();
    let base = PyClassInitializer::from(Ring {
        project,
        name,
        birth: Birth::here(),
        source: Mutex::new(Some(source)),
        missed: AtomicU64::new(0),
        untold: AtomicU64::new(0),
    });
    Ok(match kind {
        RingKind::Frames => Py::new(py, base.add_subclass(FrameRing))?.into_any(),
        RingKind::Packets => Py::new(py, base.add_subclass(PacketRing))?.into_any(),
        RingKind::Events => Py::new(py, base.add_subclass(RecordRing))?.into_any(),
    })
}

/// What one look at the ring brought.
#[expect(clippy::large_enum_variant, reason = "moved once, from the reader into its Python object")]
enum Step {
    Item(Item),
    /// Something else than an item, after which there may be one at once.
    Again,
    Nothing,
}

impl Ring {
    pub(crate) fn project(&self) -> &ProjectName {
        &self.project
    }

    /// The next item, or `None` at the deadline; without one it waits for ever.
    fn wait(&self, py: Python<'_>, deadline: Option<MonoNs>) -> PyResult<Option<Py<PyAny>>> {
        loop {
            let now = clock::mono();
            let left = deadline.map_or(SLICE, |deadline| deadline.saturating_since(now));
            match self.step(py, left.min(SLICE))? {
                Step::Item(item) => {
                    let missed = self.untold.swap(0, Ordering::Relaxed);
                    return item.into_python(py, &self.project, missed).map(Some);
                }
                Step::Nothing if deadline.is_some_and(|deadline| clock::mono() >= deadline) => {
                    return Ok(None);
                }
                Step::Nothing | Step::Again => py.check_signals()?,
            }
        }
    }

    fn step(&self, py: Python<'_>, wait: Duration) -> PyResult<Step> {
        match self.ask(py, |source| source.next(wait))? {
            Ok(Next::Item(item)) => Ok(Step::Item(item)),
            Ok(Next::Evicted { .. } | Next::NewEpoch { .. }) => Ok(Step::Again),
            Ok(Next::Overrun { missed }) => {
                self.missed.fetch_add(missed, Ordering::Relaxed);
                self.untold.fetch_add(missed, Ordering::Relaxed);
                Ok(Step::Again)
            }
            Ok(Next::Quiet) => Ok(Step::Nothing),
            Ok(Next::Ended) => Ok(rest(py, wait)),
            // Taken down while we read it. Somebody may bring it up again.
            Err(error) if error.is_absent() => Ok(rest(py, wait)),
            Err(error) => Err(raise(&error)),
        }
    }

    /// Asks the reader, with the interpreter let go.
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&mut dyn Source) -> T + Send,
    ) -> PyResult<T> {
        self.birth.check().map_err(|error| raise(&error))?;
        let answer = py.detach(|| {
            let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            source.as_mut().map(|source| question(source.as_mut()))
        });
        answer.ok_or_else(|| Closed::new_err(format!("ring {}: it was closed", self.name)))
    }
}

/// A ring without a writer has no bell to wait for, so look again after a while.
fn rest(py: Python<'_>, wait: Duration) -> Step {
    py.detach(|| std::thread::sleep(wait));
    Step::Nothing
}

impl Drop for Ring {
    fn drop(&mut self) {
        if !self.birth.is_here() {
            let source = self.source.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(source.take());
        }
    }
}

#[pymethods]
impl Ring {
    #[getter]
    fn name(&self) -> &str {
        self.name.as_str()
    }

    #[getter(project)]
    fn project_name(&self) -> &str {
        self.project.as_str()
    }

    /// Number of the writer's life being read; another one after each restart.
    #[getter]
    fn epoch(&self, py: Python<'_>) -> PyResult<u64> {
        self.ask(py, |source| source.epoch())
    }

    /// Items published and not yet taken.
    #[getter]
    fn lag(&self, py: Python<'_>) -> PyResult<u64> {
        self.ask(py, |source| source.lag())
    }

    /// Items lost to this reader since it attached.
    #[getter]
    fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Whether a writer holds the epoch being read.
    #[getter]
    fn live(&self, py: Python<'_>) -> PyResult<bool> {
        self.ask(py, |source| source.writer_lives())
    }

    /// What `shmring.rings()` says of this ring, and the ring it is made from.
    #[getter]
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let source = self.ask(py, |source| source.source_ring().map(ToString::to_string))?;
        let info = status(py, &self.project, &self.name)?;
        info.set_item("source", source)?;
        Ok(info)
    }

    /// The next item, or None when there was none for `timeout` seconds.
    #[pyo3(signature = (timeout = None))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Py<PyAny>>> {
        let wait = timeout.map(Duration::try_from_secs_f64).transpose();
        let wait = wait.map_err(|why| PyValueError::new_err(format!("timeout: {why}")))?;
        self.wait(py, wait.map(|wait| clock::mono() + wait))
    }

    /// Detaches. Frames that were taken stay valid.
    fn close(&self, py: Python<'_>) {
        if self.birth.is_here() {
            py.detach(|| {
                drop(self.source.lock().unwrap_or_else(PoisonError::into_inner).take());
            });
        }
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.wait(py, None)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(&self, py: Python<'_>, _kind: Py<PyAny>, _value: Py<PyAny>, _trace: Py<PyAny>) {
        self.close(py);
    }

    fn __repr__(&self) -> String {
        format!("<shmring ring {} of project {}>", self.name, self.project)
    }
}

/// A row of the census, with its project.
pub(crate) fn status<'py>(
    py: Python<'py>,
    project: &ProjectName,
    name: &RingName,
) -> PyResult<Bound<'py, PyAny>> {
    let row = values::to_python(py, &census::status(project, name, clock::mono()))?;
    row.set_item("project", project.as_str())?;
    Ok(row)
}
