//! The structs that show C what was taken from a ring.

use std::ffi::c_char;

use protocol::name::RingName;
use protocol::record::Record;
use protocol::stream;
use shmring::{Content, Picture, Tensor};

use crate::abi::{self, content, flag};
use crate::input::size_of_u32;

pub(crate) fn frame_view(frame: &shmring::Frame) -> abi::Frame {
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
        id: id_view(&id.ring, id.epoch, id.sequence),
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

pub(crate) fn track_view(track: &stream::Track) -> abi::Track {
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

pub(crate) fn packet_view(
    packet: &shmring::Packet,
    tracks: &[abi::Track],
    ring: &RingName,
) -> abi::Packet {
    let meta = &packet.meta;
    let id = packet.frame_id(ring);
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
        id: id_view(&id.ring, id.epoch, id.sequence),
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

/// `texts` are the whole, id, kind, camera and data, each with its NUL.
pub(crate) fn record_view(record: &Record, texts: &[Vec<u8>; 5]) -> abi::Record {
    let [json, id, kind, camera, data_json] =
        texts.each_ref().map(|text| text.as_ptr().cast::<c_char>());
    let frame = record.frame.as_ref();
    abi::Record {
        size: size_of_u32::<abi::Record>(),
        reserved: 0,
        epoch: 0,
        sequence: 0,
        json,
        id,
        kind,
        camera,
        data_json,
        frame: frame.map_or(NO_ID, |id| id_view(&id.ring, id.epoch, id.sequence)),
        time_utc_ns: record.time_utc_ns,
        published_mono_ns: 0,
    }
}

const NO_ID: abi::FrameId = abi::FrameId { ring: [0; abi::RING_NAME_BYTES], epoch: 0, sequence: 0 };

fn id_view(ring: &RingName, epoch: u64, sequence: u64) -> abi::FrameId {
    abi::FrameId { ring: abi::text(ring.as_str()), epoch, sequence }
}

fn flags(bits: [(bool, u32); 4]) -> u32 {
    bits.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replayed_packet_says_which_one_of_which_ring_it_was() {
        let ring: RingName = "cam1.packets".parse().unwrap();
        let source = Some(shmring::SourceId { epoch: 5, sequence: 6 });
        let packet = |source| shmring::Packet {
            epoch: 9,
            sequence: 1,
            meta: shmring::PacketMeta { source, ..shmring::PacketMeta::default() },
            published: protocol::time::MonoNs(0),
            payload: Vec::new(),
        };
        for (source, epoch, sequence) in [(source, 5, 6), (None, 9, 1)] {
            let id = packet_view(&packet(source), &[], &ring).id;
            let text = |bytes: &[c_char]| -> String {
                bytes.iter().map(|byte| char::from(byte.to_ne_bytes()[0])).collect()
            };
            assert_eq!(text(&id.ring).trim_end_matches('\0'), "cam1.packets");
            assert_eq!((id.epoch, id.sequence), (epoch, sequence));
        }
    }

    #[test]
    fn the_longest_ring_name_fits_its_place() {
        let part = "x".repeat(protocol::name::PART_MAX_BYTES);
        let ring: RingName = format!("{part}.{part}.packets").parse().unwrap();
        let id = id_view(&ring, 1, 2);
        let end = id.ring.iter().position(|byte| *byte == 0).unwrap();
        assert_eq!(end, ring.as_str().len());
    }
}
