//! What every worker shares: the handshake with the supervisor, the health page, the control link,
//! logs, signals, and the loop that steps the worker until it is asked to stop.
//!
//! A worker kind is one type that implements [`Worker`]; its `main` is
//! `fn main() -> ExitCode { worker::run::<Recorder>() }`. What belongs in the kind: its work. What
//! belongs here: everything the supervisor expects of any worker.
#![forbid(unsafe_code)]

mod adoption;
mod context;
pub mod door;
mod drill;
mod fault;
mod hand_over;
mod input;
pub mod item;
mod link;
mod log;
mod parking;
mod quarantine;
pub mod retry;
mod run;
pub mod timeline;
pub mod verb;
pub mod watchdog;

use std::time::Duration;

use protocol::config::WorkerConfig;
use serde_json::Value;

pub use context::Context;
pub use fault::Fault;
pub use input::{FrameInput, PacketInput};
pub use link::Link;
pub use parking::{Parking, Turn};
pub use run::run;

/// Longest a step may wait for input. A stop request is seen this soon, and the heartbeat deadline
/// (2 s) is twenty of it away.
pub const STEP_WAIT: Duration = Duration::from_millis(100);

/// One worker kind. All state changes happen in its own thread, inside these calls.
pub trait Worker: Sized {
    /// Its section of the topology.
    type Config;

    /// Picks its own variant; `None` for another kind's.
    fn section(config: WorkerConfig) -> Option<Self::Config>;

    /// Opens what it needs. The worker is ready when this returns.
    fn start(config: Self::Config, cx: &mut Context) -> Result<Self, Fault>;

    /// One bounded piece of work; waits at most [`STEP_WAIT`].
    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault>;

    /// Answers somebody's message; the error is for who sent it. Bounded as a step is.
    fn message(&mut self, _cx: &mut Context, _message: Value) -> Result<Value, String> {
        Err("this kind of worker takes no messages".to_owned())
    }

    /// Finishes: drains, flushes, says goodbye, within the grace the supervisor gave.
    fn stop(&mut self, _cx: &mut Context) -> Result<(), Fault> {
        Ok(())
    }
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Again,
    /// A finite input is used up: stop and exit 0.
    Done,
}
