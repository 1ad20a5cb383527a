//! The numbers a configuration may hold; the types alone allow more.

use std::fmt::Display;
use std::net::SocketAddr;

use protocol::config::decoder::OutputConfig;
use protocol::config::ingest::Source;
use protocol::config::push::{Protocol, PushTransport};
use protocol::config::{
    Ceiling, Coded, CompositorConfig, DecoderConfig, EncoderConfig, IngestConfig, LimitsConfig,
    MixSource, MixerConfig, MotionConfig, NotifyConfig, OnvifConfig, Patience, PictureLimits,
    PushConfig, Raw, RecorderConfig, ReplayConfig, RingConfig, RtspConfig, Samples, UploaderConfig,
    WebConfig,
};
use protocol::name::RingName;
use protocol::units::{BitRate, Bytes, Size, Span};

use super::hooks::EVENTS;
use super::matches;
use super::problem::KeyProblem;

type Problems = Vec<(&'static str, KeyProblem)>;

/// Every value of `compositor` outside its range, with its key; the others likewise.
pub(super) fn of_compositor(compositor: &CompositorConfig) -> Problems {
    let [tenth, second, hour] = [100, 1_000, 3_600_000].map(Span::from_millis);
    let mut problems = among([
        check("fps", compositor.fps, 1, 240),
        check("wait", compositor.wait, Span::default(), Span(second.0 * 2)),
        check("slate_after", compositor.slate_after, tenth, hour),
        compositor.columns.and_then(|columns| check("columns", columns, 1, 64)),
        check("line", compositor.boxes.line, 1, 64).map(|(_, problem)| ("boxes", problem)),
        check("hold", compositor.boxes.hold, tenth, hour).map(|(_, problem)| ("boxes", problem)),
    ]);
    let Size { width, height } = compositor.size;
    let is_possible = |side: u32| (32..=8_192).contains(&side) && side.is_multiple_of(2);
    if !is_possible(width) || !is_possible(height) {
        let why = format!("size is {width}x{height}: expected even sides of 32 to 8192");
        problems.push(("size", KeyProblem::Value { key: "size".to_owned(), why }));
    }
    for key in compositor.places.values().filter_map(|place| place.key) {
        let checks =
            [check("similarity", key.similarity, 0.0, 1.0), check("blend", key.blend, 0.0, 1.0)];
        problems.extend(checks.into_iter().flatten().map(|(_, problem)| ("places", problem)));
    }
    let bad = compositor.text.iter().filter_map(|caption| no_time(&caption.text));
    let bad = bad.map(|why| ("text", KeyProblem::Value { key: "text".to_owned(), why }));
    problems.extend(bad);
    problems
}

/// What is wrong with a text that has parts of the time in it.
fn no_time(text: &str) -> Option<String> {
    let some_time = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    let error = jiff::fmt::strtime::format(text, &some_time).err()?;
    Some(format!("text is '{text}': {error}; a percent sign that begins no part of the time is %%"))
}

/// As [`of_compositor`].
pub(super) fn of_decoder(decoder: &DecoderConfig) -> Problems {
    let mut problems = among([
        check("threads", decoder.threads, 1, 16),
        // The largest picture FFmpeg itself accepts is a little under this.
        check("max_pixels", decoder.max_pixels, 64, 16_384 * 16_384),
    ]);
    let PictureLimits { frozen, black, blank } = decoder.health;
    for (key, patience) in [("frozen", frozen), ("black", black), ("blank", blank)] {
        // It is looked twice a second.
        let (half_a_second, day) = (Span::from_millis(500), Span::from_millis(86_400_000));
        if let Patience::After(span) = patience {
            let found = check(key, span, half_a_second, day);
            problems.extend(found.map(|(_, problem)| ("health", problem)));
        }
    }
    let why = |why: String| ("outputs", KeyProblem::Value { key: "outputs".to_owned(), why });
    if decoder.outputs.len() > DecoderConfig::OUTPUTS_MAX {
        let (seen, most) = (decoder.outputs.len(), DecoderConfig::OUTPUTS_MAX);
        problems.push(why(format!("{seen} outputs: expected at most {most}")));
    }
    for (name, form) in &decoder.outputs {
        let ring = format!("x.{name}.frames").parse::<RingName>();
        if ring.is_err() {
            problems
                .push(why(format!("'{name}' is no name: expected letters a-z, digits, - and _")));
        } else if *form == OutputConfig::default() {
            let again = "says neither size nor format, and would be the decoder's own ring again";
            problems.push(why(format!("'{name}' {again}")));
        }
    }
    problems
}

pub(super) fn of_encoder(encoder: &EncoderConfig) -> Problems {
    let (tenth, ten_minutes) = (Span::from_millis(100), Span::from_millis(600_000));
    let checks = [
        // What AAC and Opus can be at all.
        check("audio_bitrate", encoder.audio_bitrate, BitRate(6_000), BitRate(510_000)),
        check("bitrate", encoder.bitrate, BitRate(16_000), BitRate(1_000_000_000)),
        check("keyframe_every", encoder.keyframe_every, tenth, ten_minutes),
        encoder.max_fps.and_then(|fps| check("max_fps", fps, 1, 240)),
    ];
    among(checks)
}

pub(super) fn of_ingest(ingest: &IngestConfig) -> Problems {
    let only = |key: &'static str, of: &str| {
        let why = format!("is for {of}, and the source is {}", ingest.source);
        (key, KeyProblem::Value { key: key.to_owned(), why })
    };
    let is_file = matches!(ingest.source, Source::File(_));
    let is_far = matches!(ingest.source, Source::Rtsp(_) | Source::Stream(_));
    let fps = ingest.health.fps.and_then(|fps| check("fps", fps, 1, 240));
    let mut problems: Problems = fps.map(|(_, problem)| ("health", problem)).into_iter().collect();
    if ingest.start > Span::default() && !is_file {
        problems.push(only("start", "files"));
    }
    if ingest.on_demand && !is_far {
        problems.push(only("on_demand", "cameras and streams"));
    }
    problems
}

pub(super) fn of_mixer(mixer: &MixerConfig) -> Problems {
    let mut problems = among([
        // What AAC and Opus can be at all.
        check("bitrate", mixer.bitrate, BitRate(6_000), BitRate(510_000)),
        check("channels", mixer.channels, 1, 2),
        // A block of samples is the least; of more than that no source's sound is kept.
        check("wait", mixer.wait, Span::from_millis(20), Span::from_millis(5_000)),
    ]);
    for source in mixer.sources.values() {
        let checked = check("gain", source.gain, MixSource::GAIN_MIN, MixSource::GAIN_MAX);
        problems.extend(checked.map(|(_, problem)| ("sources", problem)));
    }
    problems
}

pub(super) fn of_motion(motion: &MotionConfig) -> Problems {
    among([check("fps", motion.fps, 1, 240), check("sensitivity", motion.sensitivity, 1, 100)])
}

pub(super) fn of_notify(notify: &NotifyConfig) -> Problems {
    let (second, day) = (Span::from_millis(1_000), Span::from_millis(86_400_000));
    let mut problems = among([
        check("timeout", notify.timeout, Span::from_millis(100), Span(second.0 * 120)),
        check("give_up_after", notify.give_up_after, second, Span(day.0 * 30)),
    ]);
    for pattern in &notify.on.0 {
        // Those of the project are before a worker's time, and after it.
        let mut known = EVENTS.iter().filter(|event| !event.starts_with("project."));
        if !known.clone().any(|event| matches(pattern, event)) {
            let known = known.by_ref().map(|event| (*event).to_owned()).collect();
            problems.push(("on", KeyProblem::UnknownEvent { seen: pattern.clone(), known }));
        }
    }
    problems
}

pub(super) fn of_push(push: &PushConfig) -> Problems {
    let is_rtsp = push.to.protocol() == Protocol::Rtsp;
    if is_rtsp || push.transport == PushTransport::default() {
        return Vec::new();
    }
    let why = format!("{}:// has no choice of it, rtsp:// alone has", push.to.protocol().scheme());
    vec![("transport", KeyProblem::Value { key: "transport".to_owned(), why })]
}

pub(super) fn of_uploader(uploader: &UploaderConfig) -> Problems {
    // A part is 8 MiB, in memory while it is sent.
    let mut problems = among([check("parallel", uploader.parallel, 1, 16)]);
    if let Some(rate) = uploader.rate {
        let highest = BitRate(100_000_000_000);
        problems.extend(check("rate", rate, BitRate(100_000), highest));
    }
    problems
}

pub(super) fn of_recorder(recorder: &RecorderConfig) -> Problems {
    // A file a second is the most a folder should take; a day is one file a day.
    let (second, day) = (Span::from_millis(1_000), Span::from_millis(86_400_000));
    let mut problems = among([check("segment", recorder.segment, second, day)]);
    for rule in &recorder.when.events {
        // Shared memory holds the time before an event; after it there is the disk.
        let (five_minutes, hour) = (Span::from_millis(300_000), Span::from_millis(3_600_000));
        let checks = [
            check("pre", rule.pre, Span::default(), five_minutes),
            check("post", rule.post, Span::default(), hour),
        ];
        problems.extend(checks.into_iter().flatten().map(|(_, problem)| ("when", problem)));
    }
    problems
}

pub(super) fn of_replay(replay: &ReplayConfig) -> Problems {
    among([check("pause", replay.pause, Span::from_millis(0), Span::from_millis(86_400_000))])
}

pub(super) fn of_rtsp(rtsp: &RtspConfig) -> Problems {
    let mut problems = among([
        check("max_clients", rtsp.max_clients, 1, 10_000),
        check("multicast_ttl", rtsp.multicast_ttl, 1, 255),
        rtsp.max_per_address.and_then(|most| check("max_per_address", most, 1, 10_000)),
    ]);
    let wrong = rtsp.users.iter().filter_map(|(name, user)| user.check(name).err());
    let wrong =
        wrong.map(|why| KeyProblem::Value { key: "users".to_owned(), why: why.to_string() });
    problems.extend(wrong.map(|problem| ("users", problem)));
    if rtsp.tls.as_ref().is_some_and(|tls| tls.listen == rtsp.listen) {
        let why = format!("listen is {} for both, with TLS and without", rtsp.listen);
        problems.push(("tls", KeyProblem::Value { key: "tls".to_owned(), why }));
    }
    problems.extend(rtsp.onvif.as_ref().and_then(|onvif| of_onvif(onvif, rtsp)));
    problems
}

fn of_onvif(onvif: &OnvifConfig, rtsp: &RtspConfig) -> Option<(&'static str, KeyProblem)> {
    let other = [Some(rtsp.listen), rtsp.tls.as_ref().map(|tls| tls.listen)];
    let far = |address: SocketAddr| !address.ip().to_canonical().is_loopback();
    let why = if other.contains(&Some(onvif.listen)) {
        format!("listen is {} for two: each needs a port of its own", onvif.listen)
    } else if onvif.name.as_ref().is_some_and(|name| name.is_empty() || name.len() > 64) {
        "name has 1 to 64 bytes".to_owned()
    } else if far(onvif.listen) && !far(rtsp.listen) {
        format!("others reach it at {} and are told of streams at {}", onvif.listen, rtsp.listen)
    } else if onvif.discovery == Some(0) {
        "discovery is a port, 3702 for example".to_owned()
    } else {
        return None;
    };
    Some(("onvif", KeyProblem::Value { key: "onvif".to_owned(), why }))
}

pub(super) fn of_web(web: &WebConfig) -> Problems {
    among([check("jpeg_quality", web.jpeg_quality, 1, 100)])
}

/// For `raw:` of a command's stdout.
pub(super) fn of_raw(raw: &Raw) -> Problems {
    let row = raw.format.plane_extent(0, raw.size.width, raw.size.height).row_bytes;
    // Without one, rows lie side by side.
    let stride = if raw.stride == 0 { row } else { raw.stride };
    among([
        check("fps", raw.fps, 1, 240),
        check("stride", stride, row, row.saturating_mul(4).max(4_096)),
    ])
}

/// For `codec:` of a command's stdout.
pub(super) fn of_coded(coded: &Coded) -> Problems {
    among([check("fps", coded.fps, 1, 240)])
}

/// For `sound:` of a command's stdout.
pub(super) fn of_samples(samples: &Samples) -> Problems {
    among([check("hz", samples.hz, 8_000, 192_000), check("channels", samples.channels, 1, 8)])
}

/// For one entry of `rings:`.
pub(super) fn of_ring(config: &RingConfig) -> Problems {
    among([
        check("spare_readers", config.spare_readers, 0, 64),
        check("history", config.history, 0, 64),
        // Ten seconds of it are reserved: 1G is 1.25 GB of shared memory.
        check("max_bitrate", config.max_bitrate, BitRate(64_000), BitRate(1_000_000_000)),
    ])
}

fn among<const N: usize>(checks: [Check; N]) -> Problems {
    checks.into_iter().flatten().collect()
}

/// As [`of_worker`], for its `limits:`.
pub(super) fn of_limits(limits: &LimitsConfig) -> Vec<(&'static str, KeyProblem)> {
    let memory = match limits.memory {
        // Less than any of our workers needs to begin.
        Some(Ceiling::At(bytes)) => check("memory", bytes, Bytes(8 << 20), Bytes(1 << 50)),
        _ => None,
    };
    let checks = [
        memory,
        limits.cpu_weight.and_then(|it| check("cpu_weight", it, 1, 10_000)),
        limits.nice.and_then(|it| check("nice", it, -20, 19)),
        limits.nofile.and_then(|it| check("nofile", it, 16, 1 << 20)),
        limits.pids.and_then(|it| check("pids", it, 1, 1 << 22)),
        limits.oom_score_adj.and_then(|it| check("oom_score_adj", it, -1_000, 1_000)),
    ];
    checks.into_iter().flatten().collect()
}

type Check = Option<(&'static str, KeyProblem)>;

fn check<T: PartialOrd + Display>(key: &'static str, seen: T, lowest: T, highest: T) -> Check {
    if (&lowest..=&highest).contains(&&seen) {
        return None;
    }
    let [seen, lowest, highest] = [seen, lowest, highest].map(|value| value.to_string());
    Some((key, KeyProblem::OutOfRange { key, seen, lowest, highest }))
}

#[cfg(test)]
mod tests {
    use protocol::units::Decibels;

    use super::*;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(of_compositor(&CompositorConfig::default()), []);
        assert_eq!(of_decoder(&DecoderConfig::default()), []);
        assert_eq!(of_encoder(&EncoderConfig::default()), []);
        assert_eq!(of_mixer(&MixerConfig::default()), []);
        assert_eq!(of_motion(&MotionConfig::default()), []);
        assert_eq!(of_rtsp(&RtspConfig::default()), []);
        assert_eq!(of_web(&WebConfig::default()), []);
        assert_eq!(of_ring(&RingConfig::default()), []);
    }

    #[test]
    fn every_number_out_of_range_is_named() {
        let config = MotionConfig { fps: 0, sensitivity: 101 };
        let keys: Vec<_> = of_motion(&config).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["fps", "sensitivity"]);
        let loud = MixSource { gain: Decibels(301), mute: false };
        let sources = [("mic".to_owned(), loud)].into();
        let config = MixerConfig { sources, channels: 3, ..MixerConfig::default() };
        let keys: Vec<_> = of_mixer(&config).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["channels", "sources"]);
    }
}
