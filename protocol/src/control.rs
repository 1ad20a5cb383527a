//! Supervisor and worker: the start-up hand-over and the control datagrams.
//!
//! ```text
//! worker                         supervisor
//!   | Hello {hand_over} ------------> |     control datagram (codec)
//!   | <------------------- StartUp    |     ipc-channel, once, connected by the supervisor
//!   | Ready ------------------------> |     rings, sockets and sandbox are in place
//!   | Condition ... ----------------> |     whenever it changes
//!   | Ask -> <- Answer                |
//!   | <---------------- Message       |     what somebody asks of it, answered by Reply
//!   | Reply, Happened --------------> |
//!   | <---------------------- Hang    |     a drill, if somebody asks for one
//!   | <--------------------- Drain    |     a successor takes over: see there
//!   | Yielded ----------------------> |
//!   | <------------------ TakeOver    |     to the successor of a writer that stood by
//!   | <---------------------- Stop    |
//!   | Stopped ----------------------> |     then it exits with a typed code
//! ```

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{RingConfig, WorkerConfig};
use crate::name::{ProjectName, RingName, WorkerName};
use crate::units::Span;

/// Raised whenever a message changes its meaning or order; both sides refuse another one.
pub const CONTROL_VERSION: u32 = 8;

/// Below the runtime directory: what workers keep for their next life in the same run of the project.
pub const NOTES_DIR: &str = "notes";

/// Environment of every worker.
pub mod env {
    pub const PROJECT: &str = "FRAMEVISOR_PROJECT";
    pub const WORKER: &str = "FRAMEVISOR_WORKER";
    /// Comma list of ring names.
    pub const IN: &str = "FRAMEVISOR_IN";
    pub const OUT: &str = "FRAMEVISOR_OUT";
    pub const POLICY: &str = "FRAMEVISOR_POLICY";
    /// Number of the inherited SOCK_SEQPACKET descriptor.
    pub const CONTROL_FD: &str = "FRAMEVISOR_CONTROL_FD";
    /// Number of the inherited health page; built-in workers only.
    pub const HEALTH_FD: &str = "FRAMEVISOR_HEALTH_FD";
    /// Number of the pipe to a command's stdin; `pipe` workers only.
    pub const STDIN_FD: &str = "FRAMEVISOR_STDIN_FD";
    /// Number of the pipe from a command's stdout; `pipe` workers only.
    pub const STDOUT_FD: &str = "FRAMEVISOR_STDOUT_FD";
    /// Comma list of the numbers of inherited listening sockets.
    pub const LISTEN_FDS: &str = "FRAMEVISOR_LISTEN_FDS";
    /// Number of the group whose members may read what the worker writes; `run:` workers only.
    pub const GROUP: &str = "FRAMEVISOR_GROUP";
    /// `brokered` when the ring it writes has no name; `run:` workers only.
    pub const ACCESS: &str = "FRAMEVISOR_ACCESS";
    /// Socket of the broker of rings without names.
    pub const BROKER: &str = "FRAMEVISOR_BROKER";
    /// Where a worker that may outlive its supervisor listens for the next one. It carries no death signal
    /// once it is ready.
    pub const ADOPTION: &str = "FRAMEVISOR_ADOPTION";
    /// The [`Fence`](crate::adoption::Fence) that a supervisor must name there.
    pub const FENCE: &str = "FRAMEVISOR_FENCE";
    /// After so many milliseconds without a supervisor it ends itself.
    pub const ADOPT_WITHIN_MS: &str = "FRAMEVISOR_ADOPT_WITHIN_MS";
    /// Folder of the `framevisor-<kind>` binaries, when not beside the command.
    pub const LIBEXEC: &str = "FRAMEVISOR_LIBEXEC";
    /// `WORKER:SEQUENCE`: that built-in worker aborts whenever it takes this item, to try out what
    /// becomes of an item that kills.
    pub const DRILL_ABORT: &str = "FRAMEVISOR_DRILL_ABORT";
}

/// Everything a built-in worker needs, handed over once through ipc-channel; never on argv.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartUp {
    pub version: u32,
    pub project: ProjectName,
    pub worker: WorkerName,
    pub config: WorkerConfig,
    /// Rings it reads, in the topology's order.
    pub inputs: Vec<RingName>,
    /// The ring it writes.
    pub output: Option<RingContract>,
    /// Further rings it writes, in the order of its section.
    pub more_outputs: Vec<RingContract>,
    pub runtime_dir: PathBuf,
    /// Items that killed it before: to be kept as files and passed over.
    pub poison: Vec<ItemId>,
    /// Of the project: what outlives a run, a folder for each purpose. Made when the first thing is kept.
    pub state_dir: PathBuf,
    /// Another process still writes its ring: it is ready when it could write, and begins with
    /// [`ToWorker::TakeOver`].
    pub stands_by: bool,
}

/// A packet or picture within the rings that one worker reads. Epochs begin with the microsecond, so
/// that of another ring is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ItemId {
    pub epoch: u64,
    pub sequence: u64,
}

/// What the writer of a ring must keep to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingContract {
    pub name: RingName,
    pub config: RingConfig,
    /// Readers that may attach at once: those the topology names and the spare ones.
    pub places: u32,
    /// The next epoch is above this one.
    pub epoch_floor: u64,
    /// The next group of pictures is above this one.
    pub gop_floor: u64,
    /// Id of the group whose members may read; `None`: only the writer's own user.
    pub group: Option<u32>,
    /// Readers that must not lose anything while they keep to their deadline.
    pub essential: Vec<Essential>,
    /// The writer may wait for them, because its source can: a file. A live source never waits.
    pub waits: bool,
    /// Packet rings: so much more than usual is kept, for recorders that want the time before an event.
    pub pre_roll: Span,
}

/// A reader of a ring for which more is kept than for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Essential {
    /// The name it attaches under.
    pub reader: String,
    /// How far it may fall behind. Beyond it the writer lets go of it and tells it so.
    pub deadline: Span,
}

impl RingContract {
    /// A ring that nobody has written before and only its writer's user reads.
    pub fn new(name: RingName, config: RingConfig, places: u32) -> Self {
        Self {
            name,
            config,
            places,
            epoch_floor: 0,
            gop_floor: 0,
            group: None,
            essential: Vec::new(),
            waits: false,
            pre_roll: Span::default(),
        }
    }
}

/// Worker to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// First message. `hand_over` is the name of the worker's one-shot ipc-channel server.
    Hello { version: u32, hand_over: String },
    /// Sent once, when the worker can do its work.
    Ready,
    /// Sent whenever it changes.
    Condition { condition: Condition, why: String },
    /// Answered by [`ToWorker::Answer`] with the same id.
    Ask { id: u64, query: Query },
    /// It has published all it will, because it was told to [drain](ToWorker::Drain); its exit follows.
    Yielded { to: Joint },
    /// Last message before a clean exit.
    Stopped,
    /// To a [`ToWorker::Message`]: JSON text, or why not in the worker's own words.
    Reply { to: u64, result: Result<String, String> },
    /// For people and hooks; it changes no state. `data` is a JSON object, or empty.
    Happened { what: Happening, subject: String, why: String, data: String },
}

/// What a worker tells beside its condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Happening {
    /// A file of a camera is complete and safe.
    RecordingSegment,
    /// A camera's recording began, or went on after a pause.
    RecordingStarted,
    RecordingStopped,
    /// A camera's pictures are not well, or well again.
    CameraHealth,
    /// What a rule describes began, goes on, is over. The facts have the `rule`'s name, which is a part of the
    /// event's.
    RuleBegan,
    RuleGoesOn,
    RuleEnded,
    /// The picture of a begin is kept.
    RuleSnapshot,
}

impl Happening {
    /// The event's name. Those of a rule have its name in the middle: `rule.night.begin`.
    pub fn event(self, rule: Option<&str>) -> String {
        let name = self.as_str();
        match (name.split_once('.'), rule) {
            (Some(("rule", what)), Some(rule)) => format!("rule.{rule}.{what}"),
            _ => name.to_owned(),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::RecordingSegment => "recording.segment",
            Self::RecordingStarted => "recording.started",
            Self::RecordingStopped => "recording.stopped",
            Self::CameraHealth => "camera.health",
            Self::RuleBegan => "rule.begin",
            Self::RuleGoesOn => "rule.update",
            Self::RuleEnded => "rule.end",
            Self::RuleSnapshot => "rule.snapshot",
        }
    }
}

/// Where one writer of a ring ends and the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joint {
    /// The last item of its input that is in what it published; `None` when it published nothing.
    pub after: Option<ItemId>,
    /// The next item stands alone (a key frame), so nothing before it is needed.
    pub at_key: bool,
}

/// How a ready worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Data flows.
    Flowing,
    /// An input is not there yet.
    Waiting,
    /// Works, but not as asked: a camera is down, a disk is full.
    Degraded,
    /// Nobody reads its output, so it rests.
    Parked,
}

/// What a worker may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// The list of `ps -o json`; of more than one datagram takes, those that tell most.
    Workers,
    /// The same from this place of it on, as a [`WorkersPage`].
    WorkersFrom(u32),
    /// The newest lines that a worker printed, as `logs -o json` has them: so many, or as many as one datagram
    /// takes. `null` when there is no such worker.
    Logs { worker: WorkerName, lines: u32 },
}

/// A part of a list that is longer than a datagram, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkersPage<T> {
    pub workers: Vec<T>,
    /// What to ask for next; `None` behind the last.
    pub next: Option<u32>,
}

/// Supervisor to worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Finish within `grace_ms`, say [`ToSupervisor::Stopped`], exit 0.
    Stop { grace_ms: u32 },
    /// A successor is ready. A server accepts no more and ends when its last client has gone; a writer
    /// ends before the next key frame and says [`ToSupervisor::Yielded`].
    Drain,
    /// To one that [stands by](StartUp::stands_by): the ring is free.
    TakeOver { from: Joint },
    /// JSON text.
    Answer { id: u64, body: String },
    /// Somebody's message, JSON text, to be answered by [`ToSupervisor::Reply`] with the same id.
    Message { id: u64, body: String },
    /// A drill: take nothing more and let the heart beat on, as a worker does that waits for ever. A stop
    /// still ends it.
    Hang,
}
