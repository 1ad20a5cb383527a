//! That the schema knows what the reader and the page know, and refuses what the reader refuses.

mod lines;

use std::collections::BTreeSet;
use std::path::Path;

use boon::{Compiler, SchemaIndex, Schemas};
use protocol::config::compositor::{Boxes, Caption, Place, Rgb};
use protocol::config::ingest::Source as Ingested;
use protocol::config::notify::WebUrl;
use protocol::config::*;
use protocol::secret::Secret;
use protocol::stream::{Codec, PixelFormat};
use protocol::units::Size;

use super::super::tests::{PAGE, page_blocks};
use super::super::tree::Node;
use super::super::{
    Overrides, Source, expand, format, hooks, parse, restart, survival, tree, written,
};
use super::*;
use lines::{REFUSED, TAKEN};

struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("framevisor.schema.json", schema()).unwrap();
        let index = compiler.compile("framevisor.schema.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    /// Why `text` is no topology; texts and what they could be in YAML must not make a difference.
    fn refusal(&self, name: &str, text: &str) -> Option<String> {
        let source = Source { name: name.into(), text: text.to_owned() };
        let root =
            format::parse(&source, 0).0.unwrap_or_else(|| panic!("no text of a tree: {text}"));
        let validate = |value: Value| {
            let result = self.schemas.validate(&value, self.index);
            result.err().map(|error| format!("{error:#}"))
        };
        let [quoted, plain] = [false, true].map(|is_plain| validate(json_of(&root, is_plain)));
        if plain.is_none() {
            assert_eq!(quoted, None, "quotes make a difference in {text}");
        }
        plain
    }
}

/// Why the schema refuses the topology `text`, if it does.
pub(crate) fn refusal(text: &str) -> Option<String> {
    Validator::new().refusal("framevisor.yml", text)
}

/// As an editor has it, if `is_plain`: a scalar that looks like a number is one.
fn json_of(node: &Node, is_plain: bool) -> Value {
    match &node.value {
        tree::Value::Broken | tree::Value::Null => Value::Null,
        tree::Value::List(items) => items.iter().map(|item| json_of(item, is_plain)).collect(),
        tree::Value::Map(entries) => {
            let pair = |it: &tree::Entry| (it.key.text.clone(), json_of(&it.value, is_plain));
            Value::Object(entries.iter().map(pair).collect())
        }
        tree::Value::Text(text) => {
            let is_word = |word: &Value| word.is_number() || word.is_boolean();
            let meant = serde_json::from_str(&text.value).ok().filter(is_word);
            meant.filter(|_| is_plain).unwrap_or_else(|| text.value.as_str().into())
        }
    }
}

fn keys_at(pointer: &str) -> BTreeSet<String> {
    let schema = schema();
    let at = schema.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"));
    at["properties"].as_object().unwrap().keys().cloned().collect()
}

fn set<'a>(keys: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    keys.into_iter().map(str::to_owned).collect()
}

/// The keys of a worker of `kind` as the reader's own types have them.
fn read_keys(kind: Kind) -> BTreeSet<String> {
    let section = match kind {
        Kind::Compositor => json!(CompositorConfig::default()),
        Kind::Decoder => json!(DecoderConfig::default()),
        Kind::Detect => json!(DetectConfig::of("x.onnx".into())),
        Kind::Encoder => json!(EncoderConfig::default()),
        Kind::Ingest => json!(IngestConfig::of(Ingested::File("x".into()))),
        Kind::Mixer => json!(MixerConfig::default()),
        Kind::Motion => json!(MotionConfig::default()),
        Kind::Notify => json!(NotifyConfig::of(WebUrl::parse("http://h/").unwrap(), "*".into())),
        Kind::Recorder => json!(RecorderConfig::at("x".into())),
        Kind::Pipe => json!({}),
        Kind::Replay => json!(ReplayConfig::of("x".into())),
        Kind::Rtsp => json!(RtspConfig::default()),
        Kind::RtspPush => json!(PushConfig::to(PushUrl::parse("udp://h:1").unwrap())),
        Kind::Rules => json!(RulesConfig::of([("a".to_owned(), Rule::default())].into())),
        Kind::Uploader => {
            json!(UploaderConfig::of("x".into(), "s3://cameras".parse().unwrap()))
        }
        Kind::Web => json!(WebConfig::default()),
    };
    set(section.as_object().unwrap().keys().map(String::as_str))
}

#[test]
fn the_schema_has_the_keys_that_the_reader_knows() {
    assert_eq!(keys_at(""), set(written::KEYS));
    assert_eq!(keys_at("/$defs/supervisor"), set(survival::KEYS));
    assert_eq!(keys_at("/$defs/restart"), set(restart::KEYS));
    assert_eq!(keys_at("/$defs/hook"), set(hooks::KEYS));
    let limits = json!(LimitsConfig::default());
    assert_eq!(keys_at("/$defs/limits"), set(limits.as_object().unwrap().keys().map(|k| &**k)));
    assert_eq!(keys_at("/$defs/camera_section"), set(cameras::KEYS));
    assert_eq!(keys_at("/$defs/defaults"), set(expand::defaults_keys()));
    let ring = json!(RingConfig::default());
    assert_eq!(
        keys_at("/$defs/ring_settings"),
        set(ring.as_object().unwrap().keys().map(|k| &**k))
    );
    let size = Size { width: 8, height: 8 };
    let raw = json!(Raw { format: PixelFormat::Nv12, size, stride: 0, fps: 1, pace: None });
    assert_eq!(keys_at("/$defs/raw"), set(raw.as_object().unwrap().keys().map(|k| &**k)));
    let coded = json!(Coded { name: Codec::H264, size, fps: 1 });
    assert_eq!(keys_at("/$defs/codec"), set(coded.as_object().unwrap().keys().map(|k| &**k)));
    let sound = json!(Samples { hz: 8_000, channels: 1, samples: SampleForm::S16le });
    assert_eq!(keys_at("/$defs/sound"), set(sound.as_object().unwrap().keys().map(|k| &**k)));
    let keep = json!(Keep::default());
    assert_eq!(keys_at("/$defs/keep"), set(keep.as_object().unwrap().keys().map(|k| &**k)));
    let watched = json!(Rule::default());
    assert_eq!(keys_at("/$defs/rule"), set(watched.as_object().unwrap().keys().map(|k| &**k)));
    let rule = json!(EventRule::default());
    assert_eq!(keys_at("/$defs/event_rule"), set(rule.as_object().unwrap().keys().map(|k| &**k)));
    let tensor = json!(tensor::TensorConfig::default());
    assert_eq!(keys_at("/$defs/tensor"), set(tensor.as_object().unwrap().keys().map(|k| &**k)));
    let place = json!(Place::default());
    assert_eq!(keys_at("/$defs/place"), set(place.as_object().unwrap().keys().map(|k| &**k)));
    let color = Rgb(0, 255, 0);
    let key = json!(compositor::Key { color, similarity: 0.1, blend: 0.05 });
    assert_eq!(keys_at("/$defs/chroma_key"), set(key.as_object().unwrap().keys().map(|k| &**k)));
    let caption = json!(Caption::default());
    assert_eq!(keys_at("/$defs/caption"), set(caption.as_object().unwrap().keys().map(|k| &**k)));
    let boxes = json!(Boxes::default());
    assert_eq!(keys_at("/$defs/boxes"), set(boxes.as_object().unwrap().keys().map(|k| &**k)));
    let user = json!(UserConfig::default());
    assert_eq!(keys_at("/$defs/user"), set(user.as_object().unwrap().keys().map(|k| &**k)));
    let token = TokenConfig {
        token: Secret::new("x"),
        may: vec![Right::Read],
        cameras: Patterns::default(),
    };
    assert_eq!(
        keys_at("/$defs/token"),
        set(json!(token).as_object().unwrap().keys().map(|k| &**k))
    );
    let tls =
        TlsConfig { cert: "a".into(), key: "b".into(), listen: Some(([127, 0, 0, 1], 1).into()) };
    assert_eq!(keys_at("/$defs/tls"), set(json!(tls).as_object().unwrap().keys().map(|k| &**k)));
    let onvif = json!(OnvifConfig::default());
    assert_eq!(keys_at("/$defs/onvif"), set(onvif.as_object().unwrap().keys().map(|k| &**k)));
    let webrtc = json!(WebrtcConfig::default());
    assert_eq!(keys_at("/$defs/webrtc"), set(webrtc.as_object().unwrap().keys().map(|k| &**k)));
    assert_eq!(keys_at("/$defs/run"), set(RUN.into_iter().chain(["like"])));
    for kind in Kind::ALL {
        let mut known = set(worker::common(kind).iter().copied().chain(["like"]));
        known.append(&mut read_keys(kind));
        // The reader knows them all the same, to say that this kind has none.
        let refused = [("in", kind.reads().is_empty()), ("out", kind.writes().is_none())];
        refused.iter().filter(|it| it.1).for_each(|it| assert!(known.remove(it.0)));
        assert_eq!(keys_at(&format!("/$defs/{kind}")), known, "{kind}");
    }
}

#[test]
fn the_schema_has_the_rows_of_the_page_and_what_they_say() {
    let on_page = |heading: &str| -> BTreeSet<String> {
        let rows = page::rows(heading);
        assert!(!rows.is_empty(), "no table under {heading}");
        rows.iter().map(|row| row.key.to_owned()).collect()
    };
    for (heading, pointer) in [
        (TOP, ""),
        (SUPERVISOR, "/$defs/supervisor"),
        (WHEN, "/$defs/event_rule"),
        (RESTART, "/$defs/restart"),
        (LIMITS, "/$defs/limits"),
        (HOOKS, "/$defs/hook"),
        (RAW, "/$defs/raw"),
        (CODEC, "/$defs/codec"),
        (HEALTH, "/$defs/health"),
        (SOUND, "/$defs/sound"),
        (OUTPUTS, "/$defs/output"),
        (TENSOR, "/$defs/tensor"),
        (CAMERAS, "/$defs/camera_section"),
        (RINGS, "/$defs/ring_settings"),
        (PLACES, "/$defs/place"),
        (KEY, "/$defs/chroma_key"),
        (TEXT, "/$defs/caption"),
        (BOXES, "/$defs/boxes"),
        (USERS, "/$defs/user"),
        (TLS, "/$defs/tls"),
        (TOKENS, "/$defs/token"),
        (WEBRTC, "/$defs/webrtc"),
        (RULE, "/$defs/rule"),
    ] {
        assert_eq!(keys_at(pointer), on_page(heading), "{heading}");
    }
    let mut all = on_page(EVERY_WORKER);
    for kind in Kind::ALL {
        let own = on_page(kind.as_str());
        assert_eq!(own, read_keys(kind), "{kind}");
        all.extend(own);
    }
    assert_eq!(keys_at("/$defs/any_worker"), all);
    let tables = PAGE.matches("| key | unit | default | effect |").count();
    assert_eq!(tables, 25 + Kind::ALL.len(), "a table of the page is not in the schema");
}

/// Calls `each` for every schema below `value`.
fn visit(value: &Value, path: &str, each: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(keys) => {
            each(path, value);
            keys.iter().for_each(|(key, below)| visit(below, &format!("{path}/{key}"), each));
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, path, each)),
        _ => {}
    }
}

#[test]
fn every_section_is_closed_and_every_key_of_it_described() {
    let mut sections = 0;
    visit(&schema(), "", &mut |path, value| {
        // A condition looks at one key alone.
        let Some(properties) =
            value["properties"].as_object().filter(|_| value["required"] != json!(["use"]))
        else {
            return;
        };
        sections += 1;
        assert_eq!(value["additionalProperties"], json!(false), "{path}");
        for (key, value) in properties {
            let text = value["description"].as_str().unwrap_or_default();
            assert!(text.len() > 5 && !text.contains("]("), "{path} {key}: '{text}'");
        }
    });
    assert!(sections > 20, "{sections}");
}

#[test]
fn the_examples_fit() {
    let validator = Validator::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/topologies");
    let mut count = 0;
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(validator.refusal(path.to_str().unwrap(), &text), None, "{}", path.display());
        count += 1;
    }
    assert!(count >= 4);
    let toml = PAGE.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(validator.refusal("framevisor.toml", toml), None);
}

/// Mistakes of the page that lie in one place of the file; the others need more than a schema.
const SEEN_BY_THE_SCHEMA: [&str; 9] = [
    "bad host",
    "bad name",
    "bad source",
    "missing unit",
    "number out of range",
    "several at once",
    "unknown key",
    "unknown kind",
    "wrong type",
];

#[test]
fn the_pages_topologies_fit_and_its_mistakes_of_one_place_do_not() {
    let validator = Validator::new();
    let (mut refused, mut taken) = (BTreeSet::new(), 0);
    for (yaml, _) in page_blocks() {
        let before = PAGE.split(yaml).next().unwrap();
        let heading =
            before.lines().rev().find_map(|line| line.strip_prefix("### ")).unwrap_or_default();
        let source = Source { name: "framevisor.yml".into(), text: yaml.to_owned() };
        let is_readable = format::parse(&source, 0).1.is_empty();
        match is_readable.then(|| validator.refusal("framevisor.yml", yaml)).flatten() {
            Some(why) if before.contains("## What goes wrong") => {
                assert!(refused.insert(heading), "{why}");
            }
            Some(why) => panic!("{yaml}\n{why}"),
            None => taken += 1,
        }
    }
    assert_eq!(refused, SEEN_BY_THE_SCHEMA.into_iter().collect());
    assert!(taken > 15, "{taken}");
}

/// A topology that is right without `line`, which stands in `section`, or at its top.
fn topology(section: &str, line: &str) -> String {
    let workers: String =
        (1..=4).map(|n| format!("  cam-{n}: {{use: ingest, source: 'test:'}}\n")).collect();
    let workers = workers + "  d-1: {use: decoder, in: cam-1.packets, out: d-1.frames}\n";
    match section {
        "" => format!("version: 1\nworkers:\n{workers}{line}\n"),
        "workers" => format!("version: 1\nworkers:\n{workers}  {line}\n"),
        section => {
            format!("version: 1\nworkers:\n{workers}{section}:\n  cam-5: 'test:'\n  {line}\n")
        }
    }
}

#[test]
fn schema_and_reader_agree_on_every_value() {
    let validator = Validator::new();
    let overrides =
        Overrides { variables: [("HOME".into(), "/".into())].into(), ..Overrides::default() };
    let mut disagreements = Vec::new();
    for (samples, mistakes) in [(TAKEN, 0), (REFUSED, 1)] {
        let lines = samples
            .iter()
            .flat_map(|(section, lines)| lines.lines().map(move |line| (*section, line)));
        for (section, line) in lines {
            let text = topology(section, line);
            let report = parse(&text, "/srv/yard/framevisor.yml".as_ref(), &overrides).err();
            let found = report.as_ref().map_or(0, |report| report.mistakes().len());
            let refused = validator.refusal("framevisor.yml", &text);
            if found != mistakes || refused.is_some() != (mistakes > 0) {
                let report = report.map(|report| report.to_string());
                disagreements.push(format!("{line}\nreader: {report:?}\nschema: {refused:?}"));
            }
        }
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n\n"));
}

#[test]
fn what_is_said_elsewhere_is_missing_nowhere() {
    let validator = Validator::new();
    for part in [
        "cameras: {front: {record: true}}",
        "workers: {rec: {use: recorder}, x: {segment: 1m}}",
        "version: 1\ndefaults: {ingest: {loop: false}}",
    ] {
        assert_eq!(validator.refusal("framevisor.yml", part), None, "{part}");
    }
}
