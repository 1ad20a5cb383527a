//! Sockets for packets that come by UDP: a pair of ports, or a group.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

/// Room in the kernel for a key frame of a big picture and what comes while this process waits for a core.
const RECEIVE_BYTES: usize = 2 << 20;
/// Pairs that are tried before there are none.
const TRIES: u32 = 64;
/// Ports for pairs; the kernel hands out its own from 32768 on.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// Packets on the one, reports on the other.
#[derive(Debug)]
pub(crate) struct Ports {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Packets of others are not looked at; of a group, all are.
    pub(crate) from: Vec<IpAddr>,
    /// Where our reports go.
    pub(crate) reports_to: Option<SocketAddr>,
}

impl Ports {
    /// An even port and the one after it. `random` is any number that differs from call to call.
    pub(crate) fn pair(local: IpAddr, random: u32) -> Result<(Self, u16), Error> {
        let mut last = Error::from(ErrorKind::AddrInUse);
        for attempt in 0..TRIES {
            let step = random.wrapping_add(attempt.wrapping_mul(7919)) % u32::from(PORTS / 2);
            let port = FIRST_PORT + 2 * u16::try_from(step).unwrap_or(0);
            let pair = UdpSocket::bind((local, port))
                .and_then(|rtp| Ok((rtp, UdpSocket::bind((local, port + 1))?)));
            match pair {
                Ok((rtp, rtcp)) => return Ok((Self::of(rtp, rtcp)?, port)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A multicast group; `local` says on which network it is joined.
    pub(crate) fn group(group: IpAddr, ports: (u16, u16), local: IpAddr) -> Result<Self, Error> {
        let open = |port| {
            let socket = shared(SocketAddr::new(group, port))?;
            match (group, local) {
                (IpAddr::V4(group), IpAddr::V4(local)) => {
                    socket.join_multicast_v4(&group, &local)?;
                }
                (IpAddr::V6(group), _) => socket.join_multicast_v6(&group, 0)?,
                (IpAddr::V4(group), _) => {
                    socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
                }
            }
            Ok::<_, Error>(socket)
        };
        Self::of(open(ports.0)?, open(ports.1)?)
    }

    fn of(rtp: UdpSocket, rtcp: UdpSocket) -> Result<Self, Error> {
        rtp.set_nonblocking(true)?;
        rtcp.set_nonblocking(true)?;
        // What the kernel's limit allows of it.
        let _ = set_socket_recv_buffer_size(&rtp, RECEIVE_BYTES);
        Ok(Self { rtp, rtcp, from: Vec::new(), reports_to: None })
    }

    pub(crate) fn sockets(&self) -> [BorrowedFd<'_>; 2] {
        [self.rtp.as_fd(), self.rtcp.as_fd()]
    }

    /// The next packet that came, into `buffer`: its length, and whether it is a report. One of others is
    /// an empty report, so that a flood of them does not keep the caller in here.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Option<(usize, bool)> {
        for (socket, is_report) in [(&self.rtcp, true), (&self.rtp, false)] {
            if let Ok((bytes, from)) = socket.recv_from(buffer) {
                let is_ours = self.from.is_empty() || self.from.contains(&from.ip());
                return Some(if is_ours { (bytes, is_report) } else { (0, true) });
            }
        }
        None
    }

    /// A report of ours.
    pub(crate) fn report(&self, packet: &[u8]) {
        if let Some(to) = self.reports_to {
            // It is told again in some seconds.
            let _ = self.rtcp.send_to(packet, to);
        }
    }

    /// Opens the way for packets through what only lets answers pass.
    pub(crate) fn open_way(&self, to: SocketAddr) {
        let _ = self.rtp.send_to(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], to);
    }
}

/// A socket on an address that others of this host may listen to as well.
fn shared(address: SocketAddr) -> Result<UdpSocket, Error> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    Ok(socket.into())
}

/// Whether an address is one that many may listen to.
pub(crate) fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() && address != Ipv4Addr::BROADCAST,
        IpAddr::V6(address) => address.is_multicast() && address != Ipv6Addr::UNSPECIFIED,
    }
}
