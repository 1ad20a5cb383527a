//! `use: web`: the page and its API.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::units::Span;

/// What the user writes under `use: web`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// Address and port the supervisor binds. Default 127.0.0.1:8080.
    pub listen: SocketAddr,
    /// JPEG quality of the pictures on the page, 1 to 100.
    pub jpeg_quality: u8,
    /// How long clients may stay with a process that was replaced. Default 10m.
    pub drain: Span,
    /// What it plays: the name of a recorder, or a directory as a recorder writes it, with a slash in it. A
    /// relative path starts at the topology file's folder. Default: what the topology's only recorder writes.
    pub recordings: Option<String>,
}

const DRAIN: Span = Span::from_millis(600_000);

impl Default for WebConfig {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
        Self { listen, jpeg_quality: 80, drain: DRAIN, recordings: None }
    }
}

/// What a web worker is told: its section, and what of the topology it plays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSetup {
    pub section: WebConfig,
    pub shelf: Shelf,
    /// Cameras that belong together, or patterns of them, by the name of the group.
    pub groups: BTreeMap<String, Vec<String>>,
}

/// Where the recordings are that are played.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shelf {
    /// Nobody records.
    #[default]
    None,
    /// `DIR/CAMERA/*.mp4`, an absolute path.
    At(PathBuf),
    /// Several recorders with directories of their own, and the section names none of them.
    Several(Vec<String>),
}

impl From<WebConfig> for WebSetup {
    fn from(section: WebConfig) -> Self {
        Self { section, ..Self::default() }
    }
}
