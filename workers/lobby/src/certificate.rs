//! The certificate of `tls:` and what is spoken with it. Read once, when the worker starts: a renewed one is
//! taken by a restart, which refuses nobody.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::config::TlsConfig;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why nothing can be encrypted with it.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("tls: cannot read the certificate {}: {why}; expected PEM that begins with the server's own", path.display())]
    Certificate { path: PathBuf, why: PemError },
    #[error("tls: {} holds no certificate; expected PEM, BEGIN CERTIFICATE", path.display())]
    Empty { path: PathBuf },
    #[error("tls: cannot read the key {}: {why}; expected PEM, BEGIN PRIVATE KEY, without a password", path.display())]
    Key { path: PathBuf, why: PemError },
    #[error("tls: {} and {} do not do: {why}", cert.display(), key.display())]
    Unfit { cert: PathBuf, key: PathBuf, why: rustls::Error },
}

/// What the connections of the TLS listener begin with.
pub fn load(tls: &TlsConfig) -> Result<Arc<ServerConfig>, CertificateError> {
    let chain = chain(&tls.cert)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|why| CertificateError::Key { path: tls.key.clone(), why })?;
    if is_seen_by_all(&tls.key) {
        tracing::warn!(
            "tls: every user of this machine can read {0}: chmod 600 {0}",
            tls.key.display()
        );
    }
    let unfit = |why| CertificateError::Unfit { cert: tls.cert.clone(), key: tls.key.clone(), why };
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unfit)?;
    Ok(Arc::new(config))
}

fn is_seen_by_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let failed = |why| CertificateError::Certificate { path: path.to_owned(), why };
    let all = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let chain = all.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if chain.is_empty() {
        return Err(CertificateError::Empty { path: path.to_owned() });
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tls").join(name)
    }

    fn refused(cert: &str, key: &str) -> String {
        let tls = TlsConfig { cert: file(cert), key: file(key), listen: None };
        load(&tls).unwrap_err().to_string()
    }

    #[test]
    fn a_certificate_that_cannot_serve_is_named_with_what_is_expected() {
        assert!(refused("none.pem", "server.key").contains("none.pem"));
        assert!(refused("server.key", "server.key").contains("holds no certificate"));
        assert!(refused("server.pem", "server.pem").contains("BEGIN PRIVATE KEY"));
        let text = refused("ca.pem", "server.key");
        assert!(text.contains("ca.pem") && text.contains("server.key"), "{text}");
    }
}
