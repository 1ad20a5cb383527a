//! The framevisor command: reads a topology, starts its workers, keeps them alive, ends them.
//!
//! What belongs here: the life of processes, the project's names and sockets, the control socket.
//! What does not: media, network input of any kind, unsafe code (that is `spawn`).
//!
//! Read in this order: `cli` (what people type), `guard` and `startup` (two processes, and what
//! must be in order before anything starts), `supervisor` (the loop), `lifecycle` and `policy`
//! (what it decides). Everything else is one effect a file.
#![forbid(unsafe_code)]

pub mod cli;
pub mod topology;
mod turns;

mod admin;
mod adoption;
mod beat;
mod budget;
mod cgroup;
mod dossier;
mod event;
mod facts;
mod floors;
mod guard;
mod hand_over;
mod history;
mod hooks;
mod launch;
mod lifecycle;
mod limits;
mod link;
mod listeners;
mod logs;
mod manager;
mod manifest;
mod meter;
mod orphans;
mod own_log;
mod place;
mod poison;
mod policy;
mod poller;
mod preparing;
mod process;
mod progress;
mod questions;
mod readiness;
mod redact;
mod reserve;
mod rings;
mod selector;
mod shutdown;
mod signals;
mod startup;
mod supervisor;
mod talk;
mod trial;
mod will;
mod worker;
mod workers;
