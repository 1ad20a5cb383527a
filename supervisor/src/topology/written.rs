//! The topology as written: every section read by itself, nothing related to anything else yet.

use std::collections::BTreeMap;

use protocol::config::{Kind, LimitsConfig, ReadPolicy, RestartConfig, RingConfig, WorkerConfig};
use protocol::name::{ProjectName, RingName, WorkerName};

use super::groups::Group;
use super::problem::{Finding, KeyProblem, Problem, Subject, TextProblem};
use super::section::{Located, Section};
use super::tree::{Entry, Key, Node, Place, Value};
use super::{HookSpec, Launch, Readiness, Survival};
use super::{cameras, expand, groups, hooks, piped, ranges, restart, survival, worker};

/// More processes than one host takes; what relates workers to each other grows with its square.
pub(super) const WORKERS_MAX: usize = 2_000;

/// Names the schema, for editors: it says nothing about the project.
pub(super) const SCHEMA: &str = "$schema";

pub(super) const KEYS: [&str; 12] = [
    "version",
    "project",
    "group",
    "supervisor",
    "cameras",
    "workers",
    "rings",
    "hooks",
    "groups",
    "defaults",
    "templates",
    SCHEMA,
];

#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) project: Option<ProjectName>,
    pub(super) group: Option<String>,
    pub(super) survival: Survival,
    /// Those that have a name.
    pub(super) workers: Vec<WrittenWorker>,
    /// Whether there are others.
    pub(super) unnamed: bool,
    pub(super) rings: Vec<(Located<RingName>, RingConfig)>,
    /// Of rings that are not listed.
    pub(super) ring_defaults: RingConfig,
    pub(super) hooks: Vec<HookSpec>,
    pub(super) groups: Vec<Group>,
}

#[derive(Debug)]
pub(super) struct WrittenWorker {
    pub(super) name: Located<WorkerName>,
    pub(super) kind: WrittenKind,
    /// `None` when its section has mistakes.
    pub(super) launch: Option<Launch>,
    /// `None` when there is no `in`, or none that can be read.
    pub(super) inputs: Option<Vec<Located<Input>>>,
    pub(super) output: WrittenOutput,
    pub(super) policy: Option<ReadPolicy>,
    /// Of a command that is not taken apart yet.
    pub(super) pipes: Option<piped::Pipes>,
    pub(super) restart: RestartConfig,
    pub(super) limits: LimitsConfig,
    pub(super) ready: Option<Readiness>,
    pub(super) after: Vec<Located<WorkerName>>,
    /// The worker that it is tried beside.
    pub(super) shadow: Option<Located<WorkerName>>,
    /// Where the value of each key stands.
    pub(super) values: BTreeMap<String, Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrittenKind {
    Run,
    /// `use` or `run` is wrong: nothing can be said of its rings.
    Unknown,
    Use(Kind),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    /// A name with stars, each for any number of characters.
    Glob(String),
    Ring(RingName),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum WrittenOutput {
    Bad,
    Default,
    Ring(Located<RingName>),
}

/// Reads the whole file.
pub(super) fn read(root: Option<&Node>, findings: &mut Vec<Finding>) -> Written {
    let Some(root) = root.filter(|root| !matches!(root.value, Value::Null)) else {
        let problem = Problem::from(TextProblem::Empty);
        findings.push(Finding { place: None, subject: Subject::Topology, problem });
        return Written::default();
    };
    let key = Key { text: "the topology".to_owned(), place: root.place };
    let Some(mut top) = Section::of(Subject::Topology, &key, root, findings) else {
        return Written::default();
    };
    top.refuse_others(&KEYS);
    version(&mut top);
    top.text(SCHEMA, "the path or address of a JSON Schema");
    let project = top.parsed("project", "a name").map(|name| name.value);
    let group = top.text("group", "the name of a group").map(|group| group.value.to_owned());
    let survival = survival::read(&mut top);
    // First: a default with a mistake is told as one, not as a mistake of who has it.
    let ring_defaults = defaults(&mut top);
    let (workers, unnamed) = workers(&mut top);
    let rules = hooks::RuleNames::of(&workers, unnamed);
    let hooks = hooks::read(&mut top, &rules);
    waits_for_rules(&workers, &rules, top.findings());
    let groups = groups::read(&mut top);
    let rings = rings(&mut top);
    Written { project, group, survival, workers, unnamed, rings, ring_defaults, hooks, groups }
}

/// Who tells others of what no rule tells.
fn waits_for_rules(
    workers: &[WrittenWorker],
    rules: &hooks::RuleNames,
    findings: &mut Vec<Finding>,
) {
    for worker in workers {
        let Some(Launch::Use(WorkerConfig::Notify(notify))) = &worker.launch else { continue };
        let place = worker.values.get("on").copied();
        for problem in notify.on.0.iter().filter_map(|pattern| rules.problem(pattern)) {
            let subject = Subject::Worker(worker.name.value.in_file().to_owned());
            findings.push(Finding { place, subject, problem: problem.into() });
        }
    }
}

/// Looks at each part of `defaults` by itself, whether anybody has it or not.
fn defaults(top: &mut Section<'_>) -> RingConfig {
    let mut ring_defaults = RingConfig::default();
    let Some(mut section) = top.below("defaults") else { return ring_defaults };
    section.refuse_others(&expand::defaults_keys());
    for Entry { key, value } in section.entries() {
        let subject = Subject::Defaults(key.text.clone());
        let Some(part) = Section::of(subject, key, value, section.findings()) else { continue };
        let mut part = part.partial();
        match (key.text.as_str(), Kind::from_name(&key.text)) {
            (expand::RINGS, _) => {
                ring_defaults = part.typed(&[], ranges::of_ring).unwrap_or_default();
            }
            (expand::CAMERAS, _) => {
                part.refuse_others(&cameras::KEYS.map(|key| if key == "like" { "" } else { key }));
            }
            (expand::WORKERS, _) => {
                part.refuse_others(&["restart"]);
                restart::read(&mut part);
            }
            (expand::RUN, _) => worker::look_at_defaults(&mut part, None),
            (_, Some(kind)) => worker::look_at_defaults(&mut part, Some(kind)),
            _ => {}
        }
    }
    ring_defaults
}

fn version(top: &mut Section<'_>) {
    if top.get("version").is_none() {
        top.missing("version");
    } else if let Some(version) = top.text("version", "1").filter(|version| version.value != "1") {
        let seen = version.value.to_owned();
        top.complain(version.place, KeyProblem::Version { seen });
    }
}

/// The workers that have a name, and whether there are others.
fn workers(top: &mut Section<'_>) -> (Vec<WrittenWorker>, bool) {
    let Some(mut section) = top.below("workers") else {
        if top.get("workers").is_none() {
            top.missing("workers");
        }
        return (Vec::new(), true);
    };
    let entries = section.entries();
    if entries.is_empty() || entries.len() > WORKERS_MAX {
        let problem = KeyProblem::NotA {
            key: "workers".to_owned(),
            seen: format!("a section of {}", entries.len()),
            expected: format!("1 to {WORKERS_MAX} workers"),
        };
        section.complain(section.place(""), problem);
        return (Vec::new(), true);
    }
    let read = |entry: &Entry| worker::read(&entry.key, &entry.value, section.findings());
    let workers: Vec<_> = entries.iter().filter_map(read).collect();
    let unnamed = workers.len() < entries.len();
    let mut workers: Vec<_> = workers.into_iter().flat_map(piped::apart).collect();
    piped::come_after_both(&mut workers);
    (workers, unnamed)
}

fn rings(top: &mut Section<'_>) -> Vec<(Located<RingName>, RingConfig)> {
    let Some(mut section) = top.below("rings") else { return Vec::new() };
    let mut rings = Vec::new();
    for entry in section.entries() {
        let place = entry.key.place;
        match entry.key.text.parse() {
            Ok(value) => {
                let config = ring(&entry.key, &entry.value, section.findings());
                rings.push((Located { value, place }, config));
            }
            Err(problem) => section.complain(place, KeyProblem::Name(problem)),
        }
    }
    rings
}

/// A wrong section counts as the default: its ring is still there for others to read.
fn ring(key: &Key, node: &Node, findings: &mut Vec<Finding>) -> RingConfig {
    let subject = Subject::Ring(key.text.clone());
    let Some(mut section) = Section::of(subject, key, node, findings) else {
        return RingConfig::default();
    };
    section.typed(&[], ranges::of_ring).unwrap_or_default()
}
