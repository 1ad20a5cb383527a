//! The thread of the sockets: accepts clients and runs their connections on one single-threaded
//! runtime. Nothing of a ring or of the supervisor is known here, so tests start it as it is.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use access::Access;
use protocol::admin::ClientStatus;
use protocol::time::MonoNs;
use rustix::net::sockopt;
use rustls::ServerConfig;
use shmring::clock;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clients::Clients;
use crate::crowd::{Crowd, Welcome};
use crate::feed::Feeds;
use crate::greeting;
use crate::house::{House, Terms};
use crate::lobby::Lobby;
use crate::onvif::reception::{Device, Reception};
use crate::recorded::shelf::Shelf;
use crate::socket::Socket;

/// After a failed accept (no descriptors, say): long enough not to spin, short for who waits.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How often refusals are told of.
const TOLD_EVERY: Duration = Duration::from_secs(10);
const PULSE: Duration = Duration::from_millis(200);
/// After so long without a byte a client's machine is asked whether it is there.
const PROBED_AFTER: Duration = Duration::from_secs(30);
const PROBED_EVERY: Duration = Duration::from_secs(10);
/// A machine that acknowledges nothing for so long is gone.
const GONE_AFTER_MS: u32 = 60_000;

/// A running server.
#[derive(Debug)]
pub struct Server {
    thread: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    open: watch::Sender<bool>,
    inside: Arc<AtomicUsize>,
    pulse: Arc<AtomicU64>,
    lobby: Arc<Lobby>,
    listed: Clients,
    address: SocketAddr,
}

/// A listener and what its connections begin with.
pub type Secure<Listener> = (Listener, Arc<ServerConfig>);

/// What a server is opened with.
#[derive(Debug)]
pub struct Opening {
    pub plain: TcpListener,
    /// Where everything goes through TLS.
    pub secure: Option<Secure<TcpListener>>,
    pub feeds: Feeds,
    /// Recordings to play.
    pub shelf: Shelf,
    pub access: Access,
    pub terms: Terms,
    /// Where the cameras are found.
    pub onvif: Option<Device>,
}

impl Opening {
    /// For everybody, without TLS and without recordings.
    pub fn of(plain: TcpListener, feeds: Feeds, terms: Terms) -> Self {
        let shelf = Shelf::new(protocol::config::Shelf::None);
        Self { plain, secure: None, feeds, shelf, access: Access::open(), terms, onvif: None }
    }
}

impl Server {
    /// Serves `feeds` to at most `clients` clients of `listener`, whoever they are, over TCP alone.
    pub fn start(listener: TcpListener, feeds: Feeds, clients: usize) -> io::Result<Self> {
        Self::open(Opening::of(listener, feeds, Terms::over_tcp(clients)))
    }

    /// Begins to serve. Listeners are only ever accepted from and closed, never shut down: others may hold
    /// the same sockets.
    pub fn open(opening: Opening) -> io::Result<Self> {
        let Opening { plain, secure, feeds, shelf, access, terms, onvif } = opening;
        let address = plain.local_addr()?;
        let found = onvif.iter().map(|device| &device.listener);
        for listener in secure.iter().map(|(listener, _)| listener).chain([&plain]).chain(found) {
            listener.set_nonblocking(true)?;
        }
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = watch::channel(false);
        let (open, opened) = watch::channel(true);
        let (pulse, inside) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let lobby = Arc::new(Lobby::new(access));
        let house = Arc::new(House::new(feeds, shelf, Arc::clone(&lobby), &terms));
        let listed = house.clients.clone();
        let onvif = onvif.map(|device| Reception::new(device, &house, address.port()));
        let door = Door {
            house,
            crowd: Crowd::new(terms.clients, terms.per_address),
            clients: terms.clients,
            told: None,
            pulse: Arc::clone(&pulse),
            inside: Arc::clone(&inside),
            connections: JoinSet::new(),
        };
        let run = move || run(&runtime, (plain, secure), (door, onvif), opened, stopped);
        let thread = thread::Builder::new().name("sockets".into()).spawn(run)?;
        Ok(Self { thread: Some(thread), stop, open, inside, pulse, lobby, listed, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who is here, and how each fares.
    pub fn list(&self, now: MonoNs) -> Vec<ClientStatus> {
        self.listed.told(now)
    }

    /// What people should know of wrong passwords; `None` when there was none in the last minute.
    pub fn wrong_passwords(&self, now: MonoNs) -> Option<String> {
        self.lobby.told(now)
    }

    /// Lets nobody in any more and closes the listening socket; connections go on.
    pub fn close_door(&self) {
        self.open.send_replace(false);
    }

    /// Connections open now.
    pub fn clients(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }

    /// Whether the door is closed and nobody is inside.
    pub fn is_empty(&self) -> bool {
        !*self.open.borrow() && self.open.is_closed() && self.clients() == 0
    }

    /// Closes every connection and waits for the thread.
    pub fn stop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the sockets panicked");
        }
    }

    /// Rises while the thread of the sockets does its work.
    pub fn pulse(&self) -> u64 {
        self.pulse.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(
    runtime: &Runtime,
    listeners: (TcpListener, Option<Secure<TcpListener>>),
    (mut door, onvif): (Door, Option<Reception>),
    opened: watch::Receiver<bool>,
    mut stopped: watch::Receiver<bool>,
) {
    runtime.block_on(async {
        if let Some(reception) = onvif {
            tokio::spawn(reception.keep(opened.clone()));
        }
        let entrance = match Entrance::of(listeners, opened) {
            Ok(entrance) => entrance,
            Err(error) => return tracing::error!(%error, "cannot wait for clients"),
        };
        tokio::select! {
            () = door.keep(entrance) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
        // Here and not with the runtime, while they can still say so to their clients.
        door.connections.shutdown().await;
    });
}

/// Who may come in.
struct Door {
    house: Arc<House>,
    crowd: Crowd,
    clients: usize,
    /// When it was last told that somebody was refused.
    told: Option<MonoNs>,
    pulse: Arc<AtomicU64>,
    inside: Arc<AtomicUsize>,
    connections: JoinSet<()>,
}

impl Door {
    async fn keep(&mut self, entrance: Entrance) {
        let mut pulse = tokio::time::interval(PULSE);
        // While it is here, the door is open; who asks whether all have left waits for it to go.
        let mut entrance = Some(entrance);
        loop {
            self.inside.store(self.connections.len(), Ordering::Relaxed);
            tokio::select! {
                arrived = arrival(entrance.as_mut()) => match arrived {
                    None => entrance = None,
                    Some(accepted) => match accepted {
                    Ok(arrived) => self.let_in(arrived),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a client");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                    },
                },
                Some(ended) = self.connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection's task died; the others go on");
                    }
                }
                _ = pulse.tick() => {
                    self.pulse.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn let_in(&mut self, arrived: Arrived) {
        let peer = arrived.peer;
        let Some(seat) = self.crowd.enter(peer) else {
            return tracing::debug!(client = %peer, "closed: too many connections");
        };
        match seat.why {
            Welcome::Served => {}
            why if self.is_news(clock::mono()) => self.tell_of_refusal(peer, why),
            Welcome::Full | Welcome::TooMany => tracing::debug!(client = %peer, "client refused"),
        }
        match arrived.socket() {
            Ok(socket) => {
                let house = Arc::clone(&self.house);
                self.connections.spawn(greeting::serve(socket, peer, house, seat));
            }
            Err(error) => tracing::debug!(client = %peer, %error, "connection lost at once"),
        }
    }

    /// One line for all that are refused within some seconds: whoever floods does not fill the log.
    fn is_news(&mut self, now: MonoNs) -> bool {
        let is_news = self.told.is_none_or(|told| now.saturating_since(told) >= TOLD_EVERY);
        if is_news {
            self.told = Some(now);
        }
        is_news
    }

    fn tell_of_refusal(&self, peer: SocketAddr, why: Welcome) {
        if why == Welcome::TooMany {
            tracing::warn!(client = %peer,
                "client refused: its address has as many places as it may; raise `max_per_address`");
        } else {
            tracing::warn!(client = %peer, clients = self.clients,
                "client refused: all places are taken; raise `max_clients`");
        }
    }
}

/// Where clients come in.
struct Entrance {
    plain: tokio::net::TcpListener,
    secure: Option<Secure<tokio::net::TcpListener>>,
    opened: watch::Receiver<bool>,
}

/// A client, as it comes in.
struct Arrived {
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
}

impl Entrance {
    fn of(
        (plain, secure): (TcpListener, Option<Secure<TcpListener>>),
        opened: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let from_std = tokio::net::TcpListener::from_std;
        let secure = match secure {
            Some((listener, config)) => Some((from_std(listener)?, config)),
            None => None,
        };
        Ok(Self { plain: from_std(plain)?, secure, opened })
    }

    async fn accept(&mut self) -> io::Result<Arrived> {
        let Some((secure, config)) = &self.secure else {
            let (stream, peer) = self.plain.accept().await?;
            return Ok(Arrived { stream, peer, tls: None });
        };
        tokio::select! {
            accepted = self.plain.accept() => {
                accepted.map(|(stream, peer)| Arrived { stream, peer, tls: None })
            }
            accepted = secure.accept() => accepted.map(|(stream, peer)| {
                Arrived { stream, peer, tls: Some(Arc::clone(config)) }
            }),
        }
    }
}

impl Arrived {
    fn socket(self) -> io::Result<Socket> {
        // A unit is one write; nothing is gained by waiting for more.
        self.stream.set_nodelay(true)?;
        notice_when_gone(&self.stream)?;
        match self.tls {
            None => Ok(Socket::plain(self.stream)),
            Some(config) => Socket::secure(self.stream, config),
        }
    }
}

/// A client whose machine or network is gone says no word of it, and to one whose camera is away nothing is sent that
/// would tell: its place would be taken for ever.
fn notice_when_gone(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_tcp_keepidle(stream, PROBED_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, PROBED_EVERY)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_user_timeout(stream, GONE_AFTER_MS)?;
    Ok(())
}

/// The next client; `None` when the door closes. Without a door nobody ever comes.
async fn arrival(entrance: Option<&mut Entrance>) -> Option<io::Result<Arrived>> {
    let Some(entrance) = entrance else { return std::future::pending().await };
    let mut opened = entrance.opened.clone();
    tokio::select! {
        accepted = entrance.accept() => Some(accepted),
        _ = opened.wait_for(|open| !*open) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_whose_machine_is_gone_is_noticed_by_the_system() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        let _inside = runtime.enter();
        let stream = TcpStream::from_std(stream).unwrap();
        let socket = Arrived { stream, peer, tls: None }.socket().unwrap();
        assert!(sockopt::socket_keepalive(&socket).unwrap());
        assert_eq!(sockopt::tcp_user_timeout(&socket).unwrap(), GONE_AFTER_MS);
    }
}
