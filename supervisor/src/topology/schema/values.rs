//! Values of a topology as patterns: units, names, rings, addresses.
//!
//! Every one takes `${NAME}` too, and a range, which an entry that stands for many may have anywhere.
//! A number may stand in quotes, as for the reader.

use protocol::config::Kind;
use protocol::config::compositor::Rgb;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::hooks::EVENTS;

/// What nobody can look into before it is filled in.
const OPEN: &str = r"\$\{|\{[0-9]{1,9}\.\.[0-9]{1,9}\}";
const RANGE: &str = r"\{[0-9]{1,9}\.\.[0-9]{1,9}\}";
const SPAN: &str = r"[0-9]+(?:\.[0-9]{1,9})?(?:ns|us|ms|s|m|h|d)";
const BIT_RATE: &str = r"[0-9]+(?:\.[0-9]{1,9})?(?:bit|k|M|G)";
const BYTES: &str = r"[0-9]+(?:\.[0-9]{1,9})?(?:B|KB|KiB|MB|MiB|GB|GiB|TB|TiB)";
const PART: &str = "[a-z0-9][a-z0-9_-]{0,40}";
const RING_KINDS: &str = "(?:packets|frames|events)";

/// A part of a name, in which ranges may stand.
fn part() -> String {
    let counted = format!("(?:[a-z0-9][a-z0-9_-]*)?{RANGE}(?:[a-z0-9_-]|{RANGE})*");
    format!("(?:{PART}|{counted})")
}

fn ring_text(kinds: &str) -> String {
    format!(r"{part}(?:\.{part})?\.{kinds}", part = part())
}

/// Values that several keys have, by the names that [`shared`] refers to.
pub(super) fn definitions() -> Map<String, Value> {
    let definitions = [
        ("address", text(r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5}")),
        ("base_path", text(r"/|(?:/[A-Za-z0-9._~-]*[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")),
        ("bit_rate", text(BIT_RATE)),
        ("ip", text(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")),
        ("boolean", either(vec![json!({"type": "boolean"}), text("true|false")])),
        ("bytes", text(BYTES)),
        ("decibels", text(r"[+-]?[0-9]{1,4}(?:\.[0-9])?dB")),
        ("ceiling", text(&format!("none|{BYTES}"))),
        ("colour", colour()),
        ("host", text(r"(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]*[A-Za-z-][A-Za-z0-9-]*")),
        ("ip", text(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")),
        ("length", length()),
        ("endpoint", text(r"https?://[A-Za-z0-9._:\[\]-]+/?")),
        ("event", event()),
        ("events", one_or_list("event")),
        ("hours", text(&hours())),
        ("members", one_or_list("text")),
        ("free_space", text(&format!("{BYTES}|[1-9][0-9]?%"))),
        ("name", name(&part())),
        ("names", one_or_list("name")),
        (
            "policy",
            policy(&format!("latest|sequential|every (?:[1-9][0-9]{{0,2}}|1000)|essential {SPAN}")),
        ),
        ("policy_in_turn", policy(&format!("sequential|essential {SPAN}"))),
        ("processors", processors()),
        ("patience", text(&format!("off|{SPAN}"))),
        ("ready", text(r"attach|tcp +(?:[^ ]+:)?[0-9]{1,5}|http +http://[^ ]+|log +.+")),
        ("ring", text(&ring_text(RING_KINDS))),
        ("rings", one_or_list("ring_or_glob")),
        (
            "ring_or_glob",
            text(&format!(
                r"{}|[a-z0-9*._-]*\*(?:[a-z0-9*_-]*|[a-z0-9*._-]*\.{RING_KINDS})",
                ring_text(RING_KINDS)
            )),
        ),
        ("secret", json!({"type": "string", "pattern": r"\$\{cred:[A-Za-z0-9_][A-Za-z0-9_.-]*\}"})),
        ("serve", serve()),
        ("share", text("off|[1-9][0-9]?%")),
        ("size", text("[0-9]{1,5}x[0-9]{1,5}")),
        ("source", source()),
        ("push_url", text(r"(?:rtsp|rtmp|srt|udp|rtp)://[^ ]+")),
        ("store", text(r"s3://[a-z0-9._-]{3,63}(?:/[A-Za-z0-9._/-]*)?")),
        ("stream_ring", text(&ring_text("(?:packets|frames)"))),
        ("span", text(SPAN)),
        ("speed", speed()),
        ("texts", one_or_list("text")),
        ("text", json!({"type": ["string", "number", "boolean"]})),
        ("topic", text(r"[^$/+#][^/+#]*(?:/[^/+#]+)*")),
        ("web_url", text(r"(?:https?|mqtts?)://[^ ]+")),
        (
            "utc",
            text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z?"),
        ),
    ];
    definitions.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// One of [`definitions`], or of the schema's sections.
pub(super) fn shared(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// A factor may stand without its `x`, and is a number then.
fn speed() -> Value {
    let number = json!({"type": "number", "minimum": 0.01, "maximum": 100});
    either(vec![text(r"max|step|[0-9]+(?:\.[0-9]+)?x?"), number])
}

pub(super) fn either(choices: Vec<Value>) -> Value {
    json!({"anyOf": choices})
}

/// A text that `pattern` describes as a whole.
pub(super) fn text(pattern: &str) -> Value {
    json!({"type": "string", "pattern": format!("^(?:{pattern})$|{OPEN}")})
}

/// One of these words, which editors then offer.
pub(super) fn words(words: &[&str]) -> Value {
    either(vec![json!({"enum": words}), json!({"type": "string", "pattern": OPEN})])
}

/// As a file has it.
pub(super) fn word_of(value: &impl Serialize) -> String {
    json!(value).as_str().unwrap_or_default().to_owned()
}

pub(super) fn number(lowest: i32, highest: i32) -> Value {
    let number = json!({"type": "integer", "minimum": lowest, "maximum": highest});
    either(vec![number, text("-?[0-9]+")])
}

pub(super) fn version() -> Value {
    either(vec![json!({"const": 1}), text("1")])
}

pub(super) fn command() -> Value {
    json!({"type": "array", "minItems": 1, "items": shared("text")})
}

pub(super) fn delay() -> Value {
    text(&format!(r" *{SPAN} *(?:\.\. *{SPAN} *)?"))
}

pub(super) fn limit() -> Value {
    text(&format!("none| *[0-9]+ * in +{SPAN} *"))
}

pub(super) fn kind() -> Value {
    words(&Kind::ALL.map(Kind::as_str))
}

/// Entries by names of workers or cameras, which may be ranges.
pub(super) fn by_name(entry: &str) -> Value {
    named(&part(), entry)
}

/// Entries by names that are no ranges.
pub(super) fn by_plain_name(entry: &str) -> Value {
    named(PART, entry)
}

pub(super) fn by_ring(entry: &str) -> Value {
    named(&ring_text(RING_KINDS), entry)
}

/// Entries by any name.
pub(super) fn by_any_name(entry: &str) -> Value {
    json!({"type": ["object", "null"], "additionalProperties": shared(entry)})
}

/// Entries by any text.
pub(super) fn by_text(entry: &str) -> Value {
    json!({"type": "object", "additionalProperties": shared(entry)})
}

/// Days, hours, or both.
fn hours() -> String {
    let day = "(?:[Mm]on|[Tt]ue|[Ww]ed|[Tt]hu|[Ff]ri|[Ss]at|[Ss]un)";
    let part = format!("{day}(?:-{day})?");
    let days = format!("{part}(?:,{part})*");
    let time = "(?:[01]?[0-9]|2[0-4]):[0-5][0-9]";
    format!(" *(?:{days}|(?:{days} +)?{time}-{time}) *")
}

pub(super) fn decimal() -> Value {
    either(vec![json!({"type": "number"}), text(r"-?[0-9]+(?:\.[0-9]+)?")])
}

/// Variables of a command; `own` is the pattern of those that framevisor sets itself.
pub(super) fn environment(own: &str) -> Value {
    json!({
        "type": ["object", "null"],
        "propertyNames": {
            "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
            "not": {"pattern": own},
        },
        "additionalProperties": shared("text"),
    })
}

/// Parts of a picture by their names, each by its corners.
pub(super) fn zones() -> Value {
    let share = r"(?:100(?:\.0{1,2})?|[0-9]{1,2}(?:\.[0-9]{1,2})?)%";
    let corner = format!(r"\s*{share}\s+{share}\s*");
    json!({
        "type": ["object", "null"],
        "propertyNames": {"pattern": r"^(?:[a-z0-9_-]{1,41}\.)?[a-z0-9_-]{1,41}$"},
        "additionalProperties": text(&format!("{corner}(?:,{corner}){{1,63}}")),
    })
}

/// Six digits, or one of the names there are.
fn colour() -> Value {
    let names = Rgb::NAMES.map(|(name, _)| name);
    either(vec![words(&names), text("#[0-9A-Fa-f]{6}")])
}

/// Pixels, or a share of a side.
fn length() -> Value {
    let pixels = json!({"type": "integer", "minimum": 0, "maximum": 16_384});
    either(vec![pixels, text(r"[0-9]{1,5}|(?:100(?:\.0{1,2})?|[0-9]{1,2}(?:\.[0-9]{1,2})?)%")])
}

fn named(pattern: &str, entry: &str) -> Value {
    let pattern = format!("^{pattern}$");
    json!({
        "type": ["object", "null"],
        "propertyNames": {"pattern": pattern},
        "additionalProperties": shared(entry),
    })
}

/// Digits alone are a name, and a number for who reads YAML.
fn name(pattern: &str) -> Value {
    either(vec![text(pattern), json!({"type": "integer", "minimum": 0})])
}

pub(super) fn one_or_list(item: &str) -> Value {
    either(vec![shared(item), json!({"type": "array", "items": shared(item)})])
}

pub(super) fn list(item: Value) -> Value {
    json!({"type": "array", "items": item})
}

fn policy(pattern: &str) -> Value {
    let essential = json!({
        "type": "object",
        "properties": {"essential": {
            "$ref": "#/$defs/span",
            "description": "each item in turn, and its rings keep what it has not taken for so long (100ms to 1m)",
        }},
        "required": ["essential"],
        "additionalProperties": false,
    });
    either(vec![text(pattern), essential])
}

/// `0-3,6`, or one number.
fn processors() -> Value {
    let part = " *[0-9]+ *(?:- *[0-9]+ *)?";
    either(vec![
        text(&format!("{part}(?:,{part})*")),
        json!({"type": "integer", "minimum": 0, "maximum": 1023}),
    ])
}

/// Patterns of events are not looked into further.
fn event() -> Value {
    either(vec![
        words(&EVENTS),
        json!({"type": "string", "pattern": r"^[a-z.*]*\*[a-z.*]*$|^rule\.[a-z0-9_*-]+\.(?:begin|end|snapshot|update|\*)$"}),
    ])
}

fn serve() -> Value {
    let one = words(&["rtsp", "web"]);
    let none = either(vec![json!({"const": false}), text("false")]);
    either(vec![json!({"type": "array", "items": one}), one, none])
}

fn source() -> Value {
    let rate = BIT_RATE;
    let words = "mode=(?:live|loop)|picture=(?:moving|frozen|black|gray|shapes)";
    let sound = "tone=[0-9]+|beep=[0-9]+|sound=(?:aac|opus|pcm|pcma|pcmu)|rate=[0-9]+|channels=[12]|level=-?[0-9.]+dB";
    let part = format!("size=[0-9]+x[0-9]+|fps=[0-9]+|gop=[0-9]+|bitrate={rate}|{words}|{sound}");
    let test = format!(r"test:\?*(?:&|(?:{part})(?:&|$))*");
    let url = r"(?:rtsp|https?|rtmps?|srt)://(?:[^/?#]*@)?[^/?#@: ].*";
    let waiting = r"(?:udp://|rtmp://|srt://)(?:[^/?#]*@)?[^/?#@ ]*:[0-9].*";
    let device = r"v4l2:/[^?]*(?:\?(?:&|(?:size=[0-9]+x[0-9]+|fps=[0-9]+|format=(?:mjpeg|h264|h265))(?:&|$))*)?";
    let publisher = r"publish:(?:\?(?:&|second=(?:refuse|replace)(?:&|$))*)?";
    let other = json!({
        "type": ["string", "number", "boolean"], "minLength": 1,
        "not": {"type": "string", "pattern": "^(?:test:|v4l2:|publish:|[^:]*://)"},
    });
    either(vec![text(&format!("{test}|{url}|{waiting}|{device}|{publisher}|file:.*")), other])
}
