//! What a worker of each kind may say, beside what all may.

use protocol::config::Kind;
use protocol::config::detect::{Form, Provider};
use serde_json::json;

use super::sections::{PICTURE_HEALTH, RATE_HEALTH, health};
use super::values::{self, number, shared, words};
use super::{Keys, section};

/// What samples of 0 to 255 become for a model.
pub(super) const SCALES: [&str; 4] = ["unit", "byte", "imagenet", "signed"];

/// How an RTSP camera's packets come.
pub(super) const TRANSPORTS: [&str; 4] = ["tcp", "udp", "multicast", "auto"];

/// Keys of one kind alone.
pub(super) fn own(kind: Kind) -> Keys {
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
