//! Sockets for RTP and RTCP over UDP. What is sent, and when, is decided elsewhere (`playback`, `pace`).
//!
//! Every stream of a client has a pair of sockets of its own, so whose report it is that comes is no question, and a
//! process that takes over beside this one finds other pairs free.

pub mod ports;
pub mod post;

use std::net::{IpAddr, SocketAddr};

/// An IPv4 address as such: a socket that listens for both families names it as an IPv6 one.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        // As it is, with its scope.
        IpAddr::V6(_) => address,
    }
}

/// The same host at another port.
pub fn at_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_client_of_an_ipv6_listener_has_its_own_address() {
        let mapped = "[::ffff:10.0.0.7]:5000".parse().unwrap();
        assert_eq!(canonical(mapped), "10.0.0.7:5000".parse().unwrap());
        let local: SocketAddr = "[fe80::1%3]:5000".parse().unwrap();
        assert_eq!(at_port(canonical(local), 7).to_string(), "[fe80::1%3]:7");
    }
}
