//! What a C program fills in to publish, made into what the Rust crate takes.

use std::ffi::CStr;

use protocol::name::{NameError, RingName};
use protocol::record::Record;
use protocol::stream::{self, Codec, Colour, DType, PixelFormat};
use protocol::time::{ClockSource, MonoNs, Stamp, TimeBase, UtcNs};
use serde_json::Value;
use shmring::{Content, FrameMeta, PacketMeta, Picture, PlaneLayout, SourceId, Tensor};

use crate::abi::{self, AXES, PLANES, content, flag};
use crate::error::Error;
use crate::input;
use crate::view::{NO_PLANE, NO_TENSOR, tensor_layout};

/// What decoders and vector units like rows and planes to begin at.
const ROW_ALIGN_BYTES: u32 = 64;

/// Fills in where all of a picture or tensor lies, and the bytes it needs.
pub(crate) fn lay_out(frame: &mut abi::Frame) -> Result<(), Error> {
    match frame.content {
        content::PICTURE => lay_out_picture(frame),
        content::TENSOR => lay_out_tensor(frame),
        seen => Err(not_a_content(seen)),
    }
}

fn lay_out_picture(frame: &mut abi::Frame) -> Result<(), Error> {
    let format = format_of(frame.format)?;
    let (width, height) = (frame.width, frame.height);
    let picture = Picture::packed(width, height, format, ROW_ALIGN_BYTES);
    let picture = picture.ok_or(Error::Side { width, height })?;
    frame.planes = [NO_PLANE; PLANES];
    for (number, plane) in frame.planes.iter_mut().enumerate().take(format.planes()) {
        let extent = format.plane_extent(number, width, height);
        let layout = picture.planes[number];
        plane.offset = layout.offset.into();
        plane.linesize = layout.linesize.into();
        (plane.row_bytes, plane.rows) = (extent.row_bytes, extent.rows);
    }
    frame.plane_count = u32::try_from(format.planes()).unwrap_or(0);
    frame.tensor = NO_TENSOR;
    frame.slot_bytes = picture.slot_bytes() as u64;
    Ok(())
}

fn lay_out_tensor(frame: &mut abi::Frame) -> Result<(), Error> {
    let shape = axes_of(&frame.tensor, &frame.tensor.shape)?;
    let tensor = Tensor::dense(dtype_of(frame.tensor.dtype)?, shape).ok_or(Error::Shape)?;
    frame.tensor = tensor_layout(&tensor);
    frame.planes = [NO_PLANE; PLANES];
    frame.plane_count = 0;
    frame.slot_bytes = tensor.slot_bytes() as u64;
    Ok(())
}

/// A picture's or tensor's description; times that were left out are `now`.
pub(crate) fn frame_meta(
    frame: &abi::Frame,
    source: Option<&RingName>,
    now: Stamp,
) -> Result<FrameMeta, Error> {
    let has = |bit| frame.flags & bit != 0;
    Ok(FrameMeta {
        pts_ns: frame.pts_ns,
        duration_ns: frame.duration_ns,
        capture: capture(frame.capture_mono_ns, frame.capture_utc_ns, now),
        clock: clock_of("frame.clock", frame.clock)?,
        ingest: mono(frame.ingest_mono_ns, now),
        decoded: mono(frame.decoded_mono_ns, now),
        source: source_of(&frame.id, source)?,
        key: has(flag::KEY),
        corrupt: has(flag::CORRUPT),
        discontinuity: has(flag::DISCONTINUITY),
        copied: has(flag::COPIED),
        gop_index: frame.gop_index,
        user: frame.user,
        ..FrameMeta::of(content_of(frame)?)
    })
}

fn content_of(frame: &abi::Frame) -> Result<Content, Error> {
    match frame.content {
        content::PICTURE => picture_of(frame).map(Content::Picture),
        content::TENSOR => tensor_of(&frame.tensor).map(Content::Tensor),
        seen => Err(not_a_content(seen)),
    }
}

fn picture_of(frame: &abi::Frame) -> Result<Picture, Error> {
    let mut planes = [PlaneLayout::default(); PLANES];
    for (layout, plane) in planes.iter_mut().zip(&frame.planes) {
        *layout = PlaneLayout {
            offset: half("frame.planes[].offset", plane.offset)?,
            linesize: half("frame.planes[].linesize", plane.linesize)?,
        };
    }
    Ok(Picture {
        width: frame.width,
        height: frame.height,
        format: format_of(frame.format)?,
        colour: colour_of(frame),
        planes,
    })
}

fn tensor_of(tensor: &abi::Tensor) -> Result<Tensor, Error> {
    let (shape, strides) = (axes_of(tensor, &tensor.shape)?, axes_of(tensor, &tensor.strides)?);
    let offset = half("frame.tensor.offset", tensor.offset)?;
    Tensor::strided(dtype_of(tensor.dtype)?, shape, strides, offset).ok_or(Error::Shape)
}

fn axes_of<'a>(tensor: &abi::Tensor, all: &'a [u32; AXES]) -> Result<&'a [u32], Error> {
    let axes = all.get(..tensor.axes as usize);
    axes.ok_or_else(|| value("frame.tensor.axes", tensor.axes, "0 to 6"))
}

fn dtype_of(code: u32) -> Result<DType, Error> {
    DType::from_code(code).ok_or_else(|| value("frame.tensor.dtype", code, "an enum shmring_dtype"))
}

fn not_a_content(seen: u32) -> Error {
    value("frame.content", seen, "an enum shmring_content")
}

fn value(what: &'static str, seen: u32, expected: &'static str) -> Error {
    Error::Value { what, seen: seen.into(), expected }
}

fn half(what: &'static str, value: u64) -> Result<u32, Error> {
    let expected = "below 4 GiB";
    u32::try_from(value).map_err(|_| Error::Value { what, seen: value, expected })
}

fn format_of(code: u32) -> Result<PixelFormat, Error> {
    PixelFormat::from_code(code)
        .ok_or_else(|| value("frame.format", code, "an enum shmring_format"))
}

/// The code points of a real description are never all 0.
fn colour_of(frame: &abi::Frame) -> Colour {
    let (matrix, primaries, transfer) =
        (frame.colour_matrix, frame.colour_primaries, frame.colour_transfer);
    let range = frame.colour_range;
    match (matrix, primaries, transfer) {
        (0, 0, 0) => Colour { range, ..Colour::default() },
        _ => Colour { range, matrix, primaries, transfer },
    }
}

fn clock_of(what: &'static str, code: u32) -> Result<ClockSource, Error> {
    match code {
        0 => Ok(ClockSource::Arrival),
        1 => Ok(ClockSource::Camera),
        seen => Err(value(what, seen, "an enum shmring_clock")),
    }
}

fn capture(mono_ns: u64, utc_ns: u64, now: Stamp) -> Stamp {
    match (mono_ns, utc_ns) {
        (0, 0) => now,
        _ => Stamp { mono: MonoNs(mono_ns), utc: UtcNs(utc_ns) },
    }
}

fn mono(ns: u64, now: Stamp) -> MonoNs {
    if ns == 0 { now.mono } else { MonoNs(ns) }
}

/// The packet a picture came from, of the ring's one source.
fn source_of(id: &abi::FrameId, source: Option<&RingName>) -> Result<Option<SourceId>, Error> {
    if id.epoch == 0 {
        return Ok(None);
    }
    let seen = name_of("frame.id.ring", id)?;
    let expected = source.map_or("none", RingName::as_str);
    if source.is_none() || (!seen.is_empty() && seen != expected) {
        let seen = if seen.is_empty() { "a packet" } else { seen }.to_owned();
        return Err(Error::OtherSource { seen, expected: expected.to_owned() });
    }
    Ok(Some(SourceId { epoch: id.epoch, sequence: id.sequence }))
}

/// The text in an id's place for a ring's name.
fn name_of<'a>(what: &'static str, id: &'a abi::FrameId) -> Result<&'a str, Error> {
    let bytes: &[u8; abi::RING_NAME_BYTES] = cast_bytes(&id.ring);
    let text = CStr::from_bytes_until_nul(bytes).map_err(|_| Error::NotUtf8 { what })?;
    text.to_str().map_err(|_| Error::NotUtf8 { what })
}

fn cast_bytes(text: &[std::ffi::c_char; abi::RING_NAME_BYTES]) -> &[u8; abi::RING_NAME_BYTES] {
    // SAFETY: chars and bytes are of one size, and any bits are a value of either.
    unsafe { &*std::ptr::from_ref(text).cast() }
}

/// A packet's description; times that were left out are `now`.
pub(crate) fn packet_meta(
    packet: &abi::Packet,
    tracks: u32,
    now: Stamp,
) -> Result<PacketMeta, Error> {
    if packet.track >= tracks {
        return Err(value("packet.track", packet.track, "below the number of the writer's tracks"));
    }
    let has = |bit| packet.flags & bit != 0;
    let source = SourceId { epoch: packet.id.epoch, sequence: packet.id.sequence };
    Ok(PacketMeta {
        track: packet.track,
        key: has(flag::KEY),
        discontinuity: has(flag::DISCONTINUITY),
        corrupt: has(flag::CORRUPT),
        pts_ns: packet.pts_ns,
        dts_ns: packet.dts_ns,
        duration_ns: packet.duration_ns,
        capture: capture(packet.capture_mono_ns, packet.capture_utc_ns, now),
        clock: clock_of("packet.clock", packet.clock)?,
        ingest: mono(packet.ingest_mono_ns, now),
        gop_index: packet.gop_index,
        source: (source.epoch != 0).then_some(source),
    })
}

/// Tracks with their extradata copied.
///
/// # Safety
/// Each with NULL or as many readable bytes as it says.
pub(crate) unsafe fn tracks(tracks: &[abi::Track]) -> Result<Vec<stream::Track>, Error> {
    // SAFETY: by the caller's word.
    tracks.iter().map(|track| unsafe { track_of(track) }).collect()
}

/// # Safety
/// As [`tracks`].
unsafe fn track_of(track: &abi::Track) -> Result<stream::Track, Error> {
    let codec = Codec::from_code(track.codec)
        .ok_or_else(|| value("track.codec", track.codec, "an enum shmring_codec"))?;
    // SAFETY: by the caller's word.
    let extradata =
        unsafe { input::slice("track.extradata", track.extradata, track.extradata_bytes) }?;
    let time_base = match (track.time_base_num, track.time_base_den) {
        (0, 0) => TimeBase::NANOSECONDS,
        (num, den) => TimeBase { num, den },
    };
    Ok(stream::Track {
        codec,
        time_base,
        width: track.width,
        height: track.height,
        sample_rate_hz: track.sample_rate_hz,
        channels: track.channels,
        frame_rate: (track.frame_rate_num, track.frame_rate_den.max(1)),
        extradata: extradata.to_vec(),
    })
}

/// A record; its id stays empty when it was left out.
///
/// # Safety
/// Its texts are NULL or readable.
pub(crate) unsafe fn record(record: &abi::Record, now: Stamp) -> Result<Record, Error> {
    // SAFETY: by the caller's word.
    let id = unsafe { input::text("record.id", record.id) }?;
    // SAFETY: by the caller's word.
    let kind = unsafe { input::text("record.type", record.kind) }?;
    // SAFETY: by the caller's word.
    let camera = unsafe { input::text("record.camera", record.camera) }?;
    // SAFETY: by the caller's word.
    let data = unsafe { input::text("record.data_json", record.data_json) }?;
    let frame = frame_of(&record.frame)?;
    let camera = camera.or_else(|| Some(frame.as_ref()?.ring.camera()));
    Ok(Record {
        id: id.unwrap_or_default().to_owned(),
        kind: kind.ok_or(Error::Null { what: "record.type" })?.to_owned(),
        camera: camera.unwrap_or_default().to_owned(),
        time_utc_ns: if record.time_utc_ns == 0 { now.utc.0 } else { record.time_utc_ns },
        data: data.map_or(Ok(Value::Null), serde_json::from_str).map_err(Error::BadData)?,
        frame,
    })
}

fn frame_of(id: &abi::FrameId) -> Result<Option<stream::FrameId>, Error> {
    let name = name_of("record.frame.ring", id)?;
    if name.is_empty() {
        return Ok(None);
    }
    let ring = name.parse().map_err(|error: NameError| Error::from(error))?;
    Ok(Some(stream::FrameId { ring, epoch: id.epoch, sequence: id.sequence }))
}
