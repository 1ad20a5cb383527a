//! The socket that probes come to (WS-Discovery, UDP port 3702, group 239.255.255.250). Only networks nearby are
//! answered: a server that answers everybody is what floods of others are made of.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketType, sockopt};

use super::device;
use super::http::Sign;
use super::probe::{self, Found};
use crate::chance::Chance;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// More than probes have; what is longer is cut off and then no XML.
const PROBE_MAX_BYTES: usize = 8 << 10;

/// Answers probes that come to `port`, for ever. `service` is where the device service listens.
pub async fn answer(port: u16, service: SocketAddr, sign: Sign) {
    let socket = open(port).and_then(tokio::net::UdpSocket::from_std);
    let socket = match socket {
        Ok(socket) => Arc::new(socket),
        Err(error) => {
            return tracing::warn!(port, %error, "nobody finds this device: no socket for probes");
        }
    };
    let mut bytes = vec![0; PROBE_MAX_BYTES];
    loop {
        match socket.recv_from(&mut bytes).await {
            Ok((count, peer)) => {
                if let Some(text) = answer_to(&bytes[..count], peer, service, &sign) {
                    // Whether it arrives is the network's affair; clients ask again.
                    let _ = socket.send_to(text.as_bytes(), peer).await;
                }
            }
            // Of an answer that met a closed port.
            Err(error) => tracing::debug!(%error, "probe not read"),
        }
    }
}

fn answer_to(bytes: &[u8], peer: SocketAddr, service: SocketAddr, sign: &Sign) -> Option<String> {
    let is_near = match peer.ip() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
        IpAddr::V6(_) => false,
    };
    let message = probe::asked(bytes, &sign.name).filter(|_| is_near)?;
    let address = seen_from(peer, service).ok()??;
    let found = Found {
        service: format!("http://{address}"),
        name: sign.name.clone(),
        serial: sign.serial.clone(),
    };
    let id = device::uuid(&format!("{:032x}", Chance::nonce().ok()?));
    Some(probe::answer(&found, &message, &id))
}

/// Where `peer` reaches what listens at `service`; `None` where it does not.
fn seen_from(peer: SocketAddr, service: SocketAddr) -> io::Result<Option<SocketAddr>> {
    let towards = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // Sends nothing: it chooses the address that packets to there would have.
    towards.connect(peer)?;
    let own = towards.local_addr()?.ip();
    let listens = service.ip().to_canonical();
    let is_reached = listens.is_unspecified() || listens == own;
    Ok(is_reached.then_some(SocketAddr::new(own, service.port())))
}

/// Beside others on this machine that answer probes.
fn open(port: u16) -> io::Result<UdpSocket> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
    for interface in interfaces()? {
        let joined = sockopt::set_ip_add_membership_with_ifindex(
            &socket,
            &GROUP,
            &Ipv4Addr::UNSPECIFIED,
            interface,
        );
        if let Err(error) = joined {
            tracing::debug!(interface, %error, "no probes from this network");
        }
    }
    let socket = UdpSocket::from(socket);
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Numbers of all networks of this machine.
fn interfaces() -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for interface in fs::read_dir("/sys/class/net")? {
        let number = fs::read_to_string(interface?.path().join("ifindex")).unwrap_or_default();
        found.extend(number.trim().parse::<u32>());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_to_those_alone_who_reach_it() {
        let peer = "127.0.0.1:40000".parse().unwrap();
        let told = |service: &str| seen_from(peer, service.parse().unwrap()).unwrap();
        assert_eq!(told("0.0.0.0:8899"), Some("127.0.0.1:8899".parse().unwrap()));
        assert_eq!(told("127.0.0.1:8899"), Some("127.0.0.1:8899".parse().unwrap()));
        assert_eq!(told("10.99.0.1:8899"), None);
    }

    #[test]
    fn who_is_far_is_not_answered() {
        let sign = Sign { name: "hall".to_owned(), serial: "0".repeat(32) };
        let probe = "<e:Envelope><e:Header><MessageID>7</MessageID></e:Header><e:Body><Probe/></e:Body></e:Envelope>";
        let told = |peer: &str| {
            let service = "0.0.0.0:8899".parse().unwrap();
            answer_to(probe.as_bytes(), peer.parse().unwrap(), service, &sign)
        };
        assert!(told("127.0.0.1:40000").is_some_and(|text| text.contains("127.0.0.1:8899")));
        assert_eq!(told("8.8.8.8:40000"), None);
    }
}
