//! Pictures of several cameras that belong together: what `shmring.sync` is made of.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use protocol::name::{ProjectName, RingKind, RingName};
use pyo3::prelude::*;
use shmring::fork::Birth;
use shmring::{FrameGroup, FrameReader, Next};

use crate::attach;
use crate::error::{Closed, parse, raise};
use crate::frame::Frame;
use crate::policy;
use crate::source::Wish;
use crate::values::Time;
use crate::wait;

/// The readers of a set. `shmring/_sync.py` gives it its face.
#[pyclass(frozen, module = "shmring", name = "_FrameSet")]
pub(crate) struct FrameSet {
    project: ProjectName,
    birth: Birth,
    /// `None` once closed. Locked only while the interpreter is let go.
    set: Mutex<Option<shmring::FrameSet>>,
    missed: AtomicU64,
}

/// Frames in the order of the rings, and their skew in seconds.
type Group = (Vec<Option<Py<Frame>>>, f64);

impl FrameSet {
    fn group(&self, py: Python<'_>, group: FrameGroup) -> PyResult<Group> {
        let frame = |frame| Py::new(py, Frame::new(frame, self.project.clone(), 0));
        let frames = group.frames.into_iter().map(|taken| taken.map(frame).transpose());
        Ok((frames.collect::<PyResult<_>>()?, group.skew.as_secs_f64()))
    }
}

#[pymethods]
impl FrameSet {
    #[new]
    fn new(
        py: Python<'_>,
        rings: Vec<String>,
        project: &str,
        tolerance: Time,
        policy: Option<&str>,
        reader: Option<String>,
        wait: Option<f64>,
    ) -> PyResult<Self> {
        let project: ProjectName = parse(project)?;
        let tolerance = tolerance.span("tolerance")?.duration();
        let rings = rings.iter().map(|ring| parse(ring)).collect::<PyResult<Vec<RingName>>>()?;
        let reader = reader.map_or_else(|| attach::own_name(py), Ok)?;
        let until = attach::until(wait)?;
        // Of groups, that is: each ring by itself would count its own pictures, and none would meet.
        let (policy, every) = policy::chosen(policy, RingKind::Frames, false)?;
        let mut readers = Vec::new();
        for ring in &rings {
            let options = Wish::new(reader.clone(), policy).frame_options();
            let attached =
                attach::within(py, until, || FrameReader::attach(&project, ring, &options))?;
            readers.push(attached);
        }
        let set = Mutex::new(Some(shmring::FrameSet::new(readers, tolerance).with_every(every)));
        Ok(Self { project, birth: Birth::here(), set, missed: AtomicU64::new(0) })
    }

    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Group>> {
        let deadline = wait::deadline(timeout)?;
        loop {
            self.birth.check().map_err(|error| raise(&error))?;
            let wait = wait::slice(deadline);
            let told = py.detach(|| {
                let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
                let told = set.as_mut().map(|set| set.next(wait));
                if matches!(told, Some(Ok(Next::Ended))) {
                    // Nobody rings a bell for a writer that is not there yet.
                    std::thread::sleep(wait);
                }
                told
            });
            match told.ok_or_else(|| Closed::new_err("this set was closed"))? {
                Ok(Next::Item(group)) => return self.group(py, group).map(Some),
                Ok(Next::Overrun { missed }) => {
                    self.missed.fetch_add(missed, Ordering::Relaxed);
                }
                Ok(Next::Quiet | Next::Ended) if wait::is_over(deadline) => return Ok(None),
                Ok(_) => {}
                Err(error) => return Err(raise(&error)),
            }
            py.check_signals()?;
        }
    }

    #[getter]
    fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    fn close(&self, py: Python<'_>) {
        if self.birth.is_here() {
            py.detach(|| drop(self.set.lock().unwrap_or_else(PoisonError::into_inner).take()));
        }
    }
}

impl Drop for FrameSet {
    fn drop(&mut self) {
        if !self.birth.is_here() {
            std::mem::forget(self.set.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}
