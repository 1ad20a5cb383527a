//! `use: web`: the page and its API.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::access::{Basic, TlsConfig, Users};
use super::served::{BasePath, HostName};
use super::token::Tokens;
use super::webrtc::WebrtcConfig;
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
    /// Most connections at once; one more is closed.
    pub max_clients: u32,
    /// Most of them from one address (of IPv6: one /64). Default 64, and no limit for this machine itself.
    pub max_per_address: Option<u32>,
    /// Who may come in. Default: everybody.
    pub users: Users,
    /// Where a password may come as it is.
    pub basic: Basic,
    /// What lets programs in, and changes come through. Default: nothing can be changed.
    pub tokens: Tokens,
    /// A second listener, for HTTPS.
    pub tls: Option<TlsConfig>,
    /// Names of this page beside its addresses.
    pub hosts: Vec<HostName>,
    /// The path that the page begins with, where what stands before it passes that on.
    pub base_path: BasePath,
    /// What stands before it: their word on who asks, and whether TLS hides it, is taken.
    pub proxies: Vec<IpAddr>,
    /// Live video by WebRTC.
    pub webrtc: WebrtcConfig,
}

/// As 8080 stands for 80, 8443 does for 443.
const HTTPS_PORT: u16 = 8443;

impl WebConfig {
    /// Where the second listener is, if there is one.
    pub fn tls_listen(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|tls| tls.address(HTTPS_PORT))
    }
}

const DRAIN: Span = Span::from_millis(600_000);

impl Default for WebConfig {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
        Self {
            listen,
            jpeg_quality: 80,
            drain: DRAIN,
            recordings: None,
            max_clients: 256,
            max_per_address: None,
            users: Users::default(),
            basic: Basic::default(),
            tokens: Tokens::default(),
            tls: None,
            hosts: Vec::new(),
            base_path: BasePath::default(),
            proxies: Vec::new(),
            webrtc: WebrtcConfig::default(),
        }
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
