//! Writing records: this process holds a record ring from its first emit to its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingKind, RingName};
use protocol::record::Record;
use protocol::stream::FrameId;
use protocol::time::UtcNs;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use shmring::fork::Birth;
use shmring::{RecordWriter, clock, project};

use crate::attach::script_name;
use crate::error::{parse, raise};
use crate::frame::{Facts, Frame};
use crate::ring::Ring;

/// Readers a ring made here has places for: nobody told us who will read it.
const PLACES: u32 = 8;

type Writers = BTreeMap<(ProjectName, RingName), Writer>;

/// The rings this process writes. Locked only while the interpreter is held, so never at a fork, and never across
/// letting go of it.
static WRITERS: Mutex<Writers> = Mutex::new(BTreeMap::new());

/// One of them. Whoever has it locked does not ask for the interpreter before it is unlocked; a forked child,
/// which may find it locked for ever, never looks.
#[derive(Clone)]
struct Writer {
    birth: Birth,
    open: Arc<Mutex<Open>>,
}

struct Open {
    writer: RecordWriter,
    emitted: u64,
}

/// Where a record goes: the ring of that name, or this program's own ring in the project of a ring
/// it reads.
#[derive(FromPyObject)]
pub(crate) enum Target<'py> {
    #[pyo3(transparent)]
    Name(String),
    #[pyo3(transparent)]
    Beside(Bound<'py, Ring>),
}

/// Appends a record and gives its number. Without a name it goes to the event ring of
/// FRAMEVISOR_OUT, outside of a topology to `ext.<script>.events`.
#[pyfunction]
#[pyo3(signature = (ring, kind, data, at=None, *, camera=None, id=None, project=None))]
#[expect(clippy::too_many_arguments, reason = "Python gives most of them by name, or not at all")]
pub(crate) fn emit(
    py: Python<'_>,
    ring: Option<Target<'_>>,
    kind: String,
    data: &Bound<'_, PyAny>,
    at: Option<&Bound<'_, Frame>>,
    camera: Option<String>,
    id: Option<String>,
    project: Option<&str>,
) -> PyResult<u64> {
    let data = json(data)?;
    let seen = at.map(|frame| frame.get().facts());
    let (project, name) = destination(py, ring, seen, project)?;
    let UtcNs(time_utc_ns) = seen.map_or_else(|| clock::now().utc, |facts| facts.meta.capture.utc);
    let frame = seen.map(|facts| facts.id.clone());
    let camera = camera.unwrap_or_else(|| camera_of(frame.as_ref()));
    let id = id.unwrap_or_default();
    append(py, project, name, Record { id, kind, camera, frame, time_utc_ns, data })
}

/// Appends a record about a picture of this program's own to its event ring in `project`.
pub(crate) fn about(
    py: Python<'_>,
    project: &ProjectName,
    picture: (Option<FrameId>, UtcNs),
    camera: String,
    kind: String,
    data: &Bound<'_, PyAny>,
) -> PyResult<u64> {
    let (frame, UtcNs(time_utc_ns)) = picture;
    let data = json(data)?;
    let record = Record { id: String::new(), kind, camera, frame, time_utc_ns, data };
    append(py, project.clone(), own_ring(py)?, record)
}

pub(crate) fn json(data: &Bound<'_, PyAny>) -> PyResult<serde_json::Value> {
    let text: String = data.py().import("json")?.call_method1("dumps", (data,))?.extract()?;
    serde_json::from_str(&text).map_err(|error| raise(&error.into()))
}

/// The ring meant, in the project given, else in that of the ring or picture named.
fn destination(
    py: Python<'_>,
    ring: Option<Target<'_>>,
    seen: Option<&Facts>,
    project: Option<&str>,
) -> PyResult<(ProjectName, RingName)> {
    let (name, beside) = match ring {
        Some(Target::Name(name)) => (parse(&name)?, None),
        Some(Target::Beside(ring)) => (own_ring(py)?, Some(ring.get().project().clone())),
        None => (own_ring(py)?, None),
    };
    if name.kind() != RingKind::Events {
        return Err(PyValueError::new_err(format!("ring {name}: records go to a ring of events")));
    }
    let known = beside.or_else(|| seen.map(|facts| facts.project.clone()));
    let project = match (project, known) {
        (None, Some(known)) => known,
        (project, _) => project::any(project, &name).map_err(|error| raise(&error))?,
    };
    Ok((project, name))
}

fn camera_of(frame: Option<&FrameId>) -> String {
    frame.map(|id| id.ring.camera().to_owned()).unwrap_or_default()
}

/// Writes `record`, with a new id when it has none, into a ring this process opens once.
fn append(
    py: Python<'_>,
    project: ProjectName,
    name: RingName,
    mut record: Record,
) -> PyResult<u64> {
    let Writer { birth, open } = opened(py, (project, name))?;
    birth.check().map_err(|error| raise(&error))?;
    let done = py.detach(|| {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        open.emitted += 1;
        if record.id.is_empty() {
            record.id = format!("{}-{}", std::process::id(), open.emitted);
        }
        open.writer.emit(&record)
    });
    done.map_err(|error| raise(&error))
}

fn opened(py: Python<'_>, ring: (ProjectName, RingName)) -> PyResult<Writer> {
    if let Some(known) = writers().get(&ring) {
        return Ok(known.clone());
    }
    let made = py.detach(|| create(&ring.0, &ring.1));
    let mut writers = writers();
    match (made, writers.get(&ring)) {
        (Ok(writer), _) => {
            let open = Arc::new(Mutex::new(Open { writer, emitted: 0 }));
            let made = Writer { birth: Birth::here(), open };
            Ok(writers.entry(ring).insert_entry(made).get().clone())
        }
        // Another thread of this program was first.
        (Err(shmring::Error::HasWriter { .. }), Some(known)) => Ok(known.clone()),
        (Err(error), _) => Err(raise(&error)),
    }
}

fn writers() -> MutexGuard<'static, Writers> {
    WRITERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn create(project: &ProjectName, name: &RingName) -> Result<RecordWriter, shmring::Error> {
    let contract = RingContract::new(name.clone(), RingConfig::default(), PLACES);
    let contract = shmring::project::as_told(contract);
    RecordWriter::create(project, &contract)
}

/// The event ring the supervisor gave this worker, else one of its own beside the topology.
fn own_ring(py: Python<'_>) -> PyResult<RingName> {
    project::own_events(&script_name(py)?).map_err(|error| raise(&error))
}

/// Asks the interpreter to tell readers, at its end, that nothing follows.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let finish = wrap_pyfunction!(finish, module)?;
    module.py().import("atexit")?.call_method1("register", (finish,))?;
    Ok(())
}

#[pyfunction]
#[pyo3(name = "_finish")]
fn finish() {
    for Writer { open, .. } in writers().values().filter(|known| known.birth.is_here()) {
        open.lock().unwrap_or_else(PoisonError::into_inner).writer.finish();
    }
}
