//! Certificates: given ones, or those of the installation's own CA under `DATA/tls/`.
//!
//! ```text
//! DATA/tls/ca.pem          the CA's certificate: what clients trust
//! DATA/tls/ca-key.pem      its key, mode 0600
//! DATA/tls/server.pem      the server's certificate, signed by the CA
//! DATA/tls/server-key.pem  its key, mode 0600
//! DATA/tls/server.json     the names in it and when it ends: what decides on a new one
//! ```

mod authority;
mod names;

use std::path::Path;
use std::sync::Arc;

use base::Clock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::ServerError;
use crate::config::Config;

pub use names::{host_name, interface_addresses, names};

/// What the TLS listeners answer handshakes with: one certificate, two lists of protocols.
pub struct Certificates {
    /// Offers `h2` and `http/1.1`.
    pub http: TlsAcceptor,
    /// Offers no protocol by name.
    pub rtsp: TlsAcceptor,
}

impl Certificates {
    /// Loads the given certificate, or one of the own CA for these names: made when there is none,
    /// made again when the names have changed or it ends soon.
    ///
    /// # Errors
    /// [`ServerError::Tls`], [`ServerError::File`].
    pub fn load(config: &Config, names: &[String], clock: &dyn Clock) -> Result<Self, ServerError> {
        let (chain, key) = match (&config.tls_certificate, &config.tls_key) {
            (Some(chain), Some(key)) => (chain.clone(), key.clone()),
            _ => authority::server_certificate(&config.data.join("tls"), names, clock)?,
        };
        let server = server_config(&chain, &key)?;
        let mut http = server.clone();
        http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { http: TlsAcceptor::from(Arc::new(http)), rtsp: TlsAcceptor::from(Arc::new(server)) })
    }
}

fn server_config(chain: &Path, key: &Path) -> Result<ServerConfig, ServerError> {
    let refuse =
        |path: &Path, error: &dyn std::fmt::Display| ServerError::Tls(format!("{}: {error}", path.display()));
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|error| refuse(chain, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| refuse(key, &error))?;
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(chain, &error))?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|error| refuse(chain, &error))
}
