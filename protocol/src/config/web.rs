//! `use: web`: the page and its API.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What the user writes under `use: web`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// Address and port the supervisor binds. Default 127.0.0.1:8080.
    pub listen: SocketAddr,
    /// JPEG quality of the pictures on the page, 1 to 100.
    pub jpeg_quality: u8,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), jpeg_quality: 80 }
    }
}
