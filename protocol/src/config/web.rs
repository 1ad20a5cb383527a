//! `use: web`: the page and its API.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::units::Span;

/// What the user writes under `use: web`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// Address and port the supervisor binds. Default 127.0.0.1:8080.
    pub listen: SocketAddr,
    /// JPEG quality of the pictures on the page, 1 to 100.
    pub jpeg_quality: u8,
    /// How long clients may stay with a process that was replaced. Default 10m.
    pub drain: Span,
}

const DRAIN: Span = Span::from_millis(600_000);

impl Default for WebConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), jpeg_quality: 80, drain: DRAIN }
    }
}
