//! What all connections of a server share.

use std::sync::Arc;
use std::time::Duration;

use protocol::config::{GroupPool, RtspConfig, UdpPorts};

use crate::cast::Casts;
use crate::clients::Clients;
use crate::datagram::ports::PortPool;
use crate::feed::Feeds;
use crate::lobby::Lobby;
use crate::outbox::Spares;
use crate::recorded::shelf::Shelf;
use crate::relay::Relays;
use crate::sessions::Sessions;
use crate::tunnel::Tunnels;

/// A server that was just restarted has its rings within milliseconds, and must not turn away who reconnects at once.
const CAMERA_TIME: Duration = Duration::from_secs(2);

/// What a server offers.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Most clients at once.
    pub clients: usize,
    /// Most of them from one address.
    pub per_address: Option<usize>,
    pub udp_ports: UdpPorts,
    pub multicast: GroupPool,
    pub multicast_ttl: u32,
    /// What the first request for a camera waits for it to be seen.
    pub camera_time: Duration,
}

impl Terms {
    pub fn of(config: &RtspConfig) -> Self {
        let count = |most: u32| usize::try_from(most).unwrap_or(usize::MAX);
        Self {
            clients: count(config.max_clients),
            per_address: config.max_per_address.map(count),
            udp_ports: config.udp_ports,
            multicast: config.multicast,
            multicast_ttl: config.multicast_ttl,
            camera_time: CAMERA_TIME,
        }
    }

    /// So many clients, over TCP alone.
    pub fn over_tcp(clients: usize) -> Self {
        let (udp_ports, multicast) = (UdpPorts(None), GroupPool::default());
        let camera_time = CAMERA_TIME;
        Self { clients, per_address: None, udp_ports, multicast, multicast_ttl: 1, camera_time }
    }
}

/// The cameras, what was recorded of them, who may watch it, and the ways to the viewers.
#[derive(Debug)]
pub struct House {
    pub feeds: Feeds,
    pub camera_time: Duration,
    pub shelf: Arc<Shelf>,
    pub lobby: Arc<Lobby>,
    pub ports: Arc<PortPool>,
    pub casts: Casts,
    pub relays: Relays,
    pub sessions: Sessions,
    pub tunnels: Tunnels,
    pub clients: Clients,
    pub spares: Spares,
}

impl House {
    pub fn new(feeds: Feeds, shelf: Shelf, lobby: Arc<Lobby>, terms: &Terms) -> Self {
        let ports = Arc::new(PortPool::new(terms.udp_ports));
        let casts = Casts::new(terms.multicast, terms.multicast_ttl, Arc::clone(&ports));
        let (sessions, tunnels) = (Sessions::default(), Tunnels::default());
        let (shelf, clients) = (Arc::new(shelf), Clients::default());
        let (spares, relays) = (Spares::default(), Relays::default());
        let camera_time = terms.camera_time;
        Self {
            feeds,
            camera_time,
            shelf,
            lobby,
            ports,
            casts,
            relays,
            sessions,
            tunnels,
            clients,
            spares,
        }
    }
}
