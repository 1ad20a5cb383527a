//! The topology file for editors and other validators: a JSON Schema (draft 2020-12).
//!
//! It refuses unknown keys and values that can mean nothing, and says of each key what the page
//! says. What belongs to `check` alone: what is missing (another file, a template or a default may
//! say it), names nobody has, ranges of different length, and numbers in quotes.

mod page;
#[cfg(test)]
pub(super) mod tests;
mod values;

use protocol::config::detect::{Form, Provider};
use protocol::config::{Kind, Right, SampleForm};
use protocol::stream::PixelFormat;
use serde_json::{Map, Value, json};

use super::worker::{self, IDENTITY, RUN};
use super::written::SCHEMA;
use super::{cameras, expand};
use values::{by_any_name, by_name, by_ring, either, number, shared, words};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Headings of the page whose tables describe keys of more than one place.
const EVERY_WORKER: &str = "Keys of every worker";
const RESTART: &str = "restart";
const RAW: &str = "raw";
const CODEC: &str = "codec";
const SOUND: &str = "sound";
const OUTPUTS: &str = "outputs";
const TENSOR: &str = "tensor";
const CAMERAS: &str = "cameras";
const PLACES: &str = "places";
const KEY: &str = "key";
const TEXT: &str = "text";
const BOXES: &str = "boxes";
const HEALTH: &str = "health";
const HOOKS: &str = "hooks";
const LIMITS: &str = "limits";
const RINGS: &str = "rings";
const RULE: &str = "rule";
const WEBRTC: &str = "webrtc";
const WHEN: &str = "when";
const USERS: &str = "users";
const TLS: &str = "tls";
const TOKENS: &str = "tokens";
const ONVIF: &str = "onvif";
const SUPERVISOR: &str = "When the supervisor is killed";
const TOP: &str = "Top level";

type Keys = Vec<(&'static str, Value)>;

/// The schema of a topology file, or of a part of one.
pub(crate) fn schema() -> Value {
    let mut schema = section(described(TOP, top()));
    schema["$schema"] = DRAFT.into();
    schema["title"] = "framevisor topology".into();
    schema["type"] = "object".into();
    schema["$defs"] = definitions().into();
    schema
}

fn top() -> Keys {
    vec![
        ("version", values::version()),
        ("project", shared("name")),
        ("group", shared("text")),
        ("supervisor", shared("supervisor")),
        ("cameras", by_name("camera")),
        ("workers", by_name("worker")),
        ("rings", by_ring("ring_settings")),
        ("hooks", values::by_plain_name("hook")),
        ("groups", values::by_plain_name("members")),
        ("defaults", shared("defaults")),
        ("templates", by_any_name("template")),
        (SCHEMA, shared("text")),
    ]
}

fn definitions() -> Map<String, Value> {
    let mut all = values::definitions();
    let mut add = |name: &str, schema: Value| all.insert(name.to_owned(), schema);
    add("supervisor", section(described(SUPERVISOR, supervisor())));
    add("restart", section(described(RESTART, restart())));
    add("limits", section(described(LIMITS, limits())));
    add("raw", section(described(RAW, raw())));
    add("codec", section(described(CODEC, codec())));
    add("health", section(health(&[PICTURE_HEALTH, RATE_HEALTH].concat())));
    add("sound", section(described(SOUND, sound())));
    add("output", section(described(OUTPUTS, output())));
    add("tensor", with(section(described(TENSOR, tensor())), "type", "object".into()));
    add("hook", section(described(HOOKS, hook())));
    add("ring_settings", section(ring_settings()));
    add("keep", keep());
    add("mix_source", mix_source());
    add("event_rule", event_rule());
    add("user", section(described(USERS, user())));
    add("token", with(section(described(TOKENS, token())), "type", "object".into()));
    add("tls", with(section(described(TLS, tls())), "type", "object".into()));
    add("onvif", with(section(described(ONVIF, onvif())), "type", "object".into()));
    add("rule", with(section(described(RULE, rule())), "type", "object".into()));
    add("place", section(described(PLACES, place())));
    add("chroma_key", with(section(described(KEY, chroma_key())), "type", "object".into()));
    add("caption", with(section(described(TEXT, caption())), "type", "object".into()));
    add("boxes", section(described(BOXES, boxes())));
    add("webrtc", section(described(WEBRTC, webrtc())));
    add("when", either(vec![words(&["always", "command", "events"]), shared("event_rule")]));
    add("camera", either(vec![shared("source"), shared("camera_section")]));
    add("camera_section", section(described(CAMERAS, camera())));
    add("defaults", section(defaults()));
    add("worker", worker());
    add("run", section(with_like(of_worker(&RUN))));
    for kind in Kind::ALL {
        add(kind.as_str(), section(with_like(of_kind(kind))));
    }
    add("any_worker", section(any_worker()));
    add("template", template());
    add(
        "any_template",
        section(described(CAMERAS, camera()).into_iter().chain(any_worker()).collect()),
    );
    all
}

fn supervisor() -> Keys {
    vec![("on_death", words(&["end", "adopt"])), ("adopt_within", shared("span"))]
}

fn restart() -> Keys {
    vec![("delay", values::delay()), ("limit", values::limit())]
}

fn limits() -> Keys {
    vec![
        ("memory", shared("ceiling")),
        ("cpu_weight", number(1, 10_000)),
        ("nice", number(-20, 19)),
        ("cpus", shared("processors")),
        ("nofile", number(16, 1 << 20)),
        ("pids", number(1, 1 << 22)),
        ("oom_score_adj", number(-1_000, 1_000)),
        ("core", shared("boolean")),
        ("network", words(&["any", "none"])),
        ("require", shared("boolean")),
    ]
}

fn output() -> Keys {
    vec![("size", shared("size")), ("format", pixel_format()), ("tensor", shared("tensor"))]
}

fn tensor() -> Keys {
    vec![
        ("layout", words(&["nchw", "nhwc"])),
        ("type", words(&["f32", "f16", "u8"])),
        ("scale", words(&SCALES)),
        ("colour", words(&["rgb", "bgr"])),
        ("fit", words(&["letterbox", "stretch"])),
    ]
}

fn pixel_format() -> Value {
    let formats = PixelFormat::ALL.map(|format| values::word_of(&format));
    words(&formats.each_ref().map(String::as_str))
}

fn raw() -> Keys {
    vec![
        ("format", pixel_format()),
        ("size", shared("size")),
        ("fps", number(1, 240)),
        ("stride", number(1, i32::MAX)),
        ("pace", words(&["live", "as-fast"])),
    ]
}

fn codec() -> Keys {
    vec![
        ("name", words(&["h264", "h265", "mjpeg", "flv", "matroska", "mpegts"])),
        ("size", shared("size")),
        ("fps", number(1, 240)),
    ]
}

fn sound() -> Keys {
    let forms = [SampleForm::S16le, SampleForm::S32le, SampleForm::F32le].map(SampleForm::as_str);
    vec![("hz", number(8_000, 192_000)), ("channels", number(1, 8)), ("samples", words(&forms))]
}

fn hook() -> Keys {
    vec![
        ("on", shared("events")),
        ("run", values::command()),
        ("timeout", shared("span")),
        ("env", values::environment()),
    ]
}

const PICTURE_HEALTH: &[&str] = &["frozen", "black", "blank"];
const RATE_HEALTH: &[&str] = &["fps", "rate"];

/// These keys of a camera's health: each worker has those that it looks at.
fn health(known: &[&str]) -> Keys {
    let mut keys = vec![
        ("frozen", shared("patience")),
        ("black", shared("patience")),
        ("blank", shared("patience")),
        ("fps", number(1, 240)),
        ("rate", shared("share")),
    ];
    keys.retain(|(key, _)| known.contains(key));
    described(HEALTH, keys)
}

fn ring_settings() -> Keys {
    let keys = vec![
        ("spare_readers", number(0, 64)),
        ("history", number(0, 64)),
        ("max_bitrate", shared("bit_rate")),
        ("access", words(&["named", "brokered"])),
        ("memory", words(&["host", "cuda"])),
    ];
    described(RINGS, keys)
}

fn keep() -> Value {
    let say = |name: &str, text: &str| {
        let mut value = shared(name);
        value["description"] = text.into();
        value
    };
    let keep = section(vec![
        (
            "age",
            say("span", "a file goes when its last picture is older than this (default: never)"),
        ),
        (
            "events",
            say(
                "span",
                "the same for files with something in them that an event asked for (default: as age)",
            ),
        ),
        ("size", say("bytes", "the files of a camera take no more than this, pinned ones apart")),
        (
            "until",
            with(
                values::words(&["uploaded"]),
                "description",
                "age and size end no file that is not in the store of an uploader".into(),
            ),
        ),
    ]);
    with(keep, "type", "object".into())
}

/// One of those who may come in.
fn user() -> Keys {
    vec![("password", shared("secret")), ("play", shared("texts")), ("publish", shared("texts"))]
}

/// One of `tokens:`.
fn token() -> Keys {
    let rights = words(&Right::ALL.map(Right::as_str));
    vec![("token", shared("secret")), ("may", values::list(rights)), ("cameras", shared("texts"))]
}

/// A listener with a certificate.
fn tls() -> Keys {
    vec![("cert", shared("text")), ("key", shared("text")), ("listen", shared("address"))]
}

fn onvif() -> Keys {
    vec![("listen", shared("address")), ("name", shared("text")), ("discovery", number(1, 65_535))]
}

/// Of one input of a compositor.
fn place() -> Keys {
    vec![
        ("at", words(&ANCHORS)),
        ("x", shared("length")),
        ("y", shared("length")),
        ("w", shared("length")),
        ("h", shared("length")),
        ("over", shared("ring")),
        ("fit", words(&["contain", "cover", "stretch"])),
        ("key", shared("chroma_key")),
        ("missing", words(&["slate", "last", "nothing"])),
        ("name", shared("text")),
    ]
}

fn chroma_key() -> Keys {
    vec![
        ("color", shared("colour")),
        ("similarity", values::decimal()),
        ("blend", values::decimal()),
    ]
}

fn caption() -> Keys {
    vec![
        ("text", shared("text")),
        ("at", words(&ANCHORS)),
        ("x", shared("length")),
        ("y", shared("length")),
        ("over", shared("ring")),
        ("each", shared("boolean")),
        ("size", shared("length")),
        ("color", shared("colour")),
        ("zone", words(&["local", "utc"])),
    ]
}

fn boxes() -> Keys {
    vec![
        ("color", shared("colour")),
        ("line", number(1, 64)),
        ("hold", shared("span")),
        ("labels", shared("boolean")),
    ]
}

fn webrtc() -> Keys {
    vec![
        ("listen", shared("address")),
        ("addresses", json!({"type": "array", "items": shared("ip")})),
        ("max_viewers", number(0, 1_000)),
    ]
}

/// How one ring is mixed.
fn mix_source() -> Value {
    let gain = with(
        shared("decibels"),
        "description",
        "louder or quieter than it is, -90dB to 30dB (default: 0dB)".into(),
    );
    let mute = with(
        shared("boolean"),
        "description",
        "true: not heard, and not left out either (default: false)".into(),
    );
    with(section(vec![("gain", gain), ("mute", mute)]), "type", "object".into())
}

/// Events begin a recording.
fn event_rule() -> Value {
    let keys = vec![
        ("events", shared("rings")),
        ("type", shared("texts")),
        ("camera", shared("texts")),
        ("min_score", values::decimal()),
        ("data", values::by_text("texts")),
        ("pre", shared("span")),
        ("post", shared("span")),
    ];
    with(section(described(WHEN, keys)), "type", "object".into())
}

/// What is one event, of all that record rings hold.
fn rule() -> Keys {
    vec![
        ("events", shared("rings")),
        ("type", shared("texts")),
        ("camera", shared("texts")),
        ("label", shared("texts")),
        ("zone", shared("texts")),
        ("min_score", values::decimal()),
        ("data", values::by_text("texts")),
        ("schedule", values::one_or_list("hours")),
        ("for", shared("span")),
        ("quiet", shared("span")),
        ("update", shared("span")),
        ("cooldown", shared("span")),
        ("snapshot", shared("boolean")),
    ]
}

fn camera() -> Keys {
    vec![
        ("url", shared("source")),
        ("sub", shared("source")),
        ("transport", words(&TRANSPORTS)),
        ("loop", shared("boolean")),
        ("start", shared("span")),
        ("on_demand", shared("boolean")),
        ("audio", words(&["aac", "opus", "copy"])),
        ("health", shared("health")),
        ("serve", shared("serve")),
        ("record", either(vec![shared("boolean"), shared("text"), record_of_camera()])),
        ("frames", either(vec![shared("boolean"), part_of_camera(Kind::Decoder)])),
        ("motion", either(vec![shared("boolean"), part_of_camera(Kind::Motion)])),
        ("detect", part_of_camera(Kind::Detect)),
        ("push", either(vec![shared("push_url"), part_of_camera(Kind::RtspPush)])),
        ("max_bitrate", shared("bit_rate")),
        ("restart", shared("restart")),
        ("after", shared("names")),
        ("like", shared("name")),
    ]
}

/// Keys of its recorder, and the group that it is one of.
fn record_of_camera() -> Value {
    let group = "the camera is one of this group, beside those that groups names";
    let group = with(shared("name"), "description", group.into());
    let mut keys = without(of_kind(Kind::Recorder), &cameras::OURS);
    keys.push((cameras::GROUP_KEY, group));
    with(section(keys), "type", "object".into())
}

/// Keys of a worker that a camera brings with it; the camera says who it is.
fn part_of_camera(kind: Kind) -> Value {
    with(section(without(of_kind(kind), &cameras::OURS)), "type", "object".into())
}

fn defaults() -> Keys {
    let sections = expand::defaults_keys().into_iter().map(|name| {
        let keys = match (name, Kind::from_name(name)) {
            (_, Some(kind)) => without(of_kind(kind), &cameras::OURS),
            (expand::CAMERAS, _) => without(described(CAMERAS, camera()), &["like"]),
            (expand::RINGS, _) => ring_settings(),
            (expand::RUN, _) => without(without(of_worker(&RUN), &cameras::OURS), &IDENTITY),
            _ => of_worker(&["restart"]),
        };
        let text = match name {
            expand::CAMERAS | expand::RINGS | expand::WORKERS => format!("what all {name} have"),
            name => format!("what all {name} workers have"),
        };
        (name, with(section(keys), "description", text.into()))
    });
    sections.collect()
}

/// What a worker may say depends on its kind; one that does not say its kind may say anything.
fn worker() -> Value {
    let is = |kind: &str| json!({"required": ["use"], "properties": {"use": {"const": kind}}});
    let runs = json!({"required": ["run"]});
    let mut known: Vec<Value> = Kind::ALL.iter().map(|kind| is(kind.as_str())).collect();
    let when = |condition: &Value, name: &str| json!({"if": condition, "then": shared(name)});
    let mut cases: Vec<Value> =
        Kind::ALL.iter().zip(&known).map(|(kind, is)| when(is, kind.as_str())).collect();
    cases.push(when(&runs, "run"));
    known.push(runs);
    cases.push(when(&json!({"not": {"anyOf": known}}), "any_worker"));
    json!({"type": ["object", "null"], "allOf": cases})
}

/// An entry that starts nothing: of a camera, or of a worker.
fn template() -> Value {
    let is_worker = json!({"anyOf": [{"required": ["use"]}, {"required": ["run"]}]});
    json!({
        "type": ["object", "null"],
        "if": is_worker, "then": shared("worker"), "else": shared("any_template"),
    })
}

/// Keys of all kinds together.
fn any_worker() -> Keys {
    let own = Kind::ALL.into_iter().flat_map(|kind| described(kind.as_str(), own(kind)));
    described(EVERY_WORKER, every_worker()).into_iter().chain(own).collect()
}

fn with_like(keys: Keys) -> Keys {
    keys.into_iter().chain(of_worker(&["like"])).collect()
}

fn of_kind(kind: Kind) -> Keys {
    let mut keys = of_worker(worker::common(kind));
    keys.retain(|(key, _)| match *key {
        "in" => !kind.reads().is_empty(),
        "out" => kind.writes().is_some(),
        _ => true,
    });
    for (key, value) in &mut keys {
        if *key == "policy" {
            // A built-in worker takes each item in turn.
            value["$ref"] = shared("policy_in_turn")["$ref"].clone();
        }
    }
    keys.extend(described(kind.as_str(), own(kind)));
    keys
}

fn of_worker(known: &[&str]) -> Keys {
    let keys = every_worker().into_iter().filter(|(key, _)| known.contains(key)).collect();
    described(EVERY_WORKER, keys)
}

fn every_worker() -> Keys {
    vec![
        ("use", values::kind()),
        ("run", values::command()),
        ("in", shared("rings")),
        ("out", shared("ring")),
        ("policy", shared("policy")),
        ("restart", shared("restart")),
        ("limits", shared("limits")),
        ("after", shared("names")),
        ("shadow", shared("name")),
        ("ready", shared("ready")),
        ("like", shared("name")),
        ("env", values::environment()),
        ("stdin", shared("stream_ring")),
        ("stdout", shared("stream_ring")),
        ("raw", shared("raw")),
        ("codec", shared("codec")),
        ("sound", shared("sound")),
    ]
}

/// Corners, edges and the middle of a picture.
const ANCHORS: [&str; 9] = [
    "top-left",
    "top",
    "top-right",
    "left",
    "center",
    "right",
    "bottom-left",
    "bottom",
    "bottom-right",
];

/// What samples of 0 to 255 become for a model.
const SCALES: [&str; 4] = ["unit", "byte", "imagenet", "signed"];

/// How an RTSP camera's packets come.
const TRANSPORTS: [&str; 4] = ["tcp", "udp", "multicast", "auto"];

/// Keys of one kind alone.
fn own(kind: Kind) -> Keys {
    match kind {
        Kind::Compositor => vec![
            ("size", shared("size")),
            ("fps", number(1, 240)),
            ("wait", shared("span")),
            ("slate_after", shared("span")),
            ("layout", words(&["grid", "pip"])),
            ("columns", number(1, 64)),
            ("background", shared("colour")),
            ("places", values::by_ring("place")),
            ("text", json!({"type": "array", "items": shared("caption")})),
            ("boxes", shared("boxes")),
        ],
        Kind::Decoder => {
            vec![
                ("threads", number(1, 16)),
                ("max_pixels", number(64, 16_384 * 16_384)),
                ("health", section(health(PICTURE_HEALTH))),
                ("hardware", words(&["auto", "off", "vaapi", "cuda"])),
                ("outputs", values::by_plain_name("output")),
            ]
        }
        Kind::Detect => detect(),
        Kind::Encoder => vec![
            ("audio", words(&["aac", "opus"])),
            ("audio_bitrate", shared("bit_rate")),
            ("codec", words(&["h264", "h265", "mjpeg", "vp8", "vp9", "av1"])),
            ("bitrate", shared("bit_rate")),
            ("latency", words(&["live", "quality"])),
            ("keyframe_every", shared("span")),
            ("max_fps", number(1, 240)),
            ("hardware", words(&["auto", "off", "vaapi", "nvenc"])),
            ("on_demand", shared("boolean")),
            ("on_writer_lost", words(&["wait", "slate"])),
        ],
        Kind::Ingest => vec![
            ("source", shared("source")),
            ("transport", words(&TRANSPORTS)),
            ("loop", shared("boolean")),
            ("health", section(health(RATE_HEALTH))),
            ("start", shared("span")),
            ("on_demand", shared("boolean")),
        ],
        Kind::Mixer => vec![
            ("codec", words(&["aac", "opus", "pcm"])),
            ("bitrate", shared("bit_rate")),
            ("channels", number(1, 2)),
            ("wait", shared("span")),
            ("sources", values::by_text("mix_source")),
        ],
        Kind::Motion => vec![
            ("fps", number(1, 240)),
            ("sensitivity", number(1, 100)),
            ("zones", values::zones()),
            ("ignore", values::zones()),
        ],
        Kind::Notify => vec![
            ("url", shared("web_url")),
            ("on", shared("events")),
            ("secret", shared("secret")),
            ("timeout", shared("span")),
            ("give_up_after", shared("span")),
            ("ca", shared("text")),
            ("topic", shared("topic")),
            ("discovery", shared("topic")),
        ],
        Kind::Recorder => vec![
            ("dir", shared("text")),
            ("segment", shared("span")),
            ("keep", shared("keep")),
            ("min_free", shared("free_space")),
            ("when", values::one_or_list("when")),
        ],
        // Of no file.
        Kind::Pipe => Vec::new(),
        Kind::Replay => vec![
            ("from", shared("text")),
            ("since", shared("utc")),
            ("until", shared("utc")),
            ("speed", shared("speed")),
            ("loop", shared("boolean")),
            ("pause", shared("span")),
            ("hold", shared("boolean")),
        ],
        Kind::Rtsp => vec![
            ("listen", shared("address")),
            ("max_clients", number(1, 10_000)),
            ("max_per_address", number(1, 10_000)),
            ("drain", shared("span")),
            ("udp_ports", values::text("off|[1-9][0-9]{2,3}[02468]-[1-9][0-9]{2,3}[13579]")),
            (
                "multicast",
                values::text(r"off|2(?:2[4-9]|3[0-9])(?:\.[0-9]{1,3}){3}/(?:1[6-9]|2[0-9]|3[0-2])"),
            ),
            ("multicast_ttl", number(1, 255)),
            ("users", values::by_text("user")),
            ("basic", words(&["always", "never", "tls"])),
            ("tls", shared("tls")),
            ("onvif", shared("onvif")),
            ("recordings", shared("text")),
        ],
        Kind::RtspPush => vec![
            ("to", shared("push_url")),
            ("transport", words(&["tcp", "udp"])),
            ("audio", shared("boolean")),
        ],
        Kind::Rules => vec![
            ("rules", values::by_plain_name("rule")),
            ("zones", values::zones()),
            ("snapshots", shared("text")),
            ("keep_for", shared("span")),
            ("jpeg_quality", number(1, 100)),
        ],
        Kind::Uploader => vec![
            ("dir", shared("text")),
            ("to", shared("store")),
            ("endpoint", shared("endpoint")),
            ("region", shared("text")),
            ("credentials", shared("secret")),
            ("ca", shared("text")),
            ("rate", shared("bit_rate")),
            ("parallel", number(1, 16)),
            ("delete_after", values::words(&["never", "uploaded"])),
        ],
        Kind::Web => vec![
            ("listen", shared("address")),
            ("jpeg_quality", number(1, 100)),
            ("drain", shared("span")),
            ("recordings", shared("text")),
            ("max_clients", number(1, 10_000)),
            ("max_per_address", number(1, 10_000)),
            ("users", values::by_text("user")),
            ("basic", words(&["always", "never", "tls"])),
            ("tokens", values::by_text("token")),
            ("tls", shared("tls")),
            ("hosts", values::list(shared("host"))),
            ("base_path", shared("base_path")),
            ("proxies", values::list(shared("ip"))),
            ("webrtc", shared("webrtc")),
        ],
    }
}

fn detect() -> Keys {
    let provider = words(&Provider::ALL.map(Provider::as_str));
    let decimals = json!({"type": "object", "additionalProperties": values::decimal()});
    vec![
        ("model", shared("text")),
        ("engine", words(&["auto", "onnxruntime", "tract"])),
        ("onnxruntime", shared("text")),
        ("providers", json!({"type": "array", "items": provider})),
        ("device", number(0, 63)),
        ("threads", number(1, 64)),
        ("form", words(&Form::ALL.map(Form::as_str))),
        ("labels", json!({"type": "array", "items": shared("text")})),
        ("size", shared("size")),
        ("scale", words(&SCALES)),
        ("colour", words(&["rgb", "bgr"])),
        ("fit", words(&["letterbox", "stretch"])),
        ("fps", number(1, 240)),
        ("min_score", values::decimal()),
        ("scores", decimals),
        ("overlap", values::decimal()),
        ("most", number(1, 1_000)),
        ("only", json!({"type": "array", "items": shared("text")})),
        ("zones", values::zones()),
        ("ignore", values::zones()),
        ("batch", number(1, 64)),
        ("wait", shared("span")),
    ]
}

/// The keys with what the page says of them under `heading`.
fn described(heading: &str, keys: Keys) -> Keys {
    let describe = |(key, value): (&'static str, Value)| match page::says(heading, key) {
        Some(text) => (key, with(value, "description", text.into())),
        None => (key, value),
    };
    keys.into_iter().map(describe).collect()
}

fn without(keys: Keys, others: &[&str]) -> Keys {
    keys.into_iter().filter(|(key, _)| !others.contains(key)).collect()
}

fn with(mut schema: Value, keyword: &str, value: Value) -> Value {
    schema[keyword] = value;
    schema
}

/// These keys and no others. A section without any is one too.
fn section(keys: Keys) -> Value {
    let properties: Map<String, Value> =
        keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    json!({"type": ["object", "null"], "properties": properties, "additionalProperties": false})
}
