//! `framevisor-rules`: of all that analyzers tell, what is worth doing something about.
//!
//! ```text
//! record rings ── Ears ──> Engine (crate `matching`, pure) ──> its own record ring: recorders, the page, programs
//!                                │                        └──> the supervisor: hooks, notify
//! frame rings ── Pictures (a thread) <── begins with `snapshot`
//! ```
//!
//! It does nothing by itself that could hang but keeping pictures, which has a thread of its own: commands are hooks
//! of the supervisor, servers are notify's, recordings the recorder's. Rules are in `docs/rules.md`.
#![forbid(unsafe_code)]

mod album;
mod ears;
mod notes;
mod outbox;
mod pictures;
mod rules;
mod said;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<rules::Rules>()
}
