//! What packet and record rings give: plain values, copied out of the ring.

use protocol::name::RingName;
use protocol::time::MonoNs;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::values;

/// An encoded packet.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct Packet {
    /// The ring it was read from.
    ring: RingName,
    packet: shmring::Packet,
    data: Py<PyBytes>,
    missed: u64,
}

impl Packet {
    pub(crate) fn new(
        py: Python<'_>,
        ring: RingName,
        mut packet: shmring::Packet,
        missed: u64,
    ) -> Self {
        let data = PyBytes::new(py, &std::mem::take(&mut packet.payload)).unbind();
        Self { ring, packet, data, missed }
    }
}

#[pymethods]
impl Packet {
    /// Number within its ring and epoch, from 1, over all tracks.
    #[getter]
    fn seq(&self) -> u64 {
        self.packet.sequence
    }

    #[getter]
    fn epoch(&self) -> u64 {
        self.packet.epoch
    }

    /// Which packet it is, in every ring, record and recording: of a replayed one, which it was.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::frame_id(py, &self.packet.frame_id(&self.ring))
    }

    /// Index into the ring's tracks; the first is video.
    #[getter]
    fn track(&self) -> u32 {
        self.packet.meta.track
    }

    /// Whether decoding can start here.
    #[getter]
    fn key(&self) -> bool {
        self.packet.meta.key
    }

    /// Presentation time in the source, in seconds.
    #[getter]
    fn pts(&self) -> f64 {
        values::seconds(self.packet.meta.pts_ns)
    }

    /// Decoding time in the source, in seconds.
    #[getter]
    fn dts(&self) -> f64 {
        values::seconds(self.packet.meta.dts_ns)
    }

    /// Capture time, in seconds UTC.
    #[getter]
    fn time(&self) -> f64 {
        values::utc_seconds(self.packet.meta.capture.utc.0)
    }

    /// Milliseconds since capture, or since publication when capture is not known.
    #[getter]
    fn age_ms(&self) -> f64 {
        let MonoNs(captured) = self.packet.meta.capture.mono;
        values::age_ms(MonoNs(if captured == 0 { self.packet.published.0 } else { captured }))
    }

    /// Packets lost to this reader just before this one.
    #[getter]
    fn missed(&self) -> u64 {
        self.missed
    }

    #[getter]
    fn data(&self, py: Python<'_>) -> Py<PyBytes> {
        self.data.clone_ref(py)
    }

    fn __repr__(&self) -> String {
        let key = if self.packet.meta.key { ", key" } else { "" };
        format!("<shmring.Packet {}: track {}{key}>", self.packet.sequence, self.packet.meta.track)
    }
}

/// A record: what happened, on which camera, at which picture.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct Record {
    sequence: u64,
    epoch: u64,
    missed: u64,
    record: protocol::record::Record,
}

impl Record {
    pub(crate) fn new(
        sequence: u64,
        epoch: u64,
        missed: u64,
        record: protocol::record::Record,
    ) -> Self {
        Self { sequence, epoch, missed, record }
    }
}

#[pymethods]
impl Record {
    #[getter]
    fn seq(&self) -> u64 {
        self.sequence
    }

    #[getter]
    fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Records lost to this reader just before this one.
    #[getter]
    fn missed(&self) -> u64 {
        self.missed
    }

    /// The same for the begin, updates and end of one thing.
    #[getter]
    fn id(&self) -> &str {
        &self.record.id
    }

    /// For example "motion.begin".
    #[getter]
    fn kind(&self) -> &str {
        &self.record.kind
    }

    #[getter]
    fn camera(&self) -> &str {
        &self.record.camera
    }

    /// The identity of the picture it is about, or None.
    #[getter]
    fn frame<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.record.frame.as_ref().map(|id| values::frame_id(py, id)).transpose()
    }

    /// Capture time of that picture, in seconds UTC.
    #[getter]
    fn time(&self) -> f64 {
        values::utc_seconds(self.record.time_utc_ns)
    }

    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::to_python(py, &self.record.data)
    }

    fn __repr__(&self) -> String {
        format!(
            "<shmring.Record {}: {} of {}>",
            self.sequence, self.record.kind, self.record.camera
        )
    }
}
