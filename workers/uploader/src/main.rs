//! `framevisor-uploader`: recordings that are finished, into object storage that speaks S3.
//!
//! ```text
//! DIR/CAMERA/*.mp4 ── look (what is finished, what is not there yet) ──> Backlog ── Engine ──> Store
//!      ▲  uploads.jsonl: what is there ────────────────────────────────────┘  │ a few at a time
//!      └──────────────────────────────────────────────────────────────────────┘ noted when the store has it
//! ```
//!
//! It only reads what the recorder has written, so recording never waits for it; the backlog is the files
//! themselves, so it outlives everything. Rules and words are in `docs/uploading.md`.
#![forbid(unsafe_code)]

mod backlog;
mod engine;
mod error;
mod look;
mod pace;
mod send;
mod status;
mod store;
mod unfinished;
mod uploader;

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<uploader::Uploader>()
}
