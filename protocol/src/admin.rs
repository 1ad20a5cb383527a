//! The control socket: JSON lines between a command and the supervisor.
//!
//! Request `{v, id, verb, args}`, reply `{id, ok}` or `{id, error: {code, text, hint}}`, and for a
//! verb that follows something, `{event}` lines after the reply.

use serde::{Deserialize, Serialize};

use crate::health::PictureHealth;
use crate::name::{RingKind, RingName, WorkerName};
use crate::time::{NS_PER_S, UtcNs};

/// Version of the request and reply shape.
pub const ADMIN_VERSION: u32 = 1;
/// A longer line closes the connection.
pub const LINE_MAX_BYTES: usize = 1024 * 1024;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub v: u32,
    pub id: u64,
    pub verb: String,
    #[serde(default)]
    pub args: serde_json::Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reply {
    pub id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ReplyError>,
}

impl Reply {
    /// The reply to request `id`.
    pub fn of(id: u64, result: Result<serde_json::Value, ReplyError>) -> Self {
        match result {
            Ok(value) => Self { id, ok: Some(value), error: None },
            Err(error) => Self { id, ok: None, error: Some(error) },
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReplyError {
    pub code: String,
    pub text: String,
    pub hint: String,
}

/// One line of a followed verb.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event<T> {
    pub event: T,
}

/// The state of a worker as `ps` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    Starting,
    Ready,
    Running,
    Degraded,
    Stopping,
    /// Its successor works; it ends when its last client has gone.
    Draining,
    Backoff,
    /// Died too often; tried now and then.
    Held,
    /// Died at every such try too; tried no more.
    Quarantined,
    Stopped,
}

impl WorkerState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
            Self::Draining => "draining",
            Self::Backoff => "backoff",
            Self::Held => "held",
            Self::Quarantined => "quarantined",
            Self::Stopped => "stopped",
        }
    }
}

/// A row of `ps -o json`. More keys may come; these stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkerStatus {
    pub name: WorkerName,
    /// A built-in kind, or `run`.
    pub kind: String,
    /// `null` while no process runs.
    pub pid: Option<u32>,
    pub state: WorkerState,
    pub why: String,
    pub restarts: u64,
    pub uptime_s: f64,
    /// The last death, for example `SIGKILL`; empty when there was none.
    pub last_exit: String,
    /// Last kill-to-ready time, when it was restarted.
    pub restart_ms: Option<f64>,
    /// Of the pictures that pass through it; left out where it does not look.
    #[serde(default, skip_serializing_if = "PictureHealth::is_unknown")]
    pub health: PictureHealth,
}

/// A client in `clients` of a row of `ps -o json`. More keys may come; these stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// Where it comes from, `ADDRESS:PORT`.
    pub address: String,
    /// What it watches or has set up; empty before that.
    pub camera: String,
    /// `tcp`, `udp` or `multicast`; empty before it has set anything up.
    pub transport: String,
    pub playing: bool,
    pub connected_s: f64,
    /// Pictures and pieces of sound that it was sent, and that it lost by being slow. Of a group: none.
    pub units: u64,
    pub skipped: u64,
    /// What it says of its reception, the worst of its tracks; `null` before it says anything.
    pub reception: Option<ClientReception>,
}

/// By the client's own reports (RFC 3550 section 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientReception {
    /// How long ago it said so.
    pub age_s: f64,
    /// Of the packets lately, 0 to 1.
    pub loss: f64,
    /// Packets in all; below zero when some came twice.
    pub lost: i64,
    pub jitter_ms: f64,
    /// To the client and back; `null` when it does not say.
    pub round_trip_ms: Option<f64>,
}

/// What a server of clients writes of them, over and over: `notes/clients/WORKER.PID.json` in the runtime folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientsNote {
    pub at_utc_ns: UtcNs,
    pub clients: Vec<ClientStatus>,
}

/// The folder of [`ClientsNote`]s in that of notes.
pub const CLIENTS_DIR: &str = "clients";
/// A note older than this is of a process that is not there any more: they are written every second.
pub const CLIENTS_NOTE_AGE_NS: u64 = 10 * NS_PER_S;

impl ClientsNote {
    /// Whether a file of this name is a note of this worker, or of a process of it that was replaced.
    pub fn is_called(file: &str, worker: &str) -> bool {
        let pid = file.strip_prefix(worker).and_then(|rest| rest.strip_prefix('.'));
        let pid = pid.and_then(|rest| rest.strip_suffix(".json"));
        pid.is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()))
    }

    pub fn is_fresh(&self, now: UtcNs) -> bool {
        now.0.saturating_sub(self.at_utc_ns.0) < CLIENTS_NOTE_AGE_NS
    }
}

/// A row of `rings -o json`. More keys may come; these stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RingStatus {
    pub name: RingName,
    pub kind: RingKind,
    /// 0 while it has no writer yet.
    pub epoch: u64,
    /// Sequence of the newest item; 0 before the first.
    pub head: u64,
    pub readers: Vec<ReaderStatus>,
    /// Shared memory, in bytes.
    pub bytes: u64,
    /// Whether a writer holds the ring now.
    pub live: bool,
    /// The writer's own number; advisory.
    pub writer_pid: Option<u32>,
    /// Highest group of pictures, packet rings only.
    pub gop_index: u64,
    /// Time since the newest item, in ms; `null` before the first.
    pub age_ms: Option<u64>,
    pub width: u32,
    pub height: u32,
    /// Packet rings: how often the newest key packet was overwritten before the next one came, because a
    /// group of pictures is larger than the log.
    #[serde(default)]
    pub gop_overflow: u64,
    #[serde(default)]
    pub drops: Drops,
    /// From capture to publication of the newest picture, or of the newest key packet, in ns; `null` where
    /// nobody can tell.
    #[serde(default)]
    pub late_ns: Option<u64>,
    /// Sequence of that item.
    #[serde(default)]
    pub late_sequence: u64,
    /// Published in this epoch. Of pictures, as if all had the size of the newest; of packets and records,
    /// with what the ring's log adds to each.
    #[serde(default)]
    pub published_bytes: u64,
}

/// What a ring's writer could not do as it would, since its start, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Drops {
    /// Pictures lost because no slot was free.
    pub no_slot: u64,
    /// Items refused because they are too large for the ring.
    pub too_large: u64,
    /// How often an essential reader was let go of.
    pub let_go: u64,
    /// Pictures copied into a slot instead of made there; none of them is lost.
    pub copied: u64,
}

impl RingStatus {
    /// A ring that has no writer yet.
    pub fn absent(name: RingName) -> Self {
        Self {
            kind: name.kind(),
            name,
            epoch: 0,
            head: 0,
            readers: Vec::new(),
            bytes: 0,
            live: false,
            writer_pid: None,
            gop_index: 0,
            age_ms: None,
            width: 0,
            height: 0,
            gop_overflow: 0,
            drops: Drops::default(),
            late_ns: None,
            late_sequence: 0,
            published_bytes: 0,
        }
    }
}

/// One attached reader; its name and pid are what it says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ReaderStatus {
    pub name: String,
    pub lag: u64,
    /// Items overwritten before it came to them.
    pub missed: u64,
    pub pid: u32,
    /// Slots it holds now.
    pub leases: u32,
    /// Since when it has held the oldest of them, in ms; `null` when it holds none.
    pub held_ms: Option<u64>,
    /// How often it was told that, though essential, it is let go of.
    pub evicted: u64,
    /// How often it wanted a picture while it held all that it may.
    pub refused: u64,
}
