//! `framevisor export`: what was recorded of cameras over a time, as files for others.
//!
//! What belongs here: choosing what to copy, the way into the new files, what is told of them. What
//! does not: how recordings are read (`recordings`), boxes (`fmp4`), codecs (`media`).
//!
//! ```text
//! DIR/CAMERA ── Timeline ──> Footage ──> copy   (fragments as they are)  ──> .mp4     ─┐
//!                 │ held      parts      remux  (packets as they are)    ──> .mkv .ts  ├─> file, folder, .zip
//!                 │                      trim   (the same, and an edit list) .mp4      │      └── verify
//!                 │           clock      exact  (pictures encoded anew)  ──> any       ─┘
//!                 └──> gaps ─────────────────────> Manifest ──> manifest.json, index.html
//! ```
#![forbid(unsafe_code)]

mod copy;
mod each;
mod edits;
mod error;
mod exact;
mod export;
mod hashing;
mod in_words;
mod manifest;
mod output;
mod page;
mod progress;
mod remux;
mod skew;
mod sums;
mod trim;
mod verify;
mod watch;

use protocol::verb::{Export, ExportVerify};
use worker::verb::{VerbError, arguments};

pub use error::ExportError;
pub use export::{Exported, export};
pub use hashing::Hash;
pub use manifest::Manifest;
pub use verify::{Checked, Found, Verified, verify};
pub use watch::Watch;

/// `framevisor-export export`.
pub fn export_verb(text: &str) -> Result<(), VerbError> {
    let wanted: Export = arguments(text)?;
    let watch = Watch::of_signals().map_err(VerbError::failed)?;
    let exported = progress::shown(&watch, || export(&wanted, &watch))?;
    in_words::tell(&wanted, &exported)
}

/// `framevisor-export verify`.
pub fn verify_verb(text: &str) -> Result<(), VerbError> {
    let wanted: ExportVerify = arguments(text)?;
    let watch = Watch::of_signals().map_err(VerbError::failed)?;
    let verified = verify(&wanted, &watch)?;
    in_words::tell_verified(&wanted, &verified)
}
