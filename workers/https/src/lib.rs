//! An HTTP client for workers that speak to servers elsewhere: HTTP/1.1, plain or over TLS, a deadline for each
//! request, answers that fit into memory. No redirects, no cookies, no proxies.
//!
//! Beside it, connections over the same TLS for what is not HTTP ([`Dialer`]).
//!
//! It is apart because of what it links: only the workers that need a network have TLS in them.
#![forbid(unsafe_code)]

mod backoff;
mod dial;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

pub use backoff::Backoff;
pub use dial::{Dialer, Stream, Wire};

/// A server that is there answers a SYN within a second even from the other side of the world; a lost one is
/// sent again after one and three.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// What is idle for longer has often been forgotten by something on the way.
const IDLE: Duration = Duration::from_secs(30);
/// A listing of a thousand objects takes half of it.
const ANSWER_MAX_BYTES: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("its answer is longer than {ANSWER_MAX_BYTES} bytes")]
    Long,
    #[error("cannot be reached: {0}")]
    Connect(String),
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("cannot read certificates from {}: {reason}", path.display())]
    Certificates { path: PathBuf, reason: String },
    #[error("TLS cannot be had: {0}")]
    Tls(#[from] rustls::Error),
}

/// Clones share their connections.
#[derive(Clone)]
pub struct Client(Pool<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("https::Client")
    }
}

impl Client {
    /// Trusts the certificates of the system, and those in `ca` (PEM).
    ///
    /// # Errors
    ///
    /// [`Error::Certificates`] when `ca` holds none.
    pub fn new(ca: Option<&Path>) -> Result<Self, Error> {
        let config = client_config(ca)?;
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_WITHIN));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let mut pool = Pool::builder(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        Ok(Self(pool.build(connector)))
    }

    /// Sends a request and reads all of its answer within `limit`, whatever its status is.
    ///
    /// # Errors
    ///
    /// All but [`Error::Certificates`] and [`Error::Tls`].
    pub async fn call(
        &self,
        request: Request<Bytes>,
        limit: Duration,
    ) -> Result<Response<Bytes>, Error> {
        let answer = tokio::time::timeout(limit, self.answer(request.map(Full::new)));
        answer.await.unwrap_or(Err(Error::Late(limit)))
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Error> {
        let answer = self.0.request(request).await.map_err(|error| {
            let why = root_cause(&error);
            if error.is_connect() { Error::Connect(why) } else { Error::Broken(why) }
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Error::Long
            } else {
                Error::Broken(root_cause(&*error))
            }
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

fn client_config(ca: Option<&Path>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca)?)
        .with_no_client_auth())
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    // A system without any is told of when a connection is refused for it.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let Some(path) = ca else { return Ok(roots) };
    let bad = |reason: String| Error::Certificates { path: path.to_owned(), reason };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
    let mut count = 0;
    for certificate in found {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        count += 1;
    }
    if count == 0 {
        return Err(bad("it holds none; expected PEM".to_owned()));
    }
    Ok(roots)
}

/// The words of what lies beneath: "Connection refused", not "client error".
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    match io {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::TimedOut) => "no connection in time".to_owned(),
        _ => cause.to_string(),
    }
}
