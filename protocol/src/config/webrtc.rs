//! `webrtc:` of a web worker: live video by WebRTC.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// What the user writes under `webrtc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebrtcConfig {
    /// UDP address and port that the media of all viewers goes by. Default: the address of the worker's
    /// `listen`, and a port of the system's choice.
    pub listen: Option<SocketAddr>,
    /// Addresses that viewers are told to send to, at that port. Default: that of `listen`; when it is every
    /// address, the one by which a viewer's request came.
    pub addresses: Vec<IpAddr>,
    /// Most viewers at once; one more is answered 503. 0 turns WebRTC off.
    pub max_viewers: u32,
}

impl Default for WebrtcConfig {
    fn default() -> Self {
        Self { listen: None, addresses: Vec::new(), max_viewers: 64 }
    }
}
