//! What all connections of a server share.

use std::sync::Arc;

use protocol::config::{GroupPool, RtspConfig, UdpPorts};

use crate::cast::Casts;
use crate::clients::Clients;
use crate::datagram::ports::PortPool;
use crate::feed::Feeds;
use crate::sessions::Sessions;
use crate::tunnel::Tunnels;

/// What a server offers.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Most clients at once.
    pub clients: usize,
    pub udp_ports: UdpPorts,
    pub multicast: GroupPool,
    pub multicast_ttl: u32,
}

impl Terms {
    pub fn of(config: &RtspConfig) -> Self {
        Self {
            clients: usize::try_from(config.max_clients).unwrap_or(usize::MAX),
            udp_ports: config.udp_ports,
            multicast: config.multicast,
            multicast_ttl: config.multicast_ttl,
        }
    }

    /// So many clients, over TCP alone.
    pub fn over_tcp(clients: usize) -> Self {
        let (udp_ports, multicast) = (UdpPorts(None), GroupPool::default());
        Self { clients, udp_ports, multicast, multicast_ttl: 1 }
    }
}

/// The cameras and the ways to their viewers.
#[derive(Debug)]
pub struct House {
    pub feeds: Feeds,
    pub ports: Arc<PortPool>,
    pub casts: Casts,
    pub sessions: Sessions,
    pub tunnels: Tunnels,
    pub clients: Clients,
}

impl House {
    pub fn new(feeds: Feeds, terms: &Terms) -> Self {
        let ports = Arc::new(PortPool::new(terms.udp_ports));
        let casts = Casts::new(terms.multicast, terms.multicast_ttl, Arc::clone(&ports));
        let (sessions, tunnels) = (Sessions::default(), Tunnels::default());
        Self { feeds, ports, casts, sessions, tunnels, clients: Clients::default() }
    }
}
