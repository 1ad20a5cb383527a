//! Items in C's hands: what was taken from a ring, and the struct that shows it.

use std::ffi::{CString, c_char};
use std::sync::Arc;

use protocol::name::RingName;
use protocol::stream::{self, DType, PixelFormat};
use shmring::fork::Birth;
use shmring::{Content, Picture, Tensor};

use crate::abi::{self, content, flag};
use crate::error::{Error, pointer, quietly};
use crate::handle::{self, Handle};
use crate::input::size_of_u32;
use crate::source::Taken;

/// A frame, packet or record. Each view holds addresses into what lies beside it, which nobody changes
/// or moves: buffers of their own, and the ring's mapping.
#[derive(Debug)]
pub struct Item {
    birth: Birth,
    body: Body,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "made once, in the box it stays in")]
enum Body {
    Frame {
        view: abi::Frame,
        _lease: shmring::Frame,
    },
    Packet {
        view: abi::Packet,
        _views: Vec<abi::Track>,
        _tracks: Arc<[stream::Track]>,
        _data: Vec<u8>,
    },
    Record {
        view: abi::Record,
        _texts: [CString; 5],
    },
}

impl Handle for Item {
    const WHAT: &'static str = "item";

    fn birth(&self) -> Birth {
        self.birth
    }
}

impl Item {
    pub(crate) fn new(taken: Taken, ring: &RingName) -> Result<Self, Error> {
        let body = match taken {
            Taken::Frame(frame) => Body::Frame { view: frame_view(&frame), _lease: frame },
            Taken::Packet(packet, tracks) => {
                let views: Vec<abi::Track> = tracks.iter().map(track_view).collect();
                let view = packet_view(&packet, &views, ring);
                Body::Packet { view, _views: views, _tracks: tracks, _data: packet.payload }
            }
            Taken::Record(packet) => record_body(packet, ring)?,
        };
        Ok(Self { birth: Birth::here(), body })
    }

    fn kind(&self) -> &'static str {
        match self.body {
            Body::Frame { .. } => "frames",
            Body::Packet { .. } => "packets",
            Body::Record { .. } => "events",
        }
    }

    fn is_no(&self, expected: &'static str) -> Error {
        Error::ItemKind { seen: self.kind(), expected }
    }
}

fn frame_view(frame: &shmring::Frame) -> abi::Frame {
    let meta = frame.meta();
    let id = frame.frame_id();
    let view = abi::Frame {
        flags: flags([
            (meta.key, flag::KEY),
            (meta.corrupt, flag::CORRUPT),
            (meta.discontinuity, flag::DISCONTINUITY),
            (meta.copied, flag::COPIED),
        ]),
        epoch: frame.epoch(),
        sequence: frame.sequence(),
        id: id_view(Some(&id.ring), id.epoch, id.sequence),
        clock: meta.clock as u32,
        pts_ns: meta.pts_ns,
        duration_ns: meta.duration_ns,
        capture_mono_ns: meta.capture.mono.0,
        capture_utc_ns: meta.capture.utc.0,
        ingest_mono_ns: meta.ingest.0,
        decoded_mono_ns: meta.decoded.0,
        published_mono_ns: frame.published().0,
        gop_index: meta.gop_index,
        user: meta.user,
        ..NO_FRAME
    };
    match &meta.content {
        Content::Picture(picture) => picture_view(view, frame, picture),
        Content::Tensor(tensor) => tensor_view(view, frame, tensor),
    }
}

fn picture_view(view: abi::Frame, frame: &shmring::Frame, picture: &Picture) -> abi::Frame {
    let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let planes = std::array::from_fn(|number| {
        frame.plane(number).map_or(NO_PLANE, |plane| abi::Plane {
            data: plane.as_ptr(),
            offset: u64::from(picture.planes[number].offset),
            linesize: plane.linesize() as u64,
            row_bytes: narrow(plane.row_bytes()),
            rows: narrow(plane.rows()),
        })
    });
    abi::Frame {
        content: content::PICTURE,
        width: picture.width,
        height: picture.height,
        format: picture.format as u32,
        plane_count: narrow(picture.format.planes()),
        planes,
        slot_bytes: picture.slot_bytes() as u64,
        colour_range: picture.colour.range,
        colour_matrix: picture.colour.matrix,
        colour_primaries: picture.colour.primaries,
        colour_transfer: picture.colour.transfer,
        ..view
    }
}

fn tensor_view(view: abi::Frame, frame: &shmring::Frame, tensor: &Tensor) -> abi::Frame {
    let data = frame.tensor().map_or(std::ptr::null(), |elements| elements.as_ptr());
    let tensor_view = abi::Tensor { data, ..tensor_layout(tensor) };
    let slot_bytes = tensor.slot_bytes() as u64;
    abi::Frame { content: content::TENSOR, tensor: tensor_view, slot_bytes, ..view }
}

/// A tensor without its data.
pub(crate) fn tensor_layout(tensor: &Tensor) -> abi::Tensor {
    let whole = |part: &[u32]| std::array::from_fn(|axis| part.get(axis).copied().unwrap_or(0));
    abi::Tensor {
        data: std::ptr::null(),
        offset: u64::from(tensor.offset),
        bytes: tensor.bytes() as u64,
        dtype: tensor.dtype as u32,
        axes: u32::try_from(tensor.shape().len()).unwrap_or(0),
        shape: whole(tensor.shape()),
        strides: whole(tensor.strides()),
    }
}

pub(crate) const NO_PLANE: abi::Plane =
    abi::Plane { data: std::ptr::null(), offset: 0, linesize: 0, row_bytes: 0, rows: 0 };

pub(crate) const NO_TENSOR: abi::Tensor = abi::Tensor {
    data: std::ptr::null(),
    offset: 0,
    bytes: 0,
    dtype: 0,
    axes: 0,
    shape: [0; abi::AXES],
    strides: [0; abi::AXES],
};

const NO_FRAME: abi::Frame = abi::Frame {
    #[expect(clippy::cast_possible_truncation, reason = "a few hundred bytes")]
    size: size_of::<abi::Frame>() as u32,
    flags: 0,
    epoch: 0,
    sequence: 0,
    id: NO_ID,
    width: 0,
    height: 0,
    format: 0,
    plane_count: 0,
    planes: [NO_PLANE; abi::PLANES],
    tensor: NO_TENSOR,
    slot_bytes: 0,
    content: content::PICTURE,
    colour_range: 0,
    colour_matrix: 0,
    colour_primaries: 0,
    colour_transfer: 0,
    clock: 0,
    reserved: 0,
    pts_ns: 0,
    duration_ns: 0,
    capture_mono_ns: 0,
    capture_utc_ns: 0,
    ingest_mono_ns: 0,
    decoded_mono_ns: 0,
    published_mono_ns: 0,
    gop_index: 0,
    user: [0; abi::USER_BYTES],
};

fn track_view(track: &stream::Track) -> abi::Track {
    abi::Track {
        codec: track.codec as u32,
        time_base_num: track.time_base.num,
        time_base_den: track.time_base.den,
        width: track.width,
        height: track.height,
        sample_rate_hz: track.sample_rate_hz,
        channels: track.channels,
        frame_rate_num: track.frame_rate.0,
        frame_rate_den: track.frame_rate.1,
        reserved: [0; 5],
        extradata: track.extradata.as_ptr(),
        extradata_bytes: track.extradata.len() as u64,
    }
}

fn packet_view(packet: &shmring::Packet, tracks: &[abi::Track], ring: &RingName) -> abi::Packet {
    let meta = &packet.meta;
    let id = match meta.source {
        Some(source) => id_view(None, source.epoch, source.sequence),
        None => id_view(Some(ring), packet.epoch, packet.sequence),
    };
    abi::Packet {
        size: size_of_u32::<abi::Packet>(),
        flags: flags([
            (meta.key, flag::KEY),
            (meta.corrupt, flag::CORRUPT),
            (meta.discontinuity, flag::DISCONTINUITY),
            (false, 0),
        ]),
        epoch: packet.epoch,
        sequence: packet.sequence,
        id,
        data: packet.payload.as_ptr(),
        bytes: packet.payload.len() as u64,
        track: meta.track,
        track_count: u32::try_from(tracks.len()).unwrap_or(0),
        tracks: tracks.as_ptr(),
        track_info: tracks.get(meta.track as usize).map_or(std::ptr::null(), std::ptr::from_ref),
        pts_ns: meta.pts_ns,
        dts_ns: meta.dts_ns,
        duration_ns: meta.duration_ns,
        capture_mono_ns: meta.capture.mono.0,
        capture_utc_ns: meta.capture.utc.0,
        ingest_mono_ns: meta.ingest.0,
        published_mono_ns: packet.published.0,
        gop_index: meta.gop_index,
        clock: meta.clock as u32,
        reserved: 0,
    }
}

fn record_body(packet: shmring::Packet, ring: &RingName) -> Result<Body, Error> {
    let (epoch, sequence, published) = (packet.epoch, packet.sequence, packet.published);
    let bad = |why: String| Error::BadRecord { ring: ring.clone(), sequence, why };
    let record: protocol::record::Record =
        serde_json::from_slice(&packet.payload).map_err(|error| bad(error.to_string()))?;
    let text = |text: Vec<u8>| CString::new(text).map_err(|_| bad("a text with a NUL".to_owned()));
    let texts = [
        text(packet.payload)?,
        text(record.id.into())?,
        text(record.kind.into())?,
        text(record.camera.into())?,
        text(record.data.to_string().into())?,
    ];
    let [json, id, kind, camera, data_json] = texts.each_ref().map(|text| text.as_ptr());
    let frame = record.frame.map_or(NO_ID, |id| id_view(Some(&id.ring), id.epoch, id.sequence));
    let view = abi::Record {
        size: size_of_u32::<abi::Record>(),
        reserved: 0,
        epoch,
        sequence,
        json,
        id,
        kind,
        camera,
        data_json,
        frame,
        time_utc_ns: record.time_utc_ns,
        published_mono_ns: published.0,
    };
    Ok(Body::Record { view, _texts: texts })
}

const NO_ID: abi::FrameId = abi::FrameId { ring: [0; abi::RING_NAME_BYTES], epoch: 0, sequence: 0 };

fn id_view(ring: Option<&RingName>, epoch: u64, sequence: u64) -> abi::FrameId {
    let ring = abi::text(ring.map_or("", RingName::as_str));
    abi::FrameId { ring, epoch, sequence }
}

fn flags(bits: [(bool, u32); 4]) -> u32 {
    bits.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit)
}

/// # Safety
/// `item` as in the header: NULL, or an item not released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_item_frame(item: *const Item) -> *const abi::Frame {
    pointer(|| {
        // SAFETY: by the caller's word.
        let item = unsafe { handle::look(item) }?;
        match &item.body {
            Body::Frame { view, .. } => Ok((&raw const *view).cast_mut()),
            _ => Err(item.is_no("frames")),
        }
    })
}

/// # Safety
/// `item` as in the header: NULL, or an item not released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_item_packet(item: *const Item) -> *const abi::Packet {
    pointer(|| {
        // SAFETY: by the caller's word.
        let item = unsafe { handle::look(item) }?;
        match &item.body {
            Body::Packet { view, .. } => Ok((&raw const *view).cast_mut()),
            _ => Err(item.is_no("packets")),
        }
    })
}

/// # Safety
/// `item` as in the header: NULL, or an item not released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_item_record(item: *const Item) -> *const abi::Record {
    pointer(|| {
        // SAFETY: by the caller's word.
        let item = unsafe { handle::look(item) }?;
        match &item.body {
            Body::Record { view, .. } => Ok((&raw const *view).cast_mut()),
            _ => Err(item.is_no("events")),
        }
    })
}

/// # Safety
/// `item` as in the header: NULL, or an item not released before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_release(item: *mut Item) {
    // SAFETY: by the caller's word.
    quietly(|| unsafe { handle::end(item) });
}

#[unsafe(no_mangle)]
pub extern "C" fn shmring_format_name(format: u32) -> *const c_char {
    let name = match PixelFormat::from_code(format) {
        Some(PixelFormat::Yuv420p) => c"yuv420p",
        Some(PixelFormat::Yuv422p) => c"yuv422p",
        Some(PixelFormat::Yuv444p) => c"yuv444p",
        Some(PixelFormat::Nv12) => c"nv12",
        Some(PixelFormat::Gray8) => c"gray8",
        Some(PixelFormat::Rgb24) => c"rgb24",
        Some(PixelFormat::Bgr24) => c"bgr24",
        Some(PixelFormat::Rgba) => c"rgba",
        None => c"unknown",
    };
    name.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn shmring_dtype_name(dtype: u32) -> *const c_char {
    let name = match DType::from_code(dtype) {
        Some(DType::I8) => c"i8",
        Some(DType::I16) => c"i16",
        Some(DType::I32) => c"i32",
        Some(DType::I64) => c"i64",
        Some(DType::U8) => c"u8",
        Some(DType::U16) => c"u16",
        Some(DType::U32) => c"u32",
        Some(DType::F16) => c"f16",
        Some(DType::F32) => c"f32",
        Some(DType::F64) => c"f64",
        Some(DType::Bf16) => c"bf16",
        Some(DType::Bool) => c"bool",
        None => c"unknown",
    };
    name.as_ptr()
}

/// What the header says of items in several threads: the lease under a frame is no thread's own. The rest
/// are plain buffers that nobody changes.
const _: fn() = || {
    fn any_thread<T: Send + Sync>() {}
    any_thread::<shmring::Frame>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_own_name_in_c() {
        for format in PixelFormat::ALL {
            // SAFETY: a static text.
            let name = unsafe { std::ffi::CStr::from_ptr(shmring_format_name(format as u32)) };
            assert_eq!(name.to_str().unwrap(), format.as_str());
        }
    }

    #[test]
    fn every_type_of_element_has_its_own_name_in_c() {
        for dtype in DType::ALL {
            // SAFETY: a static text.
            let name = unsafe { std::ffi::CStr::from_ptr(shmring_dtype_name(dtype as u32)) };
            assert_eq!(name.to_str().unwrap(), dtype.as_str());
        }
    }

    #[test]
    fn the_longest_ring_name_fits_its_place() {
        let part = "x".repeat(protocol::name::PART_MAX_BYTES);
        let ring: RingName = format!("{part}.{part}.packets").parse().unwrap();
        let id = id_view(Some(&ring), 1, 2);
        let end = id.ring.iter().position(|byte| *byte == 0).unwrap();
        assert_eq!(end, ring.as_str().len());
    }
}
