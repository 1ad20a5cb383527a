//! The topology: the file a user writes, and what it means.
//!
//! What belongs here: reading the file, finding every mistake in it with its place, and the typed
//! result. What does not: starting anything. Effects on the machine are in `probe` alone.

mod boot;
mod cameras;
mod credentials;
mod difference;
mod emit;
mod expand;
mod format;
mod graph;
mod groups;
mod hooks;
mod limits;
pub(crate) mod live;
mod loadable;
mod meant;
mod merge;
mod on_device;
mod order;
mod piped;
mod policy;
pub mod probe;
mod problem;
mod ranges;
mod rehearsal;
mod replayed;
mod report;
mod restart;
mod schema;
mod section;
mod series;
mod shadow;
mod shelf;
mod sources;
mod starred;
mod survival;
#[cfg(test)]
mod tests;
mod toml;
mod tree;
mod typed;
mod users;
mod variables;
mod wiring;
mod worker;
mod written;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use protocol::config::{LimitsConfig, ReadPolicy, RestartConfig, RingConfig, WorkerConfig};
use protocol::control::Essential;
use protocol::name::{PART_MAX_BYTES, ProjectName, RingKind, RingName, WorkerName};
use protocol::units::Span;
use serde::{Deserialize, Serialize};

use expand::Scope;
use live::Edits;
use problem::{Finding, KeyProblem, Problem, Subject};
use tree::{Node, Place};
use written::Written;

pub use boot::Readiness;
pub(crate) use difference::{Change, How, Laid, brokered, clash, difference, replacement};
pub(crate) use graph::Graph;
#[cfg(test)]
pub(crate) use graph::{Edge as GraphEdge, Node as GraphNode};
pub use hooks::HookSpec;
pub(crate) use hooks::{EVENTS, is_event};
pub(crate) use problem::MachineProblem;
pub(crate) use replayed::Playing;
pub use report::{Mistake, Report};
pub(crate) use schema::schema;
#[cfg(test)]
pub(crate) use schema::tests::refusal as schema_refusal;
pub(crate) use sources::{is_stream, stdin_path};
pub use survival::Survival;
pub(crate) use wiring::matches;

/// A thousand workers fit ten times; more is a mistaken file.
const FILE_MAX_BYTES: usize = 1024 * 1024;

/// What the caller decides over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Instead of the file's `project`.
    pub project: Option<ProjectName>,
    /// What `${NAME}` stands for.
    pub variables: BTreeMap<String, String>,
    /// What `${cred:NAME}` stands for, or why it cannot be had.
    pub(crate) credentials: credentials::Found,
}

impl Overrides {
    /// The variables of this process's environment; those that are no UTF-8 are left out.
    pub fn from_environment() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(text).collect(), ..Self::default() }
    }
}

/// One text of a topology, and the name it is shown by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// An absolute path, for what was read from a file.
    pub name: PathBuf,
    pub text: String,
}

/// Reads the topology that `files` are together; `-` is stdin. Looks at nothing else of this
/// machine: [`probe::check`] does.
pub fn load(files: &[PathBuf], overrides: &Overrides) -> Result<Topology, Report> {
    let (sources, folder) = sources::read(files)?;
    here(sources, Edits::default(), &folder, overrides.clone())
}

/// As [`read`], with the credentials of this machine.
fn here(
    sources: Vec<Source>,
    edits: Edits,
    folder: &Path,
    mut overrides: Overrides,
) -> Result<Topology, Report> {
    overrides.credentials = credentials::find(&sources, folder, &overrides.variables);
    read_edited(sources, edits, folder, &overrides)
}

/// The topology that `files` are together, as YAML: as written, or expanded to plain workers and
/// rings. Variables and credentials stay as references.
pub fn config(
    files: &[PathBuf],
    overrides: &Overrides,
    is_expanded: bool,
) -> Result<String, Report> {
    let (sources, folder) = sources::read(files)?;
    let mut overrides = overrides.clone();
    overrides.credentials = credentials::find(&sources, &folder, &overrides.variables);
    let (tree, _) = tree_of(&sources);
    // Only what has no mistakes is printed.
    read(sources, &folder, &overrides)?;
    let printed = tree.map(|mut tree| {
        if is_expanded {
            let scope = Scope { overrides: &overrides, without: &BTreeSet::new() };
            expand::expand(&mut tree, &scope, &mut Vec::new());
            expand::only_rings_defaults(&mut tree);
        }
        emit::yaml(&tree)
    });
    Ok(printed.unwrap_or_default())
}

/// What `text`, the content of the topology at the absolute path `file`, means.
pub fn parse(text: &str, file: &Path, overrides: &Overrides) -> Result<Topology, Report> {
    let folder = file.parent().unwrap_or_else(|| Path::new("/"));
    read(vec![Source { name: file.to_owned(), text: text.to_owned() }], folder, overrides)
}

/// What `sources` mean together. Relative paths start at `folder`, which is absolute. Pure: the
/// same sources and overrides always mean the same.
pub fn read(
    sources: Vec<Source>,
    folder: &Path,
    overrides: &Overrides,
) -> Result<Topology, Report> {
    read_edited(sources, Edits::default(), folder, overrides)
}

fn read_edited(
    sources: Vec<Source>,
    edits: Edits,
    folder: &Path,
    overrides: &Overrides,
) -> Result<Topology, Report> {
    let (mut root, mut findings) = tree_of(&sources);
    // A text that cannot be read to its end says nothing about what it means.
    let readable = root.is_some() || findings.is_empty();
    let mut cameras = BTreeMap::new();
    if let Some(root) = &mut root {
        let scope = Scope { overrides, without: &edits.without };
        cameras = expand::expand(root, &scope, &mut findings);
    }
    let written =
        if readable { written::read(root.as_ref(), &mut findings) } else { Written::default() };
    let (mut workers, rings) = meant::relate(&written, folder, &mut findings);
    shadow::promote(&mut workers, &edits.promoted);
    let groups = groups::meant(&written.groups);
    shelf::fill(&mut workers, &written, folder, &groups, &mut findings);
    // A camera that was removed while the project runs leaves its groups.
    if edits.without.is_empty() {
        groups::check(&written.groups, &rings, &mut findings);
    }
    let project = overrides.project.as_ref().or(written.project.as_ref()).cloned();
    let project = project.or_else(|| project_of(folder));
    if project.is_none() {
        let problem = KeyProblem::Missing { key: "project".to_owned() }.into();
        findings.push(Finding { place: None, subject: Subject::Topology, problem });
    }
    match project.filter(|_| findings.is_empty()) {
        Some(project) => {
            let (file, group) = (sources[0].name.clone(), written.group.clone());
            let (folder, origin) = (folder.to_owned(), Origin::new(sources, edits, &written));
            let survival = written.survival;
            let hooks = written.hooks.iter().map(|hook| meant::hook(hook, &folder)).collect();
            let spec = Topology {
                project,
                group,
                survival,
                file,
                folder,
                workers,
                rings,
                hooks,
                groups,
                origin,
                cameras,
            };
            Ok(spec)
        }
        None => Err(Report::new(&sources, findings)),
    }
}

/// The tree of all texts; `None` when one of them cannot be read to its end, or all are empty.
fn tree_of(sources: &[Source]) -> (Option<Node>, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut trees = Vec::new();
    let mut is_whole = true;
    for (number, source) in sources.iter().enumerate() {
        let (root, wrong) = format::parse(source, number);
        is_whole &= root.is_some() || wrong.is_empty();
        findings.extend(wrong);
        trees.extend(root);
    }
    if !is_whole {
        return (None, findings);
    }
    (merge::merge(trees, &mut findings), findings)
}

/// A project that has no name is called after its folder, if that has a letter or digit of ours.
fn project_of(folder: &Path) -> Option<ProjectName> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let name: String = name.chars().map(|c| if fits(c) { c } else { '-' }).collect();
    let name: String = name.trim_start_matches(['-', '_']).chars().take(PART_MAX_BYTES).collect();
    name.parse().ok()
}

/// What a topology file means: every name parsed, every default filled in, every path absolute.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    pub project: ProjectName,
    /// Name or number of the group whose members may read the rings.
    pub group: Option<String>,
    /// Who goes on when the supervisor is killed.
    pub survival: Survival,
    /// The first of its files.
    pub file: PathBuf,
    folder: PathBuf,
    /// In the order of the file.
    pub workers: Vec<WorkerSpec>,
    /// In the order of their writers.
    pub rings: Vec<RingSpec>,
    pub hooks: Vec<HookSpec>,
    /// Cameras that belong together, or patterns of them.
    pub groups: BTreeMap<String, Vec<String>>,
    pub origin: Origin,
    /// The workers of each camera alone.
    cameras: BTreeMap<String, Vec<WorkerName>>,
}

/// The texts a topology came from: what goes wrong with it later is shown there too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    sources: Vec<Source>,
    edits: Edits,
    /// Worker and key; the key of the worker's name is empty.
    places: BTreeMap<(WorkerName, String), Place>,
}

/// What a topology was read from, so that another process of this command reads the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    sources: Vec<Source>,
    edits: Edits,
    folder: PathBuf,
    project: ProjectName,
}

impl Reading {
    /// Variables are those of this process.
    pub fn again(&self) -> Result<Topology, Report> {
        let project = Some(self.project.clone());
        let overrides = Overrides { project, ..Overrides::from_environment() };
        here(self.sources.clone(), self.edits.clone(), &self.folder, overrides)
    }
}

/// One worker as meant.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerSpec {
    pub name: WorkerName,
    pub launch: Launch,
    /// Globs expanded; each ring once, in the order of the file.
    pub inputs: Vec<RingName>,
    pub output: Option<RingName>,
    /// Further rings it writes, in the order of its section.
    pub more_outputs: Vec<RingName>,
    /// How it reads its rings; `None` when it does not say.
    pub policy: Option<ReadPolicy>,
    pub restart: RestartConfig,
    /// What its process may use, as far as the file says.
    pub limits: LimitsConfig,
    /// What shows that it is up; `None` when its kind, or its running, does.
    pub ready: Option<Readiness>,
    /// Workers that must be up before it is started for the first time.
    pub after: Vec<WorkerName>,
    /// The worker that it is tried beside: what it writes is nobody's who does not name it.
    pub shadow: Option<WorkerName>,
}

/// What runs in the worker's process.
#[derive(Clone, Debug, PartialEq)]
pub enum Launch {
    /// The user's own command, started in the topology's folder; never empty.
    Run { argv: Vec<String>, env: BTreeMap<String, EnvText> },
    /// A built-in kind.
    Use(WorkerConfig),
}

/// A variable of a command: what it holds, and what people may see of it.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvText {
    value: String,
    shown: String,
}

impl EnvText {
    fn new(value: &str, shown: &str) -> Self {
        Self { value: value.to_owned(), shown: shown.to_owned() }
    }

    /// Not for people.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for EnvText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for EnvText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

/// One ring as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingSpec {
    pub name: RingName,
    pub config: RingConfig,
    pub writer: WorkerName,
    /// In the order of the file.
    pub readers: Vec<WorkerName>,
    /// Those of them that must lose nothing.
    pub essential: Vec<Essential>,
    /// What it carries comes from a file: its writer may wait for them.
    pub waits: bool,
    /// What a recorder of it may want of the time before an event.
    pub pre_roll: Span,
}

impl Topology {
    /// Relative paths of the file start here, and `run:` workers are started here.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn reading(&self) -> Reading {
        let Origin { sources, edits, .. } = self.origin.clone();
        Reading { sources, edits, folder: self.folder.clone(), project: self.project.clone() }
    }

    /// The workers that a camera of `cameras:` has for itself; `None` when there is no such camera.
    pub(crate) fn workers_of(&self, camera: &str) -> Option<&[WorkerName]> {
        self.cameras.get(camera).map(Vec::as_slice)
    }

    pub(crate) fn cameras(&self) -> impl Iterator<Item = &str> {
        self.cameras.keys().map(String::as_str)
    }

    /// Shadows that have changed places with the workers that they were tried beside, one after the other.
    pub(crate) fn promoted(&self) -> &[WorkerName] {
        &self.origin.edits.promoted
    }

    /// What it was started with; `None` when that cannot be read once more.
    pub(crate) fn files(&self) -> Option<Vec<PathBuf>> {
        let Origin { sources, edits, .. } = &self.origin;
        let own = sources.len().saturating_sub(edits.added);
        let files = sources.iter().take(own).map(|source| source.name.clone());
        let files: Vec<PathBuf> = files.collect();
        files.iter().all(|file| file.is_absolute()).then_some(files)
    }

    pub fn worker(&self, name: &WorkerName) -> Option<&WorkerSpec> {
        self.workers.iter().find(|worker| worker.name == *name)
    }

    pub fn ring(&self, name: &RingName) -> Option<&RingSpec> {
        self.rings.iter().find(|ring| ring.name == *name)
    }

    /// The rings that the worker writes, its own first.
    pub(crate) fn written_by(&self, worker: &WorkerSpec) -> Vec<RingSpec> {
        worker.outputs().filter_map(|ring| self.ring(ring)).cloned().collect()
    }

    /// Writers before their readers, otherwise in the order of the file.
    pub fn start_order(&self) -> Vec<&WorkerSpec> {
        order::start_order(&self.workers).into_iter().map(|at| &self.workers[at]).collect()
    }

    /// Commands with rings at their stdin or stdout, each with its pipe worker.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&WorkerSpec, &WorkerSpec)> {
        self.workers.iter().filter_map(|pipe| match &pipe.launch {
            Launch::Use(WorkerConfig::Pipe(config)) => Some((self.worker(&config.command)?, pipe)),
            _ => None,
        })
    }

    fn finding(&self, worker: &WorkerName, key: &str, problem: Problem) -> Finding {
        let subject = Subject::Worker(worker.to_string());
        Finding { place: self.origin.place(worker, key), subject, problem }
    }
}

impl Origin {
    fn new(sources: Vec<Source>, edits: Edits, written: &Written) -> Self {
        let mut places = BTreeMap::new();
        for worker in &written.workers {
            let name = &worker.name;
            places.insert((name.value.clone(), String::new()), name.place);
            for (key, place) in &worker.values {
                places.insert((name.value.clone(), key.clone()), *place);
            }
        }
        Self { sources, edits, places }
    }

    /// Where the value of `key` stands; a default stands where the worker's name does.
    fn place(&self, worker: &WorkerName, key: &str) -> Option<Place> {
        let place = |key: &str| self.places.get(&(worker.clone(), key.to_owned()));
        place(key).or_else(|| place("")).copied()
    }
}

impl WorkerSpec {
    /// A built-in kind's name, or `run`: the `kind` of `ps`.
    pub fn kind_name(&self) -> &'static str {
        match &self.launch {
            Launch::Run { .. } => "run",
            Launch::Use(config) => config.kind().as_str(),
        }
    }

    /// All rings it writes.
    pub fn outputs(&self) -> impl Iterator<Item = &RingName> {
        self.output.iter().chain(&self.more_outputs)
    }

    /// The rings whose packets a recorder writes into files; it may listen to rings of events besides.
    pub(crate) fn recorded(&self) -> impl Iterator<Item = &RingName> {
        self.inputs.iter().filter(|ring| ring.kind() == RingKind::Packets)
    }

    /// The rings whose items it takes all the time; at others it looks now and then.
    pub(crate) fn followed(&self) -> impl Iterator<Item = &RingName> {
        let is_rules = matches!(self.launch, Launch::Use(WorkerConfig::Rules(_)));
        self.inputs.iter().filter(move |ring| !is_rules || ring.kind() == RingKind::Events)
    }

    /// The address the supervisor binds for this worker.
    pub fn listen(&self) -> Option<SocketAddr> {
        match &self.launch {
            Launch::Use(WorkerConfig::Rtsp(rtsp)) => Some(rtsp.section.listen),
            Launch::Use(WorkerConfig::Web(web)) => Some(web.section.listen),
            Launch::Run { .. } | Launch::Use(_) => None,
        }
    }

    /// A further one, where everything goes through TLS.
    pub fn tls_listen(&self) -> Option<SocketAddr> {
        match &self.launch {
            Launch::Use(WorkerConfig::Rtsp(rtsp)) => rtsp.section.tls_listen(),
            Launch::Use(WorkerConfig::Web(web)) => web.section.tls_listen(),
            Launch::Run { .. } | Launch::Use(_) => None,
        }
    }

    /// Where it answers who looks for cameras.
    pub fn onvif_listen(&self) -> Option<SocketAddr> {
        match &self.launch {
            Launch::Use(WorkerConfig::Rtsp(rtsp)) => Some(rtsp.section.onvif.as_ref()?.listen),
            Launch::Run { .. } | Launch::Use(_) => None,
        }
    }

    /// All, in the order in which the worker is given them. No two are the same.
    pub fn listens(&self) -> impl Iterator<Item = SocketAddr> {
        self.listen().into_iter().chain(self.tls_listen()).chain(self.onvif_listen())
    }

    /// The UDP address that it binds by itself, if the topology says one.
    pub(crate) fn listen_udp(&self) -> Option<SocketAddr> {
        match &self.launch {
            Launch::Use(WorkerConfig::Web(web)) => {
                web.section.webrtc.listen.filter(|_| web.section.webrtc.max_viewers > 0)
            }
            Launch::Run { .. } | Launch::Use(_) => None,
        }
    }
}

impl RingSpec {
    /// Readers that may attach at once: those the topology names and the spare ones.
    pub fn places(&self) -> u32 {
        let named = u32::try_from(self.readers.len()).unwrap_or(u32::MAX);
        named.saturating_add(self.config.spare_readers)
    }
}
