//! An attached ring: waiting for what comes next, without holding up the interpreter or Ctrl-C.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::name::{ProjectName, RingKind, RingName};
use protocol::time::MonoNs;
use pyo3::prelude::*;
use shmring::Next;
use shmring::fork::Birth;

use crate::desk::{Desk, Watched};
use crate::device;
use crate::emit::{self, Target};
use crate::error::{BadRecord, Closed, Ended, raise};
use crate::frame::Frame;
use crate::happening;
use crate::source::{Item, Source};
use crate::values;
use crate::wait;

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
    closed: AtomicBool,
    signal: shmring::Semaphore,
    descriptors: Mutex<Descriptors>,
    /// Where messages come in among the items, if they are wanted and there is anybody to send some.
    desk: Option<Desk>,
    /// Whether what happens beside items is raised.
    strict: bool,
    missed: AtomicU64,
    /// The part of `missed` that no item has told yet.
    untold: AtomicU64,
    /// Payloads of a record ring that were none.
    unread: AtomicU64,
    /// That the writer of this epoch is gone has been told.
    told_lost: AtomicBool,
    /// Why an essential reader was let go of. Locked only while the interpreter is held.
    evicted: Mutex<Option<String>>,
}

/// Made when they are first asked for, kept until this ring is collected: after `close` they stay
/// readable, as at the end of a file. Locked only while the interpreter is held.
#[derive(Default)]
struct Descriptors {
    of_program: Option<Watched>,
    /// For asyncio, which takes a descriptor for itself.
    of_loop: Option<Watched>,
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
    strict: bool,
    desk: Option<Desk>,
) -> PyResult<Py<PyAny>> {
    let kind = name.kind();
    let signal = source.semaphore();
    let base = PyClassInitializer::from(Ring {
        project,
        name,
        birth: Birth::here(),
        source: Mutex::new(Some(source)),
        closed: AtomicBool::new(false),
        signal,
        descriptors: Mutex::default(),
        desk,
        strict,
        missed: AtomicU64::new(0),
        untold: AtomicU64::new(0),
        unread: AtomicU64::new(0),
        told_lost: AtomicBool::new(false),
        evicted: Mutex::default(),
    });
    Ok(match kind {
        RingKind::Frames => Py::new(py, base.add_subclass(FrameRing))?.into_any(),
        RingKind::Packets => Py::new(py, base.add_subclass(PacketRing))?.into_any(),
        RingKind::Events => Py::new(py, base.add_subclass(RecordRing))?.into_any(),
    })
}

/// What one look at the ring brought.
enum Step {
    Item(Item),
    /// Something else than an item, after which there may be one at once.
    Again,
    Nothing,
    /// Nothing, and there is no bell to wait for: a ring without a writer is looked at again after a while.
    Silent,
}

impl Ring {
    pub(crate) fn project(&self) -> &ProjectName {
        &self.project
    }

    /// That it can be asked: of this process, and not closed.
    pub(crate) fn check_open(&self) -> PyResult<()> {
        self.birth.check().map_err(|error| raise(&error))?;
        if self.closed.load(Ordering::Relaxed) { Err(self.was_closed()) } else { Ok(()) }
    }

    /// What is waited for without taking.
    pub(crate) fn signal(&self) -> &shmring::Semaphore {
        &self.signal
    }

    fn was_closed(&self) -> PyErr {
        Closed::new_err(format!("ring {}: it was closed", self.name))
    }

    /// The next item, or `None` at the deadline; without one it waits for ever.
    fn wait(&self, py: Python<'_>, deadline: Option<MonoNs>) -> PyResult<Option<Py<PyAny>>> {
        loop {
            if let Some(message) = self.message(py)? {
                return Ok(Some(message));
            }
            let slice = wait::slice(deadline);
            // Where messages may come, the two are waited for together.
            let look = if self.desk.is_some() { Duration::ZERO } else { slice };
            match self.step(py, look)? {
                Step::Item(item) => {
                    if let Some(item) = self.hand_out(py, item)? {
                        return Ok(Some(item));
                    }
                }
                Step::Nothing | Step::Silent if wait::is_over(deadline) => return Ok(None),
                step => self.rest(py, &step, slice)?,
            }
            py.check_signals()?;
        }
    }

    fn message(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(desk) = &self.desk else { return Ok(None) };
        self.check_open()?;
        desk.message(py)
    }

    /// Until there may be something again.
    fn rest(&self, py: Python<'_>, step: &Step, slice: Duration) -> PyResult<()> {
        match (step, &self.desk) {
            (Step::Silent, None) => {
                py.detach(|| std::thread::sleep(slice));
                Ok(())
            }
            (Step::Silent, Some(desk)) => desk.wait(py, None, slice),
            (Step::Nothing, Some(desk)) => {
                let bell = || self.ask(py, |source| source.pollable())?.map_err(|e| raise(&e));
                desk.wait(py, Some(&bell), slice)
            }
            (Step::Nothing, None) | (Step::Again | Step::Item(_), _) => Ok(()),
        }
    }

    /// `None`: what was no record, and is passed over. What was missed before it, the next one tells.
    fn hand_out(&self, py: Python<'_>, item: Item) -> PyResult<Option<Py<PyAny>>> {
        let missed = self.untold.swap(0, Ordering::Relaxed);
        let made = item.into_python(py, &self.project, &self.name, missed);
        if made.is_err() {
            self.untold.fetch_add(missed, Ordering::Relaxed);
        }
        match made {
            Err(error) if error.is_instance_of::<BadRecord>(py) => {
                self.unread.fetch_add(1, Ordering::Relaxed);
                if self.strict { Err(error) } else { Ok(None) }
            }
            made => made.map(Some),
        }
    }

    fn step(&self, py: Python<'_>, wait: Duration) -> PyResult<Step> {
        let strict = self.strict;
        match self.ask(py, |source| source.next(wait))? {
            Ok(Next::Item(item)) => Ok(Step::Item(item)),
            Ok(Next::NewEpoch { epoch }) => {
                self.told_lost.store(false, Ordering::Relaxed);
                if strict {
                    return Err(happening::restarted(py, &self.name, epoch, self.info(py)?));
                }
                Ok(Step::Again)
            }
            Ok(Next::Overrun { missed }) => {
                self.missed.fetch_add(missed, Ordering::Relaxed);
                if strict {
                    return Err(happening::overrun(py, &self.name, missed));
                }
                self.untold.fetch_add(missed, Ordering::Relaxed);
                Ok(Step::Again)
            }
            Ok(Next::Evicted { reason }) => {
                let error = strict.then(|| happening::evicted(py, &reason));
                *self.evicted.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                error.map_or(Ok(Step::Again), Err)
            }
            Ok(Next::Quiet) if strict && !self.ask(py, |source| source.writer_lives())? => {
                self.tell_lost()
            }
            Ok(Next::Quiet) => Ok(Step::Nothing),
            Ok(Next::Ended) if strict => Err(happening::ended(&self.name)),
            Ok(Next::Ended) => Ok(Step::Silent),
            // Taken down while we read it. Somebody may bring it up again.
            Err(error) if error.is_absent() => {
                self.tell_lost()?;
                Ok(Step::Silent)
            }
            Err(error) => Err(raise(&error)),
        }
    }

    /// Once for each loss, and only to who wants to know.
    fn tell_lost(&self) -> PyResult<Step> {
        if self.strict && !self.told_lost.swap(true, Ordering::Relaxed) {
            return Err(happening::lost(&self.name));
        }
        Ok(Step::Nothing)
    }

    /// The number of a descriptor that is readable while `next` has something to say.
    fn descriptor(
        &self,
        py: Python<'_>,
        which: impl Fn(&mut Descriptors) -> &mut Option<Watched>,
    ) -> PyResult<RawFd> {
        self.check_open()?;
        let held = || self.descriptors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = which(&mut held()) {
            return Ok(watched.number());
        }
        let made = self.ask(py, |source| source.pollable())?.map_err(|error| raise(&error))?;
        let made = Watched::new(made, self.desk.as_ref())?;
        Ok(which(&mut held()).get_or_insert(made).number())
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
        answer.ok_or_else(|| self.was_closed())
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if !self.birth.is_here() {
            let source = self.source.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(source.take());
        } else if !self.closed.load(Ordering::Relaxed) {
            device::forget(&self.name);
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

    /// Payloads of a record ring that were no records, and were passed over, or raised with `strict`.
    #[getter]
    fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }

    /// Why this reader, an essential one, was let go of last; None while it never was.
    #[getter]
    fn evicted(&self) -> Option<String> {
        self.evicted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The count of what there is, to wait for in other threads.
    #[getter]
    fn semaphore(slf: Py<Self>) -> wait::Semaphore {
        wait::Semaphore::new(slf)
    }

    /// The number of a descriptor that is readable while there is something, for select, epoll and event
    /// loops. It stays readable until `next(timeout=0)` gives None.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        self.descriptor(py, |descriptors| &mut descriptors.of_program)
    }

    /// As `fileno`, another one: an asyncio loop lets nobody else watch a descriptor it watches.
    fn _fileno_of_loop(&self, py: Python<'_>) -> PyResult<RawFd> {
        self.descriptor(py, |descriptors| &mut descriptors.of_loop)
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
        let info = values::ring_status(py, &self.project, &self.name)?;
        info.set_item("source", source)?;
        Ok(info)
    }

    /// The next item, or None when there was none for `timeout` seconds.
    #[pyo3(signature = (timeout = None))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Py<PyAny>>> {
        self.wait(py, wait::deadline(timeout)?)
    }

    /// Appends a record about `at` to this program's own ring of events, and gives its number: as
    /// `shmring.emit(ring, kind, data, at)`.
    #[pyo3(signature = (kind, data, at=None, *, camera=None, id=None))]
    fn emit(
        slf: Bound<'_, Self>,
        kind: String,
        data: &Bound<'_, PyAny>,
        at: Option<&Bound<'_, Frame>>,
        camera: Option<String>,
        id: Option<String>,
    ) -> PyResult<u64> {
        let py = slf.py();
        emit::emit(py, Some(Target::Beside(slf)), kind, data, at, camera, id, None)
    }

    /// Says how this worker does: "flowing", "waiting", "degraded" or "parked", for `framevisor ps`. Nobody
    /// is told unless the ring was attached with `messages=True` and a topology runs this program.
    #[pyo3(signature = (condition, why=""))]
    fn condition(&self, py: Python<'_>, condition: &str, why: &str) -> PyResult<()> {
        self.desk.as_ref().map_or(Ok(()), |desk| desk.condition(py, condition, why))
    }

    /// Detaches. Frames that were taken stay valid.
    fn close(&self, py: Python<'_>) {
        if self.birth.is_here() {
            self.closed.store(true, Ordering::Relaxed);
            py.detach(|| {
                drop(self.source.lock().unwrap_or_else(PoisonError::into_inner).take());
                device::forget(&self.name);
            });
        }
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match self.wait(py, None) {
            Err(error) if error.is_instance_of::<Ended>(py) => Ok(None),
            next => next,
        }
    }

    /// As `next`, for asyncio: nothing is lost when it is cancelled.
    #[pyo3(signature = (timeout = None))]
    fn anext<'py>(slf: Bound<'py, Self>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        py.import("shmring._aio")?.call_method1("next_item", (slf, timeout))
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        let py = slf.py();
        py.import("shmring._aio")?.call_method1("iterate", (slf,))
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
