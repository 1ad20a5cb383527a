//! The topology file for editors and other validators: a JSON Schema (draft 2020-12).
//!
//! It refuses unknown keys and values that can mean nothing, and says of each key what the page
//! says. What belongs to `check` alone: what is missing (another file, a template or a default may
//! say it), names nobody has, ranges of different length, and numbers in quotes.

mod kinds;
mod page;
mod sections;
#[cfg(test)]
pub(super) mod tests;
mod values;

use protocol::config::Kind;
use serde_json::{Map, Value, json};

use super::worker::{self, IDENTITY, RUN};
use super::written::SCHEMA;
use super::{cameras, expand};
use kinds::{TRANSPORTS, own};
use sections::{PICTURE_HEALTH, RATE_HEALTH, health, ring_settings};
use values::{by_any_name, by_name, by_ring, either, shared, words};

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
    add("supervisor", section(described(SUPERVISOR, sections::supervisor())));
    add("restart", section(described(RESTART, sections::restart())));
    add("limits", section(described(LIMITS, sections::limits())));
    add("raw", section(described(RAW, sections::raw())));
    add("codec", section(described(CODEC, sections::codec())));
    add("health", section(health(&[PICTURE_HEALTH, RATE_HEALTH].concat())));
    add("sound", section(described(SOUND, sections::sound())));
    add("output", section(described(OUTPUTS, sections::output())));
    add("tensor", with(section(described(TENSOR, sections::tensor())), "type", "object".into()));
    add("hook", section(described(HOOKS, sections::hook())));
    add("ring_settings", section(ring_settings()));
    add("keep", sections::keep());
    add("mix_source", sections::mix_source());
    add("event_rule", sections::event_rule());
    add("user", section(described(USERS, sections::user())));
    add("token", with(section(described(TOKENS, sections::token())), "type", "object".into()));
    add("tls", with(section(described(TLS, sections::tls())), "type", "object".into()));
    add("onvif", with(section(described(ONVIF, sections::onvif())), "type", "object".into()));
    add("rule", with(section(described(RULE, sections::rule())), "type", "object".into()));
    add("place", section(described(PLACES, sections::place())));
    add(
        "chroma_key",
        with(section(described(KEY, sections::chroma_key())), "type", "object".into()),
    );
    add("caption", with(section(described(TEXT, sections::caption())), "type", "object".into()));
    add("boxes", section(described(BOXES, sections::boxes())));
    add("webrtc", section(described(WEBRTC, sections::webrtc())));
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
        ("env", values::environment("^(?:FRAMEVISOR_|TMPDIR$)")),
        ("stdin", shared("stream_ring")),
        ("stdout", shared("stream_ring")),
        ("raw", shared("raw")),
        ("codec", shared("codec")),
        ("sound", shared("sound")),
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
