//! `framevisor-notify`: events of the project to a web server or an MQTT broker.
//!
//! ```text
//! control socket ── Feed (a thread) ──> Queue ── Deliver (a thread) ── POST, signed ──> the server
//!                         │               └───── Mqtt    (a thread) ── PUBLISH ───────> the broker
//!                         └───────────> Home ─────┘                    both are kept in the state folder
//! ```
//!
//! It follows the supervisor's events as any script may. What is delivered is remembered, so that after a kill it
//! goes on where it was, out of the events that the supervisor keeps. Rules are in `docs/notifying.md`.
#![forbid(unsafe_code)]

mod deliver;
mod event;
mod feed;
mod home;
mod kept;
mod look;
mod mqtt;
mod notify;
mod queue;
mod shared;

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<notify::Notify>()
}
