//! Connections: at most so many, of all and of one address, each with a deadline for its handshake, for its
//! request and for every write, so that a client that stalls, drips or never reads costs one place for ten
//! seconds and nothing else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::Response;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lobby::{Crowd, Seat, Welcome};
use protocol::time::MonoNs;
use rustls::ServerConfig;
use shmring::clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::guard::forwarded::Peer;
use crate::webrtc::Reached;
use crate::wire::Wire;

/// Bytes of a request's header; a browser's are under 2 KiB.
const HEADER_MAX_BYTES: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// Pause after a failed accept: out of descriptors, most likely, and they come back.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How often refusals are told of.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Deadlines of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For a TLS handshake, for a request's header, and for the pause between two requests.
    pub header: Duration,
    /// For a write without progress: the client stopped reading.
    pub write: Duration,
}

impl Default for Deadlines {
    /// Longer than any pause of the page, short enough that stalled clients cannot pile up.
    fn default() -> Self {
        Self { header: Duration::from_secs(10), write: Duration::from_secs(10) }
    }
}

/// Where clients come in.
#[derive(Debug)]
pub struct Doors {
    pub plain: TcpListener,
    /// Where everything goes through TLS.
    pub secure: Option<(TcpListener, Arc<ServerConfig>)>,
}

impl From<TcpListener> for Doors {
    fn from(plain: TcpListener) -> Self {
        Self { plain, secure: None }
    }
}

impl Doors {
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, Option<Arc<ServerConfig>>)> {
        let Some((secure, config)) = &self.secure else {
            let (stream, peer) = self.plain.accept().await?;
            return Ok((stream, peer, None));
        };
        tokio::select! {
            accepted = self.plain.accept() => accepted.map(|(stream, peer)| (stream, peer, None)),
            accepted = secure.accept() => {
                accepted.map(|(stream, peer)| (stream, peer, Some(Arc::clone(config))))
            }
        }
    }
}

/// What every connection gets a share of.
#[derive(Clone, Debug)]
pub struct Server {
    pub router: Router,
    /// A seat an open connection.
    pub crowd: Crowd,
    pub deadlines: Deadlines,
    /// Turns true when a successor serves whoever comes: each connection ends with its next answer.
    pub drain: watch::Receiver<bool>,
    /// Turns true when the worker stops.
    pub stop: watch::Receiver<bool>,
}

/// What a request knows of its connection; the connection itself, which a WebSocket takes over, holds the seat.
#[derive(Clone, Debug)]
pub struct Leash {
    /// Turns true when the worker stops.
    pub stop: watch::Receiver<bool>,
}

impl Server {
    /// Accepts until told to stop or to drain, then returns; open connections finish the request they are in.
    pub async fn serve(mut self, doors: impl Into<Doors>) {
        let doors = doors.into();
        let (mut told, mut failed) = (None, None);
        loop {
            let accepted = tokio::select! {
                accepted = doors.accept() => accepted,
                _ = self.stop.wait_for(|stop| *stop) => return,
                _ = self.drain.wait_for(|drain| *drain) => return,
            };
            match accepted {
                Ok((stream, address, tls)) => {
                    let peer = Peer { address, is_secure: tls.is_some() };
                    if let Some(seat) = self.seat(address, &mut told) {
                        self.admit(stream, peer, tls, seat);
                    }
                }
                Err(error) => {
                    if is_due(&mut failed) {
                        warn!(%error, "cannot accept a connection, trying again");
                    }
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// Gives the connection a task of its own.
    fn admit(&self, stream: TcpStream, peer: Peer, tls: Option<Arc<ServerConfig>>, seat: Seat) {
        let server = self.clone();
        tokio::spawn(async move {
            let Deadlines { header, write } = server.deadlines;
            let ended = match Wire::open(stream, tls, seat, write, header).await {
                Ok(wire) => server.connection(wire, peer).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = ended {
                debug!(address = %peer.address, %error, "connection ended");
            }
        });
    }

    /// `None`, and it is closed, when all places are taken: waiting in the backlog would look like a hung page.
    /// One line for all that are refused within some seconds: whoever floods does not fill the log.
    fn seat(&self, peer: SocketAddr, told: &mut Option<MonoNs>) -> Option<Seat> {
        let seat = self.crowd.enter(peer)?;
        let why = match seat.why {
            Welcome::Served => return Some(seat),
            Welcome::Full => "all places are taken; raise `max_clients`",
            Welcome::TooMany => "its address has as many places as it may; raise `max_per_address`",
        };
        if is_due(told) {
            warn!(%peer, "connection refused: {why}");
        }
        None
    }

    async fn connection(mut self, wire: Wire, peer: Peer) -> Result<(), hyper::Error> {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.deadlines.header)
            .max_buf_size(HEADER_MAX_BYTES)
            .max_headers(HEADERS_MAX);
        let leash = Leash { stop: self.stop.clone() };
        let router = self.router.layer(Extension(peer)).layer(Extension(leash));
        let router = router.layer(Extension(Reached(wire.reached)));
        let router = router.layer(map_response(last_of(self.drain)));
        let service = TowerToHyperService::new(router);
        let serving = http.serve_connection(TokioIo::new(wire), service).with_upgrades();
        tokio::pin!(serving);
        tokio::select! {
            ended = serving.as_mut() => return ended,
            _ = self.stop.wait_for(|stop| *stop) => serving.as_mut().graceful_shutdown(),
        }
        serving.await
    }
}

/// Whether to say again what may happen a hundred times a second.
fn is_due(told: &mut Option<MonoNs>) -> bool {
    let now = clock::mono();
    let is_due = told.is_none_or(|told| now.saturating_since(told) >= TOLD_EVERY);
    if is_due {
        *told = Some(now);
    }
    is_due
}

/// While others are let in elsewhere, a connection ends with an answer, never between two: no request
/// can meet a closing socket. A WebSocket is no connection of requests any more: it stays until its viewer leaves.
fn last_of(
    drain: watch::Receiver<bool>,
) -> impl Fn(Response) -> std::future::Ready<Response> + Clone + Send + Sync + 'static {
    move |mut response: Response| {
        // What is no conversation of requests any more ends when its client has had enough.
        let stays = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if *drain.borrow() && !stays {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        std::future::ready(response)
    }
}
