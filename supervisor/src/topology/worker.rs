//! One worker's section: the keys every worker has, and dispatch on `use` or `run` for the rest.

use std::collections::BTreeMap;

use protocol::config::{
    DetectConfig, IngestConfig, Kind, NotifyConfig, PushConfig, RtspConfig, UploaderConfig,
    WebConfig, WorkerConfig, uploader,
};
use protocol::name::{NameError, RingKind, WorkerName};
use protocol::secret::Secret;

use super::problem::{CredentialProblem, Finding, KeyProblem, Subject};
use super::section::{Located, Section};
use super::tree::{Key, Node, Value};
use super::variables::is_variable_name;
use super::written::{Input, WrittenKind, WrittenOutput, WrittenWorker};
use super::{EnvText, Launch, boot, limits, piped, policy, ranges, restart, users};
use crate::launch::TMPDIR;

/// Keys of a built-in worker beside those of its kind.
pub(super) const USE: [&str; 6] = ["use", "in", "out", "restart", "limits", "after"];
pub(super) const USE_WITH_POLICY: [&str; 7] =
    ["use", "in", "out", "policy", "restart", "limits", "after"];
/// Of kinds that find something in pictures, and so may be tried beside another worker.
pub(super) const USE_OF_EVENTS: [&str; 7] =
    ["use", "in", "out", "restart", "limits", "after", "shadow"];
pub(super) const RUN: [&str; 15] = [
    "run", "in", "out", "policy", "restart", "limits", "env", "ready", "after", "shadow", "stdin",
    "stdout", "raw", "codec", "sound",
];

/// What tells workers from each other.
pub(super) const IDENTITY: [&str; 10] =
    ["use", "run", "in", "out", "stdin", "stdout", "raw", "codec", "sound", "shadow"];

const INPUTS: &str = "a ring's name, or a list of them";
const COMMAND: &str = "a list: the command, then its arguments";

/// Keys of a built-in worker beside those of its own kind.
pub(super) fn common(kind: Kind) -> &'static [&'static str] {
    match (kind.has_policy(), kind.writes()) {
        (true, _) => &USE_WITH_POLICY,
        // What rules tell goes to hooks and servers beside their ring: nobody could try them unheard.
        (false, Some(RingKind::Events)) if kind != Kind::Rules => &USE_OF_EVENTS,
        (false, _) => &USE,
    }
}

/// `None` when the worker cannot even be named.
pub(super) fn read(key: &Key, node: &Node, findings: &mut Vec<Finding>) -> Option<WrittenWorker> {
    let value = match plain_name(&key.text) {
        Ok(name) => name,
        Err(problem) => {
            let (place, problem) = (Some(key.place), KeyProblem::Name(problem).into());
            findings.push(Finding { place, subject: Subject::Topology, problem });
            return None;
        }
    };
    let subject = Subject::Worker(key.text.clone());
    let mut section = Section::of(subject, key, node, findings)?;
    let kind = kind(&mut section);
    let policy = policy::read(&mut section, kind);
    Some(WrittenWorker {
        name: Located { value, place: key.place },
        kind,
        launch: launch(&mut section, kind),
        inputs: inputs(&mut section),
        output: output(&mut section),
        policy,
        pipes: match kind {
            WrittenKind::Run => piped::read(&mut section, policy),
            _ => None,
        },
        restart: restart::read(&mut section),
        limits: limits::read(&mut section),
        // A built-in worker that has the key is told that it is unknown.
        ready: if kind == WrittenKind::Run { boot::ready(&mut section) } else { None },
        after: boot::after(&mut section),
        shadow: shadow(&mut section, kind),
        values: section.entries().iter().map(|e| (e.key.text.clone(), e.value.place)).collect(),
    })
}

/// Keys that workers of one kind have unless they say otherwise; `None` is for `run`.
pub(super) fn look_at_defaults(section: &mut Section<'_>, kind: Option<Kind>) {
    // What tells workers from each other is nobody's default; an encoder's 'codec' does not.
    let identity = if kind.is_some() { &IDENTITY[..4] } else { &IDENTITY[..] };
    for entry in section.entries().iter().filter(|it| identity.contains(&&*it.key.text)) {
        let (key, known) = (entry.key.text.clone(), Vec::new());
        section.complain(entry.key.place, KeyProblem::Unknown { key, known });
    }
    restart::read(section);
    limits::read(section);
    boot::after(section);
    match kind {
        Some(kind) => {
            config(section, kind);
            policy::read(section, WrittenKind::Use(kind));
        }
        None => {
            section.refuse_others(&RUN);
            env(section, &[TMPDIR]);
            boot::ready(section);
            policy::read(section, WrittenKind::Run);
        }
    }
}

/// Names with a slash are ours to give.
pub(super) fn plain_name(text: &str) -> Result<WorkerName, NameError> {
    let name: WorkerName = text.parse()?;
    match name.owner() {
        None => Ok(name),
        Some(_) => Err(NameError::Part { what: "worker", seen: text.to_owned() }),
    }
}

fn kind(section: &mut Section<'_>) -> WrittenKind {
    match (section.get("use").is_some(), section.get("run").is_some()) {
        (true, true) => {
            section.complain(section.place("run"), KeyProblem::BothUseAndRun);
            WrittenKind::Unknown
        }
        (false, true) => WrittenKind::Run,
        (true, false) => built_in(section),
        (false, false) => {
            section.complain(section.place("use"), KeyProblem::NeitherUseNorRun);
            WrittenKind::Unknown
        }
    }
}

fn built_in(section: &mut Section<'_>) -> WrittenKind {
    let Some(word) = section.text("use", "the name of a kind") else {
        return WrittenKind::Unknown;
    };
    match Kind::from_name(word.value) {
        Some(kind) => WrittenKind::Use(kind),
        None => {
            let seen = word.value.to_owned();
            section.complain(word.place, KeyProblem::UnknownKind { seen });
            WrittenKind::Unknown
        }
    }
}

fn launch(section: &mut Section<'_>, kind: WrittenKind) -> Option<Launch> {
    match kind {
        WrittenKind::Run => run(section),
        WrittenKind::Unknown => None,
        WrittenKind::Use(kind) => config(section, kind).map(Launch::Use),
    }
}

fn config(section: &mut Section<'_>, kind: Kind) -> Option<WorkerConfig> {
    match kind {
        Kind::Compositor => {
            section.typed(&USE, ranges::of_compositor).map(WorkerConfig::Compositor)
        }
        Kind::Decoder => section.typed(&USE, ranges::of_decoder).map(WorkerConfig::Decoder),
        Kind::Detect => {
            let config: DetectConfig = section.typed(common(kind), ranges::of_detect)?;
            Some(WorkerConfig::Detect(Box::new(config)))
        }
        Kind::Encoder => {
            section.typed(&USE_WITH_POLICY, ranges::of_encoder).map(WorkerConfig::Encoder)
        }
        Kind::Ingest => {
            let config = section.typed(&USE, ranges::of_ingest)?;
            named_secret(section, config).map(WorkerConfig::Ingest)
        }
        Kind::Mixer => section.typed(&USE, ranges::of_mixer).map(WorkerConfig::Mixer),
        Kind::Motion => section.typed(common(kind), ranges::of_motion).map(WorkerConfig::Motion),
        Kind::Notify => {
            let config: NotifyConfig = section.typed(&USE, ranges::of_notify)?;
            named_address(section, config).map(WorkerConfig::Notify)
        }
        Kind::Recorder => {
            section.typed(&USE_WITH_POLICY, ranges::of_recorder).map(WorkerConfig::Recorder)
        }
        // No file can say it: `from_name` does not know it.
        Kind::Pipe => None,
        Kind::Replay => section.typed(&USE, ranges::of_replay).map(WorkerConfig::Replay),
        Kind::Rtsp => {
            let config: RtspConfig = section.typed(&USE, ranges::of_rtsp)?;
            let users = users::named(section, config.users.clone())?;
            let config = RtspConfig { users, ..config };
            Some(WorkerConfig::Rtsp(config.into()))
        }
        Kind::RtspPush => {
            let config: PushConfig = section.typed(&USE, ranges::of_push)?;
            Some(WorkerConfig::RtspPush(named_target(section, config)))
        }
        Kind::Rules => section.typed(&USE, ranges::of_rules).map(WorkerConfig::Rules),
        Kind::Uploader => {
            let config: UploaderConfig = section.typed(&USE, ranges::of_uploader)?;
            refuse_secret(section, "to");
            named_login(section, config).map(WorkerConfig::Uploader)
        }
        Kind::Web => {
            let web: WebConfig = section.typed(&USE, ranges::of_web)?;
            users::of_web(section, web).map(|web| WorkerConfig::Web(Box::new(web.into())))
        }
    }
}

/// Credentials of a store come from a credential alone: whoever reads the topology may not have them.
fn named_login(section: &mut Section<'_>, config: UploaderConfig) -> Option<UploaderConfig> {
    let Some(credentials) = config.credentials.clone() else { return Some(config) };
    let credentials = named(section, "credentials", credentials)?;
    if uploader::Login::of(&credentials).is_err() {
        let (key, written) = ("credentials".to_owned(), format!("'{credentials}'"));
        section.complain(section.place("credentials"), CredentialProblem::Unfit { key, written });
        return None;
    }
    Some(UploaderConfig { credentials: Some(credentials), ..config })
}

/// An address may be what lets in, and is shown by its credential's name then.
fn named_address(section: &mut Section<'_>, config: NotifyConfig) -> Option<NotifyConfig> {
    let secret = config.secret.clone().map(|secret| named(section, "secret", secret));
    let secret = match secret {
        Some(None) => return None,
        named => named.flatten(),
    };
    let url = match section.get("url").map(|node| &node.value) {
        Some(Value::Text(text)) if text.is_secret => config.url.shown_as(text.written()),
        _ => config.url,
    };
    Some(NotifyConfig { url, secret, ..config })
}

/// A target that a credential makes, or a part of it, is shown by the credential's name.
fn named_target(section: &Section<'_>, config: PushConfig) -> PushConfig {
    let to = match section.get("to").map(|node| &node.value) {
        Some(Value::Text(text)) if text.is_secret => config.to.shown_as(text.written()),
        _ => config.to,
    };
    PushConfig { to, ..config }
}

/// Others have a key of this name whose value may be secret; this one is shown.
fn refuse_secret(section: &mut Section<'_>, key: &str) {
    if let Some(Node { place, value: Value::Text(text) }) = section.get(key)
        && text.is_secret
    {
        section.complain(*place, CredentialProblem::NotHere { written: text.written().to_owned() });
    }
}

/// The secret under the name of the credential it is made of; a complaint when it stands there as it is.
fn named(section: &mut Section<'_>, key: &str, secret: Secret) -> Option<Secret> {
    match section.get(key) {
        Some(Node { value: Value::Text(text), .. }) if text.is_secret => {
            Some(secret.shown_as(text.written()))
        }
        Some(Node { place, .. }) => {
            let seen = "what others may read here".to_owned();
            let expected = "a credential, written as ${cred:NAME}".to_owned();
            section.complain(*place, KeyProblem::NotA { key: key.to_owned(), seen, expected });
            None
        }
        None => Some(secret),
    }
}

/// A source that a credential makes is shown by the credential's name.
fn named_secret(section: &mut Section<'_>, config: IngestConfig) -> Option<IngestConfig> {
    let Some(Node { place, value: Value::Text(text) }) = section.get("source") else {
        return Some(config);
    };
    if !text.is_secret {
        return Some(config);
    }
    let source = config.source.shown_as(text.written());
    if source.is_none() {
        let (key, written) = ("source".to_owned(), format!("'{}'", text.written()));
        section.complain(*place, CredentialProblem::Unfit { key, written });
    }
    source.map(|source| IngestConfig { source, ..config })
}

fn run(section: &mut Section<'_>) -> Option<Launch> {
    section.refuse_others(&RUN);
    let env = env(section, &[TMPDIR]);
    let argv: Vec<String> =
        section.texts("run", COMMAND)?.into_iter().map(|word| word.value.to_owned()).collect();
    if argv.first().is_none_or(String::is_empty) {
        section.complain(section.place("run"), KeyProblem::RunEmpty);
        return None;
    }
    Some(Launch::Run { argv, env })
}

/// The worker that this one is tried beside; of a kind that cannot be, the key is told to be unknown.
fn shadow(section: &mut Section<'_>, kind: WrittenKind) -> Option<Located<WorkerName>> {
    match kind {
        WrittenKind::Use(kind) if !common(kind).contains(&"shadow") => None,
        _ => section.parsed("shadow", "a worker's name"),
    }
}

/// `own` are those that framevisor sets itself, beside its FRAMEVISOR_ ones.
pub(super) fn env(section: &mut Section<'_>, own: &[&str]) -> BTreeMap<String, EnvText> {
    let mut env = BTreeMap::new();
    let Some(mut variables) = section.below("env") else { return env };
    for entry in variables.entries() {
        let name = &entry.key.text;
        if !is_variable_name(name) {
            variables.complain(entry.key.place, KeyProblem::EnvName { seen: name.clone() });
        } else if name.starts_with("FRAMEVISOR_") || own.contains(&name.as_str()) {
            variables.complain(entry.key.place, KeyProblem::EnvReserved { seen: name.clone() });
        } else if let Some(text) = variables.text_of(&format!("env.{name}"), &entry.value, "a text")
        {
            let shown = match &entry.value.value {
                Value::Text(text) => text.shown(),
                _ => text.value,
            };
            env.insert(name.clone(), EnvText::new(text.value, shown));
        }
    }
    env
}

fn inputs(section: &mut Section<'_>) -> Option<Vec<Located<Input>>> {
    let texts = match section.get("in")?.value {
        Value::List(_) => section.texts("in", INPUTS)?,
        _ => vec![section.text("in", INPUTS)?],
    };
    let inputs: Vec<_> = texts.into_iter().map(|text| input(section, &text)).collect();
    inputs.into_iter().collect()
}

fn input(section: &mut Section<'_>, text: &Located<&str>) -> Option<Located<Input>> {
    let place = text.place;
    let parsed = if text.value.contains('*') {
        glob(text.value).map(Input::Glob)
    } else {
        text.value.parse().map(Input::Ring).map_err(KeyProblem::Name)
    };
    match parsed {
        Ok(value) => Some(Located { value, place }),
        Err(problem) => {
            section.complain(place, problem);
            None
        }
    }
}

fn glob(text: &str) -> Result<String, KeyProblem> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"*._-".contains(&b);
    let last = text.rsplit('.').next().unwrap_or_default();
    let may_match = last.contains('*') || matches!(last, "packets" | "frames" | "events");
    if may_match && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(KeyProblem::Glob { seen: text.to_owned() })
    }
}

fn output(section: &mut Section<'_>) -> WrittenOutput {
    if section.get("out").is_none() {
        return WrittenOutput::Default;
    }
    section.parsed("out", "a ring's name").map_or(WrittenOutput::Bad, WrittenOutput::Ring)
}
