//! RTSP over HTTP (ONVIF streaming section 5.1.1.4): a GET whose response never ends carries what the server sends, a POST that
//! never ends what the client sends, in base64; one `x-sessioncookie` in both says that they belong together.
//!
//! ```text
//!   client ── GET  /cam1, x-sessioncookie: C ──> 200, then RTSP and interleaved frames as they are
//!   client ── POST /cam1, x-sessioncookie: C ──> base64 of requests; never answered
//! ```
//! The connection of the GET is the client; that of the POST is given to it.

pub mod base64;
pub mod hello;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::socket::Socket;

/// What a POST waits for its GET: clients send both at once, and the network may turn them round.
const GET_TIME: Duration = Duration::from_secs(5);

/// A POST's connection, and what was read of its body.
#[derive(Debug)]
pub struct Arrival {
    pub socket: Socket,
    pub body: Vec<u8>,
}

/// All tunnels that have a GET.
#[derive(Clone, Debug)]
pub struct Tunnels {
    open: Arc<Mutex<BTreeMap<String, Entrance>>>,
    /// Raised whenever one is opened.
    opened: watch::Sender<u64>,
}

#[derive(Debug)]
struct Entrance {
    peer: IpAddr,
    is_secure: bool,
    arrivals: mpsc::Sender<Arrival>,
}

/// The GET's end. While it lives, POSTs find it.
#[derive(Debug)]
pub struct Tunnel {
    tunnels: Tunnels,
    cookie: String,
    pub arrivals: mpsc::Receiver<Arrival>,
}

impl Default for Tunnels {
    fn default() -> Self {
        Self { open: Arc::default(), opened: watch::Sender::new(0) }
    }
}

impl Tunnels {
    /// A tunnel under this cookie; `None` when another one has it.
    pub fn open(&self, cookie: &str, peer: IpAddr, is_secure: bool) -> Option<Tunnel> {
        let mut open = self.all();
        if open.contains_key(cookie) {
            return None;
        }
        let (sender, arrivals) = mpsc::channel(1);
        open.insert(cookie.to_owned(), Entrance { peer, is_secure, arrivals: sender });
        drop(open);
        self.opened.send_modify(|opened| *opened = opened.wrapping_add(1));
        Some(Tunnel { tunnels: self.clone(), cookie: cookie.to_owned(), arrivals })
    }

    /// Gives a POST to its GET, which may still be on its way; a client may replace its POST by a new one. It is
    /// closed when there is no GET from the same address, or one of the two goes through TLS and the other does not: a
    /// password that may come through TLS alone would come by the other.
    pub async fn enter(&self, cookie: &str, peer: IpAddr, arrival: Arrival) {
        let mut opened = self.opened.subscribe();
        let is_secure = arrival.socket.is_secure();
        let found = opened.wait_for(|_| self.entrance(cookie, peer, is_secure).is_some());
        let _ = tokio::time::timeout(GET_TIME, found).await;
        match self.entrance(cookie, peer, is_secure) {
            // With one waiting already, a third is not of a client that means it.
            Some(arrivals) => drop(arrivals.try_send(arrival)),
            None => tracing::debug!(client = %peer, "a tunnel's POST without its GET"),
        }
    }

    fn entrance(
        &self,
        cookie: &str,
        peer: IpAddr,
        is_secure: bool,
    ) -> Option<mpsc::Sender<Arrival>> {
        let open = self.all();
        let is_its = |it: &&Entrance| it.peer == peer && it.is_secure == is_secure;
        open.get(cookie).filter(is_its).map(|it| it.arrivals.clone())
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Entrance>> {
        // Nothing under the lock can panic half-way.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.tunnels.all().remove(&self.cookie);
    }
}
