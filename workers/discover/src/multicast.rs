//! Asks who is there, and collects who answers (WS-Discovery over UDP).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use protocol::time::MonoNs;
use rustix::net::sockopt::{
    set_ip_multicast_if, set_ip_multicast_if_with_ifindex, set_ip_multicast_ttl,
};
use shmring::clock;

use crate::answers::{Match, matches};
use crate::soap;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const PORT: u16 = 3702;
/// Cameras may be behind a switch that routes; no further.
const HOPS: u32 = 2;
/// A datagram may be lost: it is asked again.
const AGAIN_EVERY: Duration = Duration::from_millis(700);
/// More than any site has; a flood ends here.
const DEVICES_MAX: usize = 1_000;
/// Datagrams of one socket: each device answers each time it is asked.
const DATAGRAMS_MAX: usize = 10_000;
const DATAGRAM_BYTES: usize = 65_536;

/// Who answered, and from where.
pub(crate) type Found = Vec<(IpAddr, Match)>;

/// Everybody on the networks of these addresses of ours, or of all of them.
pub(crate) fn everybody(on: &[Ipv4Addr], within: Duration) -> io::Result<Found> {
    let group = SocketAddr::from((GROUP, PORT));
    let mut sockets = Vec::new();
    for address in on {
        let socket = UdpSocket::bind((*address, 0))?;
        set_ip_multicast_if(&socket, address)?;
        sockets.push((socket, vec![group]));
    }
    for interface in if on.is_empty() { interfaces()? } else { Vec::new() } {
        let any = Ipv4Addr::UNSPECIFIED;
        let socket = UdpSocket::bind((any, 0))?;
        // One that has just gone is no reason not to ask on the others.
        if set_ip_multicast_if_with_ifindex(&socket, &any, &any, interface).is_ok() {
            sockets.push((socket, vec![group]));
        }
    }
    for (socket, _) in &sockets {
        set_ip_multicast_ttl(socket, HOPS)?;
    }
    Ok(ask(sockets, within))
}

/// These alone.
pub(crate) fn these(to: &[SocketAddr], within: Duration) -> io::Result<Found> {
    let mut sockets = Vec::new();
    for (own, is_v4) in [("0.0.0.0:0", true), ("[::]:0", false)] {
        let to: Vec<SocketAddr> = to.iter().copied().filter(|to| to.is_ipv4() == is_v4).collect();
        if !to.is_empty() {
            sockets.push((UdpSocket::bind(own)?, to));
        }
    }
    Ok(ask(sockets, within))
}

/// Numbers of the networks that are up and carry to a group, this machine's own apart.
fn interfaces() -> io::Result<Vec<u32>> {
    const UP: u32 = 0x1;
    const LOOPBACK: u32 = 0x8;
    const MULTICAST: u32 = 0x1000;
    let mut found = Vec::new();
    for interface in fs::read_dir("/sys/class/net")? {
        let folder = interface?.path();
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let flags = u32::from_str_radix(text("flags").trim().trim_start_matches("0x"), 16);
        let is_usable = |flags: u32| flags & (UP | LOOPBACK | MULTICAST) == UP | MULTICAST;
        if flags.is_ok_and(is_usable) {
            found.extend(text("ifindex").trim().parse::<u32>());
        }
    }
    Ok(found)
}

fn ask(sockets: Vec<(UdpSocket, Vec<SocketAddr>)>, within: Duration) -> Found {
    let threads: Vec<_> = sockets
        .into_iter()
        .map(|(socket, to)| thread::spawn(move || conversation(&socket, &to, within)))
        .collect();
    let mut all = BTreeMap::new();
    for (endpoint, found) in threads.into_iter().filter_map(|thread| thread.join().ok()).flatten() {
        if all.len() < DEVICES_MAX {
            all.entry(endpoint).or_insert(found);
        }
    }
    let mut found: Found = all.into_values().collect();
    found.sort_by(|one, other| (one.0, &one.1.endpoint).cmp(&(other.0, &other.1.endpoint)));
    found
}

/// What came over one socket, by the endpoints' names.
fn conversation(
    socket: &UdpSocket,
    to: &[SocketAddr],
    within: Duration,
) -> Vec<(String, (IpAddr, Match))> {
    let began = clock::mono();
    let (mut asked, mut found) = (None::<MonoNs>, Vec::new());
    let mut buffer = vec![0; DATAGRAM_BYTES];
    for _ in 0..DATAGRAMS_MAX {
        let now = clock::mono();
        let rest = within.saturating_sub(now.saturating_since(began));
        if rest.is_zero() {
            break;
        }
        if asked.is_none_or(|at| now.saturating_since(at) >= AGAIN_EVERY) {
            asked = Some(now);
            let question = soap::probe(&soap::uuid(random()));
            for address in to {
                // An address that cannot be reached has nobody who answers.
                let _ = socket.send_to(question.as_bytes(), address);
            }
        }
        let _ = socket.set_read_timeout(Some(rest.min(AGAIN_EVERY)));
        let Ok((bytes, from)) = socket.recv_from(&mut buffer) else { continue };
        let Ok(answer) = xml::read(&buffer[..bytes]) else { continue };
        for answer in matches(&answer) {
            if found.len() < DEVICES_MAX {
                let name = if answer.endpoint.is_empty() {
                    answer.services[0].clone()
                } else {
                    answer.endpoint.clone()
                };
                found.push((name, (from.ip(), answer)));
            }
        }
    }
    found
}

pub(crate) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Without random bytes questions are told apart by their times, which is enough for answers.
    let _ = getrandom::fill(&mut bytes);
    bytes
}
