//! Mistakes inside one section: its keys and their values.

use protocol::config::Kind;
use protocol::name::NameError;

use super::{did_you_mean, suggest};
use crate::launch::TMPDIR;

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum KeyProblem {
    #[error("has both 'use' and 'run'")]
    BothUseAndRun,
    #[error("env: '{seen}' is no variable name")]
    EnvName { seen: String },
    #[error("env: {seen} is set by framevisor itself")]
    EnvReserved { seen: String },
    #[error("missing key '{key}'")]
    Missing { key: String },
    #[error(
        "'{seen}' is no name of rings: expected a name such as cam1.packets, or one with stars"
    )]
    Glob { seen: String },
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("says neither 'use' nor 'run'")]
    NeitherUseNorRun,
    #[error("{key} is {seen}: expected {expected}")]
    NotA { key: String, seen: String, expected: String },
    #[error("{key} is {seen}: expected {lowest} to {highest}")]
    OutOfRange { key: &'static str, seen: String, lowest: String, highest: String },
    #[error("is {seen}: expected a section with keys")]
    NotASection { seen: String },
    #[error("run: the list is empty")]
    RunEmpty,
    #[error("unknown key '{key}'")]
    Unknown { key: String, known: Vec<String> },
    #[error("unknown event '{seen}'")]
    UnknownEvent { seen: String, known: Vec<String> },
    #[error("unknown kind '{seen}'")]
    UnknownKind { seen: String },
    /// Said by the value's own type.
    #[error("{}", keyed(.key, .why))]
    Value { key: String, why: String },
    #[error("version is {seen}: this framevisor reads version 1")]
    Version { seen: String },
}

impl KeyProblem {
    pub(super) fn help(&self) -> String {
        match self {
            Self::BothUseAndRun => {
                "keep 'use' for a built-in kind, or 'run' for your own command".into()
            }
            Self::EnvName { .. } => "use letters, digits and _, not beginning with a digit".into(),
            Self::EnvReserved { seen } if seen == TMPDIR => {
                "leave it out: each process has a folder of its own there, removed after it".into()
            }
            Self::EnvReserved { .. } => "choose a name that does not begin with FRAMEVISOR_".into(),
            Self::Glob { .. } => "for example '*.events', or 'cam1.*'".into(),
            Self::Missing { key } => format!("add {}", example(key)),
            Self::Name(NameError::Part { what, .. }) => format!("for example {}", example(what)),
            Self::Name(NameError::Ring { .. }) => "for example cam1.packets".into(),
            Self::NeitherUseNorRun => {
                format!(
                    "add 'use:' with one of {}, or 'run: [COMMAND, ARGUMENT]'",
                    kinds().join(", ")
                )
            }
            // The same word is a limit of workers.
            Self::Value { key, why } if key == "memory" && why.contains("cuda") => {
                "for example memory: cuda".into()
            }
            Self::NotA { key, .. } | Self::Value { key, .. } => {
                format!("for example {}", example(key))
            }
            Self::NotASection { .. } => "write its keys below it, indented: use, in, ...".into(),
            Self::OutOfRange { key, .. } => format!("for example {}", example(key)),
            Self::RunEmpty => format!("for example {}", example("run")),
            Self::Unknown { key, .. } if key == "env" => {
                "'env' belongs to 'run' workers: remove it here".into()
            }
            Self::Unknown { key, known } => suggest(key, known, "keys here"),
            Self::UnknownEvent { seen, known } => suggest(seen, known, "events"),
            Self::UnknownKind { seen } => unknown_kind(seen),
            Self::Version { .. } => "write version: 1".into(),
        }
    }
}

/// Some types name themselves in their errors, and need no key before it.
fn keyed(key: &str, why: &str) -> String {
    if why.starts_with(key) { why.to_owned() } else { format!("{key}: {why}") }
}

fn kinds() -> Vec<String> {
    Kind::ALL.into_iter().map(|kind| kind.to_string()).collect()
}

fn unknown_kind(seen: &str) -> String {
    let kinds = kinds();
    match did_you_mean(seen, &kinds) {
        Some(kind) => format!("did you mean '{kind}'?"),
        None => format!(
            "kinds: {}; for your own program write run: [COMMAND, ARGUMENT]",
            kinds.join(", ")
        ),
    }
}

/// A line that would be right.
fn example(key: &str) -> String {
    let value = match key {
        "$schema" => "$schema: framevisor.schema.json",
        "ca" => "ca: /etc/ssl/own-ca.pem",
        "credentials" => "credentials: ${cred:store}",
        "delete_after" => "delete_after: uploaded",
        "endpoint" => "endpoint: https://minio.local:9000",
        "give_up_after" => "give_up_after: 1d",
        "topic" => "topic: framevisor/site1",
        "discovery" => "discovery: homeassistant (or off; of onvif 3702)",
        "parallel" => "parallel: 4",
        "rate" => "rate: 20M",
        "region" => "region: eu-central-1",
        "secret" => "secret: ${cred:webhook}",
        "to" => "to: rtsp://10.0.0.9:8554/cam1 (of an uploader s3://cameras/site1)",
        "push" => "push: rtsp://10.0.0.9:8554/cam1",
        "access" => "access: brokered",
        "after" => "after: [cam1]",
        "shadow" => "shadow: detector",
        "cameras" => "cameras: {front: {url: 'rtsp://10.0.0.5/main'}}",
        "defaults" => "defaults: {decoder: {threads: 2}}",
        "delay" | "restart.delay" => "restart: {delay: 0.25s..30s}",
        "dir" => "dir: recordings",
        "health" | "frozen" | "black" | "blank" => "health: {frozen: 1m, black: 10s, blank: off}",
        "env" => "env: {MODEL: small}",
        "fps" => "fps: 5",
        "frames" => "frames: {threads: 2}",
        "from" => "from: recordings/cam1",
        "since" => "since: 2026-11-20T13:09:00Z",
        "until" => "until: 2026-11-20T13:10:00Z",
        "speed" => "speed: 2x",
        "pause" => "pause: 1s",
        "hold" => "hold: true",
        "group" => "group: video",
        "groups" => "groups: {hall: 'hall-*'}",
        "history" => "history: 1",
        "hooks" => "hooks: {tell: {on: worker.held, run: [./tell.sh]}}",
        "in" => "in: cam1.packets",
        "recordings" => "recordings: recorder",
        "jpeg_quality" => "jpeg_quality: 80",
        "webrtc" | "addresses" | "max_viewers" => {
            "webrtc: {listen: '192.168.1.5:8189', max_viewers: 64}"
        }
        "codec" | "name" => "codec: h264 (of a command {name: h264, size: 640x480, fps: 25})",
        "audio" => "audio: aac (of rtsp-push true or false)",
        "audio_bitrate" => "audio_bitrate: 48k",
        "bitrate" => "bitrate: 2M",
        "latency" => "latency: live",
        "keyframe_every" => "keyframe_every: 2s",
        "max_fps" => "max_fps: 10",
        "hardware" => "hardware: auto",
        "on_demand" => "on_demand: true",
        "on_writer_lost" => "on_writer_lost: slate",
        "core" => "limits: {core: true}",
        "network" => "limits: {network: none}",
        "cpu_weight" => "limits: {cpu_weight: 200}",
        "cpus" => "limits: {cpus: 0-3}",
        "wait" => "wait: 100ms",
        "slate_after" => "slate_after: 2s",
        "layout" => "layout: grid",
        "columns" => "columns: 3",
        "background" | "color" => "background: '#101010'",
        "users" | "password" | "play" | "publish" => {
            "users: {anna: {password: '${cred:anna}', play: '*'}, anyone: {play: lobby}}"
        }
        "basic" => "basic: tls",
        "tls" | "cert" => "tls: {cert: server.pem, key: server.key, listen: 0.0.0.0:8322}",
        "tokens" | "token" | "may" => {
            "tokens: {ops: {token: '${cred:ops}', may: [restart, record, comment]}}"
        }
        "hosts" => "hosts: [nvr.example.org]",
        "base_path" => "base_path: /cams",
        "proxies" => "proxies: [127.0.0.1]",
        "onvif" => "onvif: {listen: 0.0.0.0:8899, discovery: 3702}",
        "max_per_address" => "max_per_address: 64",
        "places" | "at" | "x" | "y" | "w" | "h" => {
            "places: {cam2.frames: {at: bottom-right, x: 16, y: 16, w: 25%, h: 25%}}"
        }
        "over" | "missing" => "places: {marks.frames: {over: cam1.frames}}",
        "fit" => "fit: contain (of detect letterbox)",
        "key" | "similarity" | "blend" => {
            "places: {cam2.frames: {key: {color: green, similarity: 0.1, blend: 0.05}}}"
        }
        "rules" | "label" | "schedule" | "for" | "quiet" | "update" | "cooldown" | "snapshot" => {
            "rules: {night: {label: person, schedule: '22:00-06:00', for: 1s, quiet: 5s, snapshot: true}}"
        }
        "keep_for" => "keep_for: 30d",
        "snapshots" => "snapshots: pictures",
        "text" | "each" | "zone" => {
            "text: [{text: '{name} %H:%M:%S', each: true, at: bottom-left}]"
        }
        "boxes" | "line" => "boxes: {color: yellow, line: 2}",
        "labels" => "labels: [person, car] (of boxes true or false)",
        "tensor" => "outputs: {net: {size: 640x640, tensor: {type: f16}}}",
        "detect" => "detect: {model: yolo11n.onnx, only: [person, car]}",
        "model" => "model: yolo11n.onnx",
        "engine" => "engine: auto",
        "onnxruntime" => "onnxruntime: /opt/onnxruntime/lib/libonnxruntime.so",
        "providers" => "providers: [tensorrt, cuda]",
        "device" => "device: 0",
        "form" => "form: yolo8",
        "only" => "only: [person, car]",
        "scale" => "scale: unit",
        "colour" => "colour: rgb",
        "scores" => "scores: {person: 0.6}",
        "overlap" => "overlap: 0.45",
        "most" => "most: 100",
        "batch" => "batch: 8",
        "zones" | "ignore" => "zones: {drive: '0% 50%, 100% 100%'}",
        "limits" => "limits: {memory: 512MiB, nice: 5}",
        "memory" => "limits: {memory: 512MiB}",
        "nice" => "limits: {nice: 5}",
        "nofile" => "limits: {nofile: 256}",
        "on" => "on: [worker.held, camera.down]",
        "timeout" => "timeout: 10s",
        "oom_score_adj" => "limits: {oom_score_adj: 500}",
        "pids" => "limits: {pids: 100}",
        "require" => "limits: {nice: -5, require: true}",
        "limit" | "restart.limit" => "restart: {limit: 5 in 60s}",
        "keep" => "keep: {age: 30d, size: 200GB} (and events: 90d, until: uploaded)",
        "like" => "like: front",
        "listen" => "listen: 127.0.0.1:8080",
        "loop" => "loop: true",
        "max_bitrate" => "max_bitrate: 8M",
        "max_clients" => "max_clients: 256",
        "multicast" => "multicast: 239.255.42.0/24",
        "multicast_ttl" => "multicast_ttl: 4",
        "udp_ports" => "udp_ports: 20000-20999",
        "max_pixels" => "max_pixels: 8294400",
        "motion" => "motion: {fps: 5}",
        "channels" => "channels: 2",
        "hz" | "samples" | "sound" => "sound: {hz: 48000, channels: 1}",
        "gain" | "mute" | "sources" => "sources: {mic: {gain: -6dB}, hall: {mute: true}}",
        "on_death" | "supervisor" => "supervisor: {on_death: adopt}",
        "adopt_within" => "supervisor: {on_death: adopt, adopt_within: 30s}",
        "out" => "out: cam1.frames",
        "outputs" => "outputs: {small: {size: 640x360, format: rgb24}}",
        "policy" | "policy.essential" | "essential" => "policy: {essential: 2s}",
        "project" => "project: yard",
        "record" => "record: {dir: recordings, segment: 5m}",
        "size" => "size: 1280x720",
        "pace" => "raw: {format: yuv420p, size: 640x480, fps: 25, pace: as-fast}",
        "raw" | "format" | "stride" => "raw: {format: yuv420p, size: 640x480, fps: 25}",
        "record.group" => "record: {group: hall}",
        "ready" => "ready: tcp 8554",
        "restart" => "restart: {delay: 0.25s..30s, limit: 5 in 60s}",
        "rings" => "rings: {cam1.packets: {max_bitrate: 16M}}",
        "run" => "run: [python3, analyzer.py]",
        "min_free" => "min_free: 10%",
        "segment" => "segment: 1m",
        "sensitivity" => "sensitivity: 50",
        "serve" => "serve: [rtsp, web]",
        "start" => "start: 30s",
        "source" => "source: rtsp://10.0.0.5/main (or test:, or the path of a file)",
        "spare_readers" => "spare_readers: 2",
        "sub" => "sub: rtsp://10.0.0.5/sub (or test:, or the path of a file)",
        "stdin" => "stdin: cam1.frames",
        "stdout" => "stdout: flip.frames",
        "templates" => "templates: {outdoor: {serve: [rtsp]}}",
        "transport" => "transport: tcp (or udp; of a camera also multicast, auto)",
        "the topology" => "version: 1, and below it workers:",
        "threads" => "threads: 2",
        "url" => {
            "url: rtsp://10.0.0.5/main (or test:, or the path of a file; of notify https://HOST/PATH or mqtt://HOST)"
        }
        "drain" => "drain: 10m",
        "use" => "use: ingest",
        "version" => "version: 1",
        "when" | "events" => "when: {events: motion1.events, type: motion, pre: 10s, post: 20s}",
        "pre" => "when: {events: motion1.events, pre: 10s}",
        "post" => "when: {events: motion1.events, post: 20s}",
        "type" => "when: {events: motion1.events, type: motion}",
        "camera" => "when: {events: ext.door.events, camera: door}",
        "min_score" => "min_score: 0.4",
        "data" => "when: {events: detect.events, data: {label: [person, car]}}",
        "worker" => "cam1: or front-door:",
        "workers" => "workers: {cam1: {use: ingest, source: 'test:'}}",
        other if other.starts_with("env.") => return example("env"),
        other => return format!("{other}: 1"),
    };
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../../docs/topology.md");

    #[test]
    fn every_documented_key_has_an_example_of_its_own() {
        let mut keys = 0;
        for table in PAGE.split("\n\n").filter(|part| part.starts_with("| key |")) {
            for key in table.lines().skip(2).filter_map(|row| row.split('`').nth(1)) {
                assert!(
                    ["version", "history"].contains(&key) || example(key) != format!("{key}: 1"),
                    "{key}"
                );
                keys += 1;
            }
        }
        assert!(keys > 20, "only {keys} keys in docs/topology.md");
    }
}
