//! Access units of the ring into a file that other programs know: Matroska, MPEG-TS, plain MP4.

use std::path::Path;

use ffmpeg_next::codec::Parameters;
use ffmpeg_next::format::{self, context};
use ffmpeg_next::packet::Flags;
use ffmpeg_next::{Dictionary, Error, Packet, Rational, ffi};
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;

use crate::codec::id_of;
use crate::delayed::load_libavformat;
use crate::demux::AccessUnit;
use crate::error::MediaError;
use crate::raw;

/// FFmpeg reads up to so many bytes past the end of extradata (AV_INPUT_BUFFER_PADDING_SIZE).
const PADDING_BYTES: usize = 64;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    Matroska,
    /// Not fragmented, with its index in front: every player takes it.
    Mp4,
    MpegTs,
}

impl Container {
    fn format(self) -> &'static str {
        match self {
            Self::Matroska => "matroska",
            Self::Mp4 => "mp4",
            Self::MpegTs => "mpegts",
        }
    }

    fn options(self) -> Dictionary<'static> {
        match self {
            Self::Mp4 => [("movflags", "faststart")].into_iter().collect(),
            Self::Matroska | Self::MpegTs => Dictionary::new(),
        }
    }
}

/// Writes one file.
pub struct Muxer {
    output: context::Output,
    /// Of the file, for messages.
    name: String,
    /// By track, as the container counts.
    bases: Vec<TimeBase>,
}

impl Muxer {
    /// Makes the file, or empties the one that is there. H.264 and H.265 tracks need their parameter
    /// sets as extradata.
    pub fn create(path: &Path, container: Container, tracks: &[Track]) -> Result<Self, MediaError> {
        crate::init();
        load_libavformat()?;
        let name = path.display().to_string();
        let failed = |source| MediaError::of(&name, "writing its header", source);
        // With its protocol, so that no file name reads as another; the wrapper panics on zeros.
        let location = path.to_str().filter(|text| !text.contains('\0'));
        let location = location.map(|text| format!("file:{text}"));
        let location = location.ok_or_else(|| MediaError::NotFound { input: name.clone() })?;
        let mut output = format::output_as(&location, container.format()).map_err(failed)?;
        for track in tracks {
            add(&mut output, track).map_err(failed)?;
        }
        output.write_header_with(container.options()).map(drop).map_err(failed)?;
        let bases = output.streams().map(|stream| base_of(stream.time_base())).collect();
        Ok(Self { output, name, bases })
    }

    /// Units of a track in decode order, of all tracks about in the order of their times.
    pub fn write(&mut self, unit: &AccessUnit) -> Result<(), MediaError> {
        let track = unit.track as usize;
        let Some(base) = self.bases.get(track) else { return Ok(()) };
        let mut packet = Packet::copy(&unit.payload);
        packet.set_stream(track);
        packet.set_pts(Some(base.from_ns(unit.pts_ns)));
        packet.set_dts(Some(base.from_ns(unit.dts_ns)));
        packet.set_duration(base.from_ns(unit.duration_ns));
        if unit.key {
            packet.set_flags(Flags::KEY);
        }
        let written = packet.write_interleaved(&mut self.output);
        written.map_err(|source| MediaError::of(&self.name, "writing", source))
    }

    /// The file is whole when this has answered.
    pub fn finish(mut self) -> Result<(), MediaError> {
        let ended = self.output.write_trailer().and_then(|()| raw::write_error(&mut self.output));
        ended.map_err(|source| MediaError::of(&self.name, "writing its end", source))
    }
}

impl std::fmt::Debug for Muxer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Muxer").field("name", &self.name).finish_non_exhaustive()
    }
}

pub(crate) fn add(output: &mut context::Output, track: &Track) -> Result<(), Error> {
    let parameters = parameters_of(track)?;
    let mut stream = output.add_stream(id_of(track.codec))?;
    stream.set_parameters(parameters);
    let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    stream.set_time_base(Rational(int(track.time_base.num), int(track.time_base.den)));
    Ok(())
}

fn parameters_of(track: &Track) -> Result<Parameters, Error> {
    let mut parameters = Parameters::new();
    let video = track.codec.is_video();
    use ffmpeg_next::media::Type;
    parameters.set_medium(if video { Type::Video } else { Type::Audio });
    parameters.set_id(id_of(track.codec));
    let fields = raw::parameters_mut(&mut parameters);
    let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    (fields.width, fields.height) = (int(track.width), int(track.height));
    fields.sample_rate = int(track.sample_rate_hz);
    if !video {
        // SAFETY: the layout is zeroed, as avcodec_parameters_alloc leaves it, and ours.
        unsafe { ffi::av_channel_layout_default(&raw mut fields.ch_layout, int(track.channels)) };
    }
    // The record of VP9 in MP4 is another than Matroska's, which players do without.
    if track.codec != Codec::Vp9 {
        set_extradata(fields, &track.extradata)?;
    }
    Ok(parameters)
}

fn set_extradata(fields: &mut ffi::AVCodecParameters, bytes: &[u8]) -> Result<(), Error> {
    if bytes.is_empty() {
        return Ok(());
    }
    // SAFETY: allocates, nothing else; freed with the parameters, which expect this allocator.
    let room = unsafe { ffi::av_mallocz(bytes.len() + PADDING_BYTES) }.cast::<u8>();
    if room.is_null() {
        return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
    }
    // SAFETY: `room` has at least that many bytes and nobody else's.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), room, bytes.len()) };
    fields.extradata = room;
    fields.extradata_size = i32::try_from(bytes.len()).unwrap_or(0);
    Ok(())
}

pub(crate) fn base_of(rational: Rational) -> TimeBase {
    let part = |value: i32| u32::try_from(value).unwrap_or(1).max(1);
    TimeBase { num: part(rational.numerator()), den: part(rational.denominator()) }
}
