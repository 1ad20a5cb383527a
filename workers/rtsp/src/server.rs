//! The thread of the sockets: accepts clients and runs their connections on one single-threaded
//! runtime. Nothing of a ring or of the supervisor is known here, so tests start it as it is.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::feed::Feeds;
use crate::recorded::desk::Desk;
use crate::recorded::shelf::Shelf;

/// Connections beyond the places for clients that are at least told 503; more are closed unheard.
const REFUSED_MAX: usize = 64;
/// After a failed accept (no descriptors, say): long enough not to spin, short for who waits.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
const PULSE: Duration = Duration::from_millis(200);

/// A running server.
#[derive(Debug)]
pub struct Server {
    thread: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    open: watch::Sender<bool>,
    inside: Arc<AtomicUsize>,
    pulse: Arc<AtomicU64>,
    address: SocketAddr,
}

impl Server {
    /// Serves `feeds` to at most `clients` clients of `listener`. The listener is only ever accepted
    /// from and closed, never shut down: others may hold the same socket.
    pub fn start(listener: TcpListener, feeds: Feeds, clients: usize) -> io::Result<Self> {
        Self::with_recordings(listener, feeds, Shelf::new(protocol::config::Shelf::None), clients)
    }

    /// As [`Self::start`], with recordings to play.
    pub fn with_recordings(
        listener: TcpListener,
        feeds: Feeds,
        shelf: Shelf,
        clients: usize,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = watch::channel(false);
        let (open, opened) = watch::channel(true);
        let (pulse, inside) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let door = Door {
            feeds,
            shelf: Arc::new(shelf),
            clients,
            pulse: Arc::clone(&pulse),
            inside: Arc::clone(&inside),
            connections: JoinSet::new(),
        };
        let run = move || run(&runtime, listener, door, opened, stopped);
        let thread = thread::Builder::new().name("sockets".into()).spawn(run)?;
        Ok(Self { thread: Some(thread), stop, open, inside, pulse, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
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
    listener: TcpListener,
    mut door: Door,
    opened: watch::Receiver<bool>,
    mut stopped: watch::Receiver<bool>,
) {
    runtime.block_on(async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "cannot wait for clients"),
        };
        tokio::select! {
            () = door.keep(listener, opened) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    });
}

/// Who may come in.
struct Door {
    feeds: Feeds,
    shelf: Arc<Shelf>,
    clients: usize,
    pulse: Arc<AtomicU64>,
    inside: Arc<AtomicUsize>,
    connections: JoinSet<()>,
}

impl Door {
    async fn keep(&mut self, listener: tokio::net::TcpListener, opened: watch::Receiver<bool>) {
        let mut pulse = tokio::time::interval(PULSE);
        // While it is here, the door is open; who asks whether all have left waits for it to go.
        let mut entrance = Some((listener, opened));
        loop {
            self.inside.store(self.connections.len(), Ordering::Relaxed);
            tokio::select! {
                arrived = arrival(entrance.as_mut()) => match arrived {
                    None => entrance = None,
                    Some(accepted) => match accepted {
                    Ok((socket, peer)) => self.let_in(socket, peer),
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

    fn let_in(&mut self, socket: TcpStream, peer: SocketAddr) {
        let inside = self.connections.len();
        if inside >= self.clients + REFUSED_MAX {
            return tracing::debug!(client = %peer, "closed: too many connections");
        }
        let admitted = inside < self.clients;
        if !admitted {
            tracing::warn!(client = %peer, clients = self.clients,
                "client refused: all places are taken; raise `max_clients`");
        }
        let desk = Desk::new(Arc::clone(&self.shelf), peer);
        match Connection::new(socket, peer, self.feeds.clone(), desk, admitted) {
            Ok(connection) => drop(self.connections.spawn(connection.serve())),
            Err(error) => tracing::debug!(client = %peer, %error, "connection lost at once"),
        }
    }
}

/// The next client; `None` when the door closes. Without a door nobody ever comes.
async fn arrival(
    entrance: Option<&mut (tokio::net::TcpListener, watch::Receiver<bool>)>,
) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    match entrance {
        None => std::future::pending().await,
        Some((listener, opened)) => tokio::select! {
            accepted = listener.accept() => Some(accepted),
            _ = opened.wait_for(|open| !*open) => None,
        },
    }
}
