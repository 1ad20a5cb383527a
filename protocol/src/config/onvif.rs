//! `onvif:` of `use: rtsp`: recorders and managers find the cameras by themselves.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// An ONVIF device whose profiles are the cameras that are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OnvifConfig {
    /// Address and port the supervisor binds for it. Default 127.0.0.1:8899.
    pub listen: SocketAddr,
    /// What it is called. Default: the project's name.
    pub name: Option<String>,
    /// The UDP port at which probes of WS-Discovery are answered; 3702 is where everybody asks. Default: none.
    pub discovery: Option<u16>,
}

impl Default for OnvifConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8899)), name: None, discovery: None }
    }
}
