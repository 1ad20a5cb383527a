//! The functions a program begins with: `attach` and `rings`.

use std::time::Duration;

use protocol::control::env;
use protocol::name::{RingKind, RingName};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use shmring::{Policy, census, clock, project};

use crate::error::{parse, raise};
use crate::ring;
use crate::source::{self, Wish};

/// How often an absent ring is looked for.
const RETRY: Duration = Duration::from_millis(20);

/// Attaches to a ring by its name and gives a FrameRing, PacketRing or RecordRing. A ring that is not
/// there is waited for, `wait` seconds at most; without it, a program that framevisor runs waits for
/// ever, because its ring's writer may start later, and any other is told at once.
#[pyfunction]
#[pyo3(signature = (name, project=None, policy="latest", reader=None, max_fps=None, wait=None))]
pub(crate) fn attach(
    py: Python<'_>,
    name: &str,
    project: Option<&str>,
    policy: &str,
    reader: Option<String>,
    max_fps: Option<u32>,
    wait: Option<f64>,
) -> PyResult<Py<PyAny>> {
    let ring: RingName = parse(name)?;
    if max_fps == Some(0) || (max_fps.is_some() && ring.kind() != RingKind::Frames) {
        return Err(PyValueError::new_err("max_fps: at least 1, and for frame rings only"));
    }
    let policy = parse_policy(policy)?;
    let reader = reader.map_or_else(|| script_name(py), Ok)?;
    let project = project::having(project, &ring).map_err(|error| raise(&error))?;
    let until = parse_wait(wait)?.map(|wait| clock::mono() + wait);
    loop {
        let wish = Wish { reader: reader.clone(), policy, max_fps };
        match py.detach(|| source::attach(&project, &ring, wish)) {
            Ok(attached) => return ring::wrap(py, project, ring, attached),
            Err(error) if error.is_absent() && until.is_none_or(|until| clock::mono() < until) => {
                py.check_signals()?;
                py.detach(|| std::thread::sleep(RETRY));
            }
            Err(error) => return Err(raise(&error)),
        }
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
            list.append(ring::status(py, project, &name)?)?;
        }
    }
    Ok(list)
}

fn parse_policy(policy: &str) -> PyResult<Policy> {
    match policy {
        "latest" => Ok(Policy::Latest),
        "sequential" => Ok(Policy::Sequential),
        other => Err(PyValueError::new_err(format!(
            "policy '{other}': expected 'latest' (the newest each time) or 'sequential' (each in turn)"
        ))),
    }
}

/// What others see of this reader unless it says something better.
pub(crate) fn script_name(py: Python<'_>) -> PyResult<String> {
    let sys = py.import("sys")?;
    let script = sys.getattr("argv").and_then(|argv| argv.get_item(0));
    let script = script.and_then(|script| script.extract::<String>()).unwrap_or_default();
    let file = std::path::Path::new(&script).file_name().and_then(|name| name.to_str());
    Ok(file.filter(|name| *name != "-c").unwrap_or("python").to_owned())
}
