//! Connections: at most so many, each with a deadline for its request and for every write, so that
//! a client that stalls, drips or never reads costs one place for ten seconds and nothing else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tracing::{debug, warn};

/// Open connections; a browser uses six a page.
pub const CONNECTIONS_MAX: usize = 256;
/// A request's header, or the pause between two requests, may take this long.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A write without progress ends the connection: the client stopped reading.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's header; a browser's are under 2 KiB.
const HEADER_MAX_BYTES: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// Pause after a failed accept: out of descriptors, most likely, and they come back.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Accepts until `stop` turns true, then returns; open connections finish the request they are in.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    places: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => admit(stream, peer, &router, &places, &stop),
            Err(error) => {
                warn!(%error, "cannot accept a connection, trying again");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Gives the connection a task of its own, or closes it when all places are taken: waiting in the
/// backlog would look like a hung page.
fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    router: &Router,
    places: &Arc<Semaphore>,
    stop: &watch::Receiver<bool>,
) {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        warn!(%peer, limit = CONNECTIONS_MAX, "connection refused: all places are taken");
        return;
    };
    let (router, stop) = (router.clone(), stop.clone());
    tokio::spawn(async move {
        if let Err(error) = connection(stream, router, stop).await {
            debug!(%peer, %error, "connection ended");
        }
        drop(place);
    });
}

async fn connection(
    stream: TcpStream,
    router: Router,
    mut stop: watch::Receiver<bool>,
) -> Result<(), hyper::Error> {
    let io = TokioIo::new(Box::pin(with_deadlines(stream)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_MAX_BYTES)
        .max_headers(HEADERS_MAX);
    let serving = http.serve_connection(io, TowerToHyperService::new(router));
    tokio::pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => return ended,
        _ = stop.wait_for(|stop| *stop) => serving.as_mut().graceful_shutdown(),
    }
    serving.await
}

fn with_deadlines(stream: TcpStream) -> TimeoutStream<TcpStream> {
    // A small answer must not wait for the acknowledgement of the one before.
    let _: io::Result<()> = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    stream
}
