//! Writing a frame ring from arrays.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::FrameId;
use protocol::time::{ClockSource, MonoNs, NS_PER_S, Stamp, UtcNs};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use shmring::fork::Birth;
use shmring::{FrameMeta, Loan, PlaneLayout, SourceId, clock};

use crate::emit;
use crate::ending::{self, Ending};
use crate::error::{Closed, raise};
use crate::form::{Array, Form, Said};
use crate::frame::Frame;
use crate::picture::{Geometry, Given};
use crate::raw::Samples;
use crate::slot::Slot;
use crate::values;

/// A program holds this many slots at once: one it fills, beside those in flight.
const WRITER_NEED: u32 = 1;

/// The writer of a frame ring: one a ring, from `publish` until it is closed or its program ends.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct FrameWriter {
    project: ProjectName,
    name: RingName,
    source: Option<RingName>,
    /// Of one picture; 0 when that is not known.
    duration_ns: i64,
    birth: Birth,
    end: Arc<End>,
    /// Locked only while the interpreter is held, and never across letting go of it.
    book: Mutex<Book>,
}

/// The ring itself, shared with the interpreter's end. `None` once closed.
struct End(Mutex<Option<shmring::FrameWriter>>, Birth);

#[derive(Default)]
struct Book {
    form: Option<Form>,
    /// What the program says of its frames while their size is not known.
    said: Said,
    /// When the first picture was taken: pts 0 unless the program says otherwise.
    began: Option<MonoNs>,
    /// What the newest picture is, for records about it.
    newest: Option<Newest>,
}

struct Newest {
    id: FrameId,
    utc: UtcNs,
    sequence: u64,
}

/// What a program says of a picture beside its samples.
#[derive(Clone)]
pub(crate) struct Told {
    pts_ns: Option<i64>,
    capture: Stamp,
    clock: ClockSource,
    id: Option<FrameId>,
    gop_index: u64,
    key: bool,
}

impl Told {
    /// `at` is the picture this one is made from: same instant, same identity.
    pub(crate) fn new(
        pts: Option<f64>,
        time: Option<f64>,
        at: Option<&Bound<'_, Frame>>,
        key: bool,
    ) -> PyResult<Self> {
        let facts = at.map(|frame| frame.get().facts());
        let capture = match (time, facts) {
            (Some(time), _) => captured(time)?,
            (None, Some(facts)) => facts.meta.capture,
            (None, None) => clock::now(),
        };
        Ok(Self {
            pts_ns: pts
                .map(nanoseconds)
                .transpose()?
                .or_else(|| facts.map(|facts| facts.meta.pts_ns)),
            capture,
            clock: facts.map(|facts| facts.meta.clock).unwrap_or_default(),
            id: facts.map(|facts| facts.id.clone()),
            gop_index: facts.map_or(0, |facts| facts.meta.gop_index),
            key,
        })
    }
}

impl FrameWriter {
    pub(crate) fn create(
        py: Python<'_>,
        project: ProjectName,
        contract: &RingContract,
        source: Option<RingName>,
        form: Option<Form>,
        said: Said,
        fps: Option<f64>,
    ) -> PyResult<Self> {
        let made = py.detach(|| shmring::FrameWriter::create(&project, contract, source.as_ref()));
        let end = End(Mutex::new(Some(made.map_err(|error| raise(&error))?)), Birth::here());
        let end = Arc::new(end);
        let weak: Weak<End> = Arc::downgrade(&end);
        ending::watch(weak);
        Ok(Self {
            project,
            name: contract.name.clone(),
            source,
            duration_ns: fps.map_or(Ok(0), |fps| nanoseconds(1.0 / fps))?,
            birth: Birth::here(),
            end,
            book: Mutex::new(Book { form, said, ..Book::default() }),
        })
    }

    fn ring(&self) -> PyResult<shmring::FrameWriter> {
        self.birth.check().map_err(|error| raise(&error))?;
        let held = self.end.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone().ok_or_else(|| Closed::new_err(format!("ring {}: it was closed", self.name)))
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for a frame of this form.
    pub(crate) fn loan(&self, py: Python<'_>, form: Form) -> PyResult<Loan> {
        let ring = self.ring()?;
        let (_, bytes) = form.layout();
        py.detach(move || ring.loan(bytes, WRITER_NEED)).map_err(|error| raise(&error))
    }

    /// The form of all frames of this ring, known since `publish` or the first of them.
    fn form(&self) -> PyResult<Form> {
        self.book().form.ok_or_else(|| {
            PyValueError::new_err(format!(
                "ring {}: how large are its pictures? say like= or shape= in publish, or write one first",
                self.name
            ))
        })
    }

    /// Agrees with what is known of this ring's frames, or makes it known.
    fn agree(&self, given: Given, arrays: &[Array]) -> PyResult<Form> {
        let mut book = self.book();
        let said = book.form.map_or(book.said, Form::said);
        let wrong = |why| PyValueError::new_err(format!("ring {}: {why}", self.name));
        // Of what it is by itself first, so that the text names that.
        let seen = Form::of(given, arrays, said).or_else(|why| {
            let itself = Form::of(given, arrays, Said::default());
            itself.ok().filter(|_| book.form.is_some()).ok_or(why)
        });
        let seen = seen.map_err(wrong)?;
        let known = *book.form.get_or_insert(seen);
        if seen != known {
            return Err(wrong(format!(
                "its frames are {known}, this one is {seen}; publish another ring for it"
            )));
        }
        Ok(known)
    }

    /// Shows a filled slot to readers.
    pub(crate) fn publish(
        &self,
        py: Python<'_>,
        loan: &Loan,
        form: Form,
        told: &Told,
    ) -> PyResult<u64> {
        let ring = self.ring()?;
        let meta = self.describe(form, told);
        let slot = loan.slot();
        let (sequence, epoch) = py
            .detach(|| Ok((ring.publish(slot, &meta)?, ring.epoch())))
            .map_err(|error: shmring::Error| raise(&error))?;
        let own = FrameId { ring: self.name.clone(), epoch, sequence };
        let id = told.id.clone().filter(|_| meta.source.is_some()).unwrap_or(own);
        self.book().newest = Some(Newest { id, utc: told.capture.utc, sequence });
        Ok(sequence)
    }

    fn describe(&self, form: Form, told: &Told) -> FrameMeta {
        let began = *self.book().began.get_or_insert(told.capture.mono);
        let elapsed = told.capture.mono.0.cast_signed().wrapping_sub(began.0.cast_signed());
        let source = told.id.as_ref().filter(|id| Some(&id.ring) == self.source.as_ref());
        let now = clock::mono();
        FrameMeta {
            pts_ns: told.pts_ns.unwrap_or(elapsed),
            duration_ns: self.duration_ns,
            capture: told.capture,
            clock: told.clock,
            ingest: now,
            decoded: now,
            source: source.map(|id| SourceId { epoch: id.epoch, sequence: id.sequence }),
            key: told.key,
            gop_index: told.gop_index,
            ..FrameMeta::of(form.layout().0)
        }
    }
}

#[pymethods]
impl FrameWriter {
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
    fn epoch(&self) -> PyResult<u64> {
        Ok(self.ring()?.epoch())
    }

    /// Number of the newest picture written; 0 before the first.
    #[getter]
    fn seq(&self) -> u64 {
        self.book().newest.as_ref().map_or(0, |newest| newest.sequence)
    }

    /// Readers attached now; with none, nobody sees what is written.
    #[getter]
    fn readers(&self) -> PyResult<u32> {
        Ok(self.ring()?.readers())
    }

    /// What `shmring.rings()` says of this ring.
    #[getter]
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::ring_status(py, &self.project, &self.name)
    }

    /// Publishes a picture, copied once: an array, or a tuple of planes. Gives its number.
    #[pyo3(signature = (picture, *, pts=None, time=None, at=None, key=true))]
    fn write(
        &self,
        py: Python<'_>,
        picture: &Bound<'_, PyAny>,
        pts: Option<f64>,
        time: Option<f64>,
        at: Option<&Bound<'_, Frame>>,
        key: bool,
    ) -> PyResult<u64> {
        let told = Told::new(pts, time, at, key)?;
        let (given, arrays) = samples(picture)?;
        let form = self.agree(given, &facts(&arrays))?;
        let mut loan = self.loan(py, form)?;
        py.detach(|| copy(form, given, &arrays, loan.bytes_mut()));
        self.publish(py, &loan, form, &told)
    }

    /// A slot of the ring to fill in place: `with out.slot() as picture:` gives a writable array (a
    /// tuple of planes for planar formats) and publishes it at the end, unless an exception ends it.
    #[pyo3(signature = (*, pts=None, time=None, at=None, key=true))]
    fn slot(
        slf: Bound<'_, Self>,
        pts: Option<f64>,
        time: Option<f64>,
        at: Option<&Bound<'_, Frame>>,
        key: bool,
    ) -> PyResult<Slot> {
        let told = Told::new(pts, time, at, key)?;
        let writer = slf.get();
        let form = writer.form()?;
        let loan = writer.loan(slf.py(), form)?;
        Slot::new(slf.unbind(), loan, form, told)
    }

    /// Appends a record about the newest picture to the event ring that `shmring.emit` writes.
    fn emit(&self, py: Python<'_>, kind: String, data: &Bound<'_, PyAny>) -> PyResult<u64> {
        self.birth.check().map_err(|error| raise(&error))?;
        let picture = match &self.book().newest {
            Some(newest) => (Some(newest.id.clone()), newest.utc),
            None => (None, clock::now().utc),
        };
        let camera = self.name.camera().to_owned();
        emit::about(py, &self.project, picture, camera, kind, data)
    }

    /// Appends a record of kind "metric" about the newest picture: `out.metric(loss=0.1)`.
    #[pyo3(signature = (**values))]
    fn metric(&self, py: Python<'_>, values: Option<&Bound<'_, PyDict>>) -> PyResult<u64> {
        let values = values.ok_or_else(|| PyValueError::new_err("metric: expected name=value"))?;
        self.emit(py, "metric".to_owned(), values.as_any())
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
        format!("<shmring.FrameWriter of {} of project {}>", self.name, self.project)
    }
}

impl Ending for End {
    fn finish(&self) {
        if self.1.is_here() {
            let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(ring) = held {
                ring.finish();
            }
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.finish();
        // In a forked child the ring is its parent's: nothing is told, nothing given back.
        std::mem::forget(self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// What was given, as buffers.
fn samples(picture: &Bound<'_, PyAny>) -> PyResult<(Given, Vec<Samples>)> {
    let planes = picture.cast::<PyTuple>().map(|planes| planes.iter().collect::<Vec<_>>());
    let planes = planes.or_else(|_| picture.cast::<PyList>().map(|planes| planes.iter().collect()));
    match planes {
        Ok(planes) => {
            let arrays = planes.iter().map(Samples::of).collect::<PyResult<_>>()?;
            Ok((Given::Planes, arrays))
        }
        Err(_) => Ok((Given::Whole, vec![Samples::of(picture)?])),
    }
}

fn facts(arrays: &[Samples]) -> Vec<Array> {
    arrays.iter().map(|array| (array.dtype(), array.shape().to_vec())).collect()
}

/// The form of frames like this one.
pub(crate) fn form_like(frame: &Bound<'_, PyAny>, said: Said) -> PyResult<Form> {
    let (given, arrays) = samples(frame)?;
    let form = Form::of(given, &facts(&arrays), said);
    form.map_err(|why| PyValueError::new_err(format!("like: {why}")))
}

fn copy(form: Form, given: Given, arrays: &[Samples], slot: &mut [u8]) {
    match form {
        Form::Picture(geometry) => copy_picture(geometry, given, arrays, slot),
        Form::Tensor(tensor) => arrays[0].copy_all(&mut slot[..tensor.bytes()]),
    }
}

fn copy_picture(geometry: Geometry, given: Given, arrays: &[Samples], slot: &mut [u8]) {
    let (layout, _) = geometry.layout();
    for (plane, layout) in layout.iter().enumerate().take(geometry.format.planes()) {
        let extent = geometry.format.plane_extent(plane, geometry.width, geometry.height);
        let PlaneLayout { offset, linesize } = *layout;
        let rows = slot[offset as usize..].chunks_mut(linesize as usize);
        for (y, row) in rows.enumerate().take(extent.rows as usize) {
            let spot = geometry.locate(given, plane, y);
            arrays[spot.array].copy_row(spot.row, spot.from, &mut row[..extent.row_bytes as usize]);
        }
    }
}

/// An instant given in seconds UTC, on both clocks.
pub(crate) fn captured(seconds: f64) -> PyResult<Stamp> {
    let utc = u64::try_from(nanoseconds(seconds)?)
        .map_err(|_| PyValueError::new_err("time: expected seconds since 1970"))?;
    let now = clock::now();
    let ago = i128::from(now.utc.0) - i128::from(utc);
    let mono = u64::try_from((i128::from(now.mono.0) - ago).max(0)).unwrap_or(now.mono.0);
    Ok(Stamp { mono: MonoNs(mono), utc: UtcNs(utc) })
}

/// Seconds to ns.
pub(crate) fn nanoseconds(seconds: f64) -> PyResult<i64> {
    let ns = seconds * NS_PER_S as f64;
    // 292 years; what is beyond is a mistake of the program.
    if !ns.is_finite() || ns.abs() >= i64::MAX as f64 {
        return Err(PyValueError::new_err(format!("{seconds} s: expected a time in seconds")));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked just before")]
    Ok(ns.round() as i64)
}
