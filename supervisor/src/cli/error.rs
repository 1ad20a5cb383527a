//! What can go wrong for a verb, and the exit code of it (docs/supervision.md, Exit codes of the command).

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use protocol::admin::ReplyError;
use protocol::config::ingest::SourceError;
use protocol::name::{ProjectName, RingName};
use protocol::units::Span;

use super::shortage::Shortage;
use super::terminal;
use super::when::WhenError;
use crate::guard::GuardError;
use crate::launch::LaunchError;
use crate::manifest::ManifestError;
use crate::place::PlaceError;
use crate::startup::StartupError;
use crate::topology::Report;

/// 0 is success; 2 is mostly clap's.
const FAILED: u8 = 1;
/// How a supervisor calls a topology with mistakes.
const INVALID: &str = "topology";
const USAGE: u8 = 2;
const TOPOLOGY: u8 = 3;
const NOT_RUNNING: u8 = 4;
const DEGRADED: u8 = 5;
const TIMEOUT: u8 = 6;

#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error("{text}; {hint}", text = .0.text, hint = .0.hint)]
    Answer(ReplyError),
    #[error("it ends before it begins; {end} has to be a time behind {begin}")]
    Backwards { end: &'static str, begin: &'static str },
    #[error("{0}")]
    Degraded(String),
    #[error("such a camera cannot be: {0}")]
    Camera(SourceError),
    #[error(transparent)]
    Client(framevisor_client::Error),
    #[error("{}: expected a name that ends in {expected}", path.display())]
    Ending { path: PathBuf, expected: &'static str },
    #[error("{} is there already; move it away, or write another with -f FILE", path.display())]
    Exists { path: PathBuf },
    #[error("what asks the supervisor has ended; please report this")]
    FeedEnded,
    #[error("cannot list {}: {source}; name the directory of a recorder", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("a topology to begin with is one file, and -f names {count}; name one")]
    ManyFiles { count: usize },
    #[error(transparent)]
    Guard(#[from] GuardError),
    #[error("project {project} does not fit into shared memory: {shortage}")]
    NoMemory { project: ProjectName, shortage: Shortage },
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    When(WhenError),
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error("{wanted} means {rings}; this verb takes one ring: name it")]
    ManyRings { wanted: String, rings: String },
    #[error(
        "only MP4 has edit lists; --trim goes with --format mp4, and --exact with every format"
    )]
    NoEditList,
    #[error("ring {ring}: its records are no pictures; leave --png, --term and --every out")]
    NoPictures { ring: RingName },
    #[error(
        "no project is named and none has rings here; name one with -p NAME or a topology with -f FILE"
    )]
    NoProject,
    #[error(
        "no ring {wanted} in project {project}; it has {known}; `framevisor rings -p {project}` tells more of them"
    )]
    NoRing { wanted: String, project: ProjectName, known: String },
    #[error(
        "ring {ring}: stdout is no terminal; write a picture with --png FILE, or force it with --term"
    )]
    NoTerminal { ring: RingName },
    #[error(
        "not running: project {project} has no rings; start it with `framevisor up`, or choose another with -p NAME"
    )]
    NoRings { project: ProjectName },
    #[error("{} is not empty; name a folder that is not there yet", path.display())]
    NotEmpty { path: PathBuf },
    #[error("the supervisor (pid {pid}) does not answer: {source}")]
    NoAnswer { pid: String, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("{} is there already; name another file, or write over it with --force", path.display())]
    Overwrites { path: PathBuf },
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(
        "drill would end workers of the running project {project}; say --yes where nobody can be asked"
    )]
    Unconfirmed { project: ProjectName },
    #[error("the rehearsal did not come up:\n{said}")]
    Rehearsal { said: String },
    #[error(transparent)]
    Ring(#[from] shmring::Error),
    #[error(transparent)]
    Startup(#[from] StartupError),
    #[error("variable {name} is not set; set it, or write the value in its place")]
    Unset { name: String },
    #[error("the witness of the recordings: {0}")]
    Witness(String),
    #[error("{what} did not come within {limit}{missing}")]
    Timeout { what: &'static str, limit: Span, missing: String },
    #[error("{0}")]
    Topology(Report),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("no {what} is named {wanted}; the {what}s are {known}")]
    NoNamed { what: &'static str, wanted: String, known: String },
    #[error(
        "nothing was recorded of {cameras} in that time; `framevisor recordings ls` shows what was"
    )]
    NothingRecorded { cameras: String },
    #[error(
        "the Rust crate shmring is in framevisor's sources, and they are not here; name their folder with \
         --sources DIR"
    )]
    NoSources,
    #[error("{name} is a module of Python's, which {name}.py would hide; choose another name")]
    HidesModule { name: String },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is there already; move it away, or name another folder with --dir DIR", path.display())]
    Taken { path: PathBuf },
    #[error("top needs a terminal as stdin and stdout; show it once with --once")]
    NoScreen,
    #[error("{known} have rings here; choose one of them with -p NAME")]
    WhichProject { known: String },
    #[error("cannot write {}: {source}; choose another place with -f FILE", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl CliError {
    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    /// An answer that is not what this verb is answered with.
    pub(super) fn skew(verb: &'static str) -> impl FnOnce(serde_json::Error) -> Self {
        move |source| Self::Client(framevisor_client::Error::Skew { verb: verb.to_owned(), source })
    }

    /// Mistakes of a file stand alone on their lines: editors and terminals follow `file:line:col`
    /// only at the beginning of one.
    pub(super) fn tell(&self) {
        match self {
            Self::Topology(report) => terminal::report(&report.to_string()),
            Self::Answer(error) if error.code == INVALID => terminal::report(&error.text),
            other => terminal::talk(&other.to_string()),
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Backwards { .. }
            | Self::Camera(_)
            | Self::When(_)
            | Self::Ending { .. }
            | Self::ManyFiles { .. }
            | Self::ManyRings { .. }
            | Self::NoEditList
            | Self::NoPictures { .. }
            | Self::NoScreen
            | Self::NoSources
            | Self::HidesModule { .. }
            | Self::NoTerminal { .. }
            | Self::Unset { .. }
            | Self::Unconfirmed { .. } => USAGE,
            Self::Topology(_) => TOPOLOGY,
            Self::Answer(error) if error.code == INVALID => TOPOLOGY,
            Self::NoRings { .. } | Self::Client(framevisor_client::Error::NotRunning { .. }) => {
                NOT_RUNNING
            }
            Self::Degraded(_) => DEGRADED,
            Self::Timeout { .. } => TIMEOUT,
            _ => FAILED,
        })
    }
}
