//! Connections for what is not HTTP, with the same TLS.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{CONNECT_WITHIN, Error, client_config, root_cause};

/// A connection, plain or not.
pub type Stream = Box<dyn Wire>;

/// What can be read and written.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Makes connections of one kind.
#[derive(Clone)]
pub struct Dialer(Option<Arc<ClientConfig>>);

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "https::Dialer(TLS)" } else { "https::Dialer(plain)" })
    }
}

impl Dialer {
    /// Without TLS.
    pub fn plain() -> Self {
        Self(None)
    }

    /// Trusts the certificates of the system, and those in `ca` (PEM).
    ///
    /// # Errors
    ///
    /// [`Error::Certificates`] when `ca` holds none.
    pub fn tls(ca: Option<&Path>) -> Result<Self, Error> {
        client_config(ca).map(|config| Self(Some(Arc::new(config))))
    }

    /// Connects within ten seconds. An IPv6 address stands without brackets.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`], and [`Error::Late`].
    pub async fn dial(&self, host: &str, port: u16) -> Result<Stream, Error> {
        let connected = tokio::time::timeout(CONNECT_WITHIN, self.connect(host, port));
        connected.await.unwrap_or(Err(Error::Late(CONNECT_WITHIN)))
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Stream, Error> {
        let failed = |error: std::io::Error| Error::Connect(root_cause(&error));
        let stream = TcpStream::connect((host, port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let Some(config) = &self.0 else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::Connect(format!("'{host}' is no name that a certificate has")))?;
        let connector = TlsConnector::from(Arc::clone(config));
        Ok(Box::new(connector.connect(name, stream).await.map_err(failed)?))
    }
}
