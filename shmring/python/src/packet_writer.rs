//! Writing a packet ring of one track.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::{Codec, Track};
use protocol::time::MonoNs;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use shmring::fork::Birth;
use shmring::{PacketMeta, clock};

use crate::ending::{self, Ending};
use crate::error::{Closed, raise};
use crate::values;
use crate::writer::{captured, nanoseconds};

/// The writer of a packet ring: one a ring, from `publish` until it is closed or its program ends.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct PacketWriter {
    project: ProjectName,
    name: RingName,
    codec: Codec,
    end: Arc<End>,
}

/// The ring itself, shared with the interpreter's end. Whoever has it locked does not ask for the interpreter
/// before it is unlocked; a forked child, which may find it locked for ever, never looks.
struct End {
    birth: Birth,
    open: Mutex<Option<Open>>,
}

struct Open {
    ring: shmring::PacketWriter,
    /// Counts groups of pictures for ever, as every writer of packets does.
    gop_index: u64,
    /// When the first packet was taken: pts 0 unless the program says otherwise.
    began: Option<MonoNs>,
    sequence: u64,
}

impl PacketWriter {
    pub(crate) fn create(
        py: Python<'_>,
        project: &ProjectName,
        contract: &RingContract,
        track: Track,
    ) -> PyResult<Self> {
        let codec = track.codec;
        let made = py.detach(|| shmring::PacketWriter::create(project, contract, &[track]));
        let ring = made.map_err(|error| raise(&error))?;
        // With no state it starts at UTC ms, so that it never repeats.
        let gop_index = (clock::now().utc.0 / 1_000_000).max(contract.gop_floor);
        let open = Open { ring, gop_index, began: None, sequence: 0 };
        let end = Arc::new(End { birth: Birth::here(), open: Mutex::new(Some(open)) });
        let weak: Weak<End> = Arc::downgrade(&end);
        ending::watch(weak);
        Ok(Self { project: project.clone(), name: contract.name.clone(), codec, end })
    }

    /// With the interpreter let go: a packet may wait for the broker, and this one for another thread's.
    fn with_open<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Open) -> Result<T, shmring::Error> + Send,
    ) -> PyResult<T> {
        self.end.birth.check().map_err(|error| raise(&error))?;
        let done = py.detach(|| {
            let mut held = self.end.open.lock().unwrap_or_else(PoisonError::into_inner);
            held.as_mut().map(act)
        });
        let closed = || Closed::new_err(format!("ring {}: it was closed", self.name));
        done.ok_or_else(closed)?.map_err(|error| raise(&error))
    }

    /// Whether decoding can start at every packet of the codec.
    fn is_key_only(&self) -> bool {
        self.codec == Codec::Mjpeg || !self.codec.is_video()
    }
}

#[pymethods]
impl PacketWriter {
    #[getter]
    fn name(&self) -> &str {
        self.name.as_str()
    }

    #[getter(project)]
    fn project_name(&self) -> &str {
        self.project.as_str()
    }

    /// Number of this writer's life: another one each time its program starts.
    #[getter]
    fn epoch(&self, py: Python<'_>) -> PyResult<u64> {
        self.with_open(py, |open| Ok(open.ring.epoch()))
    }

    /// Number of the newest packet written; 0 before the first.
    #[getter]
    fn seq(&self, py: Python<'_>) -> PyResult<u64> {
        self.with_open(py, |open| Ok(open.sequence))
    }

    /// What `shmring.rings()` says of this ring.
    #[getter]
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::ring_status(py, &self.project, &self.name)
    }

    /// Publishes an access unit and gives its number. `key`: whether decoding can start here; to be said
    /// for codecs of which not every packet is one. H.264 and H.265 are Annex B, with their parameter
    /// sets before every key packet.
    #[pyo3(signature = (data, *, key=None, pts=None, dts=None, time=None))]
    fn write(
        &self,
        py: Python<'_>,
        data: PyBackedBytes,
        key: Option<bool>,
        pts: Option<f64>,
        dts: Option<f64>,
        time: Option<f64>,
    ) -> PyResult<u64> {
        let Some(key) = key.or_else(|| self.is_key_only().then_some(true)) else {
            return Err(PyValueError::new_err("key: can decoding start at this packet?"));
        };
        let capture = time.map_or_else(|| Ok(clock::now()), captured)?;
        let pts_ns = pts.map(nanoseconds).transpose()?;
        let dts_ns = dts.map(nanoseconds).transpose()?;
        self.with_open(py, |open| {
            let began = *open.began.get_or_insert(capture.mono);
            let elapsed = capture.mono.0.cast_signed().wrapping_sub(began.0.cast_signed());
            let pts_ns = pts_ns.unwrap_or(elapsed);
            open.gop_index += u64::from(key);
            let meta = PacketMeta {
                key,
                capture,
                pts_ns,
                dts_ns: dts_ns.unwrap_or(pts_ns),
                ingest: clock::mono(),
                gop_index: open.gop_index,
                ..PacketMeta::default()
            };
            open.sequence = open.ring.publish(&meta, &data)?;
            Ok(open.sequence)
        })
    }

    /// Tells readers that nothing follows, and lets go of the ring.
    fn close(&self) {
        self.end.finish();
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(&self, _kind: Py<PyAny>, _value: Py<PyAny>, _trace: Py<PyAny>) {
        self.close();
    }

    fn __repr__(&self) -> String {
        format!("<shmring.PacketWriter of {} of project {}>", self.name, self.project)
    }
}

impl Ending for End {
    fn finish(&self) {
        if self.birth.is_here() {
            let held = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(mut open) = held {
                open.ring.finish();
            }
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.finish();
        // In a forked child the ring is its parent's: nothing is told, nothing given back.
        std::mem::forget(self.open.get_mut().unwrap_or_else(PoisonError::into_inner).take());
    }
}
