//! `hooks:` of a topology: commands for what happens.

use std::collections::BTreeMap;

use protocol::name::WorkerName;
use protocol::units::Span;

use super::problem::{KeyProblem, Subject};
use super::section::Section;
use super::tree::{Entry, Value};
use super::{EnvText, matches, worker};

/// Everything a hook may wait for, as docs/supervision.md explains it.
pub(crate) const EVENTS: [&str; 19] = [
    "camera.down",
    "camera.health",
    "camera.up",
    "project.started",
    "project.stopping",
    "recording.segment",
    "recording.started",
    "recording.stopped",
    "worker.backoff",
    "worker.degraded",
    "worker.died",
    "worker.held",
    "worker.quarantined",
    "worker.ready",
    "worker.running",
    "worker.starting",
    "worker.stopped",
    "worker.draining",
    "worker.stopping",
];

pub(super) const KEYS: [&str; 4] = ["on", "run", "env", "timeout"];

const ON: &str = "an event such as worker.held, a pattern such as 'worker.*', or a list of them";
const COMMAND: &str = "a list: the command, then its arguments";
const TIMEOUT: &str = "a span of 100ms to 10m such as 10s";
const TIMEOUT_DEFAULT: Span = Span::from_millis(10_000);
const TIMEOUTS: (Span, Span) = (Span::from_millis(100), Span::from_millis(600_000));
/// More commands at each event than anybody reads the results of.
const HOOKS_MAX: usize = 100;

/// A command of the user's for some events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSpec {
    /// `hook/NAME`, as its lines are called.
    pub name: WorkerName,
    /// Events, or patterns of them.
    pub on: Vec<String>,
    /// Never empty; started in the topology's folder.
    pub argv: Vec<String>,
    pub env: BTreeMap<String, EnvText>,
    /// What runs longer is killed.
    pub timeout: Span,
}

impl HookSpec {
    pub(crate) fn waits_for(&self, event: &str) -> bool {
        self.on.iter().any(|pattern| matches(pattern, event))
    }
}

pub(super) fn read(top: &mut Section<'_>) -> Vec<HookSpec> {
    let Some(mut section) = top.below("hooks") else { return Vec::new() };
    let entries = section.entries();
    if entries.len() > HOOKS_MAX {
        let problem = KeyProblem::NotA {
            key: "hooks".to_owned(),
            seen: format!("a section of {}", entries.len()),
            expected: format!("at most {HOOKS_MAX} hooks"),
        };
        section.complain(section.place(""), problem);
        return Vec::new();
    }
    entries.iter().filter_map(|entry| hook(&mut section, entry)).collect()
}

fn hook(hooks: &mut Section<'_>, entry: &Entry) -> Option<HookSpec> {
    let name = match entry.key.text.parse().and_then(|name| WorkerName::part("hook", &name)) {
        Ok(name) => name,
        Err(problem) => {
            hooks.complain(entry.key.place, KeyProblem::Name(problem));
            return None;
        }
    };
    let subject = Subject::Hook(entry.key.text.clone());
    let mut section = Section::of(subject, &entry.key, &entry.value, hooks.findings())?;
    section.refuse_others(&KEYS);
    for key in ["on", "run"] {
        if section.get(key).is_none() {
            section.missing(key);
        }
    }
    let env = worker::env(&mut section);
    let timeout = timeout(&mut section);
    let on = on(&mut section);
    let argv = section.texts("run", COMMAND)?;
    let argv: Vec<String> = argv.into_iter().map(|word| word.value.to_owned()).collect();
    if argv.first().is_none_or(String::is_empty) {
        section.complain(section.place("run"), KeyProblem::RunEmpty);
        return None;
    }
    Some(HookSpec { name, on: on?, argv, env, timeout })
}

fn on(section: &mut Section<'_>) -> Option<Vec<String>> {
    let texts = match section.get("on")?.value {
        Value::List(_) => section.texts("on", ON)?,
        _ => vec![section.text("on", ON)?],
    };
    for text in &texts {
        if !EVENTS.iter().any(|event| matches(text.value, event)) {
            let known = EVENTS.iter().map(|event| (*event).to_owned()).collect();
            section.complain(
                text.place,
                KeyProblem::UnknownEvent { seen: text.value.to_owned(), known },
            );
        }
    }
    Some(texts.into_iter().map(|text| text.value.to_owned()).collect())
}

fn timeout(section: &mut Section<'_>) -> Span {
    let Some(text) = section.text("timeout", TIMEOUT) else { return TIMEOUT_DEFAULT };
    match text.value.parse::<Span>() {
        Ok(span) if (TIMEOUTS.0..=TIMEOUTS.1).contains(&span) => span,
        _ => {
            let (key, seen) = ("timeout".to_owned(), format!("'{}'", text.value));
            let expected = TIMEOUT.to_owned();
            section.complain(text.place, KeyProblem::NotA { key, seen, expected });
            TIMEOUT_DEFAULT
        }
    }
}
