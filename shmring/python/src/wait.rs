//! Waiting for rings without taking from them: `shmring.wait`, `ring.semaphore`.

use std::time::Duration;

use protocol::time::{MonoNs, NS_PER_S};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use shmring::{Waitable, clock, wait_any};

use crate::ring::Ring;

/// Longest stretch without a look at pending signals.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

/// When so many seconds are over; `None` is never.
pub(crate) fn deadline(timeout: Option<f64>) -> PyResult<Option<MonoNs>> {
    let wait = timeout.map(Duration::try_from_secs_f64).transpose();
    let wait = wait.map_err(|why| PyValueError::new_err(format!("timeout: {why}")))?;
    Ok(wait.map(|wait| clock::mono() + wait))
}

/// How long to wait before the next look at signals.
pub(crate) fn slice(deadline: Option<MonoNs>) -> Duration {
    let left = deadline.map(|deadline| deadline.saturating_since(clock::mono()));
    left.map_or(SLICE, |left| left.min(SLICE))
}

pub(crate) fn is_over(deadline: Option<MonoNs>) -> bool {
    deadline.is_some_and(|deadline| clock::mono() >= deadline)
}

/// Waits until any of `rings` has something, `timeout` seconds at most, and gives those that have, in
/// their order; none when the time is over. What a ring has may be other than an item, so that its
/// `next(timeout=0)` gives None.
#[pyfunction]
#[pyo3(signature = (rings, timeout=None))]
pub(crate) fn wait<'py>(
    py: Python<'py>,
    rings: Vec<Bound<'py, Ring>>,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyList>> {
    let deadline = deadline(timeout)?;
    loop {
        rings.iter().try_for_each(|ring| ring.get().check_open())?;
        let signals: Vec<_> = rings.iter().map(|ring| ring.get().signal().clone()).collect();
        let ready = py.detach(|| {
            let signals: Vec<&dyn Waitable> = signals.iter().map(|signal| signal as _).collect();
            wait_any(&signals, slice(deadline))
        });
        if !ready.is_empty() || is_over(deadline) {
            return PyList::new(py, ready.into_iter().map(|number| &rings[number]));
        }
        py.check_signals()?;
    }
}

/// How many items a ring holds for this reader, as a semaphore: taking one is `ring.next()`, in whatever
/// thread. It cannot overflow, and nobody who is killed while waiting leaves a trace.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct Semaphore {
    ring: Py<Ring>,
}

impl Semaphore {
    pub(crate) fn new(ring: Py<Ring>) -> Self {
        Self { ring }
    }

    fn until(&self, py: Python<'_>, deadline: Option<MonoNs>) -> PyResult<bool> {
        let ring = self.ring.get();
        loop {
            ring.check_open()?;
            let signal = ring.signal().clone();
            if py.detach(|| signal.wait_until(clock::mono() + slice(deadline))) {
                return Ok(true);
            }
            if is_over(deadline) {
                return Ok(false);
            }
            py.check_signals()?;
        }
    }
}

#[pymethods]
impl Semaphore {
    /// Items published and not yet taken.
    #[getter]
    fn count(&self) -> PyResult<u64> {
        self.ring.get().check_open()?;
        Ok(self.ring.get().signal().count())
    }

    /// Waits until there is something, `timeout` seconds at most. False when the time is over.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        self.until(py, deadline(timeout)?)
    }

    /// Whether there is something now.
    fn try_wait(&self, py: Python<'_>) -> PyResult<bool> {
        self.until(py, Some(MonoNs(0)))
    }

    /// As `wait`, until the clock of `time.monotonic()` shows `deadline`.
    fn wait_until(&self, py: Python<'_>, deadline: f64) -> PyResult<bool> {
        if deadline.is_nan() {
            return Err(PyValueError::new_err("deadline: expected a time of time.monotonic()"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates: the past is now, what is beyond centuries is never"
        )]
        let deadline = MonoNs((deadline * NS_PER_S as f64) as u64);
        self.until(py, Some(deadline))
    }
}
