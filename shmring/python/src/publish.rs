//! `publish`: becoming the writer of a ring.

use std::collections::BTreeMap;

use protocol::config::RingConfig;
use protocol::control::{Essential, RingContract, env};
use protocol::name::{ProjectName, RingKind, RingName};
use protocol::stream::{Codec, DType, PixelFormat, Track};
use protocol::time::TimeBase;
use protocol::units::Span;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use shmring::project;

use crate::error::{parse, raise};
use crate::form::{self, Form, Said};
use crate::packet_writer::PacketWriter;
use crate::picture::{Geometry, Given};
use crate::raw;
use crate::values::Time;
use crate::writer::{self, FrameWriter};

/// Becomes the writer of a ring of frames or packets. `name` None is the one of FRAMEVISOR_OUT.
///
/// Pictures are as `like` (an array or a tuple of planes), or of `shape`, or as the first one written;
/// `format` tells what shapes alone do not, such as "bgr24" or "yuv420p". What is no picture is a tensor,
/// and so is everything of a given `dtype`. Packets need a `codec`, and
/// for video a `size`. `source` names the ring whose pictures this one's are made from, `essential` the
/// readers that may fall behind by so much before anything they have not taken is overwritten.
#[pyfunction]
#[pyo3(signature = (
    name=None, like=None, *, shape=None, format=None, dtype=None, fps=None, codec=None, size=None, extradata=vec![],
    max_bitrate=None, source=None, project=None, readers=4, essential=BTreeMap::new()
))]
#[expect(clippy::too_many_arguments, reason = "Python gives most of them by name, or not at all")]
pub(crate) fn publish(
    py: Python<'_>,
    name: Option<&str>,
    like: Option<&Bound<'_, PyAny>>,
    shape: Option<Vec<usize>>,
    format: Option<&str>,
    dtype: Option<&Bound<'_, PyAny>>,
    fps: Option<f64>,
    codec: Option<&str>,
    size: Option<(u32, u32)>,
    extradata: Vec<u8>,
    max_bitrate: Option<&str>,
    source: Option<&str>,
    project: Option<&str>,
    readers: u32,
    essential: BTreeMap<String, Time>,
) -> PyResult<Py<PyAny>> {
    let ring = name.map_or_else(given_ring, parse)?;
    let project = project::any(project, &ring).map_err(|error| raise(&error))?;
    if fps.is_some_and(|fps| !(fps > 0.0 && fps.is_finite())) {
        return Err(PyValueError::new_err("fps: expected pictures a second, above 0"));
    }
    let mut config = RingConfig::default();
    if let Some(rate) = max_bitrate {
        config.max_bitrate = rate.parse().map_err(|error| wrong("max_bitrate", &error))?;
    }
    if readers == 0 {
        return Err(PyValueError::new_err(
            "readers=0: expected 1 or more, for nobody could attach",
        ));
    }
    let essential = essential.into_iter().map(|(reader, given)| kept_for(reader, &given));
    let essential = essential.collect::<PyResult<_>>()?;
    let contract = RingContract { essential, ..RingContract::new(ring, config, readers) };
    let contract = shmring::project::as_told(contract);
    match contract.name.kind() {
        RingKind::Frames => {
            refuse(codec.is_some() || size.is_some() || max_bitrate.is_some(), "of packets")?;
            let format = format.map(pixel_format).transpose()?;
            let said = Said { format, dtype: dtype.map(element_type).transpose()? };
            let form = form(like, shape, said)?;
            let source = source.map(parse).transpose()?;
            let made = FrameWriter::create(py, project, &contract, source, form, said, fps)?;
            Ok(Py::new(py, made)?.into_any())
        }
        RingKind::Packets => {
            let of_frames = like.is_some() || shape.is_some() || format.is_some();
            refuse(of_frames || dtype.is_some() || source.is_some(), "of frames")?;
            let track = track(codec, size, fps, extradata)?;
            packets(py, &project, &contract, track)
        }
        RingKind::Events => Err(PyValueError::new_err(format!(
            "ring {}: records are written with shmring.emit",
            contract.name
        ))),
    }
}

/// As in a topology: a shorter one is less than a busy machine's pause, a longer one a recording.
const DEADLINES: (Span, Span) = (Span::from_millis(100), Span::from_millis(60_000));

/// A reader that may fall behind by so much.
fn kept_for(reader: String, given: &Time) -> PyResult<Essential> {
    let deadline = given.span("essential")?;
    let (least, most) = DEADLINES;
    if !(least..=most).contains(&deadline) {
        return Err(PyValueError::new_err(format!(
            "essential: {reader} may be behind by {deadline}; expected {least} to {most}"
        )));
    }
    Ok(Essential { reader, deadline })
}

fn packets(
    py: Python<'_>,
    project: &ProjectName,
    contract: &RingContract,
    track: Track,
) -> PyResult<Py<PyAny>> {
    let made = PacketWriter::create(py, project, contract, track)?;
    Ok(Py::new(py, made)?.into_any())
}

/// The ring of pictures or packets that the supervisor gave this worker.
fn given_ring() -> PyResult<RingName> {
    let given = std::env::var(env::OUT).unwrap_or_default();
    let mut names = given.split(',').filter_map(|name| name.trim().parse::<RingName>().ok());
    names.find(|name| name.kind() != RingKind::Events).ok_or_else(|| {
        PyValueError::new_err(format!("which ring? {} names none of frames or packets", env::OUT))
    })
}

fn form(
    like: Option<&Bound<'_, PyAny>>,
    shape: Option<Vec<usize>>,
    said: Said,
) -> PyResult<Option<Form>> {
    match (like, shape) {
        (Some(_), Some(_)) => Err(PyValueError::new_err("like or shape: one of them is enough")),
        (Some(like), None) => writer::form_like(like, said).map(Some),
        (None, Some(shape)) => {
            // Without a word of a type it is a picture: an array would have had one.
            let form = match said {
                Said { format: None, dtype: Some(dtype) } => form::tensor(dtype, &shape),
                Said { format, dtype: None } => {
                    Geometry::of(Given::Whole, &[shape], format).map(Form::Picture)
                }
                Said { .. } => Form::of(Given::Whole, &[], said),
            };
            form.map(Some).map_err(|why| PyValueError::new_err(format!("shape: {why}")))
        }
        (None, None) => Ok(None),
    }
}

/// A name, or what numpy has for one: `numpy.float32`, `array.dtype`.
fn element_type(dtype: &Bound<'_, PyAny>) -> PyResult<DType> {
    let name = match dtype.extract::<String>() {
        Ok(name) => name,
        Err(_) => dtype.getattr("name").or_else(|_| dtype.getattr("__name__"))?.extract()?,
    };
    let known = DType::ALL.into_iter().find(|known| raw::dtype_name(*known) == name);
    known.ok_or_else(|| {
        let names = DType::ALL.map(raw::dtype_name).join(", ");
        PyValueError::new_err(format!("dtype '{name}': expected one of {names}"))
    })
}

fn pixel_format(name: &str) -> PyResult<PixelFormat> {
    PixelFormat::ALL.into_iter().find(|known| known.as_str() == name).ok_or_else(|| {
        let known = PixelFormat::ALL.map(PixelFormat::as_str).join(", ");
        PyValueError::new_err(format!("format '{name}': expected one of {known}"))
    })
}

fn track(
    codec: Option<&str>,
    size: Option<(u32, u32)>,
    fps: Option<f64>,
    extradata: Vec<u8>,
) -> PyResult<Track> {
    let name = codec.ok_or_else(|| PyValueError::new_err("codec: packets of what? e.g. 'h264'"))?;
    let known = serde_json::from_value(name.into()).ok();
    let codec = known.filter(|codec| WRITTEN.contains(codec)).ok_or_else(|| {
        PyValueError::new_err(format!("codec '{name}': expected one of {}", written()))
    })?;
    let (width, height) =
        size.ok_or_else(|| PyValueError::new_err("size: video needs (width, height)"))?;
    Ok(Track {
        codec,
        time_base: TimeBase::NANOSECONDS,
        width,
        height,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: rate(fps),
        extradata,
    })
}

/// What a program may write: video whose packets have one form in every ring (docs/python.md), so that each
/// worker takes them. Sound needs more than a name.
const WRITTEN: [Codec; 5] = [Codec::H264, Codec::H265, Codec::Av1, Codec::Vp9, Codec::Mjpeg];

fn written() -> String {
    let name = |codec: &Codec| serde_json::to_value(codec).ok()?.as_str().map(str::to_owned);
    let names: Vec<String> = WRITTEN.iter().filter_map(name).collect();
    names.join(", ")
}

/// As a fraction of whole numbers, to a thousandth.
fn rate(fps: Option<f64>) -> (u32, u32) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "above zero, and saturating"
    )]
    fps.map_or((0, 1), |fps| ((fps * 1000.0).round() as u32, 1000))
}

fn refuse(given: bool, kind: &str) -> PyResult<()> {
    if given {
        return Err(PyValueError::new_err(format!(
            "an argument is for rings {kind}, this is none"
        )));
    }
    Ok(())
}

fn wrong(argument: &str, why: &dyn std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("{argument}: {why}"))
}
