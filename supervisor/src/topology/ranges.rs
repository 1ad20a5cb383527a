//! The numbers a configuration may hold; the types alone allow more.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use protocol::config::decoder::OutputConfig;
use protocol::config::ingest::Source;
use protocol::config::notify::is_topic;
use protocol::config::push::{Protocol, PushTransport};
use protocol::config::zone::{Zones, name_problem};
use protocol::config::{
    Ceiling, Coded, CompositorConfig, DecoderConfig, DetectConfig, EncoderConfig, IngestConfig,
    LimitsConfig, MixSource, MixerConfig, MotionConfig, NotifyConfig, OnvifConfig, Patience,
    PictureLimits, PushConfig, Raw, RecorderConfig, ReplayConfig, RingConfig, RtspConfig,
    RulesConfig, Samples, UploaderConfig, Users, WebConfig, WebrtcConfig,
};
use protocol::name::{RingName, WorkerName};
use protocol::units::{BitRate, Bytes, Size, Span};

use super::hooks::{EVENTS, is_event};
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
        } else if form.tensor.is_some() {
            problems.extend(of_tensor(name, form).map(why));
        }
    }
    problems
}

/// What is wrong with an output that is numbers.
fn of_tensor(name: &str, form: &OutputConfig) -> Option<String> {
    match form.size {
        None => {
            Some(format!("'{name}' is a tensor: expected the size of the model's input beside it"))
        }
        Some(Size { width, height })
            if ![width, height].iter().all(|it| (16..=4_096).contains(it)) =>
        {
            Some(format!("'{name}' is a tensor of {width}x{height}: expected sides of 16 to 4096"))
        }
        Some(_) if form.format.is_some() => Some(format!(
            "'{name}' is a tensor: expected its 'colour' and 'layout' in place of a format"
        )),
        Some(_) if form.tensor.is_some_and(|tensor| !tensor.fits_its_type()) => Some(format!(
            "'{name}' is a tensor of u8: expected 'scale: byte' beside it, since other numbers are no bytes"
        )),
        Some(_) => None,
    }
}

pub(super) fn of_detect(detect: &DetectConfig) -> Problems {
    let Size { width, height } = detect.size;
    let side = |side: u32| check("size", side, 16, 4_096);
    let mut problems = among([
        check("device", detect.device, 0, 63),
        check("threads", detect.threads, 1, 64),
        side(width).or_else(|| side(height)),
        check("fps", detect.fps, 1, 240),
        check("min_score", detect.min_score, 0.0, 1.0),
        check("overlap", detect.overlap, 0.0, 1.0),
        check("most", detect.most, 1, 1_000),
        check("batch", detect.batch, 1, 64),
        // Two pictures of a slow camera: what waits longer is not together with the others.
        check("wait", detect.wait, Span::default(), Span::from_millis(1_000)),
    ]);
    for score in detect.scores.values() {
        let found = check("scores", *score, 0.0, 1.0);
        problems.extend(found);
    }
    problems.extend(of_zones("zones", &detect.zones));
    problems.extend(of_zones("ignore", &detect.ignore));
    problems
}

fn of_zones(key: &'static str, zones: &Zones) -> Problems {
    let bad = zones.keys().filter_map(|name| name_problem(name));
    bad.map(|why| (key, KeyProblem::Value { key: key.to_owned(), why })).collect()
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
    let mut problems =
        among([check("fps", motion.fps, 1, 240), check("sensitivity", motion.sensitivity, 1, 100)]);
    problems.extend(of_zones("zones", &motion.zones));
    problems.extend(of_zones("ignore", &motion.ignore));
    problems
}

pub(super) fn of_notify(notify: &NotifyConfig) -> Problems {
    let (second, day) = (Span::from_millis(1_000), Span::from_millis(86_400_000));
    let mut problems = among([
        check("timeout", notify.timeout, Span::from_millis(100), Span(second.0 * 120)),
        check("give_up_after", notify.give_up_after, second, Span(day.0 * 30)),
    ]);
    for pattern in &notify.on.0 {
        // Those of the project are before a worker's time, and after it.
        let known = EVENTS.iter().filter(|event| !event.starts_with("project."));
        let is_of_a_rule = pattern.starts_with("rule.") && is_event(pattern);
        if !is_of_a_rule && !known.clone().any(|event| matches(pattern, event)) {
            let known = known.map(|event| (*event).to_owned()).collect();
            problems.push(("on", KeyProblem::UnknownEvent { seen: pattern.clone(), known }));
        }
    }
    problems.extend(unfit_for_address(notify));
    problems
}

/// Keys of the other of the two ways to tell somebody, and topics that are none.
fn unfit_for_address(notify: &NotifyConfig) -> Problems {
    let value = |key: &'static str, why: &str| {
        (key, KeyProblem::Value { key: key.to_owned(), why: why.to_owned() })
    };
    if notify.url.broker().is_none() {
        let only = "topics are of mqtt:// and mqtts:// alone";
        let written =
            [("topic", notify.topic.is_some()), ("discovery", notify.discovery.is_some())];
        return written
            .into_iter()
            .filter(|(_, is)| *is)
            .map(|(key, _)| value(key, only))
            .collect();
    }
    let mut problems = Problems::new();
    if notify.secret.is_some() {
        problems.push(value("secret", "it signs requests to http:// and https:// alone"));
    }
    for (key, topic) in [("topic", &notify.topic), ("discovery", &notify.discovery)] {
        if topic.as_ref().is_some_and(|topic| !is_topic(topic)) {
            problems.push(value(key, "expected a topic such as framevisor/site1, without + and #"));
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

pub(super) fn of_rules(config: &RulesConfig) -> Problems {
    let [hour, day] = [3_600_000, 86_400_000].map(Span::from_millis);
    let none = Span::default();
    let mut problems = among([
        check("jpeg_quality", config.jpeg_quality, 1, 100),
        config.keep_for.and_then(|keep| {
            check("keep_for", keep, Span::from_millis(60_000), Span(day.0 * 3_650))
        }),
    ]);
    let of_rules = |why: String| ("rules", KeyProblem::Value { key: "rules".to_owned(), why });
    if config.rules.is_empty() {
        problems
            .push(of_rules("expected a rule at least, such as {moves: {type: motion}}".to_owned()));
    }
    problems.extend(of_zones("zones", &config.zones));
    for (name, rule) in &config.rules {
        if name.parse::<WorkerName>().is_ok_and(|name| name.owner().is_none()) {
            let checks = [
                check("for", rule.lasting, none, hour),
                check("quiet", rule.quiet, none, hour),
                check("update", rule.update, Span::from_millis(100), day),
                check("cooldown", rule.cooldown, none, day),
            ];
            problems.extend(among(checks).into_iter().map(|(_, problem)| ("rules", problem)));
        } else {
            let why =
                format!("'{name}': expected a name of a-z, 0-9, _ and -, which its events have");
            problems.push(of_rules(why));
        }
        if rule.snapshot && config.snapshots.is_none() {
            let why = format!("{name}: snapshot needs a folder: add snapshots: pictures");
            problems.push(of_rules(why));
        }
    }
    problems
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
    problems.extend(of_users(&rtsp.users));
    problems.extend(of_listeners(rtsp.listen, rtsp.tls_listen()));
    problems.extend(rtsp.onvif.as_ref().and_then(|onvif| of_onvif(onvif, rtsp)));
    problems
}

fn of_onvif(onvif: &OnvifConfig, rtsp: &RtspConfig) -> Option<(&'static str, KeyProblem)> {
    let other = [Some(rtsp.listen), rtsp.tls_listen()];
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
    let mut problems = among([
        check("jpeg_quality", web.jpeg_quality, 1, 100),
        check("max_clients", web.max_clients, 1, 10_000),
        web.max_per_address.and_then(|most| check("max_per_address", most, 1, 10_000)),
    ]);
    problems.extend(of_users(&web.users));
    let wrong = web.tokens.iter().filter_map(|(name, token)| token.check(name).err());
    problems.extend(wrong.map(|why| value("tokens", why.to_string())));
    problems.extend(of_listeners(web.listen, web.tls_listen()));
    problems.extend(of_webrtc(&web.webrtc));
    problems
}

fn of_webrtc(webrtc: &WebrtcConfig) -> Problems {
    let viewers = check("max_viewers", webrtc.max_viewers, 0, 1_000);
    let nobodys = webrtc.addresses.iter().filter(|address| !can_be_sent_to(**address));
    let unreachable = nobodys.map(|address| {
        let why =
            format!("{address} is no address of a host: expected one that viewers can send to");
        KeyProblem::Value { key: "addresses".to_owned(), why }
    });
    let problems = viewers.map(|(_, problem)| problem).into_iter().chain(unreachable);
    problems.map(|problem| ("webrtc", problem)).collect()
}

/// Whether it can be the address of one host that others reach (RFC 3927 section 7, RFC 5771).
fn can_be_sent_to(address: IpAddr) -> bool {
    let is_everybodys = address.is_unspecified() || address.is_multicast();
    let is_local = match address {
        IpAddr::V4(address) => address.is_broadcast() || address.is_link_local(),
        IpAddr::V6(_) => false,
    };
    !is_everybodys && !is_local
}

fn of_users(users: &Users) -> impl Iterator<Item = (&'static str, KeyProblem)> {
    let wrong = users.iter().filter_map(|(name, user)| user.check(name).err());
    wrong.map(|why| value("users", why.to_string()))
}

fn of_listeners(plain: SocketAddr, tls: Option<SocketAddr>) -> Option<(&'static str, KeyProblem)> {
    let why = format!("listen is {plain} for both, with TLS and without");
    (tls == Some(plain)).then(|| value("tls", why))
}

fn value(key: &'static str, why: String) -> (&'static str, KeyProblem) {
    (key, KeyProblem::Value { key: key.to_owned(), why })
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
        assert_eq!(of_detect(&DetectConfig::of("x.onnx".into())), []);
        assert_eq!(of_encoder(&EncoderConfig::default()), []);
        assert_eq!(of_mixer(&MixerConfig::default()), []);
        assert_eq!(of_motion(&MotionConfig::default()), []);
        assert_eq!(of_rtsp(&RtspConfig::default()), []);
        assert_eq!(of_web(&WebConfig::default()), []);
        assert_eq!(of_ring(&RingConfig::default()), []);
    }

    #[test]
    fn an_address_that_no_viewer_can_send_to_is_named() {
        let mut web = WebConfig::default();
        web.webrtc.addresses =
            ["192.168.1.5", "fd00::5", "127.0.0.1"].map(|it| it.parse().unwrap()).into();
        assert_eq!(of_web(&web), []);
        for bad in ["0.0.0.0", "::", "224.0.0.1", "169.254.1.1"] {
            web.webrtc.addresses = vec![bad.parse().unwrap()];
            let keys: Vec<_> = of_web(&web).into_iter().map(|(key, _)| key).collect();
            assert_eq!(keys, ["webrtc"], "{bad}");
        }
    }

    #[test]
    fn every_number_out_of_range_is_named() {
        let zones: Zones = [("Drive".to_owned(), "0% 0%, 9% 9%".parse().unwrap())].into();
        let config =
            MotionConfig { fps: 0, sensitivity: 101, ignore: zones, ..MotionConfig::default() };
        let keys: Vec<_> = of_motion(&config).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["fps", "sensitivity", "ignore"]);
        let scores = [("car".to_owned(), 1.5)].into();
        let config = DetectConfig { batch: 65, scores, ..DetectConfig::of("x.onnx".into()) };
        let keys: Vec<_> = of_detect(&config).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["batch", "scores"]);
        let loud = MixSource { gain: Decibels(301), mute: false };
        let sources = [("mic".to_owned(), loud)].into();
        let config = MixerConfig { sources, channels: 3, ..MixerConfig::default() };
        let keys: Vec<_> = of_mixer(&config).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["channels", "sources"]);
    }
}
