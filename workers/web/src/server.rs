//! Connections: at most so many, each with a deadline for its request and for every write, so that
//! a client that stalls, drips or never reads costs one place for ten seconds and nothing else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::map_response;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tracing::{debug, warn};

/// Open connections; a browser uses six a page.
pub const CONNECTIONS_MAX: usize = 256;
/// Bytes of a request's header; a browser's are under 2 KiB.
const HEADER_MAX_BYTES: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// Pause after a failed accept: out of descriptors, most likely, and they come back.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Deadlines of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For a request's header, and for the pause between two requests.
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

/// What every connection gets a share of.
#[derive(Clone, Debug)]
pub struct Server {
    pub router: Router,
    /// One permit an open connection.
    pub places: Arc<Semaphore>,
    pub deadlines: Deadlines,
    /// Turns true when a successor serves whoever comes: each connection ends with its next answer.
    pub drain: watch::Receiver<bool>,
    /// Turns true when the worker stops.
    pub stop: watch::Receiver<bool>,
}

impl Server {
    /// Accepts until told to stop or to drain, then returns; open connections finish the request they are in.
    pub async fn serve(mut self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.stop.wait_for(|stop| *stop) => return,
                _ = self.drain.wait_for(|drain| *drain) => return,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    warn!(%error, "cannot accept a connection, trying again");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// Gives the connection a task of its own, or closes it when all places are taken: waiting in
    /// the backlog would look like a hung page.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            warn!(%peer, "connection refused: all places are taken");
            return;
        };
        let server = self.clone();
        tokio::spawn(async move {
            if let Err(error) = server.connection(stream).await {
                debug!(%peer, %error, "connection ended");
            }
            drop(place);
        });
    }

    async fn connection(mut self, stream: TcpStream) -> Result<(), hyper::Error> {
        let io = TokioIo::new(Box::pin(with_deadline(stream, self.deadlines.write)));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.deadlines.header)
            .max_buf_size(HEADER_MAX_BYTES)
            .max_headers(HEADERS_MAX);
        let router = self.router.layer(map_response(last_of(self.drain)));
        let serving = http.serve_connection(io, TowerToHyperService::new(router));
        tokio::pin!(serving);
        tokio::select! {
            ended = serving.as_mut() => return ended,
            _ = self.stop.wait_for(|stop| *stop) => serving.as_mut().graceful_shutdown(),
        }
        serving.await
    }
}

/// While others are let in elsewhere, a connection ends with an answer, never between two: no request
/// can meet a closing socket.
fn last_of(
    drain: watch::Receiver<bool>,
) -> impl Fn(Response) -> std::future::Ready<Response> + Clone + Send + Sync + 'static {
    move |mut response: Response| {
        if *drain.borrow() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        std::future::ready(response)
    }
}

fn with_deadline(stream: TcpStream, write: Duration) -> TimeoutStream<TcpStream> {
    // A small answer must not wait for the acknowledgement of the one before.
    let _: io::Result<()> = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write));
    stream
}
