//! `framevisor-notify`: events of the project to a web server.
//!
//! ```text
//! control socket ── Feed (a thread) ──> Queue ── Deliver (a thread) ── POST, signed ──> the server
//!                                         │ kept in the state folder
//! ```
//!
//! It follows the supervisor's events as any script may. What is delivered is remembered, so that after a kill it
//! goes on where it was, out of the events that the supervisor keeps. Rules are in `docs/supervision.md`, Webhooks.
#![forbid(unsafe_code)]

mod deliver;
mod event;
mod feed;
mod kept;
mod notify;
mod queue;

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<notify::Notify>()
}
