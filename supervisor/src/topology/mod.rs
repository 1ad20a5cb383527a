//! The topology: the file a user writes, and what it means.
//!
//! What belongs here: reading the file, finding every mistake in it with its place, and the typed
//! result. What does not: starting anything. Effects on the machine are in `probe` alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use protocol::config::{RestartConfig, RingConfig, WorkerConfig};
use protocol::name::{ProjectName, RingName, WorkerName};

/// What a topology file means: every name parsed, every default filled in, every path absolute.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    pub project: ProjectName,
    /// Absolute.
    pub file: PathBuf,
    /// In the order of the file.
    pub workers: Vec<WorkerSpec>,
    /// In the order of their writers.
    pub rings: Vec<RingSpec>,
}

/// One worker as meant.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerSpec {
    pub name: WorkerName,
    pub launch: Launch,
    /// Globs expanded; each ring once, in the order of the file.
    pub inputs: Vec<RingName>,
    pub output: Option<RingName>,
    pub restart: RestartConfig,
}

/// What runs in the worker's process.
#[derive(Clone, Debug, PartialEq)]
pub enum Launch {
    /// The user's own command, started in the topology's folder; never empty.
    Run {
        argv: Vec<String>,
        env: BTreeMap<String, String>,
    },
    /// A built-in kind.
    Use(WorkerConfig),
}

/// One ring as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingSpec {
    pub name: RingName,
    pub config: RingConfig,
    pub writer: WorkerName,
    /// In the order of the file.
    pub readers: Vec<WorkerName>,
}

impl Topology {
    /// Relative paths of the file start here, and `run:` workers are started here.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    pub fn worker(&self, name: &WorkerName) -> Option<&WorkerSpec> {
        self.workers.iter().find(|worker| worker.name == *name)
    }

    pub fn ring(&self, name: &RingName) -> Option<&RingSpec> {
        self.rings.iter().find(|ring| ring.name == *name)
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

    /// The address the supervisor binds for this worker.
    pub fn listen(&self) -> Option<SocketAddr> {
        match &self.launch {
            Launch::Use(WorkerConfig::Rtsp(rtsp)) => Some(rtsp.listen),
            Launch::Use(WorkerConfig::Web(web)) => Some(web.listen),
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
