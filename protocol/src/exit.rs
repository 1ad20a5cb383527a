//! Why a worker ended: one table of exit codes, and which of them are worth a restart.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The exit codes of our own workers (sysexits.h numbers where they fit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum WorkerExit {
    /// Asked to stop, or its finite input ended.
    Done = 0,
    /// Something failed at run time; the last log line says what.
    Failed = 1,
    /// A resource it needs cannot be had (EX_UNAVAILABLE).
    Unavailable = 69,
    /// The supervisor's side of the control link went away.
    Orphaned = 74,
    /// The hand-over was wrong: version, kind or contract (EX_CONFIG).
    Contract = 78,
}

impl WorkerExit {
    pub const ALL: [Self; 5] =
        [Self::Done, Self::Failed, Self::Unavailable, Self::Orphaned, Self::Contract];

    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| i32::from(*exit as u8) == code)
    }
}

/// Why a worker is gone, as the supervisor saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitReason {
    Code(i32),
    Signal {
        number: i32,
        core: bool,
    },
    /// It used more memory than it may, or than there is.
    Oom(String),
    /// No Ready before the deadline.
    StartTimeout,
    /// The health page's beat stood still.
    NoHeartbeat,
    /// Its input went on and it took nothing of it, although its beat went on too.
    NoProgress,
    /// It broke the control protocol.
    Protocol(String),
    /// The process could not be started at all.
    Spawn(String),
    /// A person or a plan asked for it.
    Operator,
    /// Nobody who could tell saw it end.
    Unseen,
    /// A command and its pipe worker have the ends of the same pipes: the other one ended.
    OtherSide,
}

impl ExitReason {
    /// Whether it counts against the restart limit.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Operator | Self::OtherSide)
    }

    /// Whether the item in hand may be the cause. Of the signals only those that a fault raises
    /// (signal(7)): nobody sends them, while a person or a script sends the others at any instant.
    pub fn may_be_the_inputs_fault(&self) -> bool {
        match self {
            Self::Code(code) => *code != 0,
            Self::Signal { number, .. } => matches!(number, 4 | 5 | 6 | 7 | 8 | 11 | 31),
            Self::NoHeartbeat | Self::NoProgress | Self::Oom(_) => true,
            Self::StartTimeout
            | Self::Protocol(_)
            | Self::Spawn(_)
            | Self::Operator
            | Self::Unseen
            | Self::OtherSide => false,
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => match WorkerExit::from_code(*code) {
                Some(WorkerExit::Done) => f.write_str("exit 0"),
                Some(exit) => write!(f, "exit {code} ({})", format!("{exit:?}").to_lowercase()),
                None if *code == 101 => f.write_str("exit 101 (panic)"),
                None => write!(f, "exit {code}"),
            },
            Self::Signal { number, core } => {
                write!(f, "{}", signal_name(*number))?;
                if *core { f.write_str(" (core dumped)") } else { Ok(()) }
            }
            Self::Oom(what) => write!(f, "oom: {what}"),
            Self::StartTimeout => f.write_str("not ready in time"),
            Self::NoHeartbeat => f.write_str("no heartbeat"),
            Self::NoProgress => f.write_str("no progress while its input went on"),
            Self::Protocol(what) => write!(f, "broke the control protocol: {what}"),
            Self::Spawn(what) => write!(f, "cannot start: {what}"),
            Self::Operator => f.write_str("asked to"),
            Self::Unseen => f.write_str("ended, seen by nobody"),
            Self::OtherSide => f.write_str("the other side of its pipes ended"),
        }
    }
}

/// Linux signal numbers that are the same on every architecture we run on.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        31 => "SIGSYS",
        _ => return format!("signal {number}"),
    };
    name.to_owned()
}
