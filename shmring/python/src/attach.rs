//! The functions a program begins with: `attach` and `rings`.

use std::time::Duration;

use protocol::control::{Condition, env};
use protocol::name::{RingKind, RingName};
use protocol::time::MonoNs;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use shmring::{census, clock, project};

use crate::desk::{self, Desk};
use crate::error::{parse, raise};
use crate::policy;
use crate::ring;
use crate::source::{self, Wish};
use crate::values;

/// How often an absent ring is looked for.
const RETRY: Duration = Duration::from_millis(20);

/// Attaches to a ring by its name and gives a FrameRing, PacketRing or RecordRing. A ring that is not
/// there is waited for, `wait` seconds at most; without it, a program that framevisor runs waits for
/// ever, because its ring's writer may start later, and any other is told at once.
///
/// `policy` None is what FRAMEVISOR_POLICY says, else "latest"; `since` goes on after an item that was
/// read before, and so in turn. `hold` is how many frames the program keeps at once, if more than two: it takes
/// another of the ring's places for every two. `key_only` takes pictures alone that need no other one.
///
/// Without a name it is the first ring of FRAMEVISOR_IN. With `messages` what `framevisor send` says comes
/// among the items, as a Message, and the loop ends when the worker is told to stop.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "Python gives most of them by name, or not at all")]
#[pyo3(signature = (
    name=None, project=None, policy=None, reader=None, max_fps=None, wait=None, *, every=1, since=None,
    hold=None, strict=false, key_only=false, messages=false
))]
pub(crate) fn attach(
    py: Python<'_>,
    name: Option<&str>,
    project: Option<&str>,
    policy: Option<&str>,
    reader: Option<String>,
    max_fps: Option<i64>,
    wait: Option<f64>,
    every: i64,
    since: Option<&Bound<'_, PyAny>>,
    hold: Option<i64>,
    strict: bool,
    key_only: bool,
    messages: bool,
) -> PyResult<Py<PyAny>> {
    let ring: RingName = name.map_or_else(desk::own_input, parse)?;
    let (policy, told_every) = policy::chosen(policy, ring.kind(), since.is_some())?;
    let every = if every == 1 { told_every } else { rate("every", every)? };
    let max_fps = max_fps.map(|fps| rate("max_fps", fps)).transpose()?;
    let hold = hold.map(|frames| rate("hold", frames)).transpose()?;
    let is_of_frames = every != 1 || max_fps.is_some() || hold.is_some() || key_only;
    if ring.kind() != RingKind::Frames && is_of_frames {
        return Err(PyValueError::new_err(format!(
            "{ring} is read item by item: every, max_fps, key_only and hold are for rings of frames"
        )));
    }
    if key_only && every != 1 {
        return Err(PyValueError::new_err(format!(
            "key_only with every={every}: expected one of the two"
        )));
    }
    let since = since.map(|place| after(place, &ring)).transpose()?;
    let reader = reader.map_or_else(|| own_name(py), Ok)?;
    let project = project::having(project, &ring).map_err(|error| raise(&error))?;
    let wish = Wish { max_fps, every, key_only, hold, since, ..Wish::new(reader, policy) };
    let desk = if messages { Desk::open()? } else { None };
    let look = || source::attach(&project, &ring, &wish);
    let attached = match &desk {
        None => within(py, until(wait)?, look)?,
        Some(desk) => listening(py, desk, &ring, until(wait)?, look)?,
    };
    ring::wrap(py, project, ring, attached, strict, desk)
}

/// As [`within`], heeding what is said meanwhile. Whoever waits for a camera is up, and says so.
fn listening<T: Send>(
    py: Python<'_>,
    desk: &Desk,
    ring: &RingName,
    until: Option<MonoNs>,
    attach: impl Fn() -> Result<T, shmring::Error> + Sync,
) -> PyResult<T> {
    let mut waits = false;
    loop {
        match py.detach(&attach) {
            Err(error) if error.is_absent() && until.is_none_or(|until| clock::mono() < until) => {
                if !waits {
                    desk.tell(py, Condition::Waiting, &format!("ring {ring} is not there yet"))?;
                    waits = true;
                }
                desk.turn_away(py, ring.as_str())?;
                py.check_signals()?;
                desk.wait(py, None, RETRY)?;
            }
            Ok(attached) => {
                if waits {
                    desk.tell(py, Condition::Flowing, "")?;
                }
                return Ok(attached);
            }
            Err(error) => return Err(raise(&error)),
        }
    }
}

/// Tries until the ring is there, or for so long. `None` is for ever.
pub(crate) fn within<T: Send>(
    py: Python<'_>,
    until: Option<MonoNs>,
    attach: impl Fn() -> Result<T, shmring::Error> + Sync,
) -> PyResult<T> {
    loop {
        match py.detach(&attach) {
            Err(error) if error.is_absent() && until.is_none_or(|until| clock::mono() < until) => {
                py.check_signals()?;
                py.detach(|| std::thread::sleep(RETRY));
            }
            attached => return attached.map_err(|error| raise(&error)),
        }
    }
}

/// Until when an absent ring is waited for.
pub(crate) fn until(wait: Option<f64>) -> PyResult<Option<MonoNs>> {
    Ok(parse_wait(wait)?.map(|wait| clock::mono() + wait))
}

fn rate(argument: &str, given: i64) -> PyResult<u32> {
    u32::try_from(given)
        .ok()
        .filter(|rate| *rate > 0)
        .ok_or_else(|| PyValueError::new_err(format!("{argument}={given}: expected 1 or more")))
}

/// Epoch and sequence in `ring` of an item that was read before, given so or as its whole identity.
fn after(place: &Bound<'_, PyAny>, ring: &RingName) -> PyResult<(u64, u64)> {
    if let Ok(place) = place.extract::<(u64, u64)>() {
        return Ok(place);
    }
    match place.extract::<(String, u64, u64)>() {
        Ok((own, epoch, sequence)) if own == ring.as_str() => Ok((epoch, sequence)),
        Ok((other, ..)) => Err(PyValueError::new_err(format!(
            "since: an item of {other} has no place in {ring}; give (f.epoch, f.seq)"
        ))),
        Err(_) => Err(PyTypeError::new_err(format!(
            "since={}: expected (f.epoch, f.seq) of an item of {ring}",
            place.repr()?
        ))),
    }
}

/// `None` is for ever.
fn parse_wait(wait: Option<f64>) -> PyResult<Option<Duration>> {
    match wait {
        None if std::env::var_os(env::WORKER).is_some() => Ok(None),
        None => Ok(Some(Duration::ZERO)),
        Some(seconds) if seconds == f64::INFINITY => Ok(None),
        Some(seconds) => Duration::try_from_secs_f64(seconds)
            .map(Some)
            .map_err(|_| PyValueError::new_err("wait: expected seconds, 0 or more")),
    }
}

/// All rings of a project, or of every project on this machine, as a list of dicts.
#[pyfunction]
#[pyo3(signature = (project=None))]
pub(crate) fn rings<'py>(py: Python<'py>, project: Option<&str>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    let given = project::given(project).map_err(|error| raise(&error))?;
    let projects = given.map_or_else(project::all, |project| vec![project]);
    for project in &projects {
        for name in census::names(project) {
            list.append(values::ring_status(py, project, &name)?)?;
        }
    }
    Ok(list)
}

/// What others see of this reader unless it says something better: as what the supervisor started it,
/// and so what a topology calls it; else its script.
pub(crate) fn own_name(py: Python<'_>) -> PyResult<String> {
    match std::env::var(env::WORKER) {
        Ok(worker) if !worker.is_empty() => Ok(worker),
        _ => script_name(py),
    }
}

/// The program's file.
pub(crate) fn script_name(py: Python<'_>) -> PyResult<String> {
    let sys = py.import("sys")?;
    let script = sys.getattr("argv").and_then(|argv| argv.get_item(0));
    let script = script.and_then(|script| script.extract::<String>()).unwrap_or_default();
    let file = std::path::Path::new(&script).file_name().and_then(|name| name.to_str());
    Ok(file.filter(|name| *name != "-c").unwrap_or("python").to_owned())
}
