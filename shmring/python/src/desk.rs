//! Messages beside items: the control link of a worker, folded into the ring it reads.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::control::Condition;
use pyo3::exceptions::{PySystemExit, PyValueError};
use pyo3::prelude::*;
use serde_json::Value;
use shmring::Pollable;
use shmring::link::{Link, Told};

use crate::emit;
use crate::error::{Ended, raise};
use crate::values;

/// The link of this program, taken by the first ring that wants messages. Locked only while the interpreter
/// is held, so never at a fork.
static LINK: Mutex<Option<Arc<Link>>> = Mutex::new(None);
/// This worker was told to stop, whichever ring heard it.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Where a ring's messages come in.
pub(crate) struct Desk {
    link: Arc<Link>,
    /// What `next` waits with, made when it first does. Locked only while the interpreter is held.
    bell: Mutex<Option<Arc<Pollable>>>,
}

impl Desk {
    /// `None` for a program that no topology runs. From here on the worker counts as ready.
    pub(crate) fn open() -> PyResult<Option<Self>> {
        let mut held = LINK.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            // Waits for nobody: what it says are the first words on an empty socket.
            let Some(link) = Link::take().map_err(|error| raise(&error))? else { return Ok(None) };
            link.ready().map_err(|error| raise(&error))?;
            *held = Some(Arc::new(link));
        }
        Ok(held.as_ref().map(|link| Self { link: Arc::clone(link), bell: Mutex::default() }))
    }

    /// While the ring is waited for: a stop ends the program, and messages are told to come later.
    pub(crate) fn turn_away(&self, py: Python<'_>, ring: &str) -> PyResult<()> {
        while let Some(told) = self.link.next(Duration::ZERO).map_err(|error| raise(&error))? {
            match told {
                Told::Stop { .. } => return Err(PySystemExit::new_err(0)),
                Told::Message(message) => {
                    let why = format!("ring {ring} is not there yet; try again once it is");
                    let told = py.detach(|| self.link.reply(message.number, Err(why)));
                    told.map_err(|error| raise(&error))?;
                }
            }
        }
        Ok(())
    }

    /// The next message, without waiting. [`Ended`] once the worker was told to stop.
    pub(crate) fn message(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if !STOPPED.load(Ordering::Relaxed) {
            match self.link.next(Duration::ZERO).map_err(|error| raise(&error))? {
                None => return Ok(None),
                Some(Told::Message(message)) => {
                    let link = Arc::clone(&self.link);
                    let data = values::to_python(py, &message.data)?.unbind();
                    let number = message.number;
                    return Ok(Some(Py::new(py, Message { link, number, data })?.into_any()));
                }
                Some(Told::Stop { .. }) => STOPPED.store(true, Ordering::Relaxed),
            }
        }
        Err(Ended::new_err("this worker was told to stop"))
    }

    /// Waits for a message or, with `make`, for the ring too.
    pub(crate) fn wait(
        &self,
        py: Python<'_>,
        make: Option<&dyn Fn() -> PyResult<Pollable>>,
        span: Duration,
    ) -> PyResult<()> {
        let bell = make.map(|make| self.bell(make)).transpose()?;
        let waited = py.detach(|| self.link.wait(bell.as_ref().map(|bell| bell.as_fd()), span));
        waited.map_err(|error| raise(&error))
    }

    fn bell(&self, make: &dyn Fn() -> PyResult<Pollable>) -> PyResult<Arc<Pollable>> {
        let held = || self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = held().as_ref() {
            return Ok(Arc::clone(bell));
        }
        // Not while it is locked: this lets other threads run.
        let made = Arc::new(make()?);
        Ok(Arc::clone(held().get_or_insert(made)))
    }

    pub(crate) fn condition(&self, py: Python<'_>, condition: &str, why: &str) -> PyResult<()> {
        let known = serde_json::from_value(Value::from(condition)).map_err(|_| {
            PyValueError::new_err(format!(
                "condition '{condition}': expected flowing, waiting, degraded or parked"
            ))
        })?;
        self.tell(py, known, why)
    }

    /// With the interpreter let go, as the supervisor may be slow to listen.
    pub(crate) fn tell(&self, py: Python<'_>, condition: Condition, why: &str) -> PyResult<()> {
        py.detach(|| self.link.condition(condition, why)).map_err(|error| raise(&error))
    }
}

/// A ring's descriptor for others to watch, with its messages where it has some.
pub(crate) struct Watched {
    pollable: Pollable,
    joined: Option<OwnedFd>,
}

impl Watched {
    pub(crate) fn new(pollable: Pollable, desk: Option<&Desk>) -> PyResult<Self> {
        let joined = desk.map(|desk| desk.link.joined(&pollable)).transpose();
        Ok(Self { joined: joined.map_err(|error| raise(&error))?, pollable })
    }

    pub(crate) fn number(&self) -> RawFd {
        self.joined.as_ref().map_or_else(|| self.pollable.as_fd().as_raw_fd(), AsRawFd::as_raw_fd)
    }
}

/// The ring a program means that names none: the first that its worker reads.
pub(crate) fn own_input<T: FromStr>() -> PyResult<T> {
    let given = std::env::var(protocol::control::env::IN).unwrap_or_default();
    let first = given.split(',').next().unwrap_or_default().trim();
    first.parse().map_err(|_| {
        PyValueError::new_err(format!(
            "which ring? no name is given, and {} names none: '{given}'",
            protocol::control::env::IN
        ))
    })
}

/// What somebody said with `framevisor send`, who waits 10 s for an answer.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct Message {
    link: Arc<Link>,
    number: u64,
    data: Py<PyAny>,
}

#[pymethods]
impl Message {
    /// Any JSON value, as it was sent.
    #[getter]
    fn data(&self, py: Python<'_>) -> Py<PyAny> {
        self.data.clone_ref(py)
    }

    /// Answers it, with any JSON value.
    #[pyo3(signature = (data = None))]
    fn reply(&self, py: Python<'_>, data: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let data = data.map(emit::json).transpose()?.unwrap_or(Value::Null);
        self.answer(py, Ok(data))
    }

    /// Answers that it cannot be done, and why, in one line.
    fn refuse(&self, py: Python<'_>, why: String) -> PyResult<()> {
        self.answer(py, Err(why))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<shmring message {}>", self.data.bind(py).repr()?))
    }
}

impl Message {
    /// With the interpreter let go, as the supervisor may be slow to listen.
    fn answer(&self, py: Python<'_>, answer: Result<Value, String>) -> PyResult<()> {
        py.detach(|| self.link.reply(self.number, answer)).map_err(|error| raise(&error))
    }
}
