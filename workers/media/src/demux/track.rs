//! One FFmpeg stream as a track of the ring.

use ffmpeg_next::format::stream::{Disposition, Stream, StreamMut};
use ffmpeg_next::{Discard, Rational};
use protocol::stream::Track;
use protocol::time::TimeBase;

use crate::codec::codec_of;
use crate::raw;

/// Pictures per second above this are a broken header, not a camera.
const FRAME_RATE_MAX: u32 = 1000;

/// The stream as a track, with its extradata as the container has it; `None` for what the ring
/// does not carry.
pub(super) fn of(stream: &Stream<'_>) -> Option<Track> {
    if stream.disposition().contains(Disposition::ATTACHED_PIC) {
        return None; // a cover picture, not a stream
    }
    let parameters = stream.parameters();
    let codec = codec_of(parameters.id())?;
    let fields = raw::parameters(&parameters);
    let positive = |value: i32| u32::try_from(value).unwrap_or(0);
    let video = codec.is_video();
    let (width, height) = (positive(fields.width), positive(fields.height));
    let (sample_rate_hz, channels) =
        (positive(fields.sample_rate), positive(fields.ch_layout.nb_channels));
    if video && (width == 0 || height == 0) || !video && sample_rate_hz == 0 {
        return None; // never described, not even by its first pictures
    }
    Some(Track {
        codec,
        time_base: time_base_of(stream.time_base())?,
        width: if video { width } else { 0 },
        height: if video { height } else { 0 },
        sample_rate_hz: if video { 0 } else { sample_rate_hz },
        channels: if video { 0 } else { channels },
        frame_rate: if video { frame_rate(stream) } else { (0, 1) },
        extradata: raw::extradata(fields).to_vec(),
    })
}

pub(super) fn is_video(stream: &Stream<'_>) -> bool {
    stream.parameters().medium() == ffmpeg_next::media::Type::Video
}

/// For the error that lists what was there.
pub(super) fn describe(stream: &StreamMut<'_>) -> String {
    let parameters = stream.parameters();
    let fields = raw::parameters(&parameters);
    format!("{:?} {:?} {}x{}", parameters.medium(), parameters.id(), fields.width, fields.height)
}

/// Tells FFmpeg which of the stream's packets to drop unread.
pub(super) fn set_discard(stream: &mut StreamMut<'_>, discard: Discard) {
    raw::stream(stream).discard = discard.into();
}

fn time_base_of(rational: Rational) -> Option<TimeBase> {
    let num = u32::try_from(rational.numerator()).ok()?;
    let den = u32::try_from(rational.denominator()).ok()?;
    (num > 0 && den > 0).then_some(TimeBase { num, den })
}

fn frame_rate(stream: &Stream<'_>) -> (u32, u32) {
    [stream.avg_frame_rate(), stream.rate()]
        .into_iter()
        .filter_map(time_base_of)
        .map(|rate| (rate.num, rate.den))
        .find(|(num, den)| num / den < FRAME_RATE_MAX)
        .unwrap_or((0, 1))
}
