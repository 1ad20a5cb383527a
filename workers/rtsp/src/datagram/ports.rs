//! The ports that packets over UDP come from.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::at_port;
use crate::transport::Ports;
use protocol::config::UdpPorts;

/// Pairs that are tried for one stream: with more of them taken, a SETUP would hold up everybody else.
const TRIES_MAX: usize = 1_000;

/// Ports of the topology, as pairs.
#[derive(Debug)]
pub struct PortPool {
    firsts: Vec<u16>,
    /// Where the next search begins, so that a port that was just given up rests: late packets to it meet nobody else.
    next: AtomicUsize,
}

/// Two bound sockets.
#[derive(Debug)]
pub struct Pair {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub ports: Ports,
}

impl PortPool {
    pub fn new(ports: UdpPorts) -> Self {
        let firsts = ports.0.map(|range| range.pairs().collect()).unwrap_or_default();
        Self { firsts, next: AtomicUsize::new(0) }
    }

    /// Whether there are any.
    pub fn is_open(&self) -> bool {
        !self.firsts.is_empty()
    }

    /// A free pair at this address of ours; `None` when all are taken.
    pub fn bind(&self, local: SocketAddr) -> Option<Pair> {
        let count = self.firsts.len();
        (0..count.min(TRIES_MAX)).find_map(|_| {
            let at = self.next.fetch_add(1, Ordering::Relaxed) % count;
            pair(local, self.firsts[at]).ok()
        })
    }
}

fn pair(local: SocketAddr, first: u16) -> io::Result<Pair> {
    let ports = Ports { rtp: first, rtcp: first + 1 };
    let socket = |port| -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(at_port(local, port))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    Ok(Pair { rtp: socket(ports.rtp)?, rtcp: socket(ports.rtcp)?, ports })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ports that nothing else of the tests uses; others of this machine may have some of them.
    fn pool() -> PortPool {
        PortPool::new("28000-28099".parse().unwrap())
    }

    #[test]
    fn pairs_are_even_and_odd_and_nobody_elses() {
        let (pool, local) = (pool(), SocketAddr::from(([127, 0, 0, 1], 0)));
        let pairs: Vec<_> = (0..5).filter_map(|_| pool.bind(local)).collect();
        assert_eq!(pairs.len(), 5);
        for (at, pair) in pairs.iter().enumerate() {
            assert!(pair.ports.rtp % 2 == 0 && pair.ports.rtcp == pair.ports.rtp + 1);
            assert_eq!(pair.rtp.local_addr().unwrap().port(), pair.ports.rtp);
            assert!(pairs[..at].iter().all(|other| !other.ports.overlap(pair.ports)));
        }
    }

    #[test]
    fn a_pair_of_which_one_is_taken_is_passed_over_and_all_taken_is_none() {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let one = pool().bind(local).unwrap();
        let narrow = format!("{}-{}", one.ports.rtp, one.ports.rtcp);
        drop(one.rtp);
        assert!(PortPool::new(narrow.parse().unwrap()).bind(local).is_none(), "{narrow}");
        assert!(PortPool::new(UdpPorts(None)).bind(local).is_none());
    }
}
