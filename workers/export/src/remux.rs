//! Packets as they were recorded, into a container that libavformat writes.

use std::path::Path;

use media::{AccessUnit, Container, Muxer};
use protocol::stream::{Codec, Track};
use protocol::verb::{ExportCut, ExportFormat};
use recordings::cut::{Footage, Part};
use recordings::{Sample, Samples};

use crate::error::ExportError;
use crate::watch::Watch;

/// Writes a part to `path`.
pub(crate) fn remux(
    footage: &Footage,
    part: &Part,
    format: ExportFormat,
    path: &Path,
    watch: &Watch,
) -> Result<(), ExportError> {
    let streams: Vec<Track> = part.streams.iter().map(|(_, stream)| stream.clone()).collect();
    let mut muxer = Muxer::create(path, container(format), &streams)?;
    let mut samples = footage.timeline.samples();
    while let Some(sample) = samples.next() {
        let sample = sample.map_err(ExportError::recording(&footage.camera))?;
        if !part.holds(&sample) {
            continue;
        }
        watch.go_on()?;
        if let Some(track) = position(part, sample.track) {
            muxer.write(&unit(footage, &mut samples, &sample, track, part.zero_ns)?)?;
        }
        watch.did(sample.bytes.into());
    }
    Ok(muxer.finish()?)
}

pub(crate) fn container(format: ExportFormat) -> Container {
    match format {
        ExportFormat::Mkv => Container::Matroska,
        ExportFormat::Mp4 => Container::Mp4,
        ExportFormat::Ts => Container::MpegTs,
    }
}

/// MPEG-TS has no form for the others that any player knows; the other containers carry all we record.
fn carries(container: Container, codec: Codec) -> bool {
    let in_ts = matches!(codec, Codec::H264 | Codec::H265 | Codec::Aac | Codec::Opus);
    container != Container::MpegTs || in_ts
}

/// Before anything is written: whether the container takes every track. Pictures that are encoded anew
/// are H.264.
pub(crate) fn check(
    footage: &Footage,
    format: ExportFormat,
    cut: ExportCut,
) -> Result<(), ExportError> {
    let encoded = cut == ExportCut::Exact;
    let streams = footage.parts.iter().flat_map(|part| &part.streams);
    let copied = streams.filter(|(_, stream)| !(encoded && stream.codec.is_video()));
    for (_, stream) in copied {
        let codec = stream.codec;
        if !carries(container(format), codec) {
            return Err(ExportError::Container { camera: footage.camera.clone(), codec });
        }
    }
    Ok(())
}

/// Which stream of the new file a track is.
pub(crate) fn position(part: &Part, track: u32) -> Option<u32> {
    let at = part.streams.iter().position(|(index, _)| *index == track)?;
    u32::try_from(at).ok()
}

/// A sample as the packet it was, with times that begin at `zero_ns`.
pub(crate) fn unit(
    footage: &Footage,
    samples: &mut Samples<'_>,
    sample: &Sample,
    track: u32,
    zero_ns: i64,
) -> Result<AccessUnit, ExportError> {
    let payload = samples.packet(sample).map_err(ExportError::piece(
        footage,
        sample.file,
        sample.at_bytes,
    ))?;
    Ok(AccessUnit {
        track,
        key: sample.key,
        corrupt: false,
        pts_ns: sample.pts_ns.saturating_sub(zero_ns),
        dts_ns: sample.dts_ns.saturating_sub(zero_ns),
        duration_ns: sample.duration_ns,
        payload,
    })
}
