//! What a worker's process may use: the file's word over the default of its kind. Pure.
//!
//! And what a death has to do with it.

use protocol::config::{Ceiling, Kind, LimitsConfig, Network, WorkerConfig};
use protocol::exit::ExitReason;
use protocol::units::Bytes;
use serde::{Deserialize, Serialize};

use crate::topology::{Launch, WorkerSpec};

/// A built-in worker has some ten descriptors, and up to six for each of its rings.
const NOFILE: u64 = 64;
const NOFILE_A_RING: u64 = 16;
/// Some for each connection of a server, and for the recordings that it plays; of a command nobody knows what it opens.
const NOFILE_SERVER: u64 = 4096;
const NOFILE_PLAYED: u64 = 2048;
const NOFILE_A_CLIENT: u64 = 4;
/// No built-in worker comes near it unless it leaks; a decoder holds up to sixteen pictures of 8K,
/// so does an encoder that looks ahead, and a compositor has one or more of each of its inputs.
const MEMORY: u64 = 1 << 30;
const MEMORY_DECODER: u64 = 4 << 30;
/// What waits for viewers, and what a recorder has in hand, is counted by rings.
const MEMORY_A_RING: u64 = 64 << 20;
/// When processors are short, what looks at pictures waits for what takes and keeps them.
const NICE_ANALYSIS: i32 = 5;
/// And what is tried waits for what is in use,
const NICE_SHADOW: i32 = 10;
/// and goes before it when memory is short.
const OOM_SCORE_ADJ_SHADOW: i32 = 900;

/// Lines at the end of what a process printed that may name the reason of its death.
const LAST_LINES: usize = 20;
/// What programs say when memory was refused: Rust, Python, C++, the C library, CUDA.
const REFUSED_MEMORY: [&str; 5] = [
    "memory allocation of ",
    "MemoryError",
    "bad_alloc",
    "Cannot allocate memory",
    "out of memory",
];

/// Limits of one worker, defaults filled in; what is `None` is not limited by us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Private writable memory, in bytes.
    pub(crate) memory: Option<u64>,
    pub(crate) nofile: Option<u64>,
    pub(crate) nice: i32,
    /// As `taskset` writes them.
    pub(crate) cpus: Option<String>,
    pub(crate) oom_score_adj: i32,
    pub(crate) core: bool,
    pub(crate) cpu_weight: Option<u32>,
    pub(crate) pids: Option<u64>,
    pub(crate) network: Network,
}

impl Limits {
    /// `nofile_max`: more than this is not asked for unless the file does.
    pub(crate) fn of(spec: &WorkerSpec, nofile_max: u64) -> Self {
        let (kind, said, is_tried) = (kind(spec), &spec.limits, spec.shadow.is_some());
        let nice = if is_tried { NICE_SHADOW } else { nice(kind) };
        let oom = if is_tried { OOM_SCORE_ADJ_SHADOW } else { oom_score_adj(kind) };
        let rings = u64::try_from(spec.inputs.len()).unwrap_or(u64::MAX);
        let memory = match said.memory {
            Some(Ceiling::At(Bytes(bytes))) => Some(bytes),
            Some(Ceiling::None) => None,
            None => memory(kind, rings),
        };
        Self {
            memory,
            nofile: Some(said.nofile.unwrap_or_else(|| nofile(spec, rings).min(nofile_max))),
            nice: said.nice.unwrap_or(nice),
            cpus: said.cpus.as_ref().map(ToString::to_string),
            oom_score_adj: said.oom_score_adj.unwrap_or(oom),
            core: said.core.unwrap_or(false),
            cpu_weight: said.cpu_weight,
            pids: said.pids,
            network: said.network.unwrap_or_default(),
        }
    }

    /// As the process sets them itself.
    pub(crate) fn of_process(&self, spec: &WorkerSpec) -> spawn::Limits {
        let cpus = spec.limits.cpus.as_ref().map(|cpus| cpus.numbers().to_vec());
        spawn::Limits {
            core: (!self.core).then_some(0),
            data: self.memory,
            nofile: self.nofile,
            nice: (self.nice != 0).then_some(self.nice),
            cpus: cpus.unwrap_or_default(),
            oom_score_adj: Some(self.oom_score_adj),
            offline: self.network == Network::None,
        }
    }
}

/// A hook is a command of the user's like any other.
pub(crate) fn of_hooks(nofile_max: u64) -> spawn::Limits {
    spawn::Limits {
        core: Some(0),
        data: memory(None, 0),
        nofile: Some(NOFILE_SERVER.min(nofile_max)),
        nice: Some(nice(None)),
        cpus: Vec::new(),
        oom_score_adj: Some(oom_score_adj(None)),
        offline: false,
    }
}

/// `None` for a command of the user's.
fn kind(spec: &WorkerSpec) -> Option<Kind> {
    match &spec.launch {
        Launch::Run { .. } => None,
        Launch::Use(config) => Some(config.kind()),
    }
}

/// A command, or a model's engine, may reserve what it never touches, as programs for a GPU do.
fn memory(kind: Option<Kind>, rings: u64) -> Option<u64> {
    let base = match kind? {
        Kind::Compositor | Kind::Decoder | Kind::Encoder => MEMORY_DECODER,
        Kind::Detect => return None,
        _ => MEMORY,
    };
    Some(base.saturating_add(rings.saturating_mul(MEMORY_A_RING)))
}

fn nofile(spec: &WorkerSpec, rings: u64) -> u64 {
    let server =
        |clients: u32| NOFILE_SERVER.max(NOFILE_PLAYED + u64::from(clients) * NOFILE_A_CLIENT);
    let base = match &spec.launch {
        Launch::Run { .. } => NOFILE_SERVER,
        Launch::Use(WorkerConfig::Rtsp(rtsp)) => server(rtsp.section.max_clients),
        Launch::Use(WorkerConfig::Web(web)) => server(web.section.max_clients),
        Launch::Use(_) => NOFILE,
    };
    base.saturating_add(rings.saturating_mul(NOFILE_A_RING))
}

fn nice(kind: Option<Kind>) -> i32 {
    match kind {
        None | Some(Kind::Detect | Kind::Motion) => NICE_ANALYSIS,
        Some(_) => 0,
    }
}

/// Who goes first when memory is short: what only looks, long before what takes and keeps.
fn oom_score_adj(kind: Option<Kind>) -> i32 {
    match kind {
        None | Some(Kind::Pipe) => 800,
        Some(Kind::Detect | Kind::Motion) => 700,
        Some(Kind::Compositor | Kind::Decoder | Kind::Encoder | Kind::Mixer) => 500,
        Some(
            Kind::Notify | Kind::Rtsp | Kind::RtspPush | Kind::Rules | Kind::Uploader | Kind::Web,
        ) => 300,
        Some(Kind::Ingest | Kind::Recorder | Kind::Replay) => 0,
    }
}

/// What holds for one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Enforced {
    pub(crate) limits: Limits,
    /// It runs in a cgroup of its own.
    pub(crate) cgroup: bool,
    /// Those of them that could not be set, with the reason.
    pub(crate) not_set: Vec<String>,
}

/// The same as a part of its row in `ps -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    limits: Limits,
    cgroup: bool,
    not_set: Vec<String>,
}

impl Enforced {
    pub(crate) fn shown(&self) -> Shown {
        let Self { limits, cgroup, not_set } = self.clone();
        Shown { limits, cgroup, not_set }
    }

    /// Those of `not_set` that the file asks for.
    pub(crate) fn not_set_of(&self, said: &LimitsConfig) -> Vec<&str> {
        let asked = [
            ("memory", said.memory.is_some()),
            ("cpu_weight", said.cpu_weight.is_some()),
            ("nice", said.nice.is_some()),
            ("cpus", said.cpus.is_some()),
            ("nofile", said.nofile.is_some()),
            ("pids", said.pids.is_some()),
            ("oom_score_adj", said.oom_score_adj.is_some()),
            ("core", said.core.is_some()),
        ];
        let is_asked = |text: &&str| {
            let key = text.split(':').next().unwrap_or_default();
            asked.iter().any(|(name, asked)| *asked && *name == key)
        };
        self.not_set.iter().map(String::as_str).filter(is_asked).collect()
    }
}

/// The death of a process that ran out of memory, as far as that can be known: `killed` says that the
/// kernel chose it, `lines` are the last it printed.
pub(crate) fn out_of_memory<'a>(
    reason: &ExitReason,
    limit: Option<u64>,
    killed: bool,
    lines: impl DoubleEndedIterator<Item = &'a str>,
) -> Option<ExitReason> {
    let text = match reason {
        ExitReason::Signal { number: 9, .. } if killed => "killed by the kernel".to_owned(),
        ExitReason::Signal { number: 9 | 15, .. } | ExitReason::Code(0) => return None,
        ExitReason::Signal { .. } | ExitReason::Code(_) => {
            let limit = Bytes(limit?);
            let mut last = lines.rev().take(LAST_LINES);
            let says = |line: &str| REFUSED_MEMORY.iter().any(|words| line.contains(words));
            last.find(|line| says(line))?;
            format!("{reason} at its limit of {limit}")
        }
        _ => return None,
    };
    Some(ExitReason::Oom(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::config::{RestartConfig, WebConfig};
    use std::collections::BTreeMap;

    fn spec(launch: Launch, rings: usize) -> WorkerSpec {
        WorkerSpec {
            name: "x".parse().unwrap(),
            launch,
            inputs: (0..rings).map(|at| format!("cam{at}.packets").parse().unwrap()).collect(),
            output: None,
            more_outputs: Vec::new(),
            policy: None,
            restart: RestartConfig::default(),
            limits: LimitsConfig::default(),
            ready: None,
            after: Vec::new(),
            shadow: None,
        }
    }

    fn command() -> WorkerSpec {
        spec(Launch::Run { argv: vec!["x".into()], env: BTreeMap::new() }, 0)
    }

    fn recorder(rings: usize) -> WorkerSpec {
        let config = serde_json::from_str(r#"{"dir":"x"}"#).unwrap();
        spec(Launch::Use(WorkerConfig::Recorder(config)), rings)
    }

    #[test]
    fn descriptors_grow_with_the_rings_and_stop_at_what_is_allowed() {
        let nofile = |rings| Limits::of(&recorder(rings), 1024).nofile;
        assert_eq!([nofile(1), nofile(16), nofile(200)], [Some(80), Some(320), Some(1024)]);
        let asked = LimitsConfig { nofile: Some(9000), ..LimitsConfig::default() };
        let asked = WorkerSpec { limits: asked, ..recorder(1) };
        assert_eq!(Limits::of(&asked, 1024).nofile, Some(9000));
    }

    #[test]
    fn a_server_has_descriptors_for_as_many_clients_as_it_may_have() {
        let nofile = |max_clients| {
            let web = WebConfig { max_clients, ..WebConfig::default() };
            let web = spec(Launch::Use(WorkerConfig::Web(Box::new(web.into()))), 1);
            Limits::of(&web, 1 << 20).nofile
        };
        assert_eq!([nofile(1), nofile(256)], [Some(4096 + 16); 2]);
        assert_eq!(nofile(10_000), Some(2048 + 40_000 + 16));
    }

    #[test]
    fn a_command_goes_before_capture_when_memory_or_processors_are_short() {
        let (theirs, ours) = (Limits::of(&command(), 9999), Limits::of(&recorder(1), 9999));
        assert!(theirs.oom_score_adj > ours.oom_score_adj && theirs.nice > ours.nice);
        assert_eq!((theirs.memory, ours.memory), (None, Some((1 << 30) + (64 << 20))));
    }

    #[test]
    fn what_is_tried_waits_for_what_is_in_use_and_goes_before_it() {
        let tried = WorkerSpec { shadow: "x".parse().ok(), ..command() };
        let (tried, used) = (Limits::of(&tried, 9999), Limits::of(&command(), 9999));
        assert!(tried.oom_score_adj > used.oom_score_adj && tried.nice > used.nice);
    }

    #[test]
    fn the_word_of_the_file_goes_before_the_default() {
        let mut said = recorder(1);
        said.limits.memory = Some(Ceiling::None);
        said.limits.cpus = Some("0-1".parse().unwrap());
        said.limits.core = Some(true);
        let limits = Limits::of(&said, 9999);
        assert_eq!((limits.memory, limits.cpus.as_deref()), (None, Some("0-1")));
        let process = limits.of_process(&said);
        assert_eq!((process.core, process.cpus, process.offline), (None, vec![0, 1], false));
        said.limits.network = Some(Network::None);
        assert!(Limits::of(&said, 9999).of_process(&said).offline);
    }

    #[test]
    fn of_what_could_not_be_set_only_what_was_asked_for_is_required() {
        let not_set = vec!["nice: Permission denied".to_owned(), "core: no".to_owned()];
        let enforced = Enforced { limits: Limits::of(&command(), 99), cgroup: false, not_set };
        let said = LimitsConfig { nice: Some(-5), ..LimitsConfig::default() };
        assert_eq!(enforced.not_set_of(&said), ["nice: Permission denied"]);
        assert!(enforced.not_set_of(&LimitsConfig::default()).is_empty());
    }

    #[test]
    fn a_death_for_want_of_memory_is_told_as_such_and_no_other_is() {
        let abort = ExitReason::Signal { number: 6, core: false };
        let kill = ExitReason::Signal { number: 9, core: false };
        let told = |reason: &ExitReason, limit, killed, lines: &[&'static str]| {
            out_of_memory(reason, limit, killed, lines.iter().copied())
                .map(|reason| reason.to_string())
        };
        let rust = ["memory allocation of 99 bytes failed"];
        let limit = Some(512 << 20);
        assert_eq!(
            told(&abort, limit, false, &rust).as_deref(),
            Some("oom: SIGABRT at its limit of 512MiB")
        );
        assert_eq!(told(&abort, None, false, &rust), None, "it had no limit");
        assert_eq!(told(&abort, limit, false, &["assertion failed"]), None);
        assert_eq!(told(&ExitReason::Code(0), limit, false, &rust), None);
        assert_eq!(told(&kill, limit, true, &[]).as_deref(), Some("oom: killed by the kernel"));
        assert_eq!(told(&kill, limit, false, &rust), None, "anybody may have sent it");
    }
}
