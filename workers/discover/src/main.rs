//! The discover program: it lives as long as one `framevisor discover`.
//!
//! ```text
//! multicast ──(who is there)──> xml, answers ──> device ──(which streams, over HTTP)──> lines ──> Discovered
//! ```
//! What belongs here: ONVIF. Everything that comes is a stranger's: it is bounded, and nothing of it is
//! followed to another address than the one that answered. Pure: `xml`, `soap`, `answers`, `lines`.
#![forbid(unsafe_code)]

mod answers;
mod device;
mod discover;
mod lines;
mod multicast;
mod soap;

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::verb::run_verb(&[("discover", discover::verb)])
}
