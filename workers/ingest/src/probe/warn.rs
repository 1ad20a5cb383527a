//! What may surprise whoever uses a source. Pure.

use protocol::config::ingest::Source;
use protocol::stream::Codec;
use protocol::time::NS_PER_S;
use protocol::verb::ProbedTrack;

use super::look::Looked;

/// Viewers wait for a key frame, and recordings are cut at one.
const KEYS_FAR_NS: u64 = 10 * NS_PER_S;
/// A clock that is off by less is well kept.
const CLOCK_OFF_NS: u64 = NS_PER_S;
/// A declared rate that is off by more is wrong, in percent.
const RATE_OFF_PERCENT: f64 = 10.0;

pub(super) fn warnings(source: &Source, looked: &Looked, tracks: &[ProbedTrack]) -> Vec<String> {
    let mut warnings = looked.notes.clone();
    let Some(first) = tracks.first() else { return warnings };
    let mut warn = |text: String| warnings.push(text);
    if tracks.iter().any(|track| lacks_mp4(track.codec)) {
        warn(
            "G.711 or PCM sound: recordings and browsers cannot carry it; `audio: aac` converts it"
                .to_owned(),
        );
    }
    if !first.codec.is_video() {
        warn("no video: only sound is carried".to_owned());
        return warnings;
    }
    let conduct = looked.measure.conduct();
    if conduct.reorders {
        warn("B-frames: pictures come out of order, which costs some pictures of delay; turn them off at the camera for live use".to_owned());
    }
    if conduct.is_uneven {
        warn("uneven rate: pictures do not come at equal distances; a fixed rate is a setting of most cameras".to_owned());
    }
    if let (Some(declared), Some(rate)) = (first.declared_rate, first.rate)
        && (rate - declared).abs() * 100.0 > declared * RATE_OFF_PERCENT
    {
        warn(format!("wrong rate: it says {declared:.2} pictures a second and sends {rate:.2}"));
    }
    warn_of_keys(first, conduct.keys, looked.measure.span_ns(), &mut warn);
    if conduct.corrupt > 0 {
        let corrupt = conduct.corrupt;
        warn(format!("loss: {corrupt} pictures were damaged; is the network path overloaded?"));
    }
    warn_of_clock(source, looked, &mut warn);
    warnings
}

/// Sound that MP4 and browsers have no form for.
pub(super) fn lacks_mp4(codec: Codec) -> bool {
    matches!(codec, Codec::PcmAlaw | Codec::PcmMulaw | Codec::PcmS16le)
}

fn warn_of_keys(track: &ProbedTrack, keys: usize, span_ns: u64, warn: &mut impl FnMut(String)) {
    let seconds = span_ns / NS_PER_S;
    match track.key_every_ns {
        _ if track.codec == Codec::Mjpeg => {}
        Some(every_ns) if every_ns > KEYS_FAR_NS => {
            let every = every_ns / NS_PER_S;
            warn(format!("key frames only each {every} s: viewers wait for one; 2 s is usual"));
        }
        Some(_) => {}
        None if keys == 0 => {
            warn(format!("no key frame within {seconds} s: nothing can be decoded before one"));
        }
        None => warn(format!(
            "one key frame alone within {seconds} s: viewers wait for one; each 2 s is usual"
        )),
    }
}

fn warn_of_clock(source: &Source, looked: &Looked, warn: &mut impl FnMut(String)) {
    match (looked.clock_ahead_ns, source) {
        (Some(off_ns), _) if off_ns.unsigned_abs() > CLOCK_OFF_NS => {
            let side = if off_ns > 0 { "ahead" } else { "behind" };
            let seconds = off_ns.unsigned_abs() / NS_PER_S;
            warn(format!("the camera's clock is {seconds} s {side}: let it be set by NTP"));
        }
        (None, Source::Rtsp(_)) => {
            warn("no sender report: times are those of arrival, not the camera's".to_owned());
        }
        _ => {}
    }
}
