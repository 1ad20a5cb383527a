//! One multicast group: its address, and the sockets that send to it and hear of it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use protocol::config::GroupPool;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use super::Lease;
use crate::datagram::ports::{Pair, PortPool};
use crate::rtp::sender::Beginning;
use crate::transport::Group;

/// A group that can be sent to.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) group: Group,
    pub(super) pair: Pair,
    /// Where the reports of its viewers arrive.
    pub(super) reports: UdpSocket,
    pub(super) lease: Lease,
}

/// Opens the leased address for sending from `local`. The ports are the pair that it is sent from: nobody else of this
/// host sends from them, so two groups never have the same.
pub(super) fn open(
    lease: Lease,
    pool: GroupPool,
    ttl: u32,
    local: SocketAddr,
    ports: &PortPool,
    beginning: Beginning,
) -> Option<(Opened, Beginning)> {
    let SocketAddr::V4(local) = local else { return None };
    let address = pool.nth(lease.number)?;
    let pair = ports.bind(local.into())?;
    let group = Group { address, ports: pair.ports, ttl, ssrc: beginning.ssrc };
    let opened = |pair: Pair| -> io::Result<Opened> {
        for socket in [&pair.rtp, &pair.rtcp] {
            socket.set_multicast_ttl_v4(ttl)?;
            // Once it is ours: players on this host bind the group's ports at every address (GStreamer does).
            sockopt::set_socket_reuseaddr(socket, true)?;
        }
        let reports = listen(address, pair.ports.rtcp, *local.ip())?;
        Ok(Opened { group, pair, reports, lease })
    };
    match opened(pair) {
        Ok(opened) => Some((opened, beginning)),
        Err(error) => {
            tracing::warn!(%address, %local, %error, "cannot send to a multicast group");
            None
        }
    }
}

/// A socket for what is sent to the group on the network of `local`. Viewers on this host bind the same address and
/// port, which both sides have to permit.
fn listen(group: Ipv4Addr, port: u16, local: Ipv4Addr) -> io::Result<UdpSocket> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(group, port))?;
    let socket = UdpSocket::from(socket);
    socket.join_multicast_v4(&group, &local)?;
    Ok(socket)
}
