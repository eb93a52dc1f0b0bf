//! What pulling from sources needs besides the installation itself.

use std::sync::Arc;

use ingest::pull::tls::client_config;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::ServerError;
use crate::config::Config;

/// How the certificates of `rtsps` sources are believed, as configured.
///
/// # Errors
/// [`ServerError::Tls`] for a file that holds no certificates.
pub(super) fn tls(config: &Config) -> Result<Arc<rustls::ClientConfig>, ServerError> {
    let Some(path) = &config.pull_ca else {
        return client_config(None).map_err(|error| ServerError::Tls(error.to_string()));
    };
    let refuse =
        |error: &dyn std::fmt::Display| ServerError::Tls(format!("pull.ca {}: {error}", path.display()));
    let roots: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| refuse(&error))?;
    if roots.is_empty() {
        return Err(refuse(&"it holds no certificate"));
    }
    client_config(Some(roots)).map_err(|error| refuse(&error))
}
