//! `use: rtsp`: packet rings to RTSP clients; the path of a stream is its camera's name.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Shelf;
use super::access::{Basic, TlsConfig, Users};
use super::datagrams::{GroupPool, UdpPorts};
use super::onvif::OnvifConfig;
use crate::units::Span;

/// What the user writes under `use: rtsp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RtspConfig {
    /// Address and port the supervisor binds. Default 127.0.0.1:8554.
    pub listen: SocketAddr,
    /// Most clients at once; one more is answered 503.
    pub max_clients: u32,
    /// Most of them from one address (of IPv6: one /64). Default 64, and no limit for this machine itself.
    pub max_per_address: Option<u32>,
    /// How long clients may stay with a process that was replaced. Default 10m.
    pub drain: Span,
    /// Ports that packets over UDP are sent from, a pair for each track of a client. Default 20000-20999; `off` leaves
    /// TCP alone.
    pub udp_ports: UdpPorts,
    /// Addresses of multicast groups, one for each track of a camera that is asked for. Default off.
    pub multicast: GroupPool,
    /// How many routers a multicast packet may cross; 1 stays in the local network. 1 to 255, default 1.
    pub multicast_ttl: u32,
    /// Who may come in. Default: everybody.
    pub users: Users,
    /// Where a password may come as it is.
    pub basic: Basic,
    /// A second listener, for RTSP over TLS.
    pub tls: Option<TlsConfig>,
    /// Whose recordings it plays: as [`super::WebConfig::recordings`].
    pub recordings: Option<String>,
    /// Where its cameras are found by themselves. Default: nowhere.
    pub onvif: Option<Box<OnvifConfig>>,
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
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8554)),
            max_clients: 256,
            max_per_address: None,
            drain: DRAIN,
            udp_ports: UdpPorts::default(),
            multicast: GroupPool::default(),
            multicast_ttl: 1,
            users: Users::default(),
            basic: Basic::default(),
            tls: None,
            recordings: None,
            onvif: None,
        }
    }
}

/// As 8554 stands for 554, 8322 does for 322 (RFC 7826 section 19.2).
const RTSPS_PORT: u16 = 8322;

impl RtspConfig {
    /// Where the second listener is, if there is one.
    pub fn tls_listen(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|tls| tls.address(RTSPS_PORT))
    }
}
