//! Connections for what is not HTTP, against a server that gives back what it gets.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use https::{Dialer, Error, Stream};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tls").join(name)
}

fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file("server.pem")).unwrap().collect();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates.unwrap(), key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Gives back the first bytes of its one client, over TLS or not; its port.
async fn echo(tls: Option<TlsAcceptor>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream: Stream = match tls {
            None => Box::new(stream),
            // A client that does not trust us is no mistake of the test's.
            Some(tls) => match tls.accept(stream).await {
                Ok(stream) => Box::new(stream),
                Err(_) => return,
            },
        };
        let mut said = [0; 5];
        stream.read_exact(&mut said).await.unwrap();
        stream.write_all(&said).await.unwrap();
        stream.flush().await.unwrap();
    });
    port
}

async fn is_echoed(mut stream: Stream) {
    stream.write_all(b"hello").await.unwrap();
    stream.flush().await.unwrap();
    let mut said = [0; 5];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"hello");
}

#[tokio::test]
async fn what_is_said_arrives_with_and_without_tls() {
    let port = echo(None).await;
    is_echoed(Dialer::plain().dial("127.0.0.1", port).await.unwrap()).await;
    let port = echo(Some(acceptor())).await;
    let dialer = Dialer::tls(Some(&file("ca.pem"))).unwrap();
    is_echoed(dialer.dial("127.0.0.1", port).await.unwrap()).await;
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_spoken_to() {
    let port = echo(Some(acceptor())).await;
    let refused = Dialer::tls(None).unwrap().dial("127.0.0.1", port).await;
    let Err(Error::Connect(why)) = refused else { panic!("it was trusted") };
    assert!(why.to_lowercase().contains("certificate"), "{why}");
}

#[tokio::test]
async fn nobody_there_is_said_in_plain_words() {
    // A free port of now may be another test's in a moment; nobody listens on this one.
    let refused = Dialer::plain().dial("127.0.0.1", 1).await;
    assert!(matches!(refused, Err(Error::Connect(why)) if why == "connection refused"));
    assert!(matches!(Dialer::tls(Some(&file("README.md"))), Err(Error::Certificates { .. })));
}
