//! `use: rtsp`: packet rings to RTSP clients; the path of a stream is its camera's name.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Shelf;
use crate::units::Span;

/// What the user writes under `use: rtsp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RtspConfig {
    /// Address and port the supervisor binds. Default 127.0.0.1:8554.
    pub listen: SocketAddr,
    /// Most clients at once; one more is answered 503.
    pub max_clients: u32,
    /// How long clients may stay with a process that was replaced. Default 10m.
    pub drain: Span,
    /// Whose recordings it plays: as [`super::WebConfig::recordings`].
    pub recordings: Option<String>,
}

/// What an rtsp worker is told: its section, and what of the topology it plays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtspSetup {
    pub section: RtspConfig,
    pub shelf: Shelf,
}

impl From<RtspConfig> for RtspSetup {
    fn from(section: RtspConfig) -> Self {
        Self { section, ..Self::default() }
    }
}

const DRAIN: Span = Span::from_millis(600_000);

impl Default for RtspConfig {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8554));
        Self { listen, max_clients: 256, drain: DRAIN, recordings: None }
    }
}
