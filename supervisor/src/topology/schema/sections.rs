//! Sections within others: what stands behind a key that is no single value.

use protocol::config::{Right, SampleForm};
use protocol::stream::PixelFormat;
use serde_json::{Value, json};

use super::kinds::SCALES;
use super::values::{self, number, shared, words};
use super::{HEALTH, Keys, RINGS, WHEN, described, section, with};

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

pub(super) fn supervisor() -> Keys {
    vec![("on_death", words(&["end", "adopt"])), ("adopt_within", shared("span"))]
}

pub(super) fn restart() -> Keys {
    vec![("delay", values::delay()), ("limit", values::limit())]
}

pub(super) fn limits() -> Keys {
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

pub(super) fn output() -> Keys {
    vec![("size", shared("size")), ("format", pixel_format()), ("tensor", shared("tensor"))]
}

pub(super) fn tensor() -> Keys {
    vec![
        ("layout", words(&["nchw", "nhwc"])),
        ("type", words(&["f32", "f16", "u8"])),
        ("scale", words(&SCALES)),
        ("colour", words(&["rgb", "bgr"])),
        ("fit", words(&["letterbox", "stretch"])),
    ]
}

pub(super) fn pixel_format() -> Value {
    let formats = PixelFormat::ALL.map(|format| values::word_of(&format));
    words(&formats.each_ref().map(String::as_str))
}

pub(super) fn raw() -> Keys {
    vec![
        ("format", pixel_format()),
        ("size", shared("size")),
        ("fps", number(1, 240)),
        ("stride", number(1, i32::MAX)),
        ("pace", words(&["live", "as-fast"])),
    ]
}

pub(super) fn codec() -> Keys {
    vec![
        ("name", words(&["h264", "h265", "mjpeg", "flv", "matroska", "mpegts"])),
        ("size", shared("size")),
        ("fps", number(1, 240)),
    ]
}

pub(super) fn sound() -> Keys {
    let forms = [SampleForm::S16le, SampleForm::S32le, SampleForm::F32le].map(SampleForm::as_str);
    vec![("hz", number(8_000, 192_000)), ("channels", number(1, 8)), ("samples", words(&forms))]
}

pub(super) fn hook() -> Keys {
    vec![
        ("on", shared("events")),
        ("run", values::command()),
        ("timeout", shared("span")),
        ("env", values::environment("^FRAMEVISOR_")),
    ]
}

pub(super) const PICTURE_HEALTH: &[&str] = &["frozen", "black", "blank"];
pub(super) const RATE_HEALTH: &[&str] = &["fps", "rate"];

/// These keys of a camera's health: each worker has those that it looks at.
pub(super) fn health(known: &[&str]) -> Keys {
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

pub(super) fn ring_settings() -> Keys {
    let keys = vec![
        ("spare_readers", number(0, 64)),
        ("history", number(0, 64)),
        ("max_bitrate", shared("bit_rate")),
        ("access", words(&["named", "brokered"])),
        ("memory", words(&["host", "cuda"])),
    ];
    described(RINGS, keys)
}

pub(super) fn keep() -> Value {
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
pub(super) fn user() -> Keys {
    vec![("password", shared("secret")), ("play", shared("texts")), ("publish", shared("texts"))]
}

/// One of `tokens:`.
pub(super) fn token() -> Keys {
    let rights = words(&Right::ALL.map(Right::as_str));
    vec![("token", shared("secret")), ("may", values::list(rights)), ("cameras", shared("texts"))]
}

/// A listener with a certificate.
pub(super) fn tls() -> Keys {
    vec![("cert", shared("text")), ("key", shared("text")), ("listen", shared("address"))]
}

pub(super) fn onvif() -> Keys {
    vec![("listen", shared("address")), ("name", shared("text")), ("discovery", number(1, 65_535))]
}

/// Of one input of a compositor.
pub(super) fn place() -> Keys {
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

pub(super) fn chroma_key() -> Keys {
    vec![
        ("color", shared("colour")),
        ("similarity", values::decimal()),
        ("blend", values::decimal()),
    ]
}

pub(super) fn caption() -> Keys {
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

pub(super) fn boxes() -> Keys {
    vec![
        ("color", shared("colour")),
        ("line", number(1, 64)),
        ("hold", shared("span")),
        ("labels", shared("boolean")),
    ]
}

pub(super) fn webrtc() -> Keys {
    vec![
        ("listen", shared("address")),
        ("addresses", json!({"type": "array", "items": shared("ip")})),
        ("max_viewers", number(0, 1_000)),
    ]
}

/// How one ring is mixed.
pub(super) fn mix_source() -> Value {
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
pub(super) fn event_rule() -> Value {
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
pub(super) fn rule() -> Keys {
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
