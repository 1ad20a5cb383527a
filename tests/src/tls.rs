//! TLS in front of a server of this machine that knows none, with a certificate that no system trusts.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::{Failure, Outcome};

/// How long one side is listened to before the other one.
const TURN: Duration = Duration::from_millis(2);

/// Passes on what clients say, and the answers; its threads end with the process.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
}

impl TlsFront {
    pub fn before(server: SocketAddr) -> Outcome<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificates: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_file_iter(file("server.pem")).map_err(Failure::new)?.collect();
        let key = PrivateKeyDer::from_pem_file(file("server.key")).map_err(Failure::new)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Failure::new)?
            .with_no_client_auth()
            .with_single_cert(certificates.map_err(Failure::new)?, key)
            .map_err(Failure::new)?;
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").map_err(Failure::new)?;
        let address = listener.local_addr().map_err(Failure::new)?;
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let config = Arc::clone(&config);
                thread::spawn(move || drop(pass_on(client, server, config)));
            }
        });
        Ok(Self { address })
    }

    /// `https://HOST:PORT`.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }
}

/// The certificate of who has signed that of the server.
pub fn authority() -> PathBuf {
    file("ca.pem")
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tls").join(name)
}

/// Until one side ends.
fn pass_on(client: TcpStream, server: SocketAddr, config: Arc<ServerConfig>) -> io::Result<()> {
    client.set_read_timeout(Some(TURN))?;
    let mut server = TcpStream::connect(server)?;
    server.set_read_timeout(Some(TURN))?;
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut client = StreamOwned::new(session, client);
    while pour(&mut client, &mut server)? && pour(&mut server, &mut client)? {}
    Ok(())
}

/// What there is for the moment; whether more may come.
fn pour(from: &mut impl Read, to: &mut impl Write) -> io::Result<bool> {
    let mut piece = vec![0; 64 << 10];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(false),
            Ok(read) => {
                to.write_all(&piece[..read])?;
                to.flush()?;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(true);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
