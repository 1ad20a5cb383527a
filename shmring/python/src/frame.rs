//! A leased picture and what is known of it.

use std::sync::{Arc, Mutex, PoisonError};

use protocol::name::ProjectName;
use protocol::stream::{DType, FrameId, PixelFormat};
use protocol::time::{MonoNs, UtcNs};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyTuple};
use shmring::fork::Birth;
use shmring::{Content, FrameMeta, Picture};
use shmring_cuda::DeviceId;

use crate::device;
use crate::error::{Closed, Damaged, OnDevice, WrongKind, raise};
use crate::raw::{self, Plane, Wanted};
use crate::rgb::{self, Order};
use crate::values;

/// The lease of a picture, shared by its frame and every view of it. The last one to go ends it.
pub(crate) struct Lease {
    frame: Option<shmring::Frame>,
    birth: Birth,
}

impl Lease {
    pub(crate) fn frame(&self) -> Option<&shmring::Frame> {
        self.frame.as_ref()
    }

    pub(crate) fn check(&self) -> PyResult<()> {
        self.birth.check().map_err(|error| raise(&error))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.birth.is_here() {
            // Ending it here would end the parent's lease, which is the same word of the same page.
            std::mem::forget(self.frame.take());
        }
    }
}

/// A picture of a frame ring. Its bytes do not change while it, or any view of it, lives.
#[pyclass(frozen, module = "shmring")]
pub(crate) struct Frame {
    lease: Mutex<Option<Arc<Lease>>>,
    facts: Facts,
}

/// What outlives the lease.
pub(crate) struct Facts {
    pub(crate) project: ProjectName,
    pub(crate) id: FrameId,
    pub(crate) meta: FrameMeta,
    epoch: u64,
    sequence: u64,
    published: MonoNs,
    missed: u64,
}

impl Frame {
    pub(crate) fn new(frame: shmring::Frame, project: ProjectName, missed: u64) -> Self {
        let facts = Facts {
            project,
            id: frame.frame_id(),
            meta: *frame.meta(),
            epoch: frame.epoch(),
            sequence: frame.sequence(),
            published: frame.published(),
            missed,
        };
        let lease = Lease { frame: Some(frame), birth: Birth::here() };
        Self { lease: Mutex::new(Some(Arc::new(lease))), facts }
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    fn lease(&self) -> PyResult<Arc<Lease>> {
        let held = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let lease = held.as_ref().ok_or_else(|| {
            Closed::new_err(format!(
                "{}: it was released; take its arrays before that",
                self.name()
            ))
        })?;
        lease.check()?;
        Ok(Arc::clone(lease))
    }

    fn plane(&self, number: usize, channels: Option<usize>) -> PyResult<Plane> {
        let plane = Plane::new(self.lease()?, number, channels);
        plane.ok_or_else(|| Damaged::new_err(format!("{}: has no plane {number}", self.name())))
    }

    fn picture(&self) -> PyResult<&Picture> {
        let Facts { meta, .. } = &self.facts;
        meta.picture().ok_or_else(|| {
            WrongKind::new_err(format!("{}: holds {}, no picture", self.name(), meta.content))
        })
    }

    /// Plane 0, or all of a tensor, as `numpy` shows it.
    fn whole(&self) -> PyResult<Plane> {
        match self.facts.meta.content {
            Content::Picture(picture) => self.plane(0, channels(picture.format)),
            Content::Tensor(_) => {
                let tensor = Plane::of_tensor(self.lease()?);
                tensor.ok_or_else(|| Damaged::new_err(format!("{}: no tensor", self.name())))
            }
        }
    }

    fn converted<'py>(&self, py: Python<'py>, order: Order) -> PyResult<Bound<'py, PyAny>> {
        let shape = *self.picture()?;
        let lease = self.lease()?;
        let frame = lease.frame().ok_or_else(|| Damaged::new_err(self.name()))?;
        if frame.device().is_some() {
            let fetched = py.detach(|| Fetched::of(frame, shape))?;
            return packed(py, &fetched, order);
        }
        let picture = Rows::of(frame, shape).ok_or_else(|| Damaged::new_err(self.name()))?;
        packed(py, &picture, order)
    }

    fn name(&self) -> String {
        format!("frame {} of {}", self.facts.sequence, self.facts.id.ring)
    }
}

/// A new array of red, green and blue.
fn packed<'py>(
    py: Python<'py>,
    picture: &(impl rgb::Picture + Sync),
    order: Order,
) -> PyResult<Bound<'py, PyAny>> {
    let rgb::Shape { width, height, .. } = picture.shape();
    let bytes = PyByteArray::new_with(py, width * height * 3, |pixels| {
        // Nobody else has this bytearray yet, so it may be written without the interpreter.
        py.detach(|| rgb::convert(picture, order, pixels));
        Ok(())
    })?;
    let numpy = py.import("numpy")?;
    let flat = numpy.call_method1("frombuffer", (bytes, numpy.getattr("uint8")?))?;
    flat.call_method1("reshape", (height, width, 3))
}

#[pymethods]
impl Frame {
    /// Number within its ring and epoch, from 1.
    #[getter]
    fn seq(&self) -> u64 {
        self.facts.sequence
    }

    #[getter]
    fn epoch(&self) -> u64 {
        self.facts.epoch
    }

    /// Presentation time in the source, in seconds.
    #[getter]
    fn pts(&self) -> f64 {
        values::seconds(self.facts.meta.pts_ns)
    }

    /// How long it is to be shown, in seconds; 0 when that is not known.
    #[getter]
    fn duration(&self) -> f64 {
        values::seconds(self.facts.meta.duration_ns)
    }

    /// Capture time, in seconds UTC.
    #[getter]
    fn time(&self) -> f64 {
        let UtcNs(ns) = self.facts.meta.capture.utc;
        values::utc_seconds(ns)
    }

    /// Milliseconds since capture, or since publication for a picture whose capture is not known.
    #[getter]
    fn age_ms(&self) -> f64 {
        let captured = self.facts.meta.capture.mono;
        values::age_ms(if captured.0 == 0 { self.facts.published } else { captured })
    }

    #[getter]
    fn width(&self) -> PyResult<u32> {
        Ok(self.picture()?.width)
    }

    #[getter]
    fn height(&self) -> PyResult<u32> {
        Ok(self.picture()?.height)
    }

    #[getter]
    fn format(&self) -> PyResult<&'static str> {
        Ok(self.picture()?.format.as_str())
    }

    /// That of `numpy()`.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        match &self.facts.meta.content {
            Content::Tensor(tensor) => PyTuple::new(py, tensor.shape()),
            Content::Picture(Picture { width, height, format, .. }) => match channels(*format) {
                Some(channels) => (*height, *width, channels).into_pyobject(py),
                None => (*height, *width).into_pyobject(py),
            },
        }
    }

    /// Type of the elements of `numpy()`, by numpy's name.
    #[getter]
    fn dtype(&self) -> &'static str {
        let dtype = self.facts.meta.tensor().map_or(DType::U8, |tensor| tensor.dtype);
        raw::dtype_name(dtype)
    }

    #[getter]
    fn key(&self) -> bool {
        self.facts.meta.key
    }

    #[getter]
    fn corrupt(&self) -> bool {
        self.facts.meta.corrupt
    }

    /// What the writer says of it in its own way, 64 bytes.
    #[getter]
    fn user<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.facts.meta.user)
    }

    /// Frames lost to this reader just before this one; 0 with the policy "latest", which skips.
    #[getter]
    fn missed(&self) -> u64 {
        self.facts.missed
    }

    /// Whether it is of another size or format than the one this ring gave before.
    #[getter]
    fn format_change(&self) -> bool {
        self.facts.meta.format_change
    }

    /// The picture's identity, the same in every ring, record and recording.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::frame_id(py, &self.facts.id)
    }

    /// Sequence of the packet it was decoded from; None for a picture born in its ring.
    #[getter]
    fn source_seq(&self) -> Option<u64> {
        self.facts.meta.source.map(|source| source.sequence)
    }

    /// Every plane as rows of bytes, read-only, not copied.
    #[getter]
    fn planes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let count = self.picture()?.format.planes();
        let planes = (0..count).map(|number| self.plane(number, None));
        PyTuple::new(py, planes.collect::<PyResult<Vec<_>>>()?)
    }

    /// The picture or tensor as a read-only numpy array, not copied: height x width x channels for
    /// packed formats, the luma plane for planar ones.
    fn numpy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let whole = self.whole()?;
        if whole.is_on_device() {
            return Err(OnDevice::new_err(format!("{}: {}", self.name(), raw::ON_DEVICE)));
        }
        values::array(&Bound::new(py, whole)?)
    }

    /// A copy as height x width x 3 array of red, green, blue.
    fn rgb<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.converted(py, Order::Rgb)
    }

    /// A copy as height x width x 3 array of blue, green, red: OpenCV's order.
    fn bgr<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.converted(py, Order::Bgr)
    }

    /// What `numpy()` shows, as an array of the program's own, which it may change and keep.
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let whole = self.whole()?;
        if whole.is_on_device() {
            let bytes = py.detach(|| whole.copy())?;
            let numpy = py.import("numpy")?;
            let flat =
                numpy.call_method1("frombuffer", (PyByteArray::new(py, &bytes), self.dtype()))?;
            return flat.call_method1("reshape", (whole.view().shape_tuple(py)?,));
        }
        values::array(&Bound::new(py, whole)?)?.call_method0("copy")
    }

    /// The device that it lies on, as `nvidia-smi -L` calls it; None in the machine's memory.
    #[getter]
    fn device(&self) -> PyResult<Option<String>> {
        let lease = self.lease()?;
        let on = lease.frame().and_then(shmring::Frame::device);
        Ok(on.map(|on| DeviceId(on.block().device).to_string()))
    }

    /// Whether its device's memory went with its writer: what was read of it since its writer was last seen is
    /// nobody's word. False in the machine's memory, which stays.
    #[getter]
    fn lost(&self) -> PyResult<bool> {
        let lease = self.lease()?;
        Ok(lease.frame().and_then(shmring::Frame::device).is_some_and(|on| on.is_lost()))
    }

    /// What `numpy()` shows, for `torch.from_dlpack(f)` and its like: not copied, read-only, keeping the
    /// picture as every view does. A consumer that cannot be told so is refused; give it `f.copy()`.
    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<Bound<'py, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        raw::capsule(py, self.whole()?, &Wanted { stream, max_version, dl_device, copy })
    }

    /// The processor's memory, or the device that it lies on.
    fn __dlpack_device__(&self) -> PyResult<(i32, i32)> {
        raw::device_of(&self.whole()?)
    }

    /// Lets go of the picture; views that were taken keep it until they go.
    fn release(&self) {
        let held = self.lease.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(held);
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(&self, _kind: Py<PyAny>, _value: Py<PyAny>, _trace: Py<PyAny>) {
        self.release();
    }

    fn __repr__(&self) -> String {
        let Facts { sequence, id, meta, .. } = &self.facts;
        format!("<shmring.Frame {sequence} of {}: {}>", id.ring, meta.content)
    }
}

/// Bytes of a pixel, for formats that have whole pixels side by side.
pub(crate) fn channels(format: PixelFormat) -> Option<usize> {
    let bytes = format.pixel_bytes() as usize;
    (bytes > 1).then_some(bytes)
}

/// A leased picture, row by row.
struct Rows<'a> {
    frame: &'a shmring::Frame,
    picture: Picture,
    width: usize,
    height: usize,
}

impl<'a> Rows<'a> {
    fn of(frame: &'a shmring::Frame, picture: Picture) -> Option<Self> {
        let plane = frame.plane(0)?;
        // Of the row's bytes, as in `Plane::new`.
        let width = plane.row_bytes() / picture.format.pixel_bytes() as usize;
        Some(Self { frame, picture, width, height: plane.rows() })
    }
}

impl rgb::Picture for Rows<'_> {
    fn shape(&self) -> rgb::Shape {
        let Picture { format, colour, .. } = self.picture;
        rgb::Shape { width: self.width, height: self.height, format, colour }
    }

    fn row(&self, plane: usize, y: usize, into: &mut [u8]) {
        if let Some(plane) = self.frame.plane(plane) {
            plane.copy_row(y, into);
        }
    }
}

/// A picture fetched from a device, plane by plane.
struct Fetched {
    picture: Picture,
    planes: Vec<Vec<u8>>,
}

impl Fetched {
    fn of(frame: &shmring::Frame, picture: Picture) -> PyResult<Self> {
        let fetch = |number: usize| {
            let extent = picture.format.plane_extent(number, picture.width, picture.height);
            let (at, size) =
                (picture.planes[number], (extent.row_bytes as usize, extent.rows as usize));
            device::fetch(frame, at.offset, at.linesize as usize, size)
        };
        let planes = (0..picture.format.planes()).map(fetch).collect::<PyResult<_>>()?;
        Ok(Self { picture, planes })
    }
}

impl rgb::Picture for Fetched {
    fn shape(&self) -> rgb::Shape {
        let Picture { width, height, format, colour, .. } = self.picture;
        rgb::Shape { width: width as usize, height: height as usize, format, colour }
    }

    fn row(&self, plane: usize, y: usize, into: &mut [u8]) {
        let extent =
            self.picture.format.plane_extent(plane, self.picture.width, self.picture.height);
        let row_bytes = extent.row_bytes as usize;
        let bytes = row_bytes.min(into.len());
        into[..bytes].copy_from_slice(&self.planes[plane][y * row_bytes..][..bytes]);
    }
}
